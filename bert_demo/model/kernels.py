"""What a BERT computes with, by whatever is fastest where the tensors are.

Compiled blocks serve on a CPU where there is a C++ compiler (see `compiled/`), and kernels of
Triton on a card that trains in bf16 (see `gpu_kernels/`); elsewhere it is PyTorch's own operations,
with the same results. This file is the only one that asks which it is.
Letters: T tokens, M tokens at chosen positions, H hidden size, V vocabulary.

On their way hidden states carry some rows of zeros after the T or M: for every size that it has not
met, a CPU's matrix library compiles code and keeps it, and with token counts as they come that is
slower and takes a gigabyte within some hundred steps. `embed` and `select` add these rows.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_demo.data.packing import PackedBatch, resized
from bert_demo.model import fast_paths
from bert_demo.model.attention import (
    by_sequence,
    flash_attention,
    flash_serves,
    grouped_attention,
    has_flash,
    padded_attention,
    sequence_lengths,
)
from bert_demo.model.compiled import blocks, library, tiled_cross_entropy
from bert_demo.model.compiled.cross_entropy import blocked_cross_entropy
from bert_demo.model.cross_entropy import chunked_cross_entropy
from bert_demo.model.dropout import choose_rows, dropout

_STEPS = (64, 16), (256, 32), (1024, 64), (4096, 128), (sys.maxsize, 256)
"""Up to how many rows a number of rows is rounded up to a multiple of what."""
_SHORT = 128
"""Tokens of sequences that FlashAttention, which works on so many at once, does not gain by."""
_LARGEST_HEAD = 128
_MOST_NUMBERS = 2**31
"""Of queries, keys and values together: the kernels count them in 32 bits."""


def _compiled(x: Tensor) -> bool:
    """Whether the compiled blocks compute with tensors like `x`."""
    return library.serves(x) and x.dtype == torch.float32


@lru_cache(maxsize=8)
def has_triton(device: torch.device) -> bool:
    """Whether `gpu_kernels` can be had for this card: Triton comes with PyTorch's builds for it."""
    return find_spec("triton") is not None and has_flash(device)


def _joined(x: Tensor) -> bool:
    """Whether `gpu_kernels` compute with hidden states like `x`.

    Only in training, before which they are proved: to compile one takes a second, and needs a C
    compiler.
    """
    return (
        fast_paths.serves(fast_paths.TRITON, x.device)
        and torch.is_grad_enabled()
        and x.dtype == torch.float32 != _product_type(x)
        and 3 * x.numel() < _MOST_NUMBERS
        and has_triton(x.device)
    )


def embed(ids: tuple[Tensor, ...], tables: tuple[Tensor, ...]) -> Tensor:
    """The sum of the tables' rows at `ids`, (T or more, H).

    ids: three of (T,) int64; tables: three of (n, H).
    """
    rows = _padded_size(len(ids[0]))
    choose_rows(None)
    if _compiled(tables[0]):
        return _with_operand(*blocks.embed(ids, tables, rows, _product_type(tables[0])))
    if tables[0].device.type == "cpu":
        first, second, third = (F.embedding(i, table) for i, table in zip(ids, tables, strict=True))
        return resized(first + second + third, rows)
    others = _FewRows.apply(*ids[1:], *tables[1:])  # type: ignore[no-untyped-call]
    return resized(F.embedding(ids[0], tables[0]) + others, rows)


class _FewRows(torch.autograd.Function):
    """The sum of rows of two small tables.

    On a GPU PyTorch sorts the ids of each table to add up what its rows are sent back; where there
    are few of them a product with zeros and ones takes less time.
    """

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, one: Tensor, other: Tensor) -> Tensor:
        ctx.save_for_backward(first, second)
        ctx.sizes = [len(one), len(other)]
        return F.embedding(first, one) + F.embedding(second, other)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, Tensor, Tensor]:
        size, _ = ctx.sizes
        rows = torch.arange(sum(ctx.sizes), device=grad.device)
        first, second = (ids[:, None] for ids in ctx.saved_tensors)
        chosen = (rows == first) | (rows == second + size)  # (T, rows of both)
        sums = chosen.t().to(grad.dtype) @ grad
        return None, None, *sums.split(ctx.sizes)


def select(x: Tensor, positions: Tensor) -> Tensor:
    """The rows of x (T or more, H) at `positions` (M,) int64: (M or more, H)."""
    if x.device.type == "cpu":
        choose_rows(positions)
    return resized(x.index_select(0, positions), _padded_size(len(positions)))


def pad(x: Tensor) -> Tensor:
    """x (M, H) as `select` gives it: (M or more, H)."""
    return resized(x, _padded_size(len(x)))


