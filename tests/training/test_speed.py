"""How fast this computer is, whoever else is at work on it."""

from __future__ import annotations

import os
import sys
import time

import pytest
import torch

from bert_demo.config import BertConfig
from bert_demo.training import speed
from bert_demo.training.cost import SMALL, WIDE, layer_operations, word_operations


def test_what_others_took_does_not_count() -> None:
    main, lane, other = os.getpid(), -1, -2
    before = {main: 1.0, lane: 2.0}
    after = {main: 1.5, lane: 2.25, other: 0.125}
    # Ten seconds, of which the main thread was kept for half a one and the slower lane for a
    # quarter while the main thread waited for it.
    assert speed._own_time(10.0, before, after) == pytest.approx(9.25)
    assert speed._own_time(10.0, {main: 0.0}, {main: 60.0}) == pytest.approx(1.0)
    assert speed._own_time(10.0, {}, {}) == 10.0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how long a thread waits")
def test_the_main_thread_is_known_by_its_process() -> None:
    begin, before = time.perf_counter(), speed._waits()
    sum(range(100_000))
    after = speed._waits()
    assert os.getpid() in after
    assert 0 < speed._own_time(time.perf_counter() - begin, before, after) < 60


def test_a_gpus_steps_are_timed_by_the_later_ones() -> None:
    # The first half was slow, and of the other four steps each took a quarter of a second.
    assert speed._mean_step([1.0, 2.0, 3.0, 3.25, 3.5, 3.75]) == pytest.approx(0.25)
    assert speed._mean_step([0.5]) == 0.5


def test_words_cost_by_positions_and_by_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up machine of 10 GFLOP/s at the smaller width and 20 at the larger."""

    def seconds(size: int, masked: int, *_: object, **__: object) -> float:
        model = BertConfig(vocab_size=speed._WORDS, hidden_size=size)
        rate = {SMALL: 1e10, WIDE: 2e10}[size]
        return word_operations(model, masked) / rate + 2e-9 * speed._WORDS * size

    monkeypatch.setattr(speed, "_scoring_seconds", seconds)
    found = speed._words_rates(torch.device("cpu"), False)
    assert found == pytest.approx((1e10, 2e10, 2e-9), rel=1e-6)


def test_operations_of_layers_and_words_by_hand() -> None:
    model = BertConfig(
        vocab_size=10,
        hidden_size=2,
        num_hidden_layers=3,
        num_attention_heads=1,
        intermediate_size=4,
    )
    # A token of a layer: four 2 x 2 matrices, two of 2 x 4, and 2 numbers with each of 5 tokens
    # twice, which count one and a half; two operations for each, forward and twice backward.
    assert layer_operations(model, 7, 5) == 3 * 7 * 3 * 2 * (4 * 4 + 2 * 8 + 1.5 * 2 * 2 * 5)
    assert word_operations(model, 6) == 6 * 3 * 2 * (2 * 2 + 2 * 10)
