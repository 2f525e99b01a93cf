"""The tab "Words in context": the form, and what happens when it changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.ui.parts.language import say
from bert_demo.ui.parts.model_menu import ModelMenu
from bert_demo.ui.parts.moments import asked_of, moments_of
from bert_demo.ui.parts.view import (
    View,
    contexts_part,
    in_words,
    moments_part,
    reveal,
    view_part,
)
from bert_demo.ui.tabs.follow_view import again, asked_for, follow_view, following
from bert_demo.ui.tabs.words_contexts import CRANES, contexts_of, read_rows, ready_made
from bert_demo.ui.tabs.words_dropout import create_dropout_part, dropout_view
from bert_demo.ui.tabs.words_view import BY_CONTEXT, BY_SENSE, CENTRED, RAW, show_contexts

if TYPE_CHECKING:
    from bert_demo.ui.context import AppContext


def create_words_tab(context: AppContext) -> list[Any]:
    """The tab; returns its parts for models, layer, word, ready-made list and contexts."""
    shelf = context.shelf
    word, rows = contexts_of(CRANES)
    menu = ModelMenu(shelf, None, several=True)

    def first(models: list[str] | None) -> str | None:
        """The model whose moments are offered."""
        return models[0] if models else None

    @in_words
    def show(models: Any, moment: Any, layer: Any, word: Any, rows: Any, *rest: Any) -> View:
        asked = [asked_of(shelf, first(models), moment), *models[1:]] if models else models
        return show_contexts(shelf, asked, word, rows, layer, *rest)

    @in_words
    def drop(models: list[str] | None, moment: Any, layer: Any, word: Any, rows: Any) -> View:
        return dropout_view(shelf, asked_of(shelf, first(models), moment), word, rows, layer)

    def fitted(
        deepest: int | None, models: list[str] | None, moment: Any, layer: float, *rest: Any
    ) -> tuple[Any, ...]:
        """The slider for these models, how far it goes, the moments, and the answer."""
        deepest = deepest or 0  # no page leaves it out
        found = [e.config.num_hidden_layers for e in shelf.entries() if e.id in (models or [])]
        most = max(found, default=deepest)
        layer = most if layer >= deepest else min(layer, most)
        answer = show(models, moment, layer, *rest)
        kept = moments_of(shelf, first(models), moment)
        return gr.Slider(maximum=most, value=layer), most, kept, answer

    def emptied(models: list[str] | None, *rest: Any) -> Any:
        return gr.skip() if models else show(models, *rest)

    def follow(
        models: list[str] | None, moment: Any, word: str, rows: Any, event: gr.EventData
    ) -> View:
        @in_words
        def answer() -> View:
            texts, _ = read_rows(rows)
            summary = say("Follow one “{word}” through the layers", word=word)
            model = asked_of(shelf, first(models), moment)
            return follow_view(shelf, model, texts, *asked_for(event), word=word, summary=summary)

        return answer()

    quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
    tab = gr.Tab(say("2 Its words"), id="words")
    with tab:
        menu.notice()
        with gr.Row(visible=bool(menu.entries)) as body:
            with gr.Column(scale=2, elem_classes="bc-form"):
                models = menu.dropdown()
                with gr.Row():
                    given = gr.Textbox(word, label=say("Word"), max_lines=1, max_length=60)
                    lists = ready_made()
                    ready = gr.Dropdown(lists, value=CRANES, label=say("Ready-made contexts"))
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
                # In the page, as the slider is, so that both are always of the same moment.
                deepest = gr.Number(most, visible=False)
                layer = gr.Slider(
                    0, most, most, step=1, label=say("Layer"), info=say("0 is before any context")
                )
                likeness = gr.Radio(_named(RAW, CENTRED), value=CENTRED, label=say("Cosines"))
                colour = gr.Radio(
                    _named(BY_CONTEXT, BY_SENSE), value=BY_SENSE, label=say("Colour the map by")
                )
                untrained = gr.Checkbox(True, label=say("Beside it, the same model untrained"))
            with gr.Column(scale=4, elem_classes="bd-stage"):
                moment = moments_part(elem_id="words-moments")
                result = view_part(min_height=560, elem_id="words-result")
                follower = view_part(elem_id="words-follow")
                asked = [models, moment, layer, given, contexts]
                create_dropout_part(drop, asked, result, quiet)
        shown = [*asked, likeness, colour, untrained]
        task: dict[str, Any] = {"fn": show, "inputs": shown, "outputs": result, **quiet}
        then = following(follow, [models, moment, given, contexts], follower)

        for event in (menu.keep_fresh(tab, body).then, models.input):
            event(
                fitted,
                [deepest, *shown],
                [layer, deepest, moment, result],
                show_progress_on=result,
                **quiet,
            ).then(**then)
        # A menu that is emptied at once triggers no `input`.
        models.change(emptied, shown, result, show_progress="hidden", **quiet)
        result.change(
            None,
            [models, layer, given, ready, contexts],
            js=_into_address(),
            show_progress="hidden",
            **quiet,
        )
        compared = gr.on([go.click, given.submit], **task)
        compared.then(None, js=reveal("words-result"), **quiet)
        compared.then(**then)
        moment.select(**task, trigger_mode="always_last", show_progress="hidden").then(
            **again("words-follow")
        )
        changes = [layer.input, likeness.input, colour.input, untrained.input]
        gr.on(changes, **task, trigger_mode="always_last", show_progress="hidden")
        ready.input(contexts_of, ready, [given, contexts], show_progress="hidden", **quiet).then(
            **task
        ).then(**then)
    return [models, layer, given, ready, contexts]


def _into_address() -> str:
    """Script that writes what is shown into the address; contexts only where they are one's own."""
    rows = json.dumps({name: contexts_of(name)[1] for _, name in ready_made()})
    return f"(...values) => window.bertDemo.noteWords({rows}, ...values)"


def _named(*choices: str) -> list[tuple[str, str]]:
    return [(say(choice), choice) for choice in choices]
