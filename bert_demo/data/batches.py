"""From tokenised text to packed batches, by array operations alone.

A batch is a pure function of (seed, step): nothing has to be stored to draw it again, so a
resumed run and any number of processes see the same batches as one uninterrupted process.
Letters: B pairs in a batch, T tokens in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bert_demo.data.masking import mask_tokens
from bert_demo.packing import PackedBatch, length_groups, segments
from bert_demo.tokenizer import Tokenizer, truncate_pair_lengths

if TYPE_CHECKING:
    from bert_demo.data.prepare import TokenizedNli, TokenizedText

IntArray = npt.NDArray[np.int64]

# Independent streams of random numbers for one (seed, step).
_ORDER, _PAIRS, _MASKS = 1, 2, 3
_REDRAWS = 8


@dataclass(frozen=True)
class TrainingBatch:
    """What one forward pass needs. M is the number of masked positions."""

    packed: PackedBatch
    labels: Tensor
    """(B,) int64: next sentence (1 is next) or inference label."""
    mlm_positions: Tensor | None
    """(M,) int64 places among the T tokens, or None without masking."""
    mlm_labels: Tensor | None
    """(M,) int64 original ids at these places."""
    targets: Tensor | None = None
    """(B, 3) float32: a teacher's probabilities, to learn in place of the labels; or None."""

    def to(self, device: torch.device) -> TrainingBatch:
        """The same batch on `device`."""
        move = (t if t is None else t.to(device, non_blocking=True) for t in self._tensors())
        return TrainingBatch(self.packed.to(device), *move)  # type: ignore[arg-type]

    def _tensors(self) -> tuple[Tensor | None, ...]:
        return self.labels, self.mlm_positions, self.mlm_labels, self.targets


@dataclass(frozen=True)
class PairArrays:
    """A whole batch in numpy, its sequences sorted by length."""

    input_ids: IntArray  # (T,)
    token_type_ids: IntArray  # (T,)
    lengths: IntArray  # (B,)
    order: IntArray  # (B,)
    labels: IntArray  # (B,), sorted with the sequences
    mlm_labels: IntArray | None = None  # (T,), -1 where nothing is predicted
    targets: npt.NDArray[np.float32] | None = None  # (B, 3), sorted with the sequences

    @property
    def masked(self) -> int:
        """How many positions are predicted."""
        return 0 if self.mlm_labels is None else int((self.mlm_labels >= 0).sum())

    def shard(self, index: int, count: int) -> TrainingBatch:
        """Part `index` of `count`: every count-th sequence, so that parts are equally long."""
        ids, types, lengths, labels = (
            self.input_ids,
            self.token_type_ids,
            self.lengths,
            self.labels,
        )
        order, mlm_labels, targets = self.order, self.mlm_labels, self.targets
        if count > 1:
            _, row, _ = segments(lengths)
            mine = row % count == index
            ids, types = ids[mine], types[mine]
            mlm_labels = None if mlm_labels is None else mlm_labels[mine]
            lengths, order, labels = (x[index::count] for x in (lengths, order, labels))
            targets = None if targets is None else targets[index::count]
        starts, _, place = segments(lengths)
        packed = PackedBatch(
            torch.from_numpy(ids),
            torch.from_numpy(types),
            torch.from_numpy(place),
            torch.from_numpy(starts),
            length_groups(lengths),
            order,
        )
        if mlm_labels is None:
            taught = None if targets is None else torch.from_numpy(targets)
            return TrainingBatch(packed, torch.from_numpy(labels), None, None, taught)
        positions = np.flatnonzero(mlm_labels >= 0)
        return TrainingBatch(
            packed,
            torch.from_numpy(labels),
            torch.from_numpy(positions),
            torch.from_numpy(mlm_labels[positions]),
        )


@dataclass(frozen=True)
class _Side:
    """One text of each pair: where it begins in a flat array of ids, and its length."""

    ids: npt.NDArray[Any]
    starts: IntArray
    lengths: IntArray


