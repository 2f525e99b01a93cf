"""What the Pretrain and Fine-tune tabs do when something is asked of them, as plain functions."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from bert_demo.common.corpus_names import own_task
from bert_demo.common.errors import Text, UserError
from bert_demo.config import RunConfig, command_line
from bert_demo.data.files import FileStamp, file_stamp
from bert_demo.data.own_pairs import pairs_report
from bert_demo.data.own_report import text_report
from bert_demo.interop.sharing import model_name
from bert_demo.model.folders import METRICS
from bert_demo.model.plain_json import one_line
from bert_demo.runs.asked import NO_QUESTIONS, asked_lines
from bert_demo.runs.events import COLLAPSED, Tail
from bert_demo.runs.record import RESUMABLE, TRAINING, Run
from bert_demo.runs.store import default_title
from bert_demo.training.cost import Observation
from bert_demo.ui.context import AppContext, own_token, token_of
from bert_demo.ui.parts import forms
from bert_demo.ui.parts.forecast import facts, short_facts
from bert_demo.ui.parts.language import later, say, translate
from bert_demo.ui.parts.model_menu import choices

_WATCHING = later("You are watching; only who started this run can stop it.")
LONGEST_NAME = 40
"""Of a run, in letters, as its owner names it."""
_COLLAPSED = later(
    "All vectors of this model are alike, so fine-tuning it would stay at chance; choose another."
)


def starting_points(context: AppContext, chosen: Any, carried: Any = None) -> Any:
    """The dropdown of checkpoints to fine-tune: the one that the path brings along, else chosen."""
    entries = [*context.shelf.entries("pretraining"), *context.shelf.entries("encoder")]
    ids = [entry.id for entry in entries]
    value = next((one for one in (carried, chosen, *ids) if one in ids), None)
    return gr.Dropdown(choices=choices(entries), value=value)


def resolve(context: AppContext, task: str, values: Mapping[str, Any]) -> RunConfig:
    """The run that a form describes, its starting point as a folder; `UserError` if unfit."""
    values = dict(values)
    if task == "nli" and values.get("start_from"):
        values["start_from"] = str(_folder(context, values["start_from"]))
    return forms.read(task, values)


def _folder(context: AppContext, model_id: Any) -> Path:
    folder = context.shelf.folder(model_id).resolve()
    if folder.is_relative_to(Path.cwd()):
        return folder.relative_to(Path.cwd())
    return folder


def foretell(
    context: AppContext,
    task: str,
    values: Mapping[str, Any],
    observed: Sequence[Observation] | None = None,
) -> tuple[dict[str, Any], str]:
    """What the run would take, for the panel below the form, and the command that does the same."""
    try:
        run = resolve(context, task, values)
        own = own_task(run.corpus)
        if own is not None:
            context.check_own_text()
        expected = context.estimate(run, observed)
        lines, remarks = described(run, expected.passes) if own is not None else ([], [])
    except UserError as error:
        return {"refusal": translate(error)}, ""
    except OSError as error:
        return {"refusal": error.strerror or type(error).__name__}, ""
    shown = run
    if context.is_public and run.start_from is not None:  # no visitor is told of folders here
        shown = replace(run, start_from=model_name(run.start_from))
    command = command_line(shown, f"checkpoints{os.sep}my-{task}")
    refusal = translate(expected.refusal or "") or over_limit(context, run) or ""
    notes = [say(_COLLAPSED)] if run.start_from and is_collapsed(Path(run.start_from)) else []
    told = facts(expected)
    told = [[translate(name), translate(words)] for name, words in lines] + told
    notes += map(translate, remarks)
    return {"facts": told, "refusal": refusal, "note": " ".join(notes)}, command


def described(run: RunConfig, passes: float | None) -> tuple[list[tuple[Text, str]], list[Text]]:
    """What is in the text or the pairs of one's own that a run learns from, and what to know."""
    if run.task == "nli":
        return pairs_report(run.corpus)
    report = text_report(run.corpus, passes)
    return report.lines, report.remarks


