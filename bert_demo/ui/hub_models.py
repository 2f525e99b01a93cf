"""The section "Models from the Hub": a BERT that others trained, fetched and put on the shelf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.interop.known import KNOWN_MODELS
from bert_demo.shelf import Entry
from bert_demo.ui.view import View, in_words, text, view, view_part

if TYPE_CHECKING:
    from bert_demo.ui.context import AppContext

_INTRODUCTION = """
Fetch a BERT that others have trained. It comes from the Hugging Face Hub once, stays on this
computer, and is then in the menus of models: to look into, to fill blanks with if it has a head for
that, and to fine-tune.
"""
_NEW = {"pooler": "pooler", "nsp": "next-sentence head"}


def create_hub_models(context: AppContext, tab: gr.Tab) -> None:
    """The section, closed at first; `tab` is the tab that it stands in."""

    @in_words
    def bring(repo: Any, browser: Any, progress: gr.Progress = gr.Progress()) -> View:  # noqa: B008
        return fetched(context, repo, browser, progress)

    with gr.Accordion("Models from the Hugging Face Hub", open=False):
        gr.Markdown(_INTRODUCTION)
        if context.is_public:
            gr.Markdown("Because this page is public, only the teacher can fetch models here.")
        repo = gr.Dropdown(
            [(model.title, model.repo_id) for model in KNOWN_MODELS],
            value=KNOWN_MODELS[0].repo_id,
            label="Model",
            info="One of these, or the name of any other BERT: owner/name",
            allow_custom_value=True,
        )
        fetch = gr.Button("Fetch", variant="primary")
        shown = view_part(min_height=130, elem_id="hub-models")
    quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
    tab.select(lambda: listing(context), None, shown, show_progress="hidden", **quiet)
    fetch.click(bring, [repo, context.browser], shown, trigger_mode="once", **quiet)


def fetched(context: AppContext, repo: Any, browser: Any, progress: Any) -> View:
    """Bring a model for this browser; `progress` is called with a share and words."""
    if not context.may_fetch(browser):
        raise ValueError("This page is public, so only the teacher can fetch models here.")

    def tell(words: str, share: float | None) -> None:
        progress(share, desc=words)

    tell("Asking for the model", None)
    name = context.imports.bring(repo, tell)
    entry = context.shelf.entry(f"imported/{name}")
    return listing(context, f"{entry.title} is here, and now in the menus of models.")


def listing(context: AppContext, first: str = "") -> View:
    """What has been fetched so far, below a sentence."""
    entries = [entry for entry in context.shelf.entries() if entry.id.startswith("imported/")]
    blocks = [text(first, "strong")] if first else []
    if not entries:
        blocks.append(text("No model has been fetched yet.", "muted"))
    else:
        blocks.append(text("Fetched so far:", "muted"))
        blocks += [text(_line(entry)) for entry in entries]
    return view(*blocks, spoken=first)


def _line(entry: Entry) -> str:
    new = entry.about.get("untrained_heads")
    parts = [_NEW.get(str(part), str(part)) for part in new] if isinstance(new, list) else []
    untrained = f" Not in the file, so untrained: {', '.join(parts)}." if parts else ""
    return f"{entry.title}: {entry.kind}, {entry.size}.{untrained}"