def _join(
    first: _Side,
    second: _Side,
    labels: IntArray,
    tokenizer: Tokenizer,
    max_length: int,
    truncation: str,
) -> PairArrays:
    """<cls> first <sep> second <sep> for each pair, cut to max_length, sorted by length."""
    a, b = truncate_pair_lengths(first.lengths, second.lengths, max_length - 3, truncation)
    order = np.argsort(a + b, kind="stable")
    a, b = a[order], b[order]
    lengths = a + b + 3
    _, row, place = segments(lengths)
    a_row, b_row = a[row], b[row]
    in_first = (place > 0) & (place <= a_row)
    in_second = (place > a_row + 1) & (place < a_row + b_row + 2)
    input_ids = np.full(len(row), tokenizer.sep_id, dtype=np.int64)
    input_ids[place == 0] = tokenizer.cls_id
    source = (first.starts[order][row] + place - 1)[in_first]
    input_ids[in_first] = first.ids[source]
    source = (second.starts[order][row] + place - a_row - 2)[in_second]
    input_ids[in_second] = second.ids[source]
    token_type_ids = (place > a_row + 1).astype(np.int64)
    return PairArrays(input_ids, token_type_ids, lengths, order, labels[order])


class _Batches:
    """What both tasks share: which examples make up step number s."""

    seed: int
    batch_size: int
    truncated: int
    dropped = 0

    def __len__(self) -> int:
        raise NotImplementedError

    def draw(self, step: int) -> PairArrays:
        """The batch of this step (0, 1, ...), always full: it may reach into the next epoch."""
        begin = step * self.batch_size
        wanted = np.arange(begin, begin + self.batch_size)
        indices = np.empty(self.batch_size, dtype=np.int64)
        epochs = wanted // len(self)
        for epoch in np.unique(epochs):
            part = epochs == epoch
            indices[part] = self._permutation(int(epoch))[wanted[part] % len(self)]
        return self.at(indices, step)

    def at(self, indices: IntArray, step: int) -> PairArrays:
        """The batch of these examples, with step's random numbers."""
        raise NotImplementedError

    def _permutation(self, epoch: int) -> IntArray:
        if getattr(self, "_epoch", None) != epoch:
            generator = np.random.Generator(np.random.SFC64([self.seed, epoch, _ORDER]))
            self._epoch, self._order = epoch, generator.permutation(len(self))
        return self._order

    def all_in_order(self, limit: int | None = None) -> Iterator[PairArrays]:
        """Each example once (at most `limit`), in batches: for validation.

        With a limit the examples are spread evenly over the data, which lies in the order of
        its documents.
        """
        count = len(self) if limit is None else min(limit, len(self))
        indices = np.linspace(0, len(self), count, endpoint=False).astype(np.int64)
        for number, start in enumerate(range(0, count, self.batch_size)):
            yield self.at(indices[start : start + self.batch_size], number)


