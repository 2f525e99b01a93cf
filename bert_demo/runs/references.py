"""Reference runs of the settings that most people start with, to see whether a curve is normal.

`references.json` is made by `bench/references.py`. No torch here: the page asks.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bert_demo.common.errors import Text
from bert_demo.config import RunConfig, run_config
from bert_demo.runs.curve import smooth

FILE = Path(__file__).with_name("references.json")
_NEAR = 1.1  # how much shorter or longer than all of them a run may be; so in curves.js


@dataclass(frozen=True)
class Reference:
    """Some runs of one setting and one length, with different seeds."""

    steps: list[float]
    """Where the bands are given; the last is how many steps each run had."""
    runs: int
    """How many there were."""
    bands: dict[str, tuple[list[float], list[float]]]
    """By the name of a loss of training: at each of `steps` the lowest and the highest of the
    runs' losses, in nats, smoothed as the page smooths them."""


def references_of(run: RunConfig) -> list[Reference]:
    """Those of a run's setting, whatever its seed, device and budget, the shortest first; none
    for most settings."""
    setting = _setting(run)
    return [reference for other, reference in _all() if other == setting]


def usual(
    references: Sequence[Reference],
    start: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    name: str,
) -> Text | None:
    """A run's last loss beside those of recorded runs at the same share of their length.

    Between two lengths of theirs it is what lies between, by the logarithm of the length, as the
    page draws it; losses are smoothed. None where a run is a tenth shorter or longer than all.

    Args:
        start: the run's first event.
        steps: all that tell of a step.
        name: of the loss.
    """
    step = steps[-1]["step"]
    found = _as_if_of(references, _length(start, steps[-1]))
    if found is None or name not in found.bands:
        return None
    low, high = (float(np.interp(step, found.steps, ends)) for ends in found.bands[name])
    return Text(
        "{runs} recorded runs of these settings had a loss of {low:.2f} to {high:.2f} at this "
        "step; this one has {loss:.2f}.",
        runs=found.runs,
        low=low,
        high=high,
        loss=smooth([one[name] for one in steps])[-1],
    )


def _length(start: Mapping[str, Any], last: Mapping[str, Any]) -> float:
    """How many steps a run has, or will have by its clock."""
    left = last.get("seconds_left") or 0.0
    guess = last["step"] * (1 + left / last["seconds"]) if last.get("seconds") else last["step"]
    return float(start.get("steps") or guess)


def _as_if_of(references: Sequence[Reference], length: float) -> Reference | None:
    """The recorded runs as if they had had so many steps."""
    if not references:
        return None
    shorter = [one for one in references if one.steps[-1] <= length] or references[:1]
    longer = [one for one in references if one.steps[-1] >= length] or references[-1:]
    low, high = shorter[-1], longer[0]
    first, last = low.steps[-1], high.steps[-1]
    if length * _NEAR < first or length > last * _NEAR:
        return None
    share = 0.0 if low is high else math.log(length / first) / math.log(last / first)

    def between(name: str, end: int) -> list[float]:
        pairs = zip(low.bands[name][end], high.bands[name][end], strict=True)
        return [one + share * (two - one) for one, two in pairs]

    return Reference(
        [step * length / first for step in low.steps],
        low.runs,
        {name: (between(name, 0), between(name, 1)) for name in low.bands},
    )


@functools.lru_cache(maxsize=1)
def _all() -> list[tuple[RunConfig, Reference]]:
    found = []
    for one in json.loads(FILE.read_text(encoding="utf-8")):
        training = one["setting"]["training"] | {"steps": one["steps"][-1]}
        run = run_config(one["setting"] | {"training": training})
        bands = {name: (low, high) for name, (low, high) in one["bands"].items()}
        found.append((_setting(run), Reference(one["steps"], one["runs"], bands)))
    return found


def _setting(run: RunConfig) -> RunConfig:
    """The run without what leaves its curve of training as it is, but for chance and length."""
    training = replace(
        run.training,
        steps=1,
        epochs=None,
        budget_seconds=None,
        gradient_accumulation_steps=1,
        seed=0,
        validate_every_steps=None,
        stop_at_loss=None,
        keep="last",
        save_every_seconds=30.0,
        device="auto",
        precision="auto",
    )
    return replace(run, training=training)
