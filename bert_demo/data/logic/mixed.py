"""Pairs of logic beside the pairs that a run learns from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bert_demo.config import LABELS
from bert_demo.data.logic.captions import caption_pairs
from bert_demo.data.logic.pairs import logic_pairs
from bert_demo.data.prepare import SourceReport, TokenizedNli, prepare_pairs
from bert_demo.data.readers import Source, generated, nli_source
from bert_demo.data.snli import NliTexts
from bert_demo.data.tokenizer import Tokenizer

_SURE = 0.9
"""How sure a target is of a pair's label where the other targets are a teacher's."""

Mixed = tuple[TokenizedNli, SourceReport]


def with_logic(mixed: Mixed, count: int, tokenizer: Tokenizer) -> Mixed:
    """The pairs of `mixed`, then `count` of `logic_pairs`, and the report of all.

    Where a teacher has given the former targets, the latter get their own: 0.9 for the label, the
    rest for the others in equal parts.
    """
    return _with("logic", mixed, _made(lambda: logic_pairs(count), count), tokenizer)


def with_edited(mixed: Mixed, corpus: str, count: int, tokenizer: Tokenizer) -> Mixed:
    """The same with `count` of the `caption_pairs` of a corpus, or as many as it has."""
    labelled = nli_source(corpus, "train")
    made = _made(lambda: caption_pairs(labelled.read(), count), count)
    source = dataclasses.replace(made, identity=[*labelled.identity, *made.identity])
    return _with("edited", mixed, source, tokenizer)


def _made(read: Callable[[], NliTexts], count: int) -> Source:
    # The words' forms are Crane World's; what is left out, the traps say.
    source = generated(["logic", "traps", "crane_world"], read)
    return dataclasses.replace(source, identity=[*source.identity, count])


def _with(name: str, mixed: Mixed, source: Source, tokenizer: Tokenizer) -> Mixed:
    data, report = mixed
    more, told = prepare_pairs(name, "train", source, tokenizer)
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
    counts = {key: n + told.counts.get(key, 0) for key, n in report.counts.items()}
    counts = {"pairs": counts.pop("pairs"), f"{name}_pairs": len(more)} | counts
    return joined, dataclasses.replace(report, counts=counts)


def _joined_offsets(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    return np.concatenate([first, second[1:] + first[-1]])
