"""The commands `pretrain` and `finetune`: a run from its flags, and Ctrl-C that keeps it."""

from __future__ import annotations

import os
import signal
import threading
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from bert_demo.cli.output import TrainingReport, note, say
from bert_demo.common.corpus_names import own_task
from bert_demo.common.errors import UserError
from bert_demo.common.fields import settings_of
from bert_demo.config import RunConfig, TrainingConfig, run_config
from bert_demo.model.folders import METRICS
from bert_demo.runs.asked import Questions

if TYPE_CHECKING:
    from bert_demo.runs.diagnosis import Diagnosis


def train_command(flags: Namespace, task: str) -> int:
    """Train and keep a checkpoint; the exit code."""
    from bert_demo.runs.film import film_of
    from bert_demo.training import distributed
    from bert_demo.training.loop import resumable, train

    out = Path(flags.out)
    base = resumable(out) if flags.resume else None
    if base is not None and base.task != task:
        other = "pretrain" if base.task == "pretraining" else "finetune"
        raise UserError(
            "The run in {out} was started with {other}; resume it with {other}.",
            out=out,
            other=other,
        )
    run, questions = run_of(flags, task, base), questions_of(flags)
    if distributed.world().size == 1:
        _forewarn(run)
    report, reason, message = TrainingReport(flags.json, questions), "", ""
    leads = distributed.world().leads  # under torchrun one process speaks for all
    with _Interrupt() as interrupt:
        try:
            for event in train(
                run,
                out,
                resume=flags.resume,
                overwrite=flags.overwrite,
                should_stop=interrupt,
                probe=film_of(run, questions),
            ):
                interrupt.armed = True
                # The page shows the film; here are the answers to what was asked.
                if leads and (questions or event["event"] != "probe"):
                    report.show(event, _diagnosis(out, run) if event["event"] == "end" else None)
                if event["event"] == "end":
                    reason, message = event["reason"], event["message"]
        finally:
            report.clear()
    if reason == "failed":
        if leads:
            note(message)
        return 1
    if reason == "stopped":
        if leads:
            note(f"Stopped by Ctrl-C; {out} holds what was learnt, and --resume goes on with it.")
        return 130
    if leads and not flags.json:
        say(f"The checkpoint is in {out}.")
    return 0


def _diagnosis(out: Path, run: RunConfig) -> Diagnosis | None:
    """Whether the curve of the run in a folder is normal, from its first step on."""
    from bert_demo.runs.diagnosis import diagnose
    from bert_demo.runs.events import Tail

    return diagnose(Tail(out / METRICS).since(0)[0], run)


def _forewarn(run: RunConfig) -> None:
    """Say what will not go well; raise `UserError` for a run that this machine has no memory for.

    Whoever has a shell can close other programs or wait for a step, so the rest is a warning.
    """
    from bert_demo.model.device import available_memory_bytes, memory_held
    from bert_demo.training.cost import estimate, may_be_slow
    from bert_demo.training.speed import kept_speed, measured_speed

    try:
        speed = kept_speed()
        if speed is None and may_be_slow(run):
            note("Measuring this machine first: one step may be longer than the budget.")
            speed = measured_speed()
        free = available_memory_bytes() + memory_held([os.getpid()])
        expected = estimate(run, speed, free_bytes=free)
    except (UserError, OSError):
        return  # the run itself says what is wrong
    if expected.refusal is not None and expected.memory_bytes > expected.machine_bytes:
        raise UserError(expected.refusal)
    if expected.refusal is not None:
        note(expected.refusal)
    if own_task(run.corpus) == "pretraining":
        from bert_demo.data.own_report import text_report

        for remark in text_report(run.corpus, expected.passes).remarks:
            note(remark)
    if own_task(run.corpus) == "nli":
        from bert_demo.data.own_pairs import pairs_report

        for remark in pairs_report(run.corpus)[1]:
            note(remark)


def run_of(flags: Namespace, task: str, base: RunConfig | None) -> RunConfig:
    """The flags that were given, on top of the resumed run's settings or the defaults."""
    values: dict[str, Any] = {"task": task} if base is None else base.to_dict()
    training = values.pop("training", {})
    given = {name: value for name, value in vars(flags).items() if value is not None}
    if "corpus" in given:
        given["corpus"] = named_corpus(given["corpus"], task, given.get("column") or ())
    values |= {s.name: given[s.name] for s in settings_of(RunConfig) if s.name in given}
    training |= {s.name: given[s.name] for s in settings_of(TrainingConfig) if s.name in given}
    return run_config(values | {"training": training})


def questions_of(flags: Namespace) -> Questions:
    """What a run is asked by its flags; raises `UserError` for what cannot be asked."""
    given = vars(flags)  # fine-tuning has no film
    return Questions(
        tuple(given.get("ask") or ()),
        given.get("ask_word") or "",
        tuple(given.get("ask_context") or ()),
        tuple(given.get("ask_sense") or ()),
    )


def pair_columns(given: Sequence[str]) -> dict[str, str]:
    """What a table calls its columns, by flags such as premise=CONTEXT."""
    from bert_demo.data.tables import COLUMNS

    parts = [one.partition("=") for one in given]
    for one, (name, _, theirs) in zip(given, parts, strict=True):
        if name not in COLUMNS or not theirs:
            raise UserError(
                "column is {value!r}; for pairs it must look like {examples}.",
                value=one,
                examples=", ".join(f"{name}=NAME" for name in COLUMNS),
            )
    return {name: theirs for name, _, theirs in parts}


def named_corpus(given: Sequence[str], task: str, columns: Sequence[str] = ()) -> str:
    """The corpus of these names, files or addresses; one's own is taken in if it is not yet.

    columns: of tables, the one with the text, or as `pair_columns` reads them.

    Raises `UserError` for files that are no text. A name that nothing has is given back.
    """
    from bert_demo.data.corpora import CORPORA
    from bert_demo.data.own_text import take_text
    from bert_demo.data.sources import HUB

    name = given[0]
    known = name in CORPORA or own_task(name) is not None
    files = len(given) > 1 or name.startswith(HUB) or Path(name).expanduser().exists()
    if known or not (files or Path(name).suffix or Path(name).name != name):
        return name
    if task == "nli":
        from bert_demo.data.own_pairs import take_pairs

        return take_pairs(given, called=pair_columns(columns))
    return take_text(given, columns[-1] if columns else None)


class _Interrupt:
    """Turns the first Ctrl-C, or the system's request to end, into a request to stop, once there
    is something worth keeping."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.requested = False
        self.armed = False

    def __enter__(self) -> _Interrupt:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = [signal.signal(number, self._handle) for number in self._SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            for number, handler in zip(self._SIGNALS, self._before, strict=True):
                signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.requested

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self.armed:
            raise KeyboardInterrupt
        self.requested = True
        note("Stopping after this step and saving; Ctrl-C again stops at once.")
