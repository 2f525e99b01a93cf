"""The sweep of learning rates finds an edge that is known, and one of a real run."""

from __future__ import annotations

import json
import random

import pytest

from bert_demo.cli import parser
from bert_demo.cli.find_rate import curve, verdict
from bert_demo.training.range_test import RangeTest, read, sweep


@pytest.mark.parametrize("curvature", [40.0, 300.0, 2000.0])
def test_the_edge_of_a_quadratic_is_two_over_its_curvature(curvature: float) -> None:
    # Gradient descent on c x^2 / 2 multiplies x by 1 - rate c: it shrinks below 2 / c alone.
    x, done = 3.0, 0

    def step(rate: float) -> float:
        nonlocal x, done
        done += 1
        loss = curvature * x * x / 2
        x -= rate * curvature * x
        return loss

    rates, losses = sweep(step, lambda: done / 300)
    found = read(rates, losses, 4, own=0.5)
    assert found.least == pytest.approx(2 / curvature, rel=0.1)
    assert found.falls and found.rises and found.suggested == found.least / 4


def test_noise_alone_suggests_nothing() -> None:
    noise = random.Random(0)
    rates = [10 ** (-5 + i / 20) for i in range(100)]
    still = read(rates, [noise.gauss(0, 0.1) for _ in rates], 4, 0.01)
    assert still.suggested is None and not (still.falls and still.rises)
    falling = read(rates, [-i / 50 + noise.gauss(0, 0.01) for i in range(100)], 4, 0.01)
    assert falling.falls and not falling.rises and falling.suggested is None


def test_a_run_is_told_a_rate_at_which_it_learns(capsys: pytest.CaptureFixture[str]) -> None:
    shape = "--hidden-size 32 --num-hidden-layers 1 --num-attention-heads 2 --batch-size 16"
    flags = ["find-rate", "--seconds", "0.5", "--recipe", "d2l", "--device", "cpu", *shape.split()]
    assert parser.main([*flags, "--json"]) == 0
    found = RangeTest(**json.loads(capsys.readouterr().out))
    assert found.own == 0.01 and len(found.rates) == len(found.losses) >= 15
    assert found.rates == sorted(found.rates) and abs(found.losses[0]) < 0.01
    assert found.suggested is not None and 5e-4 < found.suggested < found.least / 9
    lines = curve(found)
    assert sum("< least" in line for line in lines) == 1 and 15 <= len(lines) <= 40
    assert f"--learning-rate {found.suggested:.1g}. " in verdict(found)
    assert parser.main([*flags, "--seconds", "0"]) == 2
    assert "seconds is 0" in capsys.readouterr().err
