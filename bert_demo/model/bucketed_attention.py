"""Self-attention within packed sequences on a CPU, one dense block for each bucket of lengths.

It serves where there are no compiled blocks. Letters as in attention.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bert_demo.model.dropout import draw, kept_weights
from bert_demo.model.kernels import round_up, steady

Groups = tuple[tuple[int, int], ...]
IntArray = npt.NDArray[np.int64]
_BLOCK_TOKENS = 512


@dataclass(frozen=True)
class _Slots:
    """Rows `start` to `end`, those of n sequences, padded to n by L slots."""

    start: int
    end: int
    count: int
    length: int
    places: Tensor | None
    """(end - start,) int64: where these rows stand among the n L slots; None if they fill them."""
    upto: int
    """Slots of all buckets up to and with this one."""

    def of(self, buffer: Tensor, parts: int, heads: int) -> Tensor:
        """This bucket's part (parts, n h, L, d) of a buffer (slots of all, parts H)."""
        part = buffer[self.upto - self.count * self.length : self.upto]
        size = buffer.shape[1] // parts // heads
        return part.view(parts, self.count * heads, self.length, size)

    def spread(self, rows: Tensor, block: Tensor) -> None:
        """Fill a block with these rows of all (..., parts H); zero where no row is."""
        parts, lines, _, size = block.shape
        slots = rows[self.start : self.end]
        if self.places is not None:
            empty = rows.new_zeros(self.count * self.length, rows.shape[1])
            slots = empty.index_copy_(0, self.places, slots)
        slots = slots.view(self.count, self.length, parts, lines // self.count, size)
        slots = slots.permute(2, 0, 3, 1, 4)
        block.view(slots.shape).copy_(slots)

    def gather(self, block: Tensor, heads: int, out: Tensor) -> None:
        """The way back: (parts, n h, L, d) into these rows of `out` (..., parts H)."""
        slots = block.unflatten(1, (self.count, heads)).permute(1, 3, 0, 2, 4)
        slots = slots.to(out.dtype, memory_format=torch.contiguous_format)
        slots = slots.reshape(-1, out.shape[1])
        if self.places is not None:
            slots = slots.index_select(0, self.places)
        out[self.start : self.end] = slots


@dataclass(frozen=True)
class _Bucket:
    """Neighbouring sequences of nearly one length, computed as one dense block."""

    keys: _Slots
    queries: _Slots
    empty: Tensor | None
    """(n, 1, 1, L) bool: key slots that hold no token."""
    cells: int
    """Attention weights of one head up to and with this bucket."""

    def of(self, buffer: Tensor, heads: int) -> Tensor:
        """This bucket's part (n h, queries, keys) of a buffer for all."""
        n, rows, columns = self.keys.count, self.queries.length, self.keys.length
        part = buffer[heads * (self.cells - n * rows * columns) : heads * self.cells]
        return part.view(n * heads, rows, columns)

    def inputs(
        self, stored: Tensor, stored_queries: Tensor, parts: int, heads: int
    ) -> tuple[Tensor, Tensor]:
        """This bucket's blocks (parts, n h, L, d) and, of the queries, (1, n h, L', d).

        Of three parts the queries are the first; else they are stored apart.
        """
        block = self.keys.of(stored, parts, heads)
        return block, block[:1] if parts == 3 else self.queries.of(stored_queries, 1, heads)


def sequence_lengths(groups: Sequence[tuple[int, int]]) -> IntArray:
    """(B,): the length of each sequence."""
    return np.repeat([length for _, length in groups], [count for count, _ in groups])


def _taken(lengths: IntArray) -> tuple[Tensor, Tensor]:
    """Where tokens stand among B L padded slots, (T,) int64, and the mask (B, L) of these slots."""
    mask = torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])
    return mask.view(-1).nonzero().view(-1), mask


def _buffer(rows: Tensor, slots: int) -> Tensor:
    """fp32 room for so many slots as wide as `rows`; its size repeats from batch to batch."""
    return rows.new_empty(steady(slots), rows.shape[1], dtype=torch.float32)


