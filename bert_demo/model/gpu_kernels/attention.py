"""Self-attention within packed sequences that are short, as one kernel each way.

A program has some queries, or some keys, of one head of one sequence, and goes through the
sequence's others; scores and weights never reach memory (Dao et al. 2022).
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from bert_demo.model.gpu_kernels.random import draw_seed, is_kept

_SIDE, _SIDE_OF_LARGE_HEADS = 64, 32
"""Queries, and keys, that a program holds at once: fewer where d is larger than 64."""
_LEAST_SIDE = 16
"""Of a matrix that a card's units multiply."""


@triton.jit
def _rows(x, begin, row, length, stride, column, size):
    """(rows, SIZE): these rows of a sequence, zero beyond its end and beyond a head's size."""
    here = (row < length)[:, None] & (column < size)[None, :]
    return tl.load(x + (begin + row)[:, None] * stride + column[None, :], mask=here, other=0.0)


@triton.jit
def _store_rows(x, values, begin, row, length, stride, column, size):
    here = (row < length)[:, None] & (column < size)[None, :]
    place = (begin + row)[:, None] * stride + column[None, :]
    tl.store(x + place, values.to(x.dtype.element_ty), mask=here)


@triton.jit
def _scores(q, k, key, length, size):
    """(queries, keys): how well they match; minus infinity beyond the end of the sequence."""
    scores = tl.dot(q, tl.trans(k)) / tl.sqrt(size.to(tl.float32))
    return tl.where((key < length)[None, :], scores, float("-inf"))


