"""Batches of sentence pairs from a text."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bert_demo.common.errors import UserError
from bert_demo.data.batches import MASKS, PAIRS, Batches
from bert_demo.data.layout import Plan, Side, plan_pairs
from bert_demo.data.masking import BERTS, Masking
from bert_demo.data.tokenizer import Tokenizer

if TYPE_CHECKING:
    from bert_demo.data.prepare import TokenizedText

IntArray = npt.NDArray[np.int64]

_REDRAWS = 8


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
            self._sizes = lengths  # of each paragraph, in sentences
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
        seeds = np.random.SeedSequence([self.seed, step, MASKS])
        key = int(seeds.generate_state(1, np.uint64).view(np.int64)[0])
        if self._drawn is None:
            return replace(plan, key=key)
        return replace(plan, key=key, draws=plan.examples * self.max_length)

    def _seconds(self, first: IntArray, step: int) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """For each first sentence another by step's random numbers, and whether it is the next."""
        generator = np.random.Generator(np.random.SFC64([self.seed, step, PAIRS]))
        is_next = generator.random(len(first)) < 0.5
        other = self._elsewhere(first, generator)
        if self._drops:
            room = self.max_length - 3 - self._lengths[first]
            for _ in range(_REDRAWS):
                again = np.flatnonzero(~is_next & (self._lengths[other] > room))
                if not len(again):
                    break
                other[again] = self._elsewhere(first[again], generator)
            for i in np.flatnonzero(~is_next & (self._lengths[other] > room)):
                other[i] = self._shorter_elsewhere(first[i], room[i], generator)
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

    def _shorter_elsewhere(
        self, sentence: np.int64, room: np.int64, generator: np.random.Generator
    ) -> np.int64:
        """The same for one sentence, of those with at most `room` tokens, with the same odds as by
        drawing on until there is one."""
        bounds, own = self.text.paragraph_offsets, self._paragraph[sentence]
        begin, end = bounds[self._corpus_begin[own]], bounds[self._corpus_end[own]]
        count = np.searchsorted(self._sorted_lengths[begin:end], room, side="right")
        fit = self._by_length[begin : begin + count]
        fit = fit[self._paragraph[fit] != own]
        odds = np.cumsum(1 / self._sizes[self._paragraph[fit]])
        found: np.int64 = fit[np.searchsorted(odds / odds[-1], generator.random(), side="right")]
        return found

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
