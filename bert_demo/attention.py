"""Self-attention within packed sequences.

Letters: T tokens, H hidden size, h heads, d = H / h, n sequences of one length L, M tokens
that ask.
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
import torch.nn.functional as F
from torch import Tensor

from bert_demo.compiled import blocks, library
from bert_demo.kernels import round_up, steady
from bert_demo.noise import keep_mask

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


@lru_cache(maxsize=16)
def _layout(groups: Groups) -> blocks.Layout:
    return blocks.layout(_lengths(groups))


def _lengths(groups: Sequence[tuple[int, int]]) -> IntArray:
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
        lengths = _lengths(runs)
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


def _asking(groups: Groups, positions: Tensor) -> tuple[Tensor, IntArray, IntArray]:
    """Which of the `positions` (M,) is the first, ...; their sequences; how many each has.

    All int64: (M,), (M,) and (B,).
    """
    lengths = _lengths(groups)
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
    """Attention on a CPU, one dense block for each bucket of lengths.

    In fp32 whatever comes in: the blocks are too small for the bf16 units to win, and the
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
        mask, factor = keep_mask(kept.shape, rate) if rate else (kept, 1.0)
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


def attention(
    qkv: Tensor, bias: Tensor | None, groups: Groups, heads: int, rate: float, training: bool
) -> Tensor:
    """Scaled dot-product self-attention within each packed sequence (Vaswani et al. 2017).

    qkv: (T or more, 3 H), the sequences in ascending order of length as `groups` says; rows
    beyond them are ignored. bias: (3 H,), what is still to be added. Returns as many rows of
    width H.
    """
    rate = rate if training else 0.0
    if library.serves(qkv):
        return blocks.attention(None, qkv, bias, _layout(groups), heads, rate)
    if bias is not None:
        qkv = qkv + bias
    if qkv.device.type == "cpu":
        result: Tensor = _BucketedAttention.apply(None, qkv, _buckets(groups), heads, rate)  # type: ignore[no-untyped-call]
        return result
    return padded_attention(qkv, groups, heads, rate)[0]


def chosen_attention(
    asking: Tensor,
    keys_values: Tensor,
    bias: Tensor | None,
    positions: Tensor,
    groups: Groups,
    heads: int,
    rate: float,
    training: bool,
) -> Tensor:
    """The same for the tokens at `positions` alone, which is all that a last layer needs.

    asking: (M or more, H), queries of these tokens; keys_values: (T or more, 2 H) of all; bias:
    (3 H,), what is still to be added to both; positions: (M,) int64. Returns as many rows as
    `asking`.
    """
    rate = rate if training else 0.0
    compiled = library.serves(keys_values)
    if bias is not None and not compiled:
        width = asking.shape[1]
        asking, keys_values = asking + bias[:width], keys_values + bias[width:]
    if asking.device.type == "cpu":
        order, sequence, asked = _asking(groups, positions)
        sorted_asking = asking.index_select(0, order)
        if compiled:
            where = blocks.layout(_lengths(groups), asked)
            mixed = blocks.attention(sorted_asking, keys_values, bias, where, heads, rate)
        else:
            buckets = _asked_buckets(groups, sequence, asked)
            mixed = _BucketedAttention.apply(sorted_asking, keys_values, buckets, heads, rate)  # type: ignore[no-untyped-call]
        return torch.zeros_like(asking).index_copy(0, order, mixed)
    queries = keys_values.new_zeros(len(keys_values), asking.shape[1])
    queries = queries.index_copy(0, positions, asking[: len(positions)])
    mixed = padded_attention(torch.cat([queries, keys_values], 1), groups, heads, rate)[0]
    return F.pad(mixed[positions], (0, 0, 0, len(asking) - len(positions)))


def padded_attention(
    qkv: Tensor, groups: Groups, heads: int, rate: float = 0.0, need_weights: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """`attention` with padding and a mask, where one large call beats many small ones.

    Returns (T, H) and, if asked for, the attention weights: for each sequence (h, L, L).
    """
    hidden = qkv.shape[1] // 3
    places, attention_mask = _places(groups, qkv.device)
    padded = qkv.new_zeros(attention_mask.numel(), 3 * hidden)
    padded = padded.index_copy(0, places, qkv[: len(places)])
    padded = padded.view(*attention_mask.shape, 3, heads, hidden // heads)
    q, k, v = padded.permute(2, 0, 3, 1, 4).unbind(0)  # (B, h, L, d)
    allowed = attention_mask[:, None, None, :]
    mixed = F.scaled_dot_product_attention(q, k, v, allowed, dropout_p=rate)
    weights: list[Tensor] = []
    if need_weights:
        scores = (q @ k.transpose(-1, -2)) * (hidden // heads) ** -0.5
        full = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
        lengths = _lengths(groups).tolist()
        weights = [w[:, :n, :n] for w, n in zip(full, lengths, strict=True)]
    mixed = mixed.transpose(1, 2).reshape(-1, hidden).index_select(0, places)
    return F.pad(mixed, (0, 0, 0, len(qkv) - len(places))), weights


@lru_cache(maxsize=4)
def _places(groups: Groups, device: torch.device) -> tuple[Tensor, Tensor]:
    """`_taken` of all sequences, on the device.

    From the lengths, which the host knows: to look for them on a GPU would make the host wait.
    """
    places, mask = _taken(_lengths(groups))
    return places.to(device, non_blocking=True), mask.to(device, non_blocking=True)
