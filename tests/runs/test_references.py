"""Recorded runs behind a run's curves: which run they belong to, and that they are sound."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.runs.references import references_of

CARD = RunConfig(training=TrainingConfig(budget_seconds=30))


def with_training(run: RunConfig, **changes: Any) -> RunConfig:
    return replace(run, training=replace(run.training, **changes))


def test_a_band_begins_with_knowing_nothing_and_falls() -> None:
    found = references_of(CARD)
    assert found and len({one.steps[-1] for one in found}) == len(found)
    for one in found:
        assert one.runs == 3 and one.steps == sorted(set(one.steps)) and len(one.steps) >= 25
        for name, nothing in (("mlm_loss", math.log(2608)), ("nsp_loss", math.log(2))):
            low, high = one.bands[name]
            assert len(low) == len(high) == len(one.steps)
            assert all(0 < a <= b < nothing + 1.5 for a, b in zip(low, high, strict=True))
            assert high[-1] < low[0] + 0.05
    # The longest reaches furthest.
    last = {one.steps[-1]: one.bands["mlm_loss"][1][-1] for one in found}
    assert [last[steps] for steps in sorted(last)] == sorted(last.values(), reverse=True)


def test_they_are_of_the_same_setting_alone() -> None:
    same = references_of(CARD)
    for changes in (
        {"seed": 7, "device": "cpu", "precision": "fp32"},
        {"budget_seconds": None, "steps": 1000, "validate_every_steps": 3, "keep": "best"},
    ):
        assert references_of(with_training(CARD, **changes)) == same
    for other in (
        with_training(CARD, learning_rate=0.01),
        with_training(CARD, batch_size=64),
        replace(CARD, size="small"),
        replace(CARD, norm="before"),
        replace(CARD, corpus="wikitext-2"),
    ):
        assert references_of(other) == []
