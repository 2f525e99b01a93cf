"""The tab "Premise and hypothesis"."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.ui.context import answered
from bert_demo.ui.parts.language import say
from bert_demo.ui.parts.model_menu import ModelMenu
from bert_demo.ui.parts.view import View, in_words, reveal, view_part
from bert_demo.ui.tabs.fails import create_where_it_fails
from bert_demo.ui.tabs.nli_examples import EXAMPLES, SAYINGS
from bert_demo.ui.tabs.nli_view import judge, judgement_view, picked, remember

if TYPE_CHECKING:
    from bert_demo.ui.context import AppContext

History = list[list[str]]


def create_nli_tab(context: AppContext) -> list[Any]:
    """The tab: a pair of sentences, a verdict, and what was tried.

    Returns its parts for the model, the premise and the hypothesis.
    """
    shelf = context.shelf
    menu = ModelMenu(shelf, "nli")

    def answer(
        model: str, premise: str, hypothesis: str, said: str | None, history: History
    ) -> tuple[View, History]:
        kept = history

        def judged() -> View:
            nonlocal kept
            found = judge(shelf, model, premise, hypothesis, said)
            kept = remember(found, history)
            return judgement_view(found, kept)

        return in_words(judged)(), kept

    def pick(history: History, event: gr.EventData) -> tuple[str, str]:
        row = None
        with contextlib.suppress(AttributeError, TypeError):  # not what the page's script sends
            row = event.row
        return picked(history, row)

    tab = gr.Tab(say("4 Argue"), id="nli")
    with tab:
        menu.notice()
        with gr.Row(visible=bool(menu.entries)) as body:
            with gr.Column(scale=1, elem_classes="bd-form"):
                first = next(iter(EXAMPLES.values()))[0]
                premise = gr.Textbox(
                    first.premise,
                    label=say("Premise, taken as true"),
                    max_lines=1,
                    max_length=2000,
                )
                hypothesis = gr.Textbox(
                    first.hypothesis,
                    label=say("Hypothesis: does it follow?"),
                    max_lines=1,
                    max_length=2000,
                )
                said = gr.Radio(
                    [(say(words), label) for label, words in SAYINGS.items()],
                    label=say("What do you say? (if you like)"),
                    elem_classes="bd-say",
                )
                go = gr.Button(say("Ask the model"), variant="primary")
                swap = gr.Button(say("Swap"), size="sm")
                model = menu.dropdown()
                sets = []
                for place, (kind, pairs) in enumerate(EXAMPLES.items()):
                    with gr.Accordion(say(kind), open=not place):
                        sets.append(
                            gr.Dataset(
                                components=[premise, hypothesis],
                                samples=[[one.premise, one.hypothesis] for one in pairs],
                                sample_labels=[
                                    f"{one.premise} \u2192 {one.hypothesis}" for one in pairs
                                ],
                                show_label=False,
                                samples_per_page=len(pairs),
                            )
                        )
            with gr.Column(scale=3, elem_classes="bd-stage"):
                result = view_part(min_height=480, elem_id="nli-result")
                fails = gr.Button(say("Where does it fail? →"), scale=0)
        opened = create_where_it_fails(context, model, [premise, hypothesis, said], fails)
        history = gr.State([])
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        task: dict[str, Any] = {
            "fn": answer,
            "inputs": [model, premise, hypothesis, said, history],
            "outputs": [result, history],
            **quiet,
        }
        menu.keep_fresh(tab, body).then(**task)
        model.input(**task)
        asked = [gr.on([go.click, premise.submit, hypothesis.submit], **task)]
        both = [premise, hypothesis]
        result.change(
            None,
            [model, *both],
            js="(model, premise, hypothesis) => "
            "window.bertDemo.noteFor('nli', {model, premise, hypothesis})",
            show_progress="hidden",
            **quiet,
        )
        # Another pair is another question: what was said of the last one does not count for it.
        fresh: dict[str, Any] = {"outputs": [*both, said], "show_progress": "hidden", **quiet}
        swapped = swap.click(lambda a, b: (b, a, None), both, **fresh)
        again = result.select(answered(pick), history, both, show_progress="hidden", **quiet)
        asked += [one.then(**task) for one in (swapped, again, opened)]
        for examples in sets:
            # The learner answers first: an example is judged when asked for.
            examples.click(lambda pair: (*pair, None), examples, **fresh)
        for event in asked:
            event.then(None, js=reveal("nli-result"), **quiet)
    return [model, *both]
