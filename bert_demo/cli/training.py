"""The commands `pretrain` and `finetune`: a run from its flags, and Ctrl-C that keeps it."""

from __future__ import annotations

import os
import signal
import threading
from argparse import Namespace
from pathlib import Path
from types import FrameType
from typing import Any

from bert_demo.cli.output import TrainingReport, note, say
from bert_demo.config import RunConfig, TrainingConfig, UserError, run_config, settings_of


def train_command(flags: Namespace, task: str) -> int:
    """Train and keep a checkpoint; the exit code."""
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
    run = run_of(flags, task, base)
    if distributed.world().size == 1:
        _forewarn(run)
    report, reason, message = TrainingReport(flags.json), "", ""
    leads = distributed.world().leads  # under torchrun one process speaks for all
    with _Interrupt() as interrupt:
        try:
            for event in train(
                run, out, resume=flags.resume, overwrite=flags.overwrite, should_stop=interrupt
            ):
                interrupt.armed = True
                if leads:
                    report.show(event)
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


def run_of(flags: Namespace, task: str, base: RunConfig | None) -> RunConfig:
    """The flags that were given, on top of the resumed run's settings or the defaults."""
    values: dict[str, Any] = {"task": task} if base is None else base.to_dict()
    training = values.pop("training", {})
    given = {name: value for name, value in vars(flags).items() if value is not None}
    values |= {s.name: given[s.name] for s in settings_of(RunConfig) if s.name in given}
    training |= {s.name: given[s.name] for s in settings_of(TrainingConfig) if s.name in given}
    return run_config(values | {"training": training})


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
