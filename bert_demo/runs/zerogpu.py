"""Training where a GPU exists only inside an event: the same loop, the same folders, no worker.

`spaces.GPU` forks a process for a call, gives it a GPU for the seconds that were asked for, and
kills it when they are over. The call here is a plain function, not a generator: a generator ends
with the tab that reads it, while this one, once begun, goes on, and any page follows it by the
run's folder as ever.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bert_demo.common.errors import Text, UserError
from bert_demo.config import RunConfig
from bert_demo.data.interruption import Interrupted, interruptible
from bert_demo.runs.crowd import Crowd
from bert_demo.runs.preparation import PREPARING_SECONDS
from bert_demo.runs.queue import RunQueue
from bert_demo.runs.record import TRAINING, read_run, write_status
from bert_demo.runs.store import RunStore

log = logging.getLogger(__name__)

LONGEST_RUN = 50.0
"""Seconds of training if nobody allows more: with what surrounds it, and as ZeroGPU counts them
(one and a half times), it still fits into a visitor's 120 seconds a day."""
_AROUND = 25.0  # building the model, the last validation and the last save
_SAVING = 8.0  # left over for a save if the time runs out

GpuDecorator = Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]


class ZeroGpuQueue(RunQueue):
    """A queue without workers: each run is trained by the event that the page sends for it.

    `gpu` is `spaces.GPU`.
    """

    def __init__(
        self,
        store: RunStore,
        gpu: GpuDecorator,
        *,
        max_run_seconds: float | None = None,
        crowd: Crowd | None = None,
    ) -> None:
        super().__init__(store, max_run_seconds=max_run_seconds or LONGEST_RUN, crowd=crowd)
        self._train = gpu(duration=_duration)(train_on_gpu)
        self._begun: set[str] = set()

    @property
    def ready(self) -> bool:
        """Always: there is nothing to warm up."""
        return True

    def train_in_event(self, run_id: str | None) -> None:
        """Train a waiting run, inside the event of a browser, to its end.

        Does nothing for any other run, so it can be asked by whoever has a run's name.
        """
        if not isinstance(run_id, str) or not run_id:
            return
        with self._lock:
            run = self.store.get(run_id)
            if run.status.state != "queued" or run.config is None or run.id in self._begun:
                return
            self._begun.add(run.id)
        try:
            self._rehearse(run.id, run.config)
            left = (run.config.training.budget_seconds or 0.0) - run.status.seconds
            self._train(str(self.store.root), run.id, gpu_seconds(left))
        except Interrupted:
            late = UserError("Preparing the text took longer than a run may take here.")
            self._lost(run.id, late)  # unless it was taken out of the queue
        except Exception as error:
            if not isinstance(error, UserError):
                log.exception("The run %s got no GPU, or lost it", run.id)
            self._lost(run.id, error)
        finally:
            self._begun.discard(run.id)

    def _rehearse(self, run_id: str, config: RunConfig) -> None:
        """Fetch and prepare the text, and find what is wrong, before GPU time is spent on it.

        Raises `Interrupted` where the run left the queue meanwhile, or that takes too long.
        """
        from bert_demo.training import distributed
        from bert_demo.training.setup import prepare_run

        until = time.monotonic() + PREPARING_SECONDS
        training = replace(config.training, device="cpu", precision="fp32")

        def stop_wished() -> bool:
            return self.store.get(run_id).status.state != "queued" or time.monotonic() > until

        with interruptible(stop_wished):
            prepare_run(replace(config, training=training), distributed.world())

    def _lost(self, run_id: str, error: Exception) -> None:
        """The GPU did not come, or was taken away."""
        with suppress(UserError):
            run = self.store.get(run_id)
            # A run whose process was killed may have been found and marked by now.
            if run.status.state not in (*TRAINING, "queued", "interrupted"):
                return
            began = run.status.state != "queued"
            message: str
            if began:
                message = Text(
                    "The GPU was taken away ({reason}). {left}",
                    reason=_sentence(error).rstrip("."),
                    left=run.what_is_left,
                )
            elif isinstance(error, UserError):
                message = error.text
            else:
                message = Text("ZeroGPU gave no GPU: {reason}", reason=_sentence(error))
            self.store.set_end(run.id, "failed", message)

    def _start_workers(self) -> None:
        """There are none."""

    def _hand_out(self) -> None:
        """Events come for their runs themselves."""


def gpu_seconds(training_seconds: float) -> float:
    """The time to ask ZeroGPU for, for this much training."""
    return math.ceil(max(training_seconds, 0.0) + _AROUND)


def _duration(root: str, run_id: str, seconds: float) -> float:
    return seconds


def train_on_gpu(root: str, run_id: str, seconds: float) -> str:
    """Train a run within `seconds`, in the process that has the GPU; returns its last state.

    Arguments and result cross to another process and back, so they are plain data.
    """
    import torch

    from bert_demo.runs import worker

    until = time.monotonic() + seconds - _SAVING
    # Threads do not survive a fork, and a pool that waits for them would wait for ever.
    torch.set_num_threads(1)
    answers: list[dict[str, Any]] = []
    worker.work(Path(root), run_id, lambda: time.monotonic() > until, answers.append)
    run = read_run(Path(root) / run_id)
    if run is not None and run.status.state == "interrupted":
        message = Text(
            "The {seconds:g} seconds of GPU time are over. {left}",
            seconds=seconds,
            left=run.what_is_left,
        )
        write_status(run.folder, replace(run.status, message=message))
    return str(answers[-1]["state"])


def _sentence(error: Exception) -> str:
    """What an error of ours or of `spaces` says, without its markup."""
    text = str(getattr(error, "message", "") or error) or type(error).__name__
    text = " ".join(re.sub(r"<[^>]*>", "", text).split())
    return text if text.endswith((".", "!", "?")) else f"{text}."
