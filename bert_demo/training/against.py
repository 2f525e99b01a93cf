"""This against that: one setting both ways, in pairs of runs with the same seeds.

The two runs of a pair see the same text in the same order and start from the same random numbers;
`bert_demo.inference.difference` says what their losses tell.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig
from bert_demo.inference.difference import MOST_PAIRS, Difference, difference
from bert_demo.model.metrics import MAIN_LOSS
from bert_demo.training.choices import changed, with_seed
from bert_demo.training.events import Event
from bert_demo.training.loop import train


def against(
    run: RunConfig,
    name: str,
    value: Any,
    *,
    pairs: int = 3,
    most_seconds: float | None = None,
    out: str | Path | None = None,
    listen: Callable[[int, bool, Event], None] | None = None,
) -> Difference:
    """Train `run` and the same run with setting `name` at `value`, in turn, and compare them.

    Args:
        pairs: how many pairs of runs, under the seeds `run.training.seed` and those after it.
        most_seconds: begin no pair that would not be over by then, as far as can be foreseen.
        out: a folder that keeps the checkpoints, "seed-0" and "seed-0-other" and so on.
        listen: is told every event, with the pair's number and whether it is of the other way.

    Raises:
        UserError: what cannot be compared, or a run that failed.
    """
    if not isinstance(pairs, int) or not 1 <= pairs <= MOST_PAIRS:
        raise UserError(
            "pairs is {value!r}; it must be a whole number from 1 to {most}.",
            value=pairs,
            most=MOST_PAIRS,
        )
    ways = (run, changed(run, name, value))
    losses: list[tuple[float, float]] = []
    began = time.perf_counter()
    for number in range(pairs):
        spent = time.perf_counter() - began
        if losses and most_seconds is not None and spent * (1 + 1 / len(losses)) > most_seconds:
            break
        own, other = (
            _loss_of(with_seed(way, run.training.seed + number), is_other, number, out, listen)
            for is_other, way in enumerate(ways)
        )
        losses.append((own, other))
    return difference(losses)


def _loss_of(
    run: RunConfig,
    is_other: int,
    number: int,
    out: str | Path | None,
    listen: Callable[[int, bool, Event], None] | None,
) -> float:
    """The held-out loss of one run in the end."""
    seed = run.training.seed
    folder = None if out is None else Path(out) / f"seed-{seed}{'-other' if is_other else ''}"
    loss = math.nan
    for event in train(run, folder):
        if listen is not None:
            listen(number, bool(is_other), event)
        if event["event"] == "end":
            if event["reason"] != "completed":
                raise UserError(
                    "The run with seed {seed} did not come to its end: {message}",
                    seed=seed,
                    message=event["message"],
                )
            loss = float(event["scores"][MAIN_LOSS[run.task]])  # type: ignore[literal-required]
    return loss
