"""What a run leaves behind: its checkpoint, the state to resume from, and its metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from bert_demo.common.errors import Text, UserError
from bert_demo.config import RunConfig
from bert_demo.model import checkpoint, unfinished
from bert_demo.model.folders import METRICS, is_file, moment_folder
from bert_demo.model.stored_weights import Storage
from bert_demo.training.distributed import World
from bert_demo.training.events import Event, Scores, read_event
from bert_demo.training.moments import check_room, forget_after, moment_bytes, most_moments
from bert_demo.training.optimizers import Optimizers
from bert_demo.training.setup import Setup

AnyEvent = TypeVar("AnyEvent", bound=Event)

_LAST, _BEST = "model.", "best."  # how the names of weights begin in what a resume needs
_SOON_SECONDS = 5.0
_SAVE_SHARE = 20  # of the time until the next save, one part may go into this one


class Recorder:
    """Writes one run's folder; with no folder it only passes events through.

    The folder is a complete checkpoint from the first moment on (with untrained weights), so
    that whatever happens later, there is something that loads.
    """

    def __init__(
        self, run: RunConfig, setup: Setup, optimizers: Optimizers, folder: Path | None
    ) -> None:
        self.run, self.setup, self.optimizers, self.folder = run, setup, optimizers, folder
        self._statistics = setup.statistics
        self._metrics: Path | None = None
        self._began = self._saved = time.monotonic()
        self._took = 0.0
        self._shape = setup.model.config, setup.task

    @property
    def moments(self) -> int:
        """At how many moments the weights are kept."""
        return 0 if self.folder is None else most_moments(*self._shape)

    def begin(self, step: int) -> None:
        """Make the folder, or drop what is of steps after `step`, which will come again."""
        if self.folder is None:
            return
        if step == 0:
            self._save_model(self.folder, {})
            unfinished.remove_resume(self.folder)  # of a run that this one replaces
        forget_after(self.folder, step)
        self._metrics = self.folder / METRICS
        kept = [e for e in read_metrics(self.folder) if step and e.get("step", 0) <= step]
        kept = [e for e in kept if e["event"] not in ("start", "end")]
        self._metrics.write_text("".join(_line(e) for e in kept), encoding="utf-8")

    def note(self, event: AnyEvent) -> AnyEvent:
        """Append the event to the metrics; returns it."""
        self.note_all([event])
        return event

    def note_all(self, events: Sequence[Event]) -> None:
        """Append the events to the metrics at once."""
        if self._metrics is not None and events:
            with self._metrics.open("a", encoding="utf-8") as file:
                file.write("".join(map(_line, events)))

    def due(self, every_seconds: float) -> bool:
        """Whether the last save is longer ago than that, or than all the time before it.

        So a short run is saved too, for who looks into its model meanwhile; not sooner, though,
        than a save that takes long would allow.
        """
        soon = max(_SOON_SECONDS, self._saved - self._began, _SAVE_SHARE * self._took)
        waited = time.monotonic() - self._saved
        return self.folder is not None and waited >= min(every_seconds, soon)

    def keep(self, step: int, seconds: float) -> Text | None:
        """Keep the weights of this moment; returns a sentence where that cannot be."""
        assert self.folder is not None
        place = moment_folder(self.folder, step)
        try:
            check_room(self.folder, moment_bytes(*self._shape))
            self._save_model(place, {}, "fp16", step=step, seconds=seconds)
        except UserError as error:
            return Text(
                "The weights after step {n} could not be kept for later questions; the run goes "
                "on. {reason}",
                n=step,
                reason=error.text,
            )
        return None

    def save(
        self,
        state: dict[str, Any],
        scores: Scores,
        *,
        finished: bool,
        step: int,
        last: Mapping[str, Tensor],
        best: Mapping[str, Tensor],
    ) -> None:
        """Write the model, whose weights are those of `step`, and what a resume needs unless the
        run is finished.

        last: the weights as the last step left them; best: those with the lowest held-out loss,
        if the run keeps them.
        """
        if self.folder is None:
            return
        before = time.monotonic()
        self._save_model(self.folder, scores, step=step, seconds=state["seconds"])
        if finished:
            unfinished.remove_resume(self.folder)
        else:
            weights = {f"{_LAST}{k}": v for k, v in last.items()}
            weights |= {f"{_BEST}{k}": v for k, v in best.items()}
            unfinished.save_resume(self.folder, weights | self.optimizers.state_tensors(), state)
        self._saved = time.monotonic()
        self._took = self._saved - before

    def restore(self, world: World) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Load weights and optimizers of the unfinished run; returns its loop state, and `best`
        as `save` got it.

        Only the leader has the folder; the other processes get what it found there.
        """
        loaded = None
        if self.folder is not None:
            loaded = unfinished.load_resume(self.folder)
            self._statistics = checkpoint.statistics(self.folder)  # those that it began with
        loaded = world.share(loaded)
        if loaded is None:
            raise UserError(
                "{folder} holds no unfinished run, so nothing can be resumed.", folder=self.folder
            )
        tensors, state = loaded
        self.setup.model.load_state_dict(_named(tensors, _LAST))
        with torch.no_grad():
            self.optimizers.load_state_tensors(tensors)
        return state, _named(tensors, _BEST)

    def _save_model(
        self, folder: Path, scores: Scores, storage: Storage = "fp32", **progress: Any
    ) -> None:
        """Write a checkpoint, with what `bert_demo.model.about` reads."""
        setup = self.setup
        facts = {k: v for k, v in setup.facts.items() if k != "steps"}
        about = {"run": self.run.to_dict(), "facts": facts, "scores": scores, **progress}
        if setup.beginning is not None:
            about["beginning"] = asdict(setup.beginning)
        statistics = self._statistics if folder == self.folder else None  # a moment needs none
        checkpoint.save(
            folder, setup.model, setup.tokenizer, about, storage=storage, statistics=statistics
        )


def read_metrics(folder: Path) -> list[Event]:
    """The events of a run, oldest first; a line that holds none is left out."""
    path = folder / METRICS
    if not is_file(path):
        return []
    data = path.read_bytes()
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    return [event for line in lines if (event := read_event(line)) is not None]


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin so, without it."""
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def _line(event: Event) -> str:
    return json.dumps(event) + "\n"
