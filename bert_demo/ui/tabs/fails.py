"""The part "Where it fails" of the tab "Argue": a whole table judged, and what is behind it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS
from bert_demo.data.tables import COLUMNS, NoColumn
from bert_demo.ui.parts.columns import ColumnMenus
from bert_demo.ui.parts.language import say, translate
from bert_demo.ui.parts.view import View, sentence, table_part, text, view, view_part
from bert_demo.ui.serving.strangers import FAULT
from bert_demo.ui.tabs import fails_tables
from bert_demo.ui.tabs.fails_view import (
    Cell,
    behind_view,
    matrix_view,
    progress_view,
    shown_pairs,
    sorts_view,
    worst,
)

if TYPE_CHECKING:
    from bert_demo.inference.failures import Failures
    from bert_demo.ui.context import AppContext
    from bert_demo.ui.serving.judging import Job, Judging

log = logging.getLogger(__name__)

_BEAT_SECONDS = 0.4
# The file that lies ready in the browser goes along; it is sent when it is asked about, once.
_WITH_FILE = (
    "(model, on, pasted, file, browser, ...columns) => "
    "[model, on, pasted, on === 'own' ? window.bertDemo.droppedTable() : '', browser, ...columns]"
)
_OPEN = "() => setTimeout(() => window.bertDemo.goTo(document.getElementById('bd-fails')), 100)"
_TO_TOP = "() => window.bertDemo.goTo(document.body)"


def create_where_it_fails(
    context: AppContext, model: gr.Dropdown, pair: list[Any], go: gr.Button
) -> Any:
    """The part, folded until `go` is clicked.

    `pair` is what the classifier has for the premise, the hypothesis and what the learner says.
    Returns the event that puts a pair there, to be judged after it.
    """
    judging = context.judging

    async def judge(
        request: gr.Request,
        model: Any,
        on: Any,
        pasted: Any,
        file: Any,
        browser: Any,
        *chosen: Any,
    ) -> AsyncIterator[tuple[Any, ...]]:
        who, job, called = str(request.session_hash), None, columns.chosen(chosen)
        menus = [gr.skip() for _ in columns.outputs]
        try:
            visitor = not context.may_fetch(browser)
            read = fails_tables.table
            table = await asyncio.to_thread(read, on, pasted, file, called, visitor=visitor)
            job = await asyncio.to_thread(judging.ask, model, table, who)
            while not job.over and who in job.watchers:
                told = progress_view(job, judging.before(job))
                yield told, view(), view(), [job.key], gr.Button(visible=True), *menus
                await asyncio.sleep(_BEAT_SECONDS)
            found = await asyncio.to_thread(outcome, job)
            yield *found, gr.Button(visible=False), *columns.closed()
        except NoColumn as error:
            same = (gr.skip() for _ in range(4))
            yield *same, gr.Button(visible=False), *columns.asked(error, called)
        except UserError as error:
            yield *_words(translate(error)), gr.Button(visible=False), *menus
        except Exception:
            log.exception("Judging a table failed")
            yield *_words(say(FAULT)), gr.Button(visible=False), *menus
        finally:
            if job is not None:
                judging.leave(job, who)

    def stop(shown: list[str], request: gr.Request) -> None:
        job = judging.find(shown[0] if shown else None)
        if job is not None:
            judging.leave(job, str(request.session_hash))

    def look_behind(shown: list[str], event: gr.EventData) -> tuple[View, View, list[str]]:
        job, found = _kept(judging, shown)
        cell = _cell(event)
        return matrix_view(job, found, cell), behind_view(found, cell), [job.key, *cell]

    def open_pair(shown: list[str], event: gr.EventData) -> tuple[str, str, None]:
        _, found = _kept(judging, shown)
        label, verdict = shown[1:]
        rows, row = shown_pairs(found, (label, verdict)), getattr(event, "row", None)
        if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < len(rows):
            raise UserError("That row is no longer there; judge the pair anew.")
        return rows[row].premise, rows[row].hypothesis, None

    with gr.Accordion(say("Where it fails"), open=False, elem_id="bd-fails") as part:
        with gr.Row(elem_classes="bd-fails-form"):
            on = gr.Dropdown(
                [(say(title), name) for name, title in fails_tables.TABLES.items()],
                value="snli",
                label=say("Judge all pairs of"),
                scale=2,
            )
            start = gr.Button(say("Judge them all"), variant="primary", scale=0, min_width=190)
            halt = gr.Button(say("Stop"), visible=False, scale=0, min_width=100)
        with gr.Row(visible=False) as own:
            table_part(min_height=60)
            pasted = gr.Textbox(
                label=say("or paste it"),
                placeholder=",".join(COLUMNS),
                lines=3,
                max_lines=6,
            )
            columns = ColumnMenus("nli")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                matrix = view_part(elem_id="bd-matrix")
            with gr.Column(scale=3, min_width=320):
                behind = view_part(elem_id="bd-behind")
        rest = view_part(elem_id="bd-sorts")
    file, shown = gr.Textbox("", visible=False), gr.State([])
    quiet: dict[str, Any] = {
        "api_visibility": "private",
        "concurrency_limit": None,
        "show_progress": "hidden",
    }

    def offered(chosen: Any) -> gr.Dropdown:
        menu = fails_tables.here()
        names = [name for _, name in menu]
        return gr.Dropdown(menu, value=chosen if chosen in names else names[0])

    go.click(lambda: gr.Accordion(open=True), None, part, **quiet).then(None, js=_OPEN, **quiet)
    # What is on this computer is looked up when somebody wants to know.
    gr.on([part.expand, go.click], offered, on, on, **quiet)
    on.change(lambda on: gr.Row(visible=on == fails_tables.OWN), on, own, **quiet)
    judged = start.click(
        judge,
        [model, on, pasted, file, context.browser, *columns.menus],
        [matrix, behind, rest, shown, halt, *columns.outputs],
        js=_WITH_FILE,
        **quiet,
    )
    judged.then(None, js=_OPEN, **quiet)
    halt.click(stop, shown, None, **quiet)
    matrix.select(look_behind, shown, [matrix, behind, shown], **quiet)
    picked = behind.select(open_pair, shown, pair, **quiet)
    picked.then(None, js=_TO_TOP, **quiet)
    return picked


def outcome(job: Job) -> tuple[View, View, View, list[str]]:
    """What a job that is over, or that somebody has left, leads to."""
    found = job.result
    if found is not None:
        cell = worst(found)
        shown = [job.key, *cell]
        return matrix_view(job, found, cell), behind_view(found, cell), sorts_view(found), shown
    if job.error is not None:
        return _words(translate(job.error))
    if job.state == "failed":
        return _words(say(FAULT))
    stopped = say("Stopped.")
    return view(text(stopped), spoken=stopped), view(), view(), []


def _words(words: str) -> tuple[View, View, View, list[str]]:
    return sentence(words), view(), view(), []


def _kept(judging: Judging, shown: list[str]) -> tuple[Job, Failures]:
    job = judging.find(shown[0] if shown else None)
    if job is None or job.result is None or len(shown) != 3:
        raise UserError("These pairs are no longer kept; judge them all again.")
    return job, job.result


def _cell(event: gr.EventData) -> Cell:
    """The cell that a browser names."""
    with contextlib.suppress(AttributeError, TypeError, ValueError, IndexError):
        row, column = event.cell
        if row in range(len(LABELS)) and column in range(len(LABELS)):
            return LABELS[row], LABELS[column]
    raise UserError("There is no such cell; click one of the nine.")
