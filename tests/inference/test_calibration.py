"""How sure verdicts are against how often they are right."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.calibration
import sklearn.linear_model

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


def test_the_curve_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    logits = (1.5 * generator.standard_normal((2_000, 3))).astype(np.float32)
    labels = generator.integers(0, 3, 2_000)
    sure = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).max(1)
    right = logits.argmax(1) == labels
    wanted = sklearn.calibration.calibration_curve(right, sure, n_bins=15)
    curve = calibration_curve(logits, labels)
    assert [part.accuracy for part in curve] == pytest.approx(wanted[0])
    assert [part.confidence for part in curve] == pytest.approx(wanted[1], abs=1e-6)
    assert sum(part.n for part in curve) == 2_000
    error = sum(part.n * abs(part.accuracy - part.confidence) for part in curve) / 2_000
    assert calibration_error(logits, labels) == pytest.approx(error)


def test_the_factor_is_that_of_a_logistic_regression() -> None:
    # Of two labels, with the difference of their logits as the one feature.
    generator = np.random.default_rng(1)
    odds = 2 * generator.standard_normal(2_000)
    labels = (generator.random(2_000) > 1 / (1 + np.exp(-0.6 * odds))).astype(np.int64)
    logits = np.stack([odds, np.zeros(2_000), np.full(2_000, -1000.0)], 1).astype(np.float32)
    regression = sklearn.linear_model.LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8)
    wanted = regression.fit(odds[:, None], labels == 0).coef_[0, 0]
    assert calibration_factor(logits, labels) == pytest.approx(wanted, rel=1e-4)


def test_no_other_factor_makes_the_labels_likelier() -> None:
    generator = np.random.default_rng(1)
    logits = (1.5 * generator.standard_normal((2_000, 3))).astype(np.float32)
    labels = generator.integers(0, 3, 2_000)

    def surprise(factor: float) -> float:
        scores = factor * logits.astype(float)
        return float((np.log(np.exp(scores).sum(1)) - scores[np.arange(2_000), labels]).mean())

    labels = np.where(generator.random(2_000) < 0.7, logits.argmax(1), labels)
    best = calibration_factor(logits, labels)
    assert all(surprise(best) <= surprise(best * near) for near in (0.5, 0.98, 1.02, 2.0))