@lru_cache(maxsize=16)
def _buckets(groups: Groups) -> tuple[_Bucket, ...]:
    """One block for each length, but small blocks joined if at most a seventh is padding.

    A block of some hundred tokens stays in the processor's cache from the first product to
    the last; much smaller ones cost more in calls than in arithmetic.
    """
    joined: list[list[tuple[int, int]]] = []
    slots = tokens = 0
    for count, length in groups:
        sequences = sum(n for n, _ in joined[-1]) if joined else 0
        slots, tokens = (sequences + count) * length, tokens + count * length
        enough = joined and tokens - count * length >= _BLOCK_TOKENS
        if not joined or enough or slots * 6 > tokens * 7:
            joined.append([])
            tokens = count * length
        joined[-1].append((count, length))
    buckets = []
    start = slots = cells = 0
    for runs in joined:
        lengths = sequence_lengths(runs)
        end, longest = start + int(lengths.sum()), int(lengths[-1])
        places = empty = None
        if len(runs) > 1:
            places, taken = _taken(lengths)
            empty = ~taken[:, None, None, :]
        slots += len(lengths) * longest
        keys = _Slots(start, end, len(lengths), longest, places, slots)
        cells += keys.count * longest**2
        buckets.append(_Bucket(keys, keys, empty, cells))
        start = end
    return tuple(buckets)


def askers(groups: Groups, positions: Tensor) -> tuple[Tensor, IntArray, IntArray]:
    """Which of the `positions` (M,) is the first, ...; their sequences; how many each has.

    All int64: (M,), (M,) and (B,).
    """
    lengths = sequence_lengths(groups)
    order = np.argsort(positions.numpy(), kind="stable")
    sequence = np.searchsorted(np.cumsum(lengths), positions.numpy()[order], side="right")
    return torch.from_numpy(order), sequence, np.bincount(sequence, minlength=len(lengths))


def _asked_buckets(groups: Groups, sequence: IntArray, asked: IntArray) -> tuple[_Bucket, ...]:
    """The buckets when only some tokens ask, as `_asking` tells of them."""
    before = np.cumsum(asked) - asked
    place = np.arange(len(sequence)) - before[sequence]
    buckets = []
    first = upto = cells = 0  # sequences, slots and cells so far
    for bucket in _buckets(groups):
        count = bucket.keys.count
        own = asked[first : first + count]
        most, begin, total = int(own.max()), int(before[first]), int(own.sum())
        slots = (sequence[begin : begin + total] - first) * most + place[begin : begin + total]
        full = total == most * count
        places = None if full else torch.from_numpy(slots)
        upto += count * most
        cells += count * most * bucket.keys.length
        queries = _Slots(begin, begin + total, count, most, places, upto)
        buckets.append(_Bucket(bucket.keys, queries, bucket.empty, cells))
        first += count
    return tuple(buckets)


