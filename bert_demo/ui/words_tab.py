"""The tab "Words in context": the form, and what happens when it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.ui.language import say
from bert_demo.ui.model_menu import ModelMenu
from bert_demo.ui.view import contexts_part, in_words, reveal, view_part
from bert_demo.ui.words_view import (
    BOOK,
    BY_CONTEXT,
    BY_SENSE,
    CENTRED,
    RAW,
    contexts_of,
    ready_made,
    show_contexts,
)

if TYPE_CHECKING:
    from bert_demo.ui.context import AppContext


def create_words_tab(context: AppContext) -> gr.Tab:
    """The tab "Words in context"."""
    shelf = context.shelf
    word, rows = contexts_of(BOOK)
    menu = ModelMenu(shelf, None, several=True)
    show = in_words(lambda *values: show_contexts(shelf, *values))

    def layers(models: list[str] | None, layer: float, deepest: int) -> tuple[Any, int]:
        found = [e.config.num_hidden_layers for e in shelf.entries() if e.id in (models or [])]
        if not found:
            return gr.skip(), deepest
        most = max(found)
        return gr.Slider(maximum=most, value=most if layer >= deepest else min(layer, most)), most

    tab = gr.Tab(say("Words in context"), id="words")
    with tab:
        menu.notice()
        with gr.Row(visible=bool(menu.entries)) as body:
            with gr.Column(scale=2, elem_classes="bc-form"):
                models = menu.dropdown()
                with gr.Row():
                    given = gr.Textbox(word, label=say("Word"), max_lines=1, max_length=60)
                    lists = ready_made()
                    ready = gr.Dropdown(lists, value=BOOK, label=say("Ready-made contexts"))
                contexts = contexts_part(
                    rows, label=say("Contexts"), show_label=True, container=True, padding=True
                )
                gr.Markdown(
                    say(
                        "The word's first place in each context counts. `<sep>` begins the second "
                        "sentence of a pair."
                    )
                )
                go = gr.Button(say("Compare"), variant="primary")
                most = max((e.config.num_hidden_layers for e in menu.entries[:1]), default=1)
                deepest = gr.State(most)
                layer = gr.Slider(
                    0, most, most, step=1, label=say("Layer"), info=say("0 is before any context")
                )
                likeness = gr.Radio(_named(RAW, CENTRED), value=RAW, label=say("Cosines"))
                colour = gr.Radio(
                    _named(BY_CONTEXT, BY_SENSE), value=BY_SENSE, label=say("Colour the map by")
                )
                untrained = gr.Checkbox(True, label=say("Beside it, the same model untrained"))
            with gr.Column(scale=4, elem_classes="bd-stage"):
                result = view_part(min_height=560, elem_id="words-result")
        shown = [models, given, contexts, layer, likeness, colour, untrained]
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        task: dict[str, Any] = {"fn": show, "inputs": shown, "outputs": result, **quiet}

        def fit(event: Any) -> None:
            event(
                layers, [models, layer, deepest], [layer, deepest], show_progress="hidden", **quiet
            ).then(**task)

        fit(menu.keep_fresh(tab, body).then)
        # Not `input`, which a menu that is emptied at once does not trigger.
        fit(models.change)
        gr.on([go.click, given.submit], **task).then(None, js=reveal("words-result"), **quiet)
        changes = [layer.input, likeness.input, colour.input, untrained.input]
        gr.on(changes, **task, trigger_mode="always_last", show_progress="hidden")
        ready.input(contexts_of, ready, [given, contexts], show_progress="hidden", **quiet).then(
            **task
        )
    return tab


def _named(*choices: str) -> list[tuple[str, str]]:
    return [(say(choice), choice) for choice in choices]
