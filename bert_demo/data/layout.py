"""From which texts make up a batch to its tokens.

A plan knows where texts begin and how long they are, nothing of their words: some hundred numbers,
which a host makes while a GPU still computes. The rules of laying tokens out are written once, for
numpy's arrays and for torch's tensors. Letters: B pairs in a batch, T tokens in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from bert_demo.data.truncation import truncate_pair_lengths

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """One text of each pair: where it begins among all ids of its kind, and its length."""

    starts: IntArray
    lengths: IntArray

    def __getitem__(self, chosen: Any) -> Side:
        return Side(self.starts[chosen], self.lengths[chosen])


@dataclass(frozen=True)
class Plan:
    """The pairs of a batch in ascending order of length, all (B,)."""

    first: Side
    second: Side
    labels: IntArray
    order: IntArray
    """Pair i here is number order[i] of those that were asked for."""
    offsets: IntArray
    """Where each pair's tokens begin in the whole batch, also when this is a part of it."""
    draws: IntArray
    """Where among the random numbers of `key` those of each pair's masks begin."""
    examples: IntArray
    """Which of the data set each one is."""
    key: int = 0
    """Decides the masks."""

    @property
    def lengths(self) -> IntArray:
        """(B,): tokens of each pair, with <cls> and two <sep>."""
        return self.first.lengths + self.second.lengths + 3

    @property
    def begins(self) -> IntArray:
        """(B,): where each pair's tokens begin here."""
        begins: IntArray = np.cumsum(self.lengths) - self.lengths
        return begins

    @property
    def token_places(self) -> IntArray:
        """(T,): each token's place in the whole batch, ascending."""
        return self._counted_from(self.offsets)

    @property
    def mask_places(self) -> IntArray:
        """(T,): which of the random numbers decides about each token."""
        return self._counted_from(self.draws)

    def _counted_from(self, begins: IntArray) -> IntArray:
        lengths = self.lengths
        moved = begins - self.begins
        places: IntArray = np.arange(int(lengths.sum())) + np.repeat(moved, lengths)
        return places

    def shard(self, index: int, count: int) -> Plan:
        """Part `index` of `count`: every count-th pair, so that parts are equally long."""
        if count == 1:
            return self
        own = slice(index, None, count)
        return Plan(
            self.first[own],
            self.second[own],
            self.labels[own],
            self.order[own],
            self.offsets[own],
            self.draws[own],
            self.examples[own],
            self.key,
        )


def plan_pairs(
    first: Side,
    second: Side,
    labels: IntArray,
    examples: IntArray,
    max_length: int,
    truncation: str,
) -> Plan:
    """Pairs cut to max_length tokens by the rule `truncation`, in ascending order of length."""
    a, b = truncate_pair_lengths(first.lengths, second.lengths, max_length - 3, truncation)
    order = np.argsort(a + b, kind="stable")
    a, b = a[order], b[order]
    sides = Side(first.starts[order], a), Side(second.starts[order], b)
    plan = Plan(*sides, labels[order], order, order, order, examples[order])
    return replace(plan, offsets=plan.begins, draws=plan.begins)


class Place(NamedTuple):
    """For each of T tokens (T,): its place in its pair, and where this pair's texts are."""

    place: Any
    first: Any
    second: Any
    first_length: Any
    second_length: Any

    @property
    def in_first(self) -> Any:
        """Whether it is of the first text."""
        return (self.place > 0) & (self.place <= self.first_length)

    @property
    def in_second(self) -> Any:
        """Whether it is of the second text."""
        ends = self.first_length + self.second_length + 2
        return (self.place > self.first_length + 1) & (self.place < ends)


def lay_out(
    at: Place, first_ids: Any, second_ids: Any, cls_id: int, sep_id: int
) -> tuple[Any, Any, Any]:
    """<cls> first <sep> second <sep> of each pair, end to end.

    Returns input_ids (T,) int64, token_type_ids (T,) int64, and which are of a text (T,) bool.
    """
    xp: Any = torch if isinstance(at.place, torch.Tensor) else np
    none = xp.zeros_like(at.place)
    ids = xp.where(at.place == 0, none + cls_id, none + sep_id)
    texts = (
        (at.in_first, first_ids, at.first + at.place - 1),
        (at.in_second, second_ids, at.second + at.place - at.first_length - 2),
    )
    for inside, words, source in texts:
        found = words[xp.where(inside, source, none)]
        ids = xp.where(inside, xp.asarray(found, dtype=xp.int64), ids)
    types = xp.asarray(at.place > at.first_length + 1, dtype=xp.int64)
    return ids, types, at.in_first | at.in_second