class _BucketedAttention(torch.autograd.Function):
    """In fp32 whatever comes in: the blocks are too small for the bf16 units to win, and the
    copy that reorders the heads converts for nothing.
    """

    @staticmethod
    def forward(
        ctx: Any,
        asking: Tensor | None,
        rows: Tensor,
        buckets: tuple[_Bucket, ...],
        heads: int,
        rate: float,
    ) -> Tensor:
        """asking: (M or more, H), with keys and values in rows (T, 2 H); or None and (T, 3 H)."""
        parts = 3 if asking is None else 2
        hidden = rows.shape[1] // parts
        scale = {"beta": 0, "alpha": (hidden // heads) ** -0.5}
        out = rows.new_empty(len(rows if asking is None else asking), hidden)
        out[buckets[-1].queries.end :] = 0
        # One buffer for the inputs of all blocks, and one for their weights: many small ones that
        # stay until the backward pass would leave gaps of all sizes in the memory.
        stored = _buffer(rows, buckets[-1].keys.upto)
        stored_queries = stored if asking is None else _buffer(asking, buckets[-1].queries.upto)
        kept = rows.new_empty(heads * round_up(buckets[-1].cells, 4096), dtype=torch.float32)
        mask, factor = kept, 1.0
        if rate:
            drawn = draw(buckets[-1].queries.end, rate, ascending=True)
            mask, factor = torch.empty(kept.shape, dtype=torch.bool), drawn.factor
            for bucket in buckets:
                slots = torch.zeros(bucket.queries.count, bucket.queries.length, dtype=torch.int64)
                own = drawn.places[bucket.queries.start : bucket.queries.end]
                if bucket.queries.places is None:
                    slots.view(-1).copy_(own)
                else:
                    slots.view(-1).index_copy_(0, bucket.queries.places, own)
                part = kept_weights(drawn._replace(places=slots), heads, bucket.keys.length)
                bucket.of(mask, heads).view(part.shape).copy_(part)
        for bucket in buckets:
            block, queries = bucket.inputs(stored, stored_queries, parts, heads)
            bucket.keys.spread(rows, block)
            if asking is not None:
                bucket.queries.spread(asking, queries)
            q, k, v = queries[0], block[-2], block[-1]
            scores = bucket.of(kept, heads)
            torch.baddbmm(scores, q, k.transpose(1, 2), **scale, out=scores)
            if bucket.empty is not None:
                by_sequence = scores.unflatten(0, (bucket.keys.count, heads))
                by_sequence.masked_fill_(bucket.empty, -math.inf)
            weights = used = torch.softmax(scores, -1, out=scores)
            if rate:
                used = weights * bucket.of(mask, heads)
                v = v.mul(factor)
            # With `out`, which autocast leaves alone.
            mixed = torch.bmm(used, v, out=torch.empty_like(q))
            bucket.queries.gather(mixed[None], heads, out)
        ctx.save_for_backward(kept, mask, stored, stored_queries)
        ctx.buckets, ctx.heads, ctx.rate, ctx.factor = buckets, heads, rate, factor
        ctx.parts, ctx.shape = parts, rows.shape
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None, None]:
        heads, parts = ctx.heads, ctx.parts
        scale = {"beta": 0, "alpha": (grad.shape[1] // heads) ** -0.5}
        grad_rows = grad.new_empty(ctx.shape)
        grad_rows[ctx.buckets[-1].keys.end :] = 0
        grad_asking = None if parts == 3 else torch.empty_like(grad)
        kept, mask, stored, stored_queries = ctx.saved_tensors
        for bucket in ctx.buckets:
            block, queries = bucket.inputs(stored, stored_queries, parts, heads)
            q, k, v = queries[0], block[-2], block[-1]
            # Zero where there is no token, so that nothing flows back from there.
            out = torch.empty_like(q)
            bucket.queries.spread(grad, out[None])
            grads = k.new_empty(parts, *k.shape)
            grad_q = torch.empty_like(q) if parts == 2 else grads[0]
            grad_k, grad_v = grads[-2:].unbind(0)
            weights = used = bucket.of(kept, heads)
            if ctx.rate:
                used = weights * bucket.of(mask, heads)
                out = out.mul(ctx.factor)
            grad_weights = torch.bmm(out, v.transpose(1, 2))
            if ctx.rate:
                grad_weights.mul_(bucket.of(mask, heads))
            torch.bmm(used.transpose(1, 2), out, out=grad_v)
            # d softmax: w * (g - sum(g * w))
            inner = (grad_weights * weights).sum(-1, keepdim=True)
            scores = grad_weights.sub_(inner).mul_(weights)
            torch.baddbmm(grad_q, scores, k, **scale, out=grad_q)
            torch.baddbmm(grad_k, scores.transpose(1, 2), q, **scale, out=grad_k)
            bucket.keys.gather(grads, heads, grad_rows)
            if grad_asking is not None:
                bucket.queries.gather(grad_q[None], heads, grad_asking)
        return grad_asking, grad_rows, None, None, None


def bucketed_attention(qkv: Tensor, groups: Groups, heads: int, rate: float) -> Tensor:
    """`attention.attention` of sequences in these groups, with dropout at `rate`."""
    result: Tensor = _BucketedAttention.apply(None, qkv, _buckets(groups), heads, rate)  # type: ignore[no-untyped-call]
    return result


def chosen_bucketed_attention(
    asking: Tensor,
    keys_values: Tensor,
    groups: Groups,
    sequence: IntArray,
    asked: IntArray,
    heads: int,
    rate: float,
) -> Tensor:
    """The same for some tokens alone, as `askers` tells of them; asking (M or more, H)."""
    buckets = _asked_buckets(groups, sequence, asked)
    result: Tensor = _BucketedAttention.apply(asking, keys_values, buckets, heads, rate)  # type: ignore[no-untyped-call]
    return result
