"""Whether a classifier is as sure as it is right (Guo et al. 2017).

Letters: N pairs, C labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bert_demo.inference.report import Report

_BINS = 15
_MOST = 20.0
"""A factor is at most this and at least its inverse: all verdicts right would ask for ever more."""
_HALVINGS = 50


@dataclass(frozen=True, eq=False)
class CalibrationBin(Report):
    """Verdicts that are about equally sure; shares are from 0 to 1."""

    low: float
    """They are surer than this,"""
    high: float
    """and at most as sure as this."""
    n: int
    confidence: float
    """The mean of their probabilities."""
    accuracy: float
    """How many of them are right, which would be the same."""
    standard_error: float
    """Of the accuracy, over samples of as many verdicts."""


def calibration_curve(
    logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> list[CalibrationBin]:
    """How often verdicts are right by how sure they are: the reliability diagram of Guo et al.
    (2017, figure 1), those bins of 15 that have verdicts.

    Args:
        logits: (N, C).
        labels: (N,), the true ones.
    """
    probabilities = torch.softmax(torch.from_numpy(logits).double(), -1).numpy()
    sure, right = probabilities.max(-1), logits.argmax(-1) == labels
    number = np.ceil(sure * _BINS).astype(np.int64)
    found = []
    for place in np.unique(number).tolist():
        chosen = number == place
        n, accuracy = int(chosen.sum()), float(right[chosen].mean())
        error = standard_error(accuracy, n)
        bounds = (place - 1) / _BINS, place / _BINS
        found.append(CalibrationBin(*bounds, n, float(sure[chosen].mean()), accuracy, error))
    return found


def calibration_error(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Expected calibration error (ECE), a share from 0 to 1: how far verdicts are from being right
    as often as they are sure.

    Verdicts are sorted by their probability into 15 bins of equal width, each closed above; the
    error is the mean over bins, by their sizes, of the distance between the share that is right
    and the mean probability (Guo et al. 2017, equation 3).

    Args:
        logits: (N, C).
        labels: (N,), the true ones.
    """
    curve = calibration_curve(logits, labels)
    return sum(part.n * abs(part.accuracy - part.confidence) for part in curve) / len(labels)


def standard_error(share: float, n: int) -> float:
    """Of a share from 0 to 1 that was found on `n` samples."""
    return math.sqrt(share * (1 - share) / n)


def calibration_factor(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """What to multiply logits (N, C) by so that the labels (N,) are likeliest: the inverse of the
    temperature of Guo et al. (2017, section 4.2).

    The mean cross entropy is convex in the factor, so its slope is halved down to zero.
    """
    scores = torch.from_numpy(logits).double()
    true = scores[torch.arange(len(labels)), torch.from_numpy(labels)]
    low, high = 1 / _MOST, _MOST
    for _ in range(_HALVINGS):
        factor = math.sqrt(low * high)
        slope = ((torch.softmax(factor * scores, -1) * scores).sum(-1) - true).mean()
        low, high = (low, factor) if slope > 0 else (factor, high)
    return factor
