"""The tab "Premise and hypothesis"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.ui.context import answered
from bert_demo.ui.parts.language import say
from bert_demo.ui.parts.model_menu import ModelMenu
from bert_demo.ui.parts.view import View, in_words, reveal, view_part
from bert_demo.ui.tabs.nli_view import EXAMPLES, judge, judgement_view, picked, remember

if TYPE_CHECKING:
    from bert_demo.ui.context import AppContext

History = list[list[str]]


def create_nli_tab(context: AppContext) -> gr.Tab:
    """The tab: a pair of sentences, a verdict, and what was tried."""
    shelf = context.shelf
    menu = ModelMenu(shelf, "nli")

    def answer(model: str, premise: str, hypothesis: str, history: History) -> tuple[View, History]:
        kept = history

        def judged() -> View:
            nonlocal kept
            found = judge(shelf, model, premise, hypothesis)
            kept = remember(found, history)
            return judgement_view(found, kept)

        return in_words(judged)(), kept

    def pick(history: History, event: gr.EventData) -> tuple[str, str]:
        return picked(history, getattr(event, "row", None))

    tab = gr.Tab(say("4 Argue"), id="nli")
    with tab:
        menu.notice()
        with gr.Row(visible=bool(menu.entries)) as body:
            with gr.Column(scale=1, elem_classes="bd-form"):
                model = menu.dropdown()
                premise = gr.Textbox(
                    EXAMPLES[0][0],
                    label=say("Premise"),
                    info=say("Taken as true"),
                    lines=2,
                    max_length=2000,
                )
                hypothesis = gr.Textbox(
                    EXAMPLES[0][1],
                    label=say("Hypothesis"),
                    info=say("Does it follow?"),
                    lines=2,
                    max_length=2000,
                )
                with gr.Row():
                    swap = gr.Button(say("Swap"), min_width=90)
                    go = gr.Button(say("Judge"), variant="primary", min_width=120)
                examples = gr.Dataset(
                    components=[premise, hypothesis],
                    samples=[list(pair) for pair in EXAMPLES],
                    sample_labels=[f"{first} \u2192 {second}" for first, second in EXAMPLES],
                    label=say("Examples to click"),
                    samples_per_page=len(EXAMPLES),
                )
            with gr.Column(scale=3, elem_classes="bd-stage"):
                result = view_part(min_height=480, elem_id="nli-result")
        history = gr.State([])
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        task: dict[str, Any] = {
            "fn": answer,
            "inputs": [model, premise, hypothesis, history],
            "outputs": [result, history],
            **quiet,
        }
        menu.keep_fresh(tab, body).then(**task)
        model.input(**task)
        asked = [gr.on([go.click, premise.submit, hypothesis.submit], **task)]
        both = [premise, hypothesis]
        swapped = swap.click(lambda a, b: (b, a), both, both, show_progress="hidden", **quiet)
        chosen = examples.click(tuple, examples, both, show_progress="hidden", **quiet)
        again = result.select(answered(pick), history, both, show_progress="hidden", **quiet)
        asked += [one.then(**task) for one in (swapped, chosen, again)]
        for event in asked:
            event.then(None, js=reveal("nli-result"), **quiet)
    return tab
