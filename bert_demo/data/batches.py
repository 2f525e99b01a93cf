"""From tokenised text to packed batches, by array operations alone.

A batch is a pure function of (seed, step): nothing has to be stored to draw it again, so a
resumed run and any number of processes see the same batches as one uninterrupted process.
Letters: B pairs in a batch, T tokens in it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bert_demo.common.errors import UserError
from bert_demo.data import interruption
from bert_demo.data.layout import Place, Plan, Side, lay_out, plan_pairs
from bert_demo.data.masking import BERTS, Masking, mask_tokens, uniform
from bert_demo.data.packing import PackedBatch, packed_batch, segments
from bert_demo.data.tokenizer import Tokenizer

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


class PretrainingBatches(Batches):
    """Sentence pairs with next-sentence labels and fresh masks (D2L 15.9).

    Half of the second sentences are true successors, half come from another paragraph of the same
    corpus: one of another corpus would be told by its style alone. Pairs longer than `max_length`
    are truncated, or left out by the rule "drop", which is the book's; `truncated` and `dropped`
    count the true successors among them. `static`: the successors and masks of a pair are the same
    in every epoch, as in the book.

    corpora: (C + 1), in paragraphs, where the text is made of several.
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
        corpora: IntArray | None = None,
        masking: Masking = BERTS,
        static: bool = False,
    ) -> None:
        self.text, self.tokenizer, self.masks = text, tokenizer, True
        self.masking = masking
        self.first_ids = self.second_ids = text.token_ids
        self.batch_size, self.max_length, self.truncation = batch_size, max_length, truncation
        self.seed = seed
        paragraphs = np.asarray(text.paragraph_offsets)
        lengths = np.diff(paragraphs)
        self._paragraph = np.repeat(np.arange(len(lengths)), lengths)
        last = np.zeros(len(self._paragraph), dtype=bool)
        last[paragraphs[1:] - 1] = True
        self._first = np.flatnonzero(~last)
        bounds = np.array([0, len(lengths)]) if corpora is None else np.asarray(corpora)
        self._corpus_begin, self._corpus_end = (
            np.repeat(ends, np.diff(bounds)) for ends in (bounds[:-1], bounds[1:])
        )  # (P,): of each paragraph's corpus
        if np.diff(bounds).min() < 2 or not len(self._first):
            raise UserError(
                "The text is too short: it needs two paragraphs of two sentences or more."
            )
        self._offsets = np.asarray(text.sentence_offsets)
        self._lengths = np.diff(self._offsets)
        both = self._lengths[self._first] + self._lengths[self._first + 1]
        too_long = both > max_length - 3
        self.truncated, self.dropped = int(too_long.sum()), 0
        self._drops = truncation == "drop"
        if self._drops:
            self.truncation = "longest_first"  # a plan wants a rule, but nothing is too long
            too_long |= self._lengths[self._first] + self._shortest_elsewhere() > max_length - 3
            self._by_length = np.lexsort((self._lengths, self._corpus_begin[self._paragraph]))
            self._sorted_lengths = self._lengths[self._by_length]  # within each corpus
            self.truncated, self.dropped = 0, int(too_long.sum())
            self._first = self._first[~too_long]
            if not len(self._first):
                raise UserError(
                    "No pair of sentences has at most {max_length} tokens.", max_length=max_length
                )
        self._drawn = self._seconds(self._first, 0) if static else None

    def __len__(self) -> int:
        return len(self._first)

    def as_in(self, other: PretrainingBatches) -> PretrainingBatches:
        """These pairs in batches that are as large and drawn and masked as those of `other`."""
        drawn = copy.copy(self)
        drawn.batch_size, drawn.seed, drawn.masking = other.batch_size, other.seed, other.masking
        drawn._drawn = None
        return drawn

    def plan_of(self, indices: IntArray, step: int) -> Plan:
        """Pairs number `indices` with this step's successors and masks."""
        first = self._first[indices]
        if self._drawn is None:
            second, is_next = self._seconds(first, step)
        else:
            others, nexts = self._drawn
            second, is_next, step = others[indices], nexts[indices], 0
        a, b = (Side(self._offsets[one], self._lengths[one]) for one in (first, second))
        labels = is_next.astype(np.int64)
        plan = plan_pairs(a, b, labels, indices, self.max_length, self.truncation)
        seeds = np.random.SeedSequence([self.seed, step, _MASKS])
        key = int(seeds.generate_state(1, np.uint64).view(np.int64)[0])
        if self._drawn is None:
            return replace(plan, key=key)
        return replace(plan, key=key, draws=plan.examples * self.max_length)

    def _seconds(self, first: IntArray, step: int) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """For each first sentence another by step's random numbers, and whether it is the next."""
        generator = np.random.Generator(np.random.SFC64([self.seed, step, _PAIRS]))
        is_next = generator.random(len(first)) < 0.5
        other = self._elsewhere(first, generator)
        for _ in range(_REDRAWS if self._drops else 0):
            long = self._lengths[first] + self._lengths[other] > self.max_length - 3
            again = np.flatnonzero(long & ~is_next)
            if not len(again):
                break
            other[again] = self._elsewhere(first[again], generator)
        if self._drops:
            self._find_shorter(first, other, ~is_next, generator)
        return np.where(is_next, first + 1, other), is_next

    def _elsewhere(self, sentences: IntArray, generator: np.random.Generator) -> IntArray:
        """For each sentence a random one of another paragraph, chosen as the book does."""
        paragraphs = np.asarray(self.text.paragraph_offsets)
        own = self._paragraph[sentences]
        other = generator.integers(self._corpus_begin[own], self._corpus_end[own] - 1)
        other += other >= own  # skips the own paragraph
        begin, end = paragraphs[other], paragraphs[other + 1]
        place = generator.random(len(sentences)) * (end - begin)
        return begin + place.astype(np.int64)

    def _find_shorter(
        self,
        first: IntArray,
        other: IntArray,
        wanted: npt.NDArray[np.bool_],
        generator: np.random.Generator,
    ) -> None:
        """Replace what is `wanted` of `other` and still too long after a few draws by one of those
        that fit, with the same odds as by drawing on."""
        room = self.max_length - 3 - self._lengths[first]
        bounds = np.asarray(self.text.paragraph_offsets)
        sizes = np.diff(bounds)
        for i in np.flatnonzero(wanted & (self._lengths[other] > room)):
            own = self._paragraph[first[i]]
            begin, end = bounds[self._corpus_begin[own]], bounds[self._corpus_end[own]]
            count = np.searchsorted(self._sorted_lengths[begin:end], room[i], side="right")
            fit = self._by_length[begin : begin + count]
            fit = fit[self._paragraph[fit] != own]
            odds = np.cumsum(1 / sizes[self._paragraph[fit]])
            other[i] = fit[np.searchsorted(odds, generator.random() * odds[-1], side="right")]

    def _shortest_elsewhere(self) -> IntArray:
        """For each first sentence the least length in its corpus outside its paragraph."""
        bounds = np.asarray(self.text.paragraph_offsets)
        least = np.minimum.reduceat(self._lengths, bounds[:-1])  # (P,)
        elsewhere = np.empty_like(least)
        for begin in np.unique(self._corpus_begin):
            corpus = slice(begin, self._corpus_end[begin])
            lowest, second = np.partition(least[corpus], 1)[:2]
            alone = np.arange(len(least[corpus])) == least[corpus].argmin()
            elsewhere[corpus] = np.where(alone, second, lowest)
        found: IntArray = elsewhere[self._paragraph[self._first]]
        return found


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
