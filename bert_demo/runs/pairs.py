"""Runs that differ in one setting, seed by seed, and what they say of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bert_demo.common.groups import COMPARED_SETTINGS
from bert_demo.config import RunConfig
from bert_demo.inference.difference import MOST_PAIRS, Difference, difference
from bert_demo.model.metrics import MAIN_LOSS
from bert_demo.runs.record import Run
from bert_demo.training.choices import value_of, with_seed, with_value


@dataclass(frozen=True)
class TwoWays:
    """One setting both ways; both runs have seed 0 here."""

    name: str
    own: RunConfig
    other: RunConfig

    def pairs(self, runs: Iterable[Run]) -> list[tuple[Run, Run]]:
        """Completed runs of both ways with the same seed; of several of one seed the newest."""
        found: tuple[dict[int, Run], dict[int, Run]] = {}, {}
        for run in sorted(runs, key=lambda run: run.created):
            if run.config is None or _loss(run) is None or run.status.state != "completed":
                continue
            for way, side in zip((self.own, self.other), found, strict=True):
                if with_seed(run.config, 0) == way:
                    side[run.config.training.seed] = run
        seeds = sorted(found[0].keys() & found[1].keys())
        return [(found[0][seed], found[1][seed]) for seed in seeds][:MOST_PAIRS]

    def difference(self, runs: Iterable[Run]) -> Difference | None:
        """What the pairs among these runs say; None where there is none."""
        losses = [(_loss(own), _loss(other)) for own, other in self.pairs(runs)]
        told = [(own, other) for own, other in losses if own is not None and other is not None]
        return difference(told) if told else None


def two_ways(runs: Sequence[Run]) -> TwoWays | None:
    """The one setting in which these runs differ, but for their seeds, if it is one that can be
    tried against and has two values. The way of the run that was first comes first."""
    configs = [run.config for run in sorted(runs, key=lambda run: run.created)]
    known = [with_seed(config, 0) for config in configs if config is not None]
    ways = list(dict.fromkeys(known))
    if len(ways) != 2 or ways[0].task != ways[1].task:
        return None
    own, other = ways
    names = COMPARED_SETTINGS[own.task]
    differing = [name for name in names if value_of(own, name) != value_of(other, name)]
    if len(differing) != 1:
        return None
    (name,) = differing
    if with_value(own, name, value_of(other, name)) != other:
        return None  # they differ in what cannot be tried against as well
    return TwoWays(name, own, other)


def _loss(run: Run) -> float | None:
    """What it scored on all held-out text."""
    task = "pretraining" if run.config is None else run.config.task
    found = run.status.scores.get(MAIN_LOSS[task])
    return found if isinstance(found, float) else None