def is_collapsed(model: Path) -> bool:
    """Whether the film of a model's run ended with all vectors alike; False where there is none."""
    path = model / METRICS
    stamp = file_stamp(path)
    return stamp is not None and _ends_alike(path, stamp)


@functools.lru_cache(maxsize=128)
def _ends_alike(path: Path, stamp: FileStamp) -> bool:
    events, _ = Tail(path).since(0)
    frames = [event for event in events if event["event"] == "probe"]
    return bool(frames) and frames[-1].get("alike", 0) >= COLLAPSED


def over_limit(context: AppContext, run: RunConfig) -> str | None:
    """Why the run may not be started here, or None."""
    if not context.queue.over_limit(run):
        return None
    limit = f"{context.queue.max_run_seconds:g}"
    return say("A run may take at most {seconds} seconds here.", seconds=limit)


def card(preset: str, forecast: str, *, starts: bool = True) -> str:
    """The words of a preset's button: what it is, whether it begins a run, and what that takes."""
    return f"{'▶' if starts else '✎'} {say(preset)}\n{forecast}"


def in_short(
    context: AppContext,
    task: str,
    preset: str,
    current: Mapping[str, Any],
    observed: Sequence[Observation] | None = None,
) -> str:
    """What the run of a preset would take here, in a few words."""
    try:
        run = resolve(context, task, forms.preset(task, preset, current))
        return short_facts(run, context.estimate(run, observed))
    except (UserError, OSError):
        return ""


def start_run(
    context: AppContext,
    task: str,
    values: Mapping[str, Any],
    browser: Any,
    address: str = "",
    name: Any = "",
    asked: Sequence[Any] = (),
) -> Run:
    """Put a run into the queue for this browser, which is at `address`.

    `name` is what its owner calls it; without one it is called by its settings. `asked` is what
    is typed for its film, as `asked_lines` reads it. Raises `UserError` with the reason if the run
    cannot start.
    """
    # A box that nobody has touched may come as none.
    questions = (
        asked_lines(*("" if text is None else text for text in asked)) if asked else NO_QUESTIONS
    )
    run = resolve(context, task, values)
    expected = context.accept(run)
    # Its name from then on, in whatever language the page is opened.
    title = one_line(name, LONGEST_NAME) or translate(default_title(run))
    title = free_title(title, [other.title for other in context.store.list()])
    return context.queue.submit(
        run, own_token(browser), title, expected.seconds, address, questions=questions
    )


def own_busy_run(context: AppContext, browser: Any) -> bool:
    """Whether a run of this browser waits or trains."""
    token = own_token(browser)
    busy = (run for run in context.store.list() if run.status.state in ("queued", *TRAINING))
    return any(run.owner is not None and context.store.may_control(run, token) for run in busy)


def free_title(title: str, taken: Collection[str]) -> str:
    """The title, with a number where another run has it already."""
    numbered = (title if n == 1 else f"{title} {n}" for n in itertools.count(1))
    return next(one for one in numbered if one not in taken)


def request(context: AppContext, shown: Any, action: str, browser: Any, address: str = "") -> str:
    """Ask the run that a panel shows to pause, go on or stop; returns its id.

    Raises `UserError` if that cannot be.
    """
    run_id = shown.get("run") if isinstance(shown, dict) else None
    if not run_id:
        raise UserError("No run is shown here.")
    context.queue.request(run_id, action, token_of(browser), address)
    return str(run_id)


def controls(context: AppContext, shown: Any, browser: Any) -> tuple[Any, ...]:
    """The buttons that make sense for the run that is shown, for who may press them."""
    run_id = shown.get("run") if isinstance(shown, dict) else None
    try:
        run = context.store.get(run_id) if run_id else None
    except UserError:
        run = None
    if run is None:
        return *(gr.Button(visible=False) for _ in range(3)), ""
    mine = context.store.may_control(run, token_of(browser))
    state = run.status.state
    return (
        gr.Button(visible=mine and state == "running"),
        gr.Button(visible=mine and state in RESUMABLE and run.folder != run.model),
        gr.Button(visible=mine and state in ("queued", *TRAINING, "paused")),
        "" if mine or state == "completed" else say(_WATCHING),
    )
