"""The tab "Runs": every run, several side by side, the best of the class, what to take home."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.common.errors import UserError
from bert_demo.runs.baseline import pin, pinned
from bert_demo.runs.pairs import two_ways
from bert_demo.runs.record import Run
from bert_demo.ui.context import own_token, token_of
from bert_demo.ui.parts import assets
from bert_demo.ui.parts.language import later, letters, say, translate
from bert_demo.ui.parts.language import listed as in_a_row
from bert_demo.ui.parts.view import View, in_words, text, view, view_part
from bert_demo.ui.serving.files import room_for
from bert_demo.ui.tabs.against import answer_words
from bert_demo.ui.tabs.runs.downloads import download_bytes, pack_metrics, pack_model
from bert_demo.ui.tabs.runs.hub_models import create_hub_models
from bert_demo.ui.tabs.runs.naming import create_naming_part
from bert_demo.ui.tabs.runs.publish import create_publish_part
from bert_demo.ui.tabs.runs.views import MOST_CHOSEN, best, chosen_ids, compare, rows

if TYPE_CHECKING:
    from bert_demo.ui.context import AppContext

_LOG = logging.getLogger(__name__)
_BY = {"step": later("by steps"), "seconds": later("by seconds")}


def create_runs_tab(context: AppContext) -> gr.Tab:
    """The tab "Runs"."""

    def current(_: Any = None) -> list[dict[str, Any]]:
        return rows(context.store.list(), pinned(context.store))

    def refresh(shown: Any, browser: Any) -> tuple[dict[str, Any], View]:
        return listing(context, chosen_ids(shown), browser), view(*best(context.store.list()))

    @in_words
    def overlay(shown: Any, by: Any, logarithmic: Any) -> View:
        return side_by_side(context, chosen_ids(shown), by, logarithmic=logarithmic is True)

    tab = gr.Tab(say("Runs"), id="runs")
    with tab:
        listed = gr.HTML(
            {"rows": [], "chosen": [], "mine": [], "locked": []},
            html_template="",
            js_on_load=assets.when_loaded("mountRuns(element, props, watch, trigger, server)"),
            apply_default_css=False,
            server_functions=[current],
            elem_id="runs-list",
        )
        with gr.Row(elem_classes="br-actions"):
            pack = gr.Button(say("Prepare downloads"), size="sm")
            baseline = gr.Button(say("Pin as baseline"), size="sm")
            delete = gr.Button(say("Delete"), size="sm", variant="stop")
            by = gr.Radio(
                [(say(words), name) for name, words in _BY.items()],
                value="step",
                label=say("Draw the curves by steps or by seconds"),
                show_label=False,
                container=False,
                elem_classes="br-last",
            )
            logarithmic = gr.Checkbox(False, label=say("Logarithmic axes"), container=False)
        files = gr.File(
            label=say("Models (zip) and numbers (CSV)"),
            visible=False,
            interactive=False,
            height=190,
        )
        create_naming_part(context, listed, partial(listing, context))
        curves = view_part(min_height=120)
        leaders = view_part()
        drawn = [listed, by, logarithmic]
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "concurrency_limit": None,
            "api_visibility": "private",
        }
        tab.select(refresh, [listed, context.browser], [listed, leaders], **quiet).then(
            overlay, drawn, curves, **quiet
        )
        gr.on(
            [listed.select, by.input, logarithmic.input],
            overlay,
            drawn,
            curves,
            trigger_mode="always_last",
            **quiet,
        )
        pack.click(
            packed(context),
            listed,
            files,
            trigger_mode="once",
            concurrency_limit=2,
            api_visibility="private",
        )

        def choose(shown: Any, browser: Any) -> dict[str, Any]:
            pin_baseline(context, chosen_ids(shown), browser)
            return listing(context, chosen_ids(shown), browser)

        baseline.click(choose, [listed, context.browser], listed, **quiet)

        def remove(shown: Any, browser: Any) -> tuple[Any, Any]:
            if shown is None:  # asked whether for good, somebody said no
                return gr.skip(), gr.skip()
            for sentence in delete_runs(context, chosen_ids(shown), browser):
                gr.Warning(letters(sentence))
            return refresh(None, browser)

        delete.click(
            remove,
            [listed, context.browser],
            [listed, leaders],
            js="(list, browser) => window.bertDemo.whenSure(list, browser)",
            trigger_mode="always_last",  # a "yes" right after a "no" counts
            **quiet,
        ).then(overlay, drawn, curves, **quiet)
        create_publish_part(context, tab, listed)
        create_hub_models(context, tab)
    return tab


def listing(context: AppContext, chosen: list[str], browser: Any) -> dict[str, Any]:
    """The list for a browser: all rows, which of its ticks still hold, which runs are its.

    It may not delete those that are `locked`.
    """
    runs = context.store.list()
    ids = {run.id for run in runs}
    token = own_token(browser)
    return {
        "rows": rows(runs, pinned(context.store)),
        "chosen": [name for name in chosen if name in ids],
        "mine": [run.id for run in runs if context.store.may_control(run, token)],
        "locked": [run.id for run in runs if not context.store.may_control(run, token_of(browser))],
    }


def side_by_side(
    context: AppContext, chosen: list[str], by: Any, *, logarithmic: bool = False
) -> View:
    """Curves and differences of the ticked runs."""
    if not chosen:
        return view(text(say("Tick runs in the list to see their curves together."), "muted"))
    runs = _runs(context, chosen[:MOST_CHOSEN])
    by = by if by in _BY else "step"
    blocks = compare(context.store, runs, by, logarithmic=logarithmic)
    if len(chosen) > MOST_CHOSEN:
        words = say("These are the first {n} of the ticked runs.", n=MOST_CHOSEN)
        blocks.insert(0, text(words, "muted"))
    ways = two_ways(runs)
    answer = "" if ways is None else answer_words(ways, runs)
    if answer:
        blocks.insert(0, text(answer, "strong"))
    names = in_a_row(run.title for run in runs)
    return view(*blocks, spoken=say("Curves of these runs: {runs}.", runs=names))


def pin_baseline(context: AppContext, chosen: list[str], browser: Any) -> None:
    """Make the ticked run what all others are compared to, or let go of it where it is.

    Raises `UserError` for a visitor of a public page, and where not just one is ticked.
    """
    if not context.may_fetch(browser):
        raise UserError("Only the teacher pins the baseline here.")
    if len(chosen) != 1:
        raise UserError("Tick the one run to which all others are to be compared.")
    pin(context.store, chosen[0])


def delete_runs(context: AppContext, chosen: list[str], browser: Any) -> list[str]:
    """Delete those of the ticked runs that this browser may; a sentence for each of the others."""
    if not chosen:
        raise UserError("Tick the runs that you want to delete first.")
    refused = []
    for name in chosen:
        try:
            context.queue.request(name, "delete", token_of(browser))
        except UserError as error:
            refused.append(f"{name}: {translate(error)}")
    return refused


def packed(context: AppContext) -> Any:
    """A handler that gives the ticked runs' files and removes its own copies of them again."""

    def pack(shown: Any) -> Iterator[Any]:
        try:
            chosen = chosen_ids(shown)
            if not chosen:
                raise UserError("Tick the runs that you want to take home first.")
            runs = _runs(context, chosen[:MOST_CHOSEN])
            with room_for(sum(map(download_bytes, runs))) as folder:
                files = []
                for run in runs:
                    if run.has_model:
                        files.append(str(pack_model(run, folder)))
                    files.append(str(pack_metrics(run, context.store.events(run.id)[0], folder)))
                # Gradio takes its copies while this waits here.
                yield gr.update(value=files, visible=True)
        except UserError as error:
            raise gr.Error(letters(translate(error)), print_exception=False) from error
        except OSError as error:
            _LOG.exception("Files for a download could not be written")
            raise gr.Error(
                say("The files could not be written here: {reason}.", reason=error.strerror),
                print_exception=False,
            ) from error

    return pack


def _runs(context: AppContext, chosen: list[str]) -> list[Run]:
    return [context.store.get(name) for name in chosen]
