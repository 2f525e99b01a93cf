"""The tab "Premise and hypothesis"."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.ui.parts.language import say
from bert_demo.ui.parts.model_menu import ModelMenu
from bert_demo.ui.parts.moments import asked_of, moments_of
from bert_demo.ui.parts.view import (
    View,
    in_words,
    moments_part,
    reveal,
    text,
    view,
    view_part,
)
from bert_demo.ui.tabs.fails import create_where_it_fails
from bert_demo.ui.tabs.nli_examples import EXAMPLES, SAYINGS
from bert_demo.ui.tabs.nli_view import checks_view, judge, judgement_view, picked, remember
from bert_demo.ui.tabs.nli_why import Judged, edited, judged, why_view

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
        model: str,
        moment: Any,
        premise: str,
        hypothesis: str,
        said: str | None,
        history: History,
    ) -> tuple[View, History, View, View, Judged | None]:
        kept, found = history, None

        def judged_now() -> View:
            nonlocal kept, found
            asked = asked_of(shelf, model, moment)
            found = judge(shelf, asked, premise, hypothesis, said)
            # A tally counts what a model says in the end.
            kept = remember(found, history) if found.entry.moment is None else history
            return judgement_view(found, kept)

        shown = in_words(judged_now)()
        # Not the words of the pair before beside the verdict on this one.
        waiting = view(text(say("Working out why …"), "muted")) if found else view()
        pair = judged(found) if found else None
        return shown, kept, checks_view(found, kept), waiting, pair

    def renewed(model: str, moment: Any, *rest: Any) -> tuple[Any, ...]:
        return moments_of(shelf, model, moment), *answer(model, moment, *rest)

    def row_of(event: gr.EventData) -> object:
        with contextlib.suppress(AttributeError, TypeError):  # not what the page's script sends
            return event.row
        return None

    def pick(history: History, event: gr.EventData) -> tuple[str, str]:
        return picked(history, row_of(event))

    def pick_edit(pair: Judged | None, event: gr.EventData) -> tuple[str, str, None]:
        return (*edited(pair, row_of(event)), None)

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
            with gr.Column(scale=3, elem_classes="bd-stage", elem_id="nli-result"):
                moment = moments_part(elem_id="nli-moments")
                result, why, tried = view_part(min_height=190), view_part(), view_part()
                fails = gr.Button(say("Where does it fail? →"), scale=0)
        opened = create_where_it_fails(context, model, [premise, hypothesis, said], fails)
        history, latest = gr.State([]), gr.State(None)
        quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        task: dict[str, Any] = {
            "fn": answer,
            "inputs": [model, moment, premise, hypothesis, said, history],
            "outputs": [result, history, tried, why, latest],
            **quiet,
        }
        # The verdict is shown before anybody asks why.
        explain: dict[str, Any] = {
            "fn": in_words(lambda pair: why_view(shelf, pair)),
            "inputs": latest,
            "outputs": why,
            "show_progress": "hidden",
            **quiet,
        }
        asked = [gr.on([go.click, premise.submit, hypothesis.submit], **task)]
        other = task | {"fn": renewed, "outputs": [moment, *task["outputs"]]}
        judgements = [menu.keep_fresh(tab, body).then(**other), model.input(**other), *asked]
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
        again = tried.select(pick, history, both, show_progress="hidden", **quiet)
        changed = why.select(pick_edit, latest, **fresh)
        later = [one.then(**task) for one in (swapped, again, changed, opened)]
        for event in (*judgements, *later):
            event.then(**explain)
        # Of the moments that Play passes, the last one is explained.
        passed = gr.State(0)
        passed.change(**explain, trigger_mode="always_last")
        moment.select(**task, show_progress="hidden", trigger_mode="always_last").then(
            time.time_ns, None, passed, show_progress="hidden", **quiet
        )
        asked += later
        for examples in sets:
            # The learner answers first: an example is judged when asked for.
            examples.click(lambda pair: (*pair, None), examples, **fresh)
        for event in asked:
            event.then(None, js=reveal("nli-result"), **quiet)
    return [model, *both]