def attention(
    x: Tensor,
    qkv: nn.Linear,
    batch: PackedBatch,
    heads: int,
    rate: float,
    positions: Tensor | None = None,
    selected: Tensor | None = None,
) -> Tensor:
    """Self-attention within each packed sequence (Vaswani et al. 2017), dropping weights at `rate`.

    x: (T or more, H); qkv: from H to 3 H, queries, keys and values. Returns as many rows as x; with
    `positions` (M,) int64 and `selected`, the rows of x there as `select` gives them, the queries
    of these tokens alone, (M or more, H).
    """
    if x.device.type != "cpu" or not batch.groups:
        projected = qkv(_operand(x))
        if _joined(x) and batch.max_length <= _SHORT and x.shape[1] // heads <= _LARGEST_HEAD:
            mixed = short_attention(projected, batch, heads, rate)
        elif flash_serves(projected, heads):
            mixed = flash_attention(projected, batch, heads, rate)
        else:
            mixed, _ = padded_attention(projected, batch, heads, rate)
        # A GPU saves nothing by leaving queries out.
        return mixed if positions is None else select(mixed, positions)
    lengths, hidden = sequence_lengths(batch.groups), x.shape[1]
    compiled = _compiled(x)  # then the bias is added on the way
    if positions is None or selected is None:
        if compiled:
            product = F.linear(_operand(x), qkv.weight)
            where = blocks.layout(lengths)
            return blocks.attention(None, product, qkv.bias, where, heads, rate)
        q, k, v = qkv(x).chunk(3, 1)
        return grouped_attention(q, k, v, lengths, lengths, heads, rate)
    order, queries = by_sequence(positions, lengths)
    q_weight, kv_weight = qkv.weight.split([hidden, 2 * hidden])
    if compiled:
        kv, q = F.linear(_operand(x), kv_weight), F.linear(selected, q_weight)
        where = blocks.layout(lengths, queries)
        mixed = blocks.attention(q.index_select(0, order), kv, qkv.bias, where, heads, rate)
    else:
        q_bias, kv_bias = qkv.bias.split([hidden, 2 * hidden])
        kv, q = F.linear(x, kv_weight, kv_bias), F.linear(selected, q_weight, q_bias)
        sorted_q, (k, v) = q.index_select(0, order), kv.chunk(2, 1)
        mixed = grouped_attention(sorted_q, k, v, queries, lengths, heads, rate)
    return torch.zeros_like(q).index_copy(0, order, mixed)


def short_attention(qkv: Tensor, batch: PackedBatch, heads: int, rate: float) -> Tensor:
    """`flash_attention` by the kernel for sequences of few tokens."""
    from bert_demo.model.gpu_kernels import attention as short

    tokens = len(batch.position_ids)
    packed = resized(qkv, tokens)
    mixed = short.attention(packed, batch.bounds, batch.max_length, heads, rate)
    return resized(mixed, len(qkv))


def add_norm(
    x: Tensor, inner: Tensor, linear: nn.Linear, norm: nn.LayerNorm, rate: float
) -> Tensor:
    """LayerNorm of `x` and, after dropout at `rate`, `linear(inner)`; x: (T, H), inner: (T, n)."""
    if _compiled(x):
        product = F.linear(inner, linear.weight)
        return _with_operand(*blocks.add_norm(x, product, linear.bias, norm, rate))
    if _joined(x):
        from bert_demo.model.gpu_kernels import add_norm as joined

        product = F.linear(inner, linear.weight)
        return _with_operand(*joined.add_norm(x, product, linear.bias, norm, rate))
    result: Tensor = norm(x + dropout(linear(inner), rate, True))
    return result


def activate(x: Tensor, linear: nn.Linear, gelu: bool) -> Tensor:
    """GELU or ReLU of `linear(x)`; x: (..., H)."""
    if x.dim() == 2 and _compiled(x):  # the blocks read rows, and check nothing
        return blocks.activate(F.linear(_operand(x), linear.weight), linear.bias, gelu)
    inner = linear(_operand(x))
    return F.gelu(inner) if gelu else F.relu(inner, inplace=True)


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """Sum over M rows of the cross entropy of `x @ weight.T + bias` against `labels`.

    x: (M or more, H), rows beyond M being ignored; weight: (V, H); bias: (V,); labels: (M,) int64,
    -1 where nothing is asked (compiled blocks are given no such rows). Under autocast the matrix
    products run in its dtype; losses and sums are fp32. Backward may be called once.
    """
    low = _product_type(x)
    if _compiled(x):
        if tiled_cross_entropy.serves(x, low):
            return tiled_cross_entropy.tiled_cross_entropy(x, weight, bias, labels)
        if torch.is_grad_enabled():
            return blocked_cross_entropy(x, weight, bias, labels, low)
    return chunked_cross_entropy(x, weight, bias, labels, low)


def _padded_size(rows: int) -> int:
    """`rows`, rounded up a little: a size that repeats from batch to batch."""
    multiple = next(step for most, step in _STEPS if rows <= most)
    return -(-rows // multiple) * multiple


def _product_type(x: Tensor) -> torch.dtype:
    """What matrix products of `x` run in: autocast's type, or its own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _with_operand(x: Tensor, operand: Tensor) -> Tensor:
    """x, which keeps with it what matrix products are to read in its place.

    A block writes its result in fp32, and in bf16 where products run in that, which costs less than
    to convert it later; and it is handed the gradients of both, which costs less than to add them.
    """
    x.operand = operand  # type: ignore[attr-defined]
    return x


def _operand(x: Tensor) -> Tensor:
    operand: Tensor = getattr(x, "operand", x)
    return operand
