"""Searches for a learning rate are bounded, and end with a sentence; a worker does one in
test_runs_queue.py."""

from __future__ import annotations

import time

import pytest

from bert_demo.common.errors import UserError, restored
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.data.interruption import Interrupted
from bert_demo.runs import searches
from bert_demo.runs.searches import RateSearch, Searches
from bert_demo.training import cost, range_test


def a_run() -> RunConfig:
    training = TrainingConfig(steps=3, batch_size=16, device="cpu", precision="fp32")
    return RunConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, training=training)


@pytest.mark.parametrize(
    ("error", "words"), [(Interrupted(), "take a smaller batch"), (MemoryError(), "memory was not")]
)
def test_why_there_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(range_test, "find_rate", fails)
    monkeypatch.setattr(cost, "check_memory", lambda run: None)
    answer = searches.search(a_run().to_dict(), 1.0, lambda: False)
    assert words in str(restored(answer["said"]))


def test_how_many_may_wait() -> None:
    waiting = Searches()
    some = [RateSearch(a_run(), f"owner {n}", 1.0) for n in range(9)]
    for search in some[:8]:
        waiting.add(search)
    with pytest.raises(UserError, match="8 searches"):
        waiting.add(some[8])
    waiting.leave(some[0])  # its browser has gone
    waiting.add(some[8])
    assert waiting.waiting() == some[1:]
    some[1].began = time.monotonic()
    waiting.leave(some[1])
    assert waiting.get(some[1].id) is some[1] and not some[1].lost
    some[1].began -= searches.MOST_SECONDS + searches.LOST_SECONDS + 1
    assert some[1].lost
    waiting.end(some[1].id, {})  # its worker died
    assert some[1].over and some[1].found is None and some[1].error is None
    waiting.end(some[2].id, {"found": {"own": 0.01}})
    assert some[2].over and some[2].found == {"own": 0.01}
    assert waiting.waiting() == some[3:]
