"""Whether two ways to train differ by more than noise, told from pairs of runs with the same seeds.

What the seed alone does to a loss is in both runs of a pair, so their difference shows what the
setting does; how much the differences scatter from pair to pair is their noise (the paired t test,
Student 1908). No torch here: the page opens with this module.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bert_demo.common.errors import Text
from bert_demo.inference.report import Report

MOST_PAIRS = 20

# Student's t for 1, 2 ... 19 degrees of freedom: 98% lie between this and its negative. So of a
# setting and itself a difference is claimed once in 50 times, which also leaves room for losses
# that are not quite normally distributed.
_T = (31.821, 6.965, 4.541, 3.747, 3.365, 3.143, 2.998, 2.896, 2.821, 2.764, 2.718, 2.681, 2.650,
      2.624, 2.602, 2.583, 2.567, 2.552, 2.539)  # fmt: skip
_LEAST = 0.0005
"""Nats that are shown as 0.000."""


@dataclass(frozen=True, eq=False)
class Difference(Report):
    """What pairs of runs say of one setting."""

    losses: list[tuple[float, float]]
    """Of each pair, in nats on held-out text: as it is, and the other way."""
    mean: float
    """The other way's loss less the first one's: below 0 the other way is better."""
    spread: float | None
    """Standard deviation of the pairs' differences; None for one pair, which does not tell it."""
    margin: float | None
    """98 in 100 times the true difference is no further than this from `mean`."""

    @property
    def is_told(self) -> bool:
        """Whether it is more than noise."""
        if self.margin is None:
            return False
        return abs(self.mean) > max(self.margin, _LEAST)

    @property
    def verdict(self) -> str:
        """Of the other way: "better", "worse", "no difference", or "one pair"."""
        if abs(self.mean) <= _LEAST and self.margin in (None, 0.0):
            return "no difference"
        if self.margin is None:
            return "one pair"
        if not self.is_told:
            return "no difference"
        return "better" if self.mean < 0 else "worse"

    def sentence(self, change: str) -> Text:
        """The verdict in words; `change` names the other way and the first one."""
        values = {
            "change": change,
            "n": abs(self.mean),
            "pairs": len(self.losses),
            "spread": self.spread or 0.0,
        }
        if self.verdict == "one pair":
            way = Text("better") if self.mean < 0 else Text("worse")
            return Text(
                "{change}: {n:.3f} nats {way} in one pair of runs. One pair says nothing of noise; "
                "run another with the next seed.",
                **{**values, "way": way},
            )
        if self.spread is None or not (self.spread or self.mean):
            return Text("{change}: no difference, both ways give the same loss.", change=change)
        if self.verdict == "better":
            return Text(
                "{change}: {n:.3f} nats better, {pairs} pairs of runs, {spread:.3f} apart.",
                **values,
            )
        if self.verdict == "worse":
            return Text(
                "{change}: {n:.3f} nats worse, {pairs} pairs of runs, {spread:.3f} apart.", **values
            )
        return Text(
            "{change}: no difference that can be told from noise ({n:.3f} nats, {pairs} pairs of "
            "runs, {spread:.3f} apart).",
            **values,
        )


def difference(losses: Sequence[tuple[float, float]]) -> Difference:
    """What pairs of held-out losses say: as it is, and the other way, with the same seed each."""
    assert 0 < len(losses) <= MOST_PAIRS
    found = [other - own for own, other in losses]
    mean = statistics.fmean(found)
    if len(found) == 1:
        return Difference(list(losses), mean, None, None)
    spread = statistics.stdev(found)
    margin = _T[len(found) - 2] * spread / math.sqrt(len(found))
    return Difference(list(losses), mean, spread, margin)
