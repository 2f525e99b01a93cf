"""How sure verdicts are against how often they are right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bert_demo.inference.calibration import (
    calibration_curve,
    calibration_error,
    calibration_factor,
)


def logits_of(probabilities: list[list[float]]) -> np.ndarray:
    return np.log(np.array(probabilities)).astype(np.float32)


def test_the_error_of_verdicts_by_hand() -> None:
    # 0.91 and 0.92 share the bin above 13/15 = 0.867: 1.83 of certainty, one right. 0.5 is in the
    # one above 7/15 = 0.467 and right; 0.6 is the upper end of the one above 8/15, and wrong.
    said = [[0.91, 0.05, 0.04], [0.04, 0.92, 0.04], [0.3, 0.2, 0.5], [0.2, 0.6, 0.2]]
    labels = np.array([0, 0, 2, 0])
    wanted = (abs(1.83 - 1) + abs(0.5 - 1) + 0.6) / 4
    assert calibration_error(logits_of(said), labels) == pytest.approx(wanted, abs=1e-6)


def test_the_curve_of_verdicts_by_hand() -> None:
    said = [[0.91, 0.05, 0.04], [0.04, 0.92, 0.04], [0.3, 0.2, 0.5], [0.2, 0.6, 0.2]]
    curve = calibration_curve(logits_of(said), np.array([0, 0, 2, 0]))
    assert [(part.n, part.accuracy) for part in curve] == [(1, 1.0), (1, 0.0), (2, 0.5)]
    assert [part.confidence for part in curve] == pytest.approx([0.5, 0.6, 0.915], abs=1e-6)
    for part in curve:
        assert part.low < part.confidence <= part.high + 1e-6
        assert part.high - part.low == pytest.approx(1 / 15)
    assert [part.standard_error for part in curve] == pytest.approx([0, 0, (0.25 / 2) ** 0.5])


@pytest.mark.parametrize(("sure", "right", "wanted"), [(1.0, 1, 0.0), (1.0, 0, 1.0), (0.8, 4, 0)])
def test_the_error_at_its_ends(sure: float, right: int, wanted: float) -> None:
    left = max(1 - sure, 1e-9) / 2
    labels = np.array([0] * right + [1] * (1 if sure < 1 or not right else 0))
    logits = logits_of([[sure, left, left]] * len(labels))
    assert calibration_error(logits, labels) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_the_factor_makes_verdicts_as_sure_as_they_are_right(share: float) -> None:
    # Of two labels, the likelier by one nat: sigmoid(factor) has to be the share that is right.
    logits = np.tile(np.array([[1.0, 0.0, -1000.0]], np.float32), (100, 1))
    labels = (np.arange(100) >= round(100 * share)).astype(np.int64)
    factor = calibration_factor(logits, labels)
    assert factor == pytest.approx(math.log(share / (1 - share)), rel=1e-6)
    factor = np.float32(factor)
    assert calibration_error(factor * logits, labels) == pytest.approx(0, abs=1e-6)


def test_the_factor_undoes_a_temperature() -> None:
    generator = np.random.default_rng(0)
    true = 2 * generator.standard_normal((20_000, 3))
    odds = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    labels = (odds.cumsum(1) < generator.random((20_000, 1))).sum(1)
    soft = (true / 1.5).astype(np.float32)
    factor = calibration_factor(soft, labels)
    assert factor == pytest.approx(1.5, rel=0.03)
    assert calibration_error(np.float32(factor) * soft, labels) < 0.012
    assert calibration_error(soft, labels) > 0.05


@pytest.mark.parametrize(("label", "wanted"), [(0, 20.0), (2, 0.05)])
def test_the_factor_has_bounds(label: int, wanted: float) -> None:
    logits = np.tile(np.array([[2.0, 1.0, 0.0]], np.float32), (5, 1))
    assert calibration_factor(logits, np.full(5, label)) == pytest.approx(wanted, rel=1e-6)


def test_error_curve_and_factor_are_those_of_a_plain_count() -> None:
    generator = np.random.default_rng(1)
    logits = (1.5 * generator.standard_normal((2_000, 3))).astype(np.float32)
    labels = generator.integers(0, 3, 2_000)
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        sure = math.exp(max(row)) / sum(map(math.exp, row))
        right = row.index(max(row)) == label
        bins.setdefault(math.ceil(15 * sure), []).append((sure, right))
    error = 0.0
    curve = calibration_curve(logits, labels)
    for part, number in zip(curve, sorted(bins), strict=True):
        sure, right = (
            sum(column) / len(bins[number]) for column in zip(*bins[number], strict=True)
        )
        assert (part.n, part.high) == (len(bins[number]), pytest.approx(number / 15))
        assert (part.confidence, part.accuracy) == pytest.approx((sure, right), abs=1e-6)
        error += len(bins[number]) / 2_000 * abs(sure - right)
    assert calibration_error(logits, labels) == pytest.approx(error, abs=1e-6)

    def surprise(factor: float) -> float:
        scores = factor * logits.astype(float)
        return float((np.log(np.exp(scores).sum(1)) - scores[np.arange(2_000), labels]).mean())

    labels = np.where(generator.random(2_000) < 0.7, logits.argmax(1), labels)
    best = calibration_factor(logits, labels)
    assert all(surprise(best) <= surprise(best * near) for near in (0.5, 0.98, 1.02, 2.0))
