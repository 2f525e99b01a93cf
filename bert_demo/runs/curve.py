"""A run's losses step by step, as the page draws them and its diagnosis looks at them."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def smooth(values: Sequence[float]) -> list[float]:
    """An exponential mean without the pull of its beginning; curves.js smooths in the same way."""
    total = weight = 0.0
    smoothed = []
    for place, value in enumerate(values):
        keep = 1 - 2 / (min(60.0, max(2.0, place / 10)) + 1)
        total = keep * total + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        smoothed.append(total / weight)
    return smoothed


class Curve:
    """A run's losses, of its steps and on held-out text, and what is asked of them more than once.

    A window is the last max(5, min(50, n / 10)) of n steps.
    """

    def __init__(
        self,
        start: Mapping[str, Any],
        steps: Sequence[Mapping[str, Any]],
        validations: Sequence[Mapping[str, Any]],
        main: str,
        batch_size: int | None,
    ) -> None:
        self.start, self.steps, self.main = start, steps, main
        self.baselines: Mapping[str, float] = start["baselines"]
        self.window = max(5, min(50, len(steps) // 10))
        self.loss = self.last(main)
        # The last one may be on all held-out pairs, and others on some: of unlike pairs.
        with_loss = [v for v in validations if main in v]
        self.held_out = [v for v in with_loss if v.get("n") == with_loss[0].get("n")]
        self.pairs = None if batch_size is None else batch_size * steps[-1]["step"]

    def windows(self, name: str, after: int = 0) -> list[float]:
        """A loss over one window after the other, from the first step after this one on."""
        values = [step[name] for step in self.steps if step["step"] > after]
        ends = range(self.window, len(values) + 1, self.window)
        return [statistics.fmean(values[i - self.window : i]) for i in ends]

    def noise(self, name: str) -> float:
        """The standard deviation of a loss from batch to batch."""
        values: list[float] = [step[name] for step in self.steps]
        # Neighbours differ by noise alone, however the curve falls; their median forgives jumps.
        moves = [abs(after - before) for before, after in itertools.pairwise(values)]
        return statistics.median(moves) / 0.954  # the median of a normal distribution's

    @property
    def is_apart(self) -> bool:
        """Whether the losses of steps are of another kind than those on held-out text: against a
        teacher's probabilities, or with padding in them."""
        return bool(self.start.get("taught") or self.start.get("padded"))

    def last(self, name: str) -> float:
        """A loss over the last window."""
        return statistics.fmean(step[name] for step in self.steps[-self.window :])

    def passes(self, step: int) -> float | None:
        """Over the text, after so many steps."""
        pairs = self.start.get("train_examples")
        return self.pairs / self.steps[-1]["step"] * step / pairs if self.pairs and pairs else None
