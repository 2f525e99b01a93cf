"""The one number that says how good a model is, out of what checkpoints keep."""

from __future__ import annotations

from typing import Any

import pytest

from bert_demo.inference.results import Result, read_result


def test_accuracy_counts_on_the_test_split_where_there_is_one() -> None:
    scores: dict[str, Any] = {"loss": 0.9, "accuracy": 0.5, "n": 9}
    found = read_result("nli", scores)
    assert found == Result(0.5, "validation", 9, is_loss=False)
    assert found.rank is None, "validation splits of different sizes rank nobody"
    found = read_result("nli", scores | {"test": {"accuracy": 0.75, "n": 2000}})
    assert found == Result(0.75, "test", 2000, is_loss=False)
    assert found.rank == 0.75 and found.gain is None


def test_a_loss_ranks_by_what_it_is_below_guessing_by_word_frequency() -> None:
    found = read_result("pretraining", {"mlm_loss": 4.0, "n": 2048}, {"unigram": 6.5, "coin": 0.7})
    assert found is not None and found.gain == found.rank == 2.5
    found = read_result("pretraining", {"mlm_loss": 4.0})
    assert found is not None and found.value == 4.0 and found.rank is None


@pytest.mark.parametrize("scores", [None, "?", [1], {}, {"accuracy": "?", "mlm_loss": None}])
def test_what_says_nothing_has_no_result(scores: Any) -> None:
    assert read_result("nli", scores) is None and read_result("pretraining", scores, "?") is None
