"""From tokenised text to packed batches, by array operations alone.

A batch is a pure function of (seed, step): nothing has to be stored to draw it again, so a
resumed run and any number of processes see the same batches as one uninterrupted process.
Letters: B pairs in a batch, T tokens in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bert_demo.data import interruption
from bert_demo.data.layout import Place, Plan, lay_out
from bert_demo.data.masking import BERTS, mask_tokens, uniform
from bert_demo.data.packing import PackedBatch, packed_batch, segments
from bert_demo.data.tokenizer import Tokenizer

IntArray = npt.NDArray[np.int64]

# Independent streams of random numbers for one (seed, step).
_ORDER, PAIRS, MASKS = 1, 2, 3


@dataclass(frozen=True)
class TrainingBatch:
    """What one forward pass needs. M is the number of masked positions."""

    packed: PackedBatch
    labels: Tensor
    """(B,) int64: next sentence (1 is next) or inference label."""
    mlm_positions: Tensor | None
    """(M,) int64 places among the T tokens, or None without masking."""
    mlm_labels: Tensor | None
    """(M,) int64 original ids at these places; -1 where a place only fills the batch up."""
    targets: Tensor | None = None
    """(B, 3) float32: a teacher's probabilities, to learn in place of the labels; or None."""

    def count_masks(self) -> Tensor:
        """How many positions are to be guessed, (), on the batch's device."""
        if self.mlm_labels is None:
            return torch.zeros((), dtype=torch.int64, device=self.labels.device)
        return (self.mlm_labels >= 0).sum()

    def to(self, device: torch.device) -> TrainingBatch:
        """The same batch on `device`."""
        move = (t if t is None else t.to(device, non_blocking=True) for t in self._tensors())
        return TrainingBatch(self.packed.to(device), *move)  # type: ignore[arg-type]

    def _tensors(self) -> tuple[Tensor | None, ...]:
        return self.labels, self.mlm_positions, self.mlm_labels, self.targets


class Batches:
    """What both tasks share: which examples make up step number s, and their tokens."""

    tokenizer: Tokenizer
    seed: int
    batch_size: int
    max_length: int
    truncated: int
    dropped = 0
    masks = False
    """Whether positions are chosen to be guessed."""
    masking = BERTS
    """How, where they are."""
    first_ids: npt.NDArray[Any]
    second_ids: npt.NDArray[Any]
    """Token ids of all first and of all second texts, which may be the same."""
    targets: npt.NDArray[np.float32] | None = None
    """(N, 3): a teacher's probabilities for each example, or None."""

    def __len__(self) -> int:
        raise NotImplementedError

    def plan(self, step: int) -> Plan:
        """The batch of this step (0, 1, ...), always full: it may reach into the next epoch."""
        begin = step * self.batch_size
        wanted = np.arange(begin, begin + self.batch_size)
        indices = np.empty(self.batch_size, dtype=np.int64)
        epochs = wanted // len(self)
        for epoch in np.unique(epochs):
            part = epochs == epoch
            indices[part] = self._permutation(int(epoch))[wanted[part] % len(self)]
        return self.plan_of(indices, step)

    def plan_of(self, indices: IntArray, step: int) -> Plan:
        """The batch of these examples, with step's random numbers."""
        raise NotImplementedError

    def draw(self, step: int) -> TrainingBatch:
        """The batch of this step, laid out."""
        return self.lay_out(self.plan(step))

    def at(self, indices: IntArray, step: int) -> TrainingBatch:
        """The batch of these examples, with step's random numbers."""
        return self.lay_out(self.plan_of(indices, step))

    def lay_out(self, plan: Plan) -> TrainingBatch:
        """The batch of a plan or of a part of one, with masks if this task has them.

        A batch of few tokens may have no masks at all: each is chosen by itself.
        """
        at = _places(plan)
        ids, types, words = lay_out(
            at, self.first_ids, self.second_ids, self.tokenizer.cls_id, self.tokenizer.sep_id
        )
        positions = labels = None
        if self.masks:
            draw = uniform(plan.mask_places, plan.key)
            size, mask_id = self.tokenizer.vocab_size, self.tokenizer.mask_id
            ids, chosen = mask_tokens(ids, words, size, mask_id, draw, self.masking)
            places = np.flatnonzero(chosen >= 0)
            originals = chosen[places]
            if self.masking.padded:
                missing = self.masking.padded - _count_by_pair(chosen >= 0, plan)
                fill = np.repeat(plan.begins, missing.clip(0))
                places = np.concatenate([places, fill])
                originals = np.concatenate([originals, np.full_like(fill, self.tokenizer.unk_id)])
            positions, labels = torch.from_numpy(places), torch.from_numpy(originals)
        targets = None
        if self.targets is not None:
            targets = torch.from_numpy(self.targets[plan.examples])
        packed = packed_batch(ids, types, plan.lengths, plan.order)
        return TrainingBatch(packed, torch.from_numpy(plan.labels), positions, labels, targets)

    def count_masks(self, plan: Plan) -> int:
        """How many positions of a plan are to be guessed, with what they are padded by."""
        if not self.masks:
            return 0
        at, draw = _places(plan), uniform(plan.mask_places, plan.key)
        chosen = (at.in_first | at.in_second) & (draw < self.masking.share)
        if not self.masking.padded:
            return int(chosen.sum())
        return int(_count_by_pair(chosen, plan).clip(self.masking.padded).sum())

    def _permutation(self, epoch: int) -> IntArray:
        if getattr(self, "_epoch", None) != epoch:
            generator = np.random.Generator(np.random.SFC64([self.seed, epoch, _ORDER]))
            self._epoch, self._order = epoch, generator.permutation(len(self))
        return self._order

    def all_in_order(self, limit: int | None = None) -> Iterator[TrainingBatch]:
        """Each example once (at most `limit`), in batches: for validation.

        With a limit the examples are spread evenly over the data, which lies in the order of
        its documents. Raises `Interrupted` where `interruption.check` does.
        """
        count = len(self) if limit is None else min(limit, len(self))
        indices = np.linspace(0, len(self), count, endpoint=False).astype(np.int64)
        for number, start in enumerate(range(0, count, self.batch_size)):
            interruption.check()
            yield self.at(indices[start : start + self.batch_size], number)


def _count_by_pair(chosen: npt.NDArray[np.bool_], plan: Plan) -> IntArray:
    """(B,): how many of each pair's tokens are `chosen` (T,)."""
    counts: IntArray = np.add.reduceat(chosen, plan.begins, dtype=np.int64)
    return counts


def _places(plan: Plan) -> Place:
    """Where each token of the plan is in its pair."""
    _, row, place = segments(plan.lengths)
    first, second = plan.first, plan.second
    columns = (first.starts, second.starts, first.lengths, second.lengths)
    return Place(place, *(column[row] for column in columns))
