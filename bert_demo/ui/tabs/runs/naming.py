"""The part "Name and note" of the tab Runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.common.errors import UserError
from bert_demo.model.folders import LONGEST_NOTE, LONGEST_TITLE
from bert_demo.runs.actions import rename
from bert_demo.ui.context import token_of
from bert_demo.ui.parts.language import say
from bert_demo.ui.tabs.runs.views import chosen_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from bert_demo.ui.context import AppContext


def create_naming_part(
    context: AppContext, listed: gr.HTML, listing: Callable[..., dict[str, Any]]
) -> None:
    """The part, closed at first; `listed` is the list of runs, and `listing` makes it anew."""
    with gr.Accordion(say("Name and note"), open=False) as part, gr.Row(elem_classes="br-actions"):
        name = gr.Textbox(label=say("Name"), max_lines=1, max_length=LONGEST_TITLE)
        note = gr.Textbox(label=say("Note"), max_lines=1, max_length=LONGEST_NOTE)
        save = gr.Button(say("Save"), size="sm")
    quiet: dict[str, Any] = {
        "show_progress": "hidden",
        "concurrency_limit": None,
        "api_visibility": "private",
    }

    def fill(shown: Any) -> tuple[str, str]:
        chosen = chosen_ids(shown)
        if len(chosen) != 1:
            return "", ""
        run = context.store.get(chosen[0])
        return run.title, run.note

    def keep(shown: Any, title: Any, words: Any, browser: Any) -> dict[str, Any]:
        chosen = chosen_ids(shown)
        if len(chosen) != 1:
            raise UserError("Tick the one run that gets another name or note.")
        rename(context.store, chosen[0], token_of(browser), title, words)
        return listing(context, chosen, browser)

    gr.on([listed.select, part.expand], fill, listed, [name, note], **quiet)
    gr.on(
        [save.click, name.submit, note.submit],
        keep,
        [listed, name, note, context.browser],
        listed,
        **quiet,
    )
