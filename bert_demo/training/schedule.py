"""Where a run is in its budget, how fast it goes, and what is due along the way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from bert_demo.config import RunConfig
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.model.bert import BertModel
from bert_demo.training.losses import validate
from bert_demo.training.setup import Setup

Event = dict[str, Any]
Probe = Callable[[BertModel, Tokenizer], dict[str, Any]]

_VALIDATIONS = 20
_VALIDATION_SHARE = 0.1
_PROBE_SHARE = 0.05


class Clock:
    """Where the loop is, and how fast it goes."""

    def __init__(self, run: RunConfig, setup: Setup) -> None:
        self.run, self.setup = run, setup
        self.step = 0
        self.seconds = 0.0  # spent so far, validation and saving included
        self.validation_seconds = 0.0
        self.validated_at = 0.0  # part of the budget that was spent at the last validation
        self.probe_seconds = 0.0
        self.next_probe = 1
        self._last = time.perf_counter()
        self._recent: deque[tuple[int, float]] = deque(maxlen=20)

    def tick(self) -> float:
        """Add the time since the last tick; returns the seconds so far."""
        now = time.perf_counter()
        self.seconds += now - self._last
        self._last = now
        return self.seconds

    def spent(self) -> float:
        """Which part of the budget is used up, by the limit that is nearest."""
        steps, seconds = self.setup.steps, self.run.training.budget_seconds
        by_steps = 0.0 if steps is None else self.step / steps
        by_time = 0.0 if seconds is None else self.seconds / seconds
        return max(by_steps, by_time)

    def advance(self) -> dict[str, float]:
        """Count one step; returns the fields about time of its event."""
        self.step += 1
        self._recent.append((self.step, self.tick()))
        (first, begin), (last, end) = self._recent[0], self._recent[-1]
        if last == first:  # the first step: its own time is all there is
            first, begin = 0, 0.0
        rate = (last - first) / max(end - begin, 1e-9)
        steps, seconds = self.setup.steps, self.run.training.budget_seconds
        left = [] if steps is None else [(steps - self.step) / rate]
        left += [] if seconds is None else [seconds - self.seconds]
        return {
            "seconds": round(self.seconds, 4),
            "seconds_left": round(max(0.0, min(left)), 2),
            "examples_per_second": round(rate * self.run.training.batch_size, 1),
        }

    def validation_due(self) -> bool:
        """By steps if asked so, else about twenty times, never for over a tenth of the time."""
        every, spent = self.run.training.validate_every_steps, self.spent()
        if spent >= 1:
            return False  # the final one follows
        if every is not None:
            return self.step % every == 0
        if spent - self.validated_at < 1 / _VALIDATIONS:
            return False
        return self.validation_seconds <= _VALIDATION_SHARE * self.seconds

    def validate(self, limit: int | None) -> Event:
        """Score the model on held-out text, on `limit` pairs or all; returns the event."""
        before = self.tick()
        scores = validate(self.setup, limit)
        self.validation_seconds += self.tick() - before
        self.validated_at = self.spent()
        seconds = round(self.seconds, 4)
        return {"event": "validation", "step": self.step, "seconds": seconds, **scores}

    def probe_due(self) -> bool:
        """At the first steps, then ever more rarely, never for over a twentieth of the time."""
        if self.step < self.next_probe or self.spent() >= 1:
            return False
        return self.step <= 2 or self.probe_seconds <= _PROBE_SHARE * self.seconds

    def probe(self, probe: Probe) -> Event:
        """Ask `probe` about the model; returns the event."""
        before = self.tick()
        self.setup.model.eval()
        found = probe(self.setup.model, self.setup.tokenizer)
        self.probe_seconds += self.tick() - before
        self.next_probe = self.step + max(1, self.step // 20)
        return {"event": "probe", "step": self.step, "seconds": round(self.seconds, 4), **found}

    def state(self) -> dict[str, Any]:
        """What a resume has to know."""
        return {k: v for k, v in vars(self).items() if isinstance(v, int | float) and k[0] != "_"}

    def restore(self, state: dict[str, Any]) -> None:
        """The way back of `state`."""
        self.__dict__.update(state)
        self._last = time.perf_counter()
