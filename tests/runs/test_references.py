"""Recorded runs behind a run's curves: which run they belong to, and that they are sound."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.runs.references import Reference, references_of, usual

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


SHORT = Reference([50, 100], 3, {"mlm_loss": ([3.0, 2.0], [4.0, 3.0])})
LONG = Reference([200, 400], 3, {"mlm_loss": ([3.0, 1.0], [4.0, 1.0])})


def told(step: int, start: dict[str, Any], **last: float) -> str | None:
    """What is said of a run whose loss was 2.5 at every step until this one."""
    steps = [{"step": i, "mlm_loss": 2.5} for i in range(1, step + 1)]
    return usual([SHORT, LONG], start, [*steps[:-1], steps[-1] | last], "mlm_loss")


def test_a_run_is_told_what_they_had_as_if_of_its_length() -> None:
    """By hand: 200 steps are in the middle between 100 and 400, as the page draws it too."""
    for step, low, high in ((200, 1.5, 2), (150, 2.25, 3), (100, 3, 4)):
        words = (
            f"3 recorded runs of these settings had a loss of {low:.2f} to {high:.2f} at this step"
        )
        assert (told(step, {"steps": 200}) or "").startswith(words)
    assert "this one has 2.50" in (told(20, {"steps": 50 * 2}) or "")
    by_clock = told(150, {}, seconds=30.0, seconds_left=10.0)
    assert by_clock == told(150, {"steps": 200})
    assert told(80, {"steps": 80}) is told(450, {"steps": 450}) is None
    assert told(430, {"steps": 430}) is not None
    assert usual([], {"steps": 100}, [{"step": 100, "mlm_loss": 2.0}], "mlm_loss") is None
    assert usual([SHORT], {"steps": 100}, [{"step": 100, "loss": 2.0}], "loss") is None


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
