"""This against that: what pairs of runs tell, and that a setting against itself tells nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.inference.difference import difference
from bert_demo.training.against import against
from bert_demo.training.choices import change, changed


def a_run(**changes: Any) -> RunConfig:
    training = {"steps": 4, "batch_size": 16, "device": "cpu", "precision": "fp32"}
    return RunConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        training=TrainingConfig(**training, **changes),  # type: ignore[arg-type]
    )


def test_the_interval_is_students() -> None:
    """A case worked by hand: differences 1, 2, 3 have mean 2 and deviation 1; t(2) is 6.965."""
    found = difference([(5.0, 6.0), (5.0, 7.0), (5.0, 8.0)])
    assert (found.mean, found.spread) == (2.0, 1.0)
    assert found.margin == pytest.approx(6.965 / 3**0.5)
    assert found.verdict == "no difference"
    near = difference([(5.0, 4.9), (5.1, 4.98), (5.2, 5.06)])
    assert near.verdict == "better" and dict(near)["spread"] == near.spread
    assert near.sentence("norm before instead of after") == (
        "norm before instead of after: 0.120 nats better, 3 pairs of runs, 0.020 apart."
    )
    assert difference([(b, a) for a, b in near.losses]).verdict == "worse"


def test_one_pair_says_nothing_of_noise() -> None:
    found = difference([(5.0, 4.5)])
    assert found.verdict == "one pair" and found.margin is None and not found.is_told
    assert "One pair says nothing of noise" in found.sentence("x")
    assert difference([(5.0, 5.0)]).verdict == "no difference"
    assert "no difference" in difference([(5.0, 5.0)] * 3).sentence("x")


@pytest.mark.parametrize("pairs", [2, 3, 5, 20])
def test_of_a_setting_and_itself_no_difference_is_told(pairs: int) -> None:
    generator = np.random.default_rng(pairs)
    told = 0
    for _ in range(2000):
        seeds = generator.normal(0, 0.05, pairs)  # what a seed does to both ways
        noise = generator.normal(0, 0.02, (2, pairs))
        own, other = 3 + seeds + noise
        told += difference(list(zip(own.tolist(), other.tolist(), strict=True))).is_told
    assert told / 2000 < 1 / 20


def test_a_setting_against_itself_and_against_another(tmp_path: Path) -> None:
    heard = []
    same = bert_demo.against(
        a_run(), "positions", "learned", pairs=2, listen=lambda *told: heard.append(told)
    )
    assert same.verdict == "no difference" and same.mean == 0
    assert {(pair, other) for pair, other, _ in heard} == {
        (0, False),
        (0, True),
        (1, False),
        (1, True),
    }
    starts = [event for _, _, event in heard if event["event"] == "start"]
    assert len(starts) == 4
    found = against(a_run(seed=7), "mask_share", 0.9, pairs=1, out=tmp_path)
    assert found.verdict == "one pair" and found.losses[0][0] != found.losses[0][1]
    for folder, share in (("seed-7", 0.15), ("seed-7-other", 0.9)):
        about = bert_demo.model.checkpoint.read_config(tmp_path / folder)["about"]  # type: ignore[attr-defined]
        assert about["run"]["mask_share"] == share and about["run"]["training"]["seed"] == 7


def test_no_pair_is_begun_that_has_no_time() -> None:
    found = against(a_run(), "norm", "before", pairs=20, most_seconds=0.001)
    assert len(found.losses) == 1


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("corpus", "wikitext-2", "'corpus' cannot be tried against; what can be is: norm,"),
        ("seed", 3, "'seed' cannot be tried against"),
        ("nonsense", 3, "'nonsense' cannot be tried against"),
        ("norm", "beside", "norm is 'beside'; it must be one of: after, before"),
        ("mask_share", "much", "mask_share is 'much'; it must be a number from"),
    ],
)
def test_what_cannot_be_compared_gets_a_sentence(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        against(a_run(), name, value)


def test_names_may_be_those_of_flags() -> None:
    other = changed(a_run(), "--activation", "relu")
    assert other.hidden_act == "relu"
    assert change(a_run(), other, "hidden-act") == "hidden_act relu instead of the recipe's own"
    with pytest.raises(UserError, match=r"pairs is 21; it must be"):
        against(a_run(), "norm", "before", pairs=21)
    going_on = RunConfig(start_from="somewhere", training=TrainingConfig(steps=1))
    with pytest.raises(UserError, match="norm is decided when a model is made"):
        changed(going_on, "norm", "before")
