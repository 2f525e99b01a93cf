"""Where a classifier fails, in tables and as plain data: `evaluate --details`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bert_demo.cli.output import table
from bert_demo.config import LABELS
from bert_demo.inference.failures import Failures, JudgedPair

_SORTS = {
    "kind": "By kind",
    "length": "By length of both texts",
    "overlap": "By how many words of the hypothesis stand in the premise",
    "negation": "By negation",
    "numbers": "By number words",
}
_ABOUT_KINDS = (
    "A judge that reads is right of every label. Near 1 of one and near 0 of another of the same "
    "kind means a rule of thumb, such as “shared words: it follows”, that is right by chance."
)
_MOST_MISTAKES = 10


def plain(found: Failures) -> dict[str, Any]:
    """What `--json` adds: every sort, the calibration curve, and each cell with its pairs."""
    return {
        "slices": {sort: [asdict(part) for part in parts] for sort, parts in found.slices.items()},
        "calibration": [asdict(part) for part in found.calibration],
        "cells": [
            {
                "label": label,
                "verdict": verdict,
                "pairs": [asdict(pair) for pair in found.pairs(label, verdict)],
            }
            for label in LABELS
            for verdict in LABELS
        ],
    }


def lines(found: Failures) -> list[str]:
    """Tables of the sorts and of the calibration, and the surest mistakes."""
    told = []
    for sort, title in _SORTS.items():
        if sort in found.slices:
            told.append(f"\n{title}:\n{_sorts(found, sort)}")
        if sort == "kind" and sort in found.slices:
            told.append(_ABOUT_KINDS)
    rows = [["sure of its verdict", "pairs", "mean sureness", "right"]]
    for part in found.calibration:
        right = f"{part.accuracy:.3f} ± {part.standard_error:.3f}"
        sure = f"{part.low:.2f} to {part.high:.2f}"
        rows.append([sure, f"{part.n:,}", f"{part.confidence:.3f}", right])
    told.append(f"\nHow sure it is, and how often it is right:\n{table(rows)}")
    mistakes = _mistakes(found)
    if mistakes:
        told.append("\nIts surest mistakes:")
        told += [
            f"{one.confidence:.3f}  {one.verdict}, but {one.label}: {one.premise!r} -> "
            f"{one.hypothesis!r}"
            for one in mistakes
        ]
    return told


def _sorts(found: Failures, sort: str) -> str:
    first = ["", "pairs", "accuracy", "hypothesis alone", "same answer"]
    rows = [[*first, *(f"right of {label}" for label in LABELS)]]
    for part in found.slices[sort]:
        counts = [sum(row) for row in part.confusion]
        shares = [f"{part.confusion[i][i] / n:.3f}" if n else "-" for i, n in enumerate(counts)]
        accuracy = f"{part.accuracy:.3f} ± {part.standard_error:.3f}"
        alone, constant = part.hypothesis_only_accuracy, part.constant_accuracy
        rows.append(
            [part.name, f"{part.n:,}", accuracy, f"{alone:.3f}", f"{constant:.3f}", *shares]
        )
    return table(rows)


def _mistakes(found: Failures) -> list[JudgedPair]:
    pairs = [
        pair
        for label in LABELS
        for verdict in LABELS
        if label != verdict
        for pair in found.pairs(label, verdict, most=_MOST_MISTAKES)
    ]
    return sorted(pairs, key=lambda pair: -pair.confidence)[:_MOST_MISTAKES]
