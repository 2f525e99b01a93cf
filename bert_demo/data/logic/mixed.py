"""Pairs of logic beside the pairs that a run learns from."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from bert_demo.config import LABELS
from bert_demo.data.logic.pairs import logic_pairs
from bert_demo.data.prepare import SourceReport, TokenizedNli, generated, prepare_pairs
from bert_demo.data.tokenizer import Tokenizer

_SURE = 0.9
"""How sure a target is of a pair's label where the other targets are a teacher's."""


def with_logic(
    data: TokenizedNli, report: SourceReport, count: int, tokenizer: Tokenizer
) -> tuple[TokenizedNli, SourceReport]:
    """`data`, then `count` pairs of logic, and the report of all.

    Where a teacher has given `data` targets, these pairs get their own: 0.9 for the label, the
    rest for the others in equal parts.
    """
    # The words' forms are Crane World's; what is left out, the traps say.
    source = generated(["logic", "traps", "crane_world"], lambda: logic_pairs(count))
    source = dataclasses.replace(source, identity=[*source.identity, count])
    more, told = prepare_pairs("logic", "train", source, tokenizer)
    targets = data.targets
    if targets is not None:
        rest = (1 - _SURE) / (len(LABELS) - 1)
        own = np.where(np.eye(len(LABELS))[more.labels] > 0, _SURE, rest).astype(np.float32)
        targets = np.concatenate([targets, own])
    joined = TokenizedNli(
        np.concatenate([data.premise_ids, more.premise_ids]),
        _joined_offsets(data.premise_offsets, more.premise_offsets),
        np.concatenate([data.hypothesis_ids, more.hypothesis_ids]),
        _joined_offsets(data.hypothesis_offsets, more.hypothesis_offsets),
        np.concatenate([data.labels, more.labels]),
        data.left_out,
        targets,
    )
    counts = {name: n + told.counts.get(name, 0) for name, n in report.counts.items()}
    counts = {"pairs": counts.pop("pairs"), "logic_pairs": len(more)} | counts
    return joined, dataclasses.replace(report, counts=counts)


def _joined_offsets(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    return np.concatenate([first, second[1:] + first[-1]])
