"""Where a run is in its budget, how fast it goes, and what is due along the way."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bert_demo.config import TrainingConfig
from bert_demo.training.events import Times

_VALIDATIONS = 20
_VALIDATION_SHARE = 0.1
_PROBE_SHARE = 0.05
_MOMENT_SHARE = 0.01
_FORWARD_SHARE = 1 / 3
"""Of a step's time, for a pair that is only scored; until scoring some has told."""
_LEAST_SECONDS = 0.5


def budget_steps(training: TrainingConfig, examples: int) -> int | None:
    """How many steps the budget allows, by steps or by epochs of so many examples, whichever is
    less; None where only time limits it."""
    limits = [] if training.steps is None else [training.steps]
    if training.epochs is not None:
        limits.append(max(1, math.ceil(training.epochs * examples / training.batch_size)))
    return min(limits, default=None)


@dataclass
class Progress:
    """How far a run is: what a resume has to know. Seconds count training alone."""

    step: int = 0
    """Steps done."""
    seconds: float = 0.0
    """Spent so far, validations, probes and saves included."""
    validation_seconds: float = 0.0
    validated_pairs: int = 0
    validated_at: float = 0.0
    """Part of the budget that was spent at the last validation."""
    probe_seconds: float = 0.0
    next_probe: int = 1
    """The step at which one is due."""
    moment_seconds: float = 0.0
    next_moment: int = 0
    """The place among the moments that is next."""


class Clock:
    """Tells a run's time: what part of its budget is spent, and what is due.

    training: the budget in seconds, and how often to validate; steps: the budget in steps, if any;
    final_pairs: how many pairs are scored after the last step; moments: at how many places on the
    way the weights are kept.
    """

    def __init__(
        self,
        training: TrainingConfig,
        steps: int | None,
        final_pairs: int = 0,
        moments: int = 0,
    ) -> None:
        self.progress = Progress()
        self._training, self._steps, self._final_pairs = training, steps, final_pairs
        self._moments = moments
        self._last = time.perf_counter()
        self._recent: deque[tuple[int, float]] = deque(maxlen=20)

    @property
    def step(self) -> int:
        """Steps done."""
        return self.progress.step

    @property
    def seconds(self) -> float:
        """Spent so far, as of the last tick."""
        return self.progress.seconds

    def start(self) -> None:
        """Count time from now on."""
        self._last = time.perf_counter()

    def limit(self, seconds: float) -> float:
        """Shorten the budget to `seconds` where it is longer; returns what it is now."""
        own = self._training.budget_seconds
        budget = max(_LEAST_SECONDS, seconds if own is None else min(own, seconds))
        self._training = dataclasses.replace(self._training, budget_seconds=budget)
        return budget

    def agree(self, seconds: float) -> None:
        """Take over the seconds that another process has counted."""
        self.progress.seconds = seconds

    def tick(self) -> float:
        """Add the time since the last tick; returns the seconds so far."""
        now = time.perf_counter()
        self.progress.seconds += now - self._last
        self._last = now
        return self.progress.seconds

    def spent(self) -> float:
        """Which part of the budget is used up, by the limit that is nearest."""
        seconds = self._training.budget_seconds
        by_steps = 0.0 if self._steps is None else self.step / self._steps
        by_time = 0.0 if seconds is None else self.seconds / seconds
        return max(by_steps, by_time)

    def advance(self) -> Times:
        """Count one step; returns the fields about time of its event."""
        self.progress.step += 1
        self._recent.append((self.step, self.tick()))
        (first, begin), (last, end) = self._recent[0], self._recent[-1]
        if last == first:  # the first step: its own time is all there is
            first, begin = 0, 0.0
        rate = (last - first) / max(end - begin, 1e-9)
        seconds = self._training.budget_seconds
        left = [] if self._steps is None else [(self._steps - self.step) / rate]
        left += [] if seconds is None else [seconds - self.seconds]
        return {
            "seconds": round(self.seconds, 4),
            "seconds_left": round(max(0.0, min(left)) + self._final_seconds(rate), 2),
            "examples_per_second": round(rate * self._training.batch_size, 1),
        }

    def _final_seconds(self, rate: float) -> float:
        """What scoring takes after the last step, at a `rate` of steps a second."""
        if self.progress.validated_pairs:
            a_pair = self.progress.validation_seconds / self.progress.validated_pairs
        elif len(self._recent) < 2:
            return 0.0  # the first step does much that no other does
        else:
            a_pair = _FORWARD_SHARE / (rate * self._training.batch_size)
        return self._final_pairs * a_pair

    def validation_due(self) -> bool:
        """By steps if asked so, else about twenty times, never for over a tenth of the time."""
        every, spent = self._training.validate_every_steps, self.spent()
        if spent >= 1:
            return False  # the final one follows
        if every is not None:
            return self.step % every == 0
        if spent - self.progress.validated_at < 1 / _VALIDATIONS:
            return False
        return self.progress.validation_seconds <= _VALIDATION_SHARE * self.seconds

    def probe_due(self) -> bool:
        """At the first steps, then ever more rarely, never for over a twentieth of the time."""
        if self.step < self.progress.next_probe or self.spent() >= 1:
            return False
        return self.step <= 2 or self.progress.probe_seconds <= _PROBE_SHARE * self.seconds

    def moment_due(self) -> bool:
        """At the start, then ever more rarely, never for over a hundredth of the whole time.

        That time is given out place by place: where it is short, every so many are left out.
        """
        spent, place = self.spent(), self._moment()
        if place < self.progress.next_moment or not place < self._moments:
            return False
        used = self.progress.moment_seconds * spent * self._moments
        return used <= _MOMENT_SHARE * self.seconds * place

    def _moment(self) -> int:
        """The latest place of a moment that is reached: place k of n at (k/n)**3 of the budget."""
        return int(self._moments * self.spent() ** (1 / 3))

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Around keeping a moment, whose time is counted."""
        before = self.tick()
        yield
        self.progress.moment_seconds += self.tick() - before
        self.progress.next_moment = self._moment() + 1

    @contextmanager
    def validating(self, pairs: int) -> Iterator[None]:
        """Around a validation on so many pairs, whose time is counted."""
        before = self.tick()
        yield
        self.progress.validation_seconds += self.tick() - before
        self.progress.validated_pairs += pairs
        self.progress.validated_at = self.spent()

    @contextmanager
    def probing(self) -> Iterator[None]:
        """Around a probe, whose time is counted."""
        before = self.tick()
        yield
        self.progress.probe_seconds += self.tick() - before
        self.progress.next_probe = self.step + max(1, self.step // 20)

    def state(self) -> dict[str, Any]:
        """What a resume has to know, as plain data."""
        return dataclasses.asdict(self.progress)

    def restore(self, state: dict[str, Any]) -> None:
        """The way back of `state`."""
        self.progress = Progress(**state)
        self.start()
