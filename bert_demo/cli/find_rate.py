"""The command `find-rate`: how large a run's steps may be, by a sweep of learning rates."""

from __future__ import annotations

from argparse import Namespace

from bert_demo.cli.output import emit, say
from bert_demo.cli.training import run_of
from bert_demo.training.range_test import RangeTest, find_rate

_ROWS = 18
_WIDTH = 44


def find_rate_command(flags: Namespace) -> int:
    """Try growing rates, draw their losses and say what they suggest; the exit code."""
    if flags.steps is None and flags.epochs is None and flags.budget_seconds is None:
        flags.budget_seconds = flags.seconds
    found = find_rate(run_of(flags, flags.task or "pretraining", None), flags.seconds)
    if flags.json:
        emit(dict(found))
        return 0
    for line in curve(found):
        say(line)
    say(
        "The loss falls once steps are large enough and rises where they are too large; a rate "
        "well to the left of the lowest point learns fast and safely."
    )
    say(verdict(found))
    return 0


def curve(found: RangeTest) -> list[str]:
    """Rates and smoothed losses, a line each with a bar."""
    low, high = min(found.smoothed), max(found.smoothed)
    every = max(1, len(found.rates) // _ROWS)
    least = found.rates.index(found.least)
    lines = []
    for place in sorted({*range(0, len(found.rates), every), least}):
        share = (found.smoothed[place] - low) / max(high - low, 1e-9)
        bar = "#" * max(1, round(share * _WIDTH))
        mark = "  < least" if place == least else ""
        lines.append(f"{found.rates[place]:8.1e}  {found.smoothed[place]:7.3f}  {bar}{mark}")
    return lines


def verdict(found: RangeTest) -> str:
    """What to take, in a sentence."""
    if not found.falls:
        return (
            "The loss does not fall at any of these rates by more than batches differ; give it "
            "more --seconds."
        )
    if not found.rises:
        return (
            "The loss still falls at the last rate, so no rate was found to be too large; give it "
            "more --seconds."
        )
    return (
        f"Suggested: --learning-rate {found.suggested:.1g}. The loss is least at "
        f"{found.least:.2g}; this run would take {found.own:.2g}."
    )
