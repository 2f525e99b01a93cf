"""Reference runs of the settings that most people start with, to see whether a curve is normal.

`references.json` is made by `bench/references.py`. No torch here: the page asks.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from pathlib import Path

from bert_demo.config import RunConfig, run_config

FILE = Path(__file__).with_name("references.json")


@dataclass(frozen=True)
class Reference:
    """Some runs of one setting and one length, with different seeds."""

    steps: list[int]
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
