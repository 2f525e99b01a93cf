"""Batches of labelled pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bert_demo.common.errors import UserError
from bert_demo.data.batches import Batches
from bert_demo.data.layout import Plan, Side, plan_pairs
from bert_demo.data.tokenizer import Tokenizer

if TYPE_CHECKING:
    from bert_demo.data.prepare import TokenizedNli

IntArray = npt.NDArray[np.int64]


class NliBatches(Batches):
    """Premise and hypothesis pairs with their labels (D2L 16.7), or what a teacher says of them."""

    def __init__(
        self,
        data: TokenizedNli,
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        max_length: int,
        truncation: str,
        seed: int,
    ) -> None:
        self.tokenizer = tokenizer
        self.batch_size, self.max_length, self.truncation = batch_size, max_length, truncation
        self.seed = seed
        if not len(data.labels):
            raise UserError("There are no labelled pairs to learn from.")
        self._labels = np.asarray(data.labels, dtype=np.int64)
        self.targets = data.targets
        self.first_ids, self.second_ids = data.premise_ids, data.hypothesis_ids
        self._premises = _side(data.premise_offsets)
        self._hypotheses = _side(data.hypothesis_offsets)
        both = self._premises.lengths + self._hypotheses.lengths
        self.truncated = int((both > max_length - 3).sum())

    def __len__(self) -> int:
        return len(self._labels)

    def lengths(self, indices: IntArray) -> IntArray:
        """(n,): tokens of these pairs, special ones included, after truncation."""
        both = self._premises.lengths[indices] + self._hypotheses.lengths[indices]
        cut: IntArray = np.minimum(both + 3, self.max_length)
        return cut

    def plan_of(self, indices: IntArray, step: int) -> Plan:
        """Pairs number `indices`; nothing about them is random."""
        sides = self._premises[indices], self._hypotheses[indices]
        labels = self._labels[indices]
        return plan_pairs(*sides, labels, indices, self.max_length, self.truncation)


def _side(offsets: IntArray) -> Side:
    return Side(np.asarray(offsets[:-1]), np.diff(offsets))