class PretrainingBatches(_Batches):
    """Sentence pairs with next-sentence labels and fresh masks (D2L 15.9).

    Half of the second sentences are true successors, half come from another paragraph. Pairs
    longer than `max_length` are truncated, or left out by the rule "drop", which is the book's;
    `truncated` and `dropped` count the true successors among them.
    """

    def __init__(
        self,
        text: TokenizedText,
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        max_length: int,
        truncation: str,
        seed: int,
    ) -> None:
        self.text, self.tokenizer = text, tokenizer
        self.batch_size, self.max_length, self.truncation = batch_size, max_length, truncation
        self.seed = seed
        paragraphs = np.asarray(text.paragraph_offsets)
        lengths = np.diff(paragraphs)
        self._paragraph = np.repeat(np.arange(len(lengths)), lengths)
        last = np.zeros(len(self._paragraph), dtype=bool)
        last[paragraphs[1:] - 1] = True
        self._first = np.flatnonzero(~last)
        if len(lengths) < 2 or not len(self._first):
            raise ValueError(
                "The text is too short: it needs two paragraphs of two sentences or more."
            )
        self._offsets = np.asarray(text.sentence_offsets)
        self._lengths = np.diff(self._offsets)
        both = self._lengths[self._first] + self._lengths[self._first + 1]
        too_long = both > max_length - 3
        self.truncated, self.dropped = int(too_long.sum()), 0
        self._drops = truncation == "drop"
        if self._drops:
            self.truncation = "longest_first"  # for what is still too long after a few draws
            self.truncated, self.dropped = 0, self.truncated
            self._first = self._first[~too_long]
            if not len(self._first):
                raise ValueError(f"No pair of sentences has at most {max_length} tokens.")
        self._special = np.zeros(tokenizer.vocab_size, dtype=bool)
        self._special[[tokenizer.cls_id, tokenizer.sep_id]] = True

    def __len__(self) -> int:
        return len(self._first)

    def at(self, indices: IntArray, step: int) -> PairArrays:
        """Pairs number `indices` with this step's successors and masks."""
        generator = np.random.Generator(np.random.SFC64([self.seed, step, _PAIRS]))
        first = self._first[indices]
        is_next = generator.random(len(first)) < 0.5
        other = self._elsewhere(first, generator)
        for _ in range(_REDRAWS if self._drops else 0):
            long = self._lengths[first] + self._lengths[other] > self.max_length - 3
            other = np.where(long, self._elsewhere(first, generator), other)
        second = np.where(is_next, first + 1, other)
        pairs = _join(
            self._side(first),
            self._side(second),
            is_next.astype(np.int64),
            self.tokenizer,
            self.max_length,
            self.truncation,
        )
        generator = np.random.Generator(np.random.SFC64([self.seed, step, _MASKS]))
        input_ids, mlm_labels = mask_tokens(
            pairs.input_ids,
            ~self._special[pairs.input_ids],
            self.tokenizer.vocab_size,
            self.tokenizer.mask_id,
            generator,
        )
        return replace(pairs, input_ids=input_ids, mlm_labels=mlm_labels)

    def _side(self, sentences: IntArray) -> _Side:
        return _Side(self.text.token_ids, self._offsets[sentences], self._lengths[sentences])

    def _elsewhere(self, sentences: IntArray, generator: np.random.Generator) -> IntArray:
        """For each sentence a random one of another paragraph, chosen as the book does."""
        paragraphs = np.asarray(self.text.paragraph_offsets)
        other = generator.integers(0, len(paragraphs) - 2, len(sentences))
        other += other >= self._paragraph[sentences]  # skips the own paragraph
        begin, end = paragraphs[other], paragraphs[other + 1]
        place = generator.random(len(sentences)) * (end - begin)
        return begin + place.astype(np.int64)


class NliBatches(_Batches):
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
            raise ValueError("There are no labelled pairs to learn from.")
        self._labels = np.asarray(data.labels, dtype=np.int64)
        self._targets = data.targets
        self._premises = _sides(data.premise_ids, data.premise_offsets)
        self._hypotheses = _sides(data.hypothesis_ids, data.hypothesis_offsets)
        both = self._premises.lengths + self._hypotheses.lengths
        self.truncated = int((both > max_length - 3).sum())

    def __len__(self) -> int:
        return len(self._labels)

    def lengths(self, indices: IntArray) -> IntArray:
        """(n,): tokens of these pairs, special ones included, after truncation."""
        both = self._premises.lengths[indices] + self._hypotheses.lengths[indices]
        cut: IntArray = np.minimum(both + 3, self.max_length)
        return cut

    def at(self, indices: IntArray, step: int) -> PairArrays:
        """Pairs number `indices`; nothing about them is random."""
        pairs = _join(
            _pick(self._premises, indices),
            _pick(self._hypotheses, indices),
            self._labels[indices],
            self.tokenizer,
            self.max_length,
            self.truncation,
        )
        if self._targets is None:
            return pairs
        return replace(pairs, targets=self._targets[indices[pairs.order]])


def _sides(ids: npt.NDArray[Any], offsets: IntArray) -> _Side:
    return _Side(ids, np.asarray(offsets[:-1]), np.diff(offsets))


def _pick(side: _Side, indices: IntArray) -> _Side:
    return _Side(side.ids, side.starts[indices], side.lengths[indices])