@triton.jit
def _attention_forward(
    qkv, bounds, seed, out, logs, hidden, size, rate,
    DROPS: tl.constexpr, SIDE: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """Some queries of one head of a sequence; the softmax is made on the way (Milakov and
    Gimelshein 2018)."""
    begin = tl.load(bounds + tl.program_id(0))
    length = tl.load(bounds + tl.program_id(0) + 1) - begin
    head, heads, column = tl.program_id(1), tl.num_programs(1), tl.arange(0, SIZE)
    row = tl.program_id(2) * SIDE + tl.arange(0, SIDE)
    qkv += head * size
    if tl.program_id(2) * SIDE < length:
        q = _rows(qkv, begin, row, length, 3 * hidden, column, size)
        most = tl.full((SIDE,), float("-inf"), tl.float32)
        total = tl.zeros((SIDE,), tl.float32)
        mixed = tl.zeros((SIDE, SIZE), tl.float32)
        for first in range(0, length, SIDE):
            key = first + tl.arange(0, SIDE)
            k = _rows(qkv + hidden, begin, key, length, 3 * hidden, column, size)
            v = _rows(qkv + 2 * hidden, begin, key, length, 3 * hidden, column, size)
            scores = _scores(q, k, key, length, size)
            higher = tl.maximum(most, tl.max(scores, 1))
            weights = tl.exp(scores - higher[:, None])
            before = tl.exp(most - higher)
            total = total * before + tl.sum(weights, 1)
            if DROPS:
                kept = is_kept(seed, (begin + row) * heads + head, key, rate)
                weights = tl.where(kept, weights / (1 - rate), 0.0)
            mixed = mixed * before[:, None] + tl.dot(weights.to(v.dtype), v)
            most = higher
        _store_rows(
            out + head * size, mixed / total[:, None], begin, row, length, hidden, column, size
        )
        tl.store(logs + (begin + row) * heads + head, most + tl.log(total), mask=row < length)


@triton.jit
def _slopes(
    q, k, v, out, of_out, log, seed, asked, key, length, size, rate, DROPS: tl.constexpr
):  # fmt: skip
    """(queries, keys): the weights that were used, and the gradients of the scores."""
    weights = tl.exp(_scores(q, k, key, length, size) - log[:, None])
    of_weights = tl.dot(of_out, tl.trans(v))
    used = weights
    if DROPS:
        kept = is_kept(seed, asked, key, rate)
        used = tl.where(kept, weights / (1 - rate), 0.0)
        of_weights = tl.where(kept, of_weights / (1 - rate), 0.0)
    along = tl.sum(of_out.to(tl.float32) * out.to(tl.float32), 1)
    of_scores = weights * (of_weights - along[:, None]) / tl.sqrt(size.to(tl.float32))
    return used.to(q.dtype), of_scores.to(q.dtype)


@triton.jit
def _attention_backward(
    of_out, qkv, out, logs, bounds, seed, of_qkv, hidden, size, rate,
    DROPS: tl.constexpr, SIDE: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """The gradients of some queries, of all keys; then of these tokens' keys and values."""
    begin = tl.load(bounds + tl.program_id(0))
    length = tl.load(bounds + tl.program_id(0) + 1) - begin
    head, heads, column = tl.program_id(1), tl.num_programs(1), tl.arange(0, SIZE)
    own = tl.program_id(2) * SIDE + tl.arange(0, SIDE)
    qkv += head * size
    of_qkv += head * size
    out += head * size
    of_out += head * size
    if tl.program_id(2) * SIDE < length:
        q = _rows(qkv, begin, own, length, 3 * hidden, column, size)
        o = _rows(out, begin, own, length, hidden, column, size)
        of_o = _rows(of_out, begin, own, length, hidden, column, size)
        asked = (begin + own) * heads + head
        log = tl.load(logs + asked, mask=own < length, other=0.0)
        of_q = tl.zeros((SIDE, SIZE), tl.float32)
        for first in range(0, length, SIDE):
            key = first + tl.arange(0, SIDE)
            k = _rows(qkv + hidden, begin, key, length, 3 * hidden, column, size)
            v = _rows(qkv + 2 * hidden, begin, key, length, 3 * hidden, column, size)
            _, slopes = _slopes(q, k, v, o, of_o, log, seed, asked, key, length, size, rate, DROPS)
            of_q += tl.dot(slopes, k)
        _store_rows(of_qkv, of_q, begin, own, length, 3 * hidden, column, size)

        k = _rows(qkv + hidden, begin, own, length, 3 * hidden, column, size)
        v = _rows(qkv + 2 * hidden, begin, own, length, 3 * hidden, column, size)
        of_k = tl.zeros((SIDE, SIZE), tl.float32)
        of_v = tl.zeros((SIDE, SIZE), tl.float32)
        for first in range(0, length, SIDE):
            row = first + tl.arange(0, SIDE)
            q = _rows(qkv, begin, row, length, 3 * hidden, column, size)
            o = _rows(out, begin, row, length, hidden, column, size)
            of_o = _rows(of_out, begin, row, length, hidden, column, size)
            asked = (begin + row) * heads + head
            log = tl.load(logs + asked, mask=row < length, other=0.0)
            used, slopes = _slopes(
                q, k, v, o, of_o, log, seed, asked, own, length, size, rate, DROPS
            )
            of_k += tl.dot(tl.trans(slopes), q)
            of_v += tl.dot(tl.trans(used), of_o)
        _store_rows(of_qkv + hidden, of_k, begin, own, length, 3 * hidden, column, size)
        _store_rows(of_qkv + 2 * hidden, of_v, begin, own, length, 3 * hidden, column, size)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, bounds: Tensor, longest: int, heads: int, rate: float
    ) -> Tensor:
        qkv = qkv.contiguous()
        hidden = qkv.shape[1] // 3
        size = hidden // heads
        out = qkv.new_empty(len(qkv), hidden)
        logs = qkv.new_empty(len(qkv), heads, dtype=torch.float32)
        ctx.seed, ctx.numbers = draw_seed(qkv, rate), (hidden, size, rate)
        width = max(_LEAST_SIDE, triton.next_power_of_2(size))
        side = _SIDE if width <= _SIDE else _SIDE_OF_LARGE_HEADS
        ctx.grid = (len(bounds) - 1, heads, triton.cdiv(longest, side))
        ctx.shape = {"DROPS": rate > 0, "SIDE": side, "SIZE": width}
        _attention_forward[ctx.grid](qkv, bounds, ctx.seed, out, logs, *ctx.numbers, **ctx.shape)
        ctx.save_for_backward(qkv, out, logs, bounds)
        return out

    @staticmethod
    def backward(ctx: Any, of_out: Tensor) -> tuple[Any, ...]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        of_qkv = torch.empty_like(saved[0])
        _attention_backward[ctx.grid](
            of_out.contiguous(), *saved, ctx.seed, of_qkv, *ctx.numbers, **ctx.shape
        )
        return of_qkv, None, None, None, None


def attention(qkv: Tensor, bounds: Tensor, longest: int, heads: int, rate: float) -> Tensor:
    """Scaled dot-product self-attention within sequences of at most `longest` tokens.

    qkv: (T, 3 H) bf16 or fp16, queries, keys and values; bounds: (S + 1,) int32, where each
    sequence begins, and T. Returns (T, H).
    """
    mixed: Tensor = _Attention.apply(qkv, bounds, longest, heads, rate)
    return mixed
