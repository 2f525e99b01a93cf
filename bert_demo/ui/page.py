"""A first plain page: what the project is, which models are here, and how to use them."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"

INTRODUCTION = """
# bert_demo

Pretrain a BERT, look at the vectors it gives to words in context, fine-tune it on natural language
inference, and put a premise and a hypothesis to it. After sections 15.8 to 15.10 and 16.7 of
[Dive into Deep Learning](https://d2l.ai).
"""

COMMANDS = """
## From a shell

```
python -m bert_demo pretrain --corpus crane-world --budget-seconds 60 --out checkpoints/mine
python -m bert_demo encode --model checkpoints/mine --text "a crane is flying"
python -m bert_demo finetune --from checkpoints/mine --corpus crane-world --epochs 1 --out nli
python -m bert_demo classify --model nli --premise "a dog runs" --hypothesis "a cat sleeps"
```

`python -m bert_demo --help` lists every command.
"""


def describe_checkpoints(folder: Path = CHECKPOINTS) -> str:
    """The checkpoints in `folder` as Markdown, one a line, by name."""
    names = sorted(path.parent.name for path in folder.glob("*/config.json"))
    if not names:
        return "## Checkpoints\n\nNone yet: the first command below makes one."
    lines = [f"- <code>{html.escape(name)}</code>" for name in names]
    return "\n".join(["## Checkpoints", "", *lines])


def build_app() -> gr.Blocks:
    """The page, not yet served."""
    page = gr.Blocks(title="bert_demo", analytics_enabled=False)
    with page:
        gr.Markdown(INTRODUCTION)
        checkpoints = gr.Markdown(describe_checkpoints())
        gr.Markdown(COMMANDS)
        # Read again for every visitor, so that a model trained since the start is listed. The
        # lambda keeps the choice of folder out of a visitor's reach.
        page.load(lambda: describe_checkpoints(), outputs=checkpoints, api_visibility="private")
    return page


def launch_options() -> dict[str, Any]:
    """Arguments of `launch` that hold wherever the page is served."""
    # The default theme fetches its fonts from elsewhere, which a machine with no network cannot.
    theme = gr.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    return {
        "theme": theme,
        "enable_monitoring": False,
        "ssr_mode": False,
        "footer_links": [],
    }
