"""What a run would take: work counted by hand, prices found again, and a computer measured once."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bert_demo.common.errors import UserError
from bert_demo.config import BertConfig, RunConfig, TrainingConfig
from bert_demo.model.size import count_parameters
from bert_demo.training import cost, speed
from bert_demo.training.cost import Speed, model_of, orthogonalising, step_seconds, work
from bert_demo.training.text_facts import TextFacts, text_facts

PRICES = (2e-4, 1e-11, 2e-9, 2e-11, 1e-9, 3e-9, 1e-11, 2e-8)
SPEED = Speed("cpu", 16 * 10**9, "fp32", False, PRICES)
FACTS = TextFacts(2608, 31143, 26.0)


def pretraining(size: str = "tiny", **training: Any) -> RunConfig:
    return RunConfig(size=size, training=TrainingConfig(steps=10, **training))


def seconds(run: RunConfig, facts: TextFacts = FACTS) -> float:
    return step_seconds(run, model_of(run, facts), facts, SPEED)


def test_the_work_of_a_step_by_hand() -> None:
    model = BertConfig(
        vocab_size=10,
        hidden_size=2,
        num_hidden_layers=3,
        num_attention_heads=1,
        intermediate_size=4,
    )
    run = pretraining(batch_size=2, gradient_accumulation_steps=2)
    found = work(run, model, TextFacts(10, 100, 23.0))
    # 46 tokens in 2 pairs, of whose 40 words 6 are masked. Keys and values of all tokens in all
    # three layers; the rest in two layers for all, in the last for the 6 masked and 2 first ones.
    asked = 2 * 46 + 6 + 2
    products = 3 * 46 * (2 * 2 * 2) + asked * (2 * 2 * 2 + 2 * 2 * 4)
    attention = asked * 2 * 2 * 23  # which counts one and a half
    square, to_three, to_inner = (orthogonalising(2, columns) for columns in (2, 6, 4))
    assert found == (
        2 * (3 + 2),
        pytest.approx(6 * (products + 1.5 * attention)),
        pytest.approx(asked * 2 * 2),  # once more for dropout
        pytest.approx(6 * 6 * 2 * (2 + 10)),
        pytest.approx(6 * 10),
        count_parameters(model),
        3 * (to_three + square + 2 * to_inner) + 2 * square,
        3 * (4 * 2 * 2 + 2 * 2 * 4) + 2 * 2 * 2,
    )


@pytest.mark.parametrize("batch_size", [1, 64])
def test_more_work_takes_longer(batch_size: int) -> None:
    least = seconds(pretraining(batch_size=batch_size))
    assert least < seconds(pretraining(batch_size=2 * batch_size))
    assert least < seconds(pretraining("small", batch_size=batch_size))
    assert least < seconds(pretraining(batch_size=batch_size), TextFacts(2608, 31143, 40.0))
    assert least < seconds(pretraining(batch_size=batch_size), TextFacts(20256, 31143, 26.0))
    assert least < seconds(
        RunConfig(num_hidden_layers=3, training=TrainingConfig(steps=10, batch_size=batch_size))
    )
    assert seconds(pretraining(batch_size=64, recipe="d2l")) < seconds(pretraining(batch_size=64))


def test_the_prices_of_a_made_up_computer_are_found_again() -> None:
    shapes = [("tiny", 1), ("tiny", 256), ("small", 64), ("small", 1024), ("base", 16)]
    runs = [
        pretraining(size, batch_size=batch_size, recipe=recipe)
        for size, batch_size in shapes
        for recipe in ("d2l", "recommended")
    ]
    amounts = [work(run, model_of(run, FACTS), FACTS) for run in runs]
    found = speed._prices(amounts, [seconds(run) for run in runs])
    other = Speed("cpu", 16 * 10**9, "fp32", False, found)
    assert min(found) >= 0
    for run in (pretraining("base", batch_size=64), pretraining("small", batch_size=8)):
        one = step_seconds(run, model_of(run, FACTS), FACTS, other)
        assert one == pytest.approx(seconds(run), rel=0.05)


def test_other_programs_are_left_out_of_a_steps_time() -> None:
    # Of the eight steps after the first, two were kept waiting for a second.
    assert speed._usual([9, 10, 11, 12, 14, 15, 16, 17, 19]) == 1


def test_a_gpus_steps_are_timed_by_the_later_ones() -> None:
    # The first half was slow, and of the other four steps each took a quarter of a second.
    assert speed._mean([1.0, 2.0, 3.0, 3.25, 3.5, 3.75]) == pytest.approx(0.25)
    assert speed._mean([0.5]) == 0.5


def test_a_computer_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BERT_DEMO_CACHE", str(tmp_path))
    asked: list[list[str]] = []

    def measured(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        told = {"device": "cpu", "memory_bytes": 1, "precision": "fp32", "compiled": False}
        return subprocess.CompletedProcess(command, 0, json.dumps(told | {"prices": PRICES}))

    monkeypatch.setattr(subprocess, "run", measured)
    first = speed.measured_speed()
    assert first == speed.measured_speed() and len(asked) == 1
    assert first.prices == PRICES
    (kept,) = tmp_path.glob("speed-*.json")
    for broken in ("{", "[]", '{"when": "today"}', kept.read_text(encoding="utf-8")[:-9]):
        kept.write_text(broken, encoding="utf-8")
        assert speed.measured_speed() == first
    assert len(asked) == 5
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, ""))
    kept.unlink()
    with pytest.raises(ValueError, match="could not be measured"):
        speed.measured_speed()


LARGE = RunConfig(
    size="large", training=TrainingConfig(batch_size=512, max_length=512, budget_seconds=30)
)


@pytest.fixture
def _a_large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "total_memory_bytes", lambda: 10**12)


@pytest.mark.usefixtures("_a_large_machine")
def test_a_step_that_is_longer_than_the_budget_is_refused_with_what_fits() -> None:
    facts = text_facts(LARGE)
    one = step_seconds(LARGE, model_of(LARGE, facts), facts, SPEED)
    assert one > 30
    refusal = str(cost.estimate(LARGE, SPEED).refusal)
    words = f"One step of BERT-large at length 512 and batch 512 takes about {one:.0f} seconds here"
    assert refusal.startswith(f"{words}, and the budget is 30 seconds. ")
    size = re.search(r"A step of BERT-(\w+) takes", refusal)
    batch = re.search(r"At batch (\d+) it takes", refusal)
    assert size or batch
    fits = replace(LARGE, size=size[1]) if size else LARGE
    if batch:
        fits = replace(fits, training=replace(fits.training, batch_size=int(batch[1])))
    expected = cost.estimate(fits, SPEED)
    assert expected.refusal is None
    assert expected.steps is not None and expected.steps >= 9
    patient = replace(LARGE, training=replace(LARGE.training, budget_seconds=one * 1.01))
    assert cost.estimate(patient, SPEED).refusal is None
    by_steps = replace(LARGE, training=replace(LARGE.training, budget_seconds=None, steps=1))
    assert cost.estimate(by_steps, SPEED).refusal is None


@pytest.mark.usefixtures("_a_large_machine")
def test_where_neither_a_batch_nor_a_model_fits_more_time_does() -> None:
    tiny = RunConfig(training=TrainingConfig(batch_size=8, budget_seconds=0.5))
    slow = replace(SPEED, prices=tuple(1000 * price for price in PRICES))
    refusal = str(cost.estimate(tiny, slow).refusal)
    assert re.search(r"10 steps would take about \d+ seconds\.$", refusal)


def test_memory_that_others_have_is_not_there() -> None:
    run = RunConfig(training=TrainingConfig(steps=5))
    needed = cost.estimate(run, SPEED).memory_bytes
    assert cost.estimate(run, SPEED, free_bytes=needed + 1).refusal is None
    refusal = str(cost.estimate(run, SPEED, free_bytes=needed - 1).refusal)
    assert re.search(r"needs about 0\.\d GB; of this machine's memory 0\.\d GB are", refusal)
    on_card = replace(SPEED, device="cuda", memory_bytes=10**10)
    assert cost.estimate(run, on_card, free_bytes=0).refusal is None


def test_a_process_asks_for_its_memory_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunConfig(training=TrainingConfig(steps=5, device="cpu"))
    cost.check_memory(run)
    monkeypatch.setattr(cost, "available_memory_bytes", lambda: 0)
    monkeypatch.setattr(cost, "memory_held", lambda pids: 10**8)
    with pytest.raises(UserError, match=r"memory 0\.1 GB are free now"):
        cost.check_memory(run)


def test_what_may_be_slow_is_large_for_its_budget() -> None:
    assert cost.may_be_slow(LARGE)
    assert not cost.may_be_slow(replace(LARGE, training=TrainingConfig(steps=5)))
    half_a_minute = TrainingConfig(budget_seconds=30)
    for size in ("tiny", "small"):
        assert not cost.may_be_slow(RunConfig(size=size, training=half_a_minute))
