"""A layer's compiled blocks as PyTorch functions with gradients.

Each equals a plain function of `kernels` or `attention` up to rounding. Letters: B sequences,
T tokens of all of them, H hidden size, h heads, M tokens whose queries are wanted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bert_demo.model.compiled.library import Argument, call
from bert_demo.model.dropout import draw

IntArray = npt.NDArray[np.int64]


class Layout(NamedTuple):
    """Where the rows of each of B sequences are."""

    keys: IntArray
    """(B + 1,): where each sequence begins, and the end of the last."""
    queries: IntArray
    """The same of the rows of queries."""


def layout(lengths: IntArray, queries: IntArray | None = None) -> Layout:
    """For sequences of these lengths, (B,), with so many queries each (of all tokens if None)."""
    return Layout(_ends(lengths), _ends(lengths if queries is None else queries))


def _ends(counts: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _dropping(
    rows: int, rate: float, *, ascending: bool = False
) -> tuple[Tensor | None, int, int, float]:
    """What a block is told of its dropout."""
    return draw(rows, rate, ascending=ascending) if rate else (None, 0, 0, 1.0)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor | None,
        rows: Tensor,
        bias: Tensor | None,
        where: Layout,
        heads: int,
        rate: float,
    ) -> Tensor:
        rows = rows.contiguous()
        queries = None if queries is None else queries.contiguous()
        q, k, v = _parts(queries, rows)
        out = torch.empty_like(q, memory_format=torch.contiguous_format)
        out[where.queries[-1] :] = 0
        log_sums = torch.empty(int(where.queries[-1]), heads)
        size = q.shape[1] // heads
        shape: list[Argument] = [len(where.keys) - 1, heads, size, size**-0.5, *where]
        ctx.threads = torch.get_num_threads()
        shape += [k.stride(0), q.stride(0), ctx.threads]
        # Rows that ask are sorted by their sequences.
        places, *dropping = _dropping(len(log_sums), rate, ascending=True)
        given = (bias, places, *dropping, q, k, v, out, out.stride(0), log_sums)
        call("attention", rows.dtype, *shape, *given)
        ctx.save_for_backward(queries, rows, bias, log_sums, places)
        ctx.shape, ctx.dropping, ctx.where = shape, dropping, where
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        queries, rows, bias, log_sums, places = ctx.saved_tensors
        grad = grad.contiguous()
        grad_q = None if queries is None else torch.empty_like(queries)
        grad_rows = torch.empty_like(rows)
        grad_rows[ctx.where.keys[-1] :] = 0
        if grad_q is not None:
            grad_q[ctx.where.queries[-1] :] = 0
        sums = None if bias is None else torch.zeros(ctx.threads, len(bias))
        given = (
            bias,
            places,
            *ctx.dropping,
            *_parts(queries, rows),
            grad,
            grad.stride(0),
            log_sums,
        )
        grads = (*_parts(grad_q, grad_rows), sums)
        call("attention_backward", rows.dtype, *ctx.shape, *given, *grads)
        grad_bias = None if sums is None else sums.sum(0)
        return grad_q, grad_rows, grad_bias, None, None, None


def _parts(queries: Tensor | None, rows: Tensor) -> tuple[Tensor, ...]:
    """Queries, keys and values, as views."""
    return rows.chunk(3, 1) if queries is None else (queries, *rows.chunk(2, 1))


def attention(
    queries: Tensor | None,
    rows: Tensor,
    bias: Tensor | None,
    where: Layout,
    heads: int,
    rate: float,
) -> Tensor:
    """Self-attention within packed sequences; scores and weights never reach memory.

    queries: (M or more, H), with keys and values in rows (T or more, 2 H); or None and all three in
    rows (T or more, 3 H). Both in fp32 or in bf16. bias: (3 H,) fp32, what is still to be added to
    queries, keys and values. Rows beyond the sequences are ignored. Returns (M or more, H), or
    (T or more, H).
    """
    result: Tensor = _Attention.apply(queries, rows, bias, where, heads, rate)  # type: ignore[no-untyped-call]
    return result


class _AddNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        added: Tensor,
        offset: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        rate: float,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        x, added = x.contiguous(), added.contiguous()
        places, *dropping = _dropping(len(x), rate)
        out, means, inverses = torch.empty_like(x), torch.empty(len(x)), torch.empty(len(x))
        low = torch.empty_like(added) if added.dtype != x.dtype else None
        ctx.shape, ctx.dropping = (*x.shape, torch.get_num_threads()), dropping
        given = (x, added, offset, places, *dropping, weight, bias, eps)
        call("add_norm", added.dtype, *ctx.shape, *given, out, low, means, inverses)
        ctx.save_for_backward(x, added, offset, places, weight, means, inverses)
        # No view of `out`: it may become an attribute of `out`, and neither would ever be freed.
        return out, out.detach() if low is None else low

    @staticmethod
    def backward(
        ctx: Any, grad: Tensor | None, low_grad: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        x, added, offset, places, weight, means, inverses = ctx.saved_tensors
        grad = torch.zeros_like(x) if grad is None else grad.contiguous()
        low_grad = None if low_grad is None else low_grad.contiguous()
        grad_x, grad_added = torch.empty_like(x), torch.empty_like(added)
        _, size, threads = ctx.shape
        sums = torch.zeros(3, threads, size)
        given = (x, added, offset, places, *ctx.dropping, weight, means, inverses, grad, low_grad)
        call("add_norm_backward", added.dtype, *ctx.shape, *given, grad_x, grad_added, *sums)
        grad_weight, grad_bias, grad_offset = sums.sum(1)
        return grad_x, grad_added, grad_offset, grad_weight, grad_bias, None, None


def add_norm(
    x: Tensor, added: Tensor, offset: Tensor, norm: nn.LayerNorm, rate: float
) -> tuple[Tensor, Tensor]:
    """LayerNorm of `x` and, after dropout, `added` and `offset`.

    x: (T, H) fp32; added: (T, H) fp32 or bf16; offset: (H,) fp32. Returns the result in fp32 and in
    the type of `added`.
    """
    result: tuple[Tensor, Tensor] = _AddNorm.apply(
        x, added, offset, norm.weight, norm.bias, norm.eps, rate
    )  # type: ignore[no-untyped-call]
    return result


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, gelu: bool) -> Tensor:
        out = torch.empty_like(x) if gelu else x
        if not gelu:
            ctx.mark_dirty(x)
        ctx.shape = (*x.shape, torch.get_num_threads(), int(gelu))
        call("activate", x.dtype, *ctx.shape, x, bias, out)
        ctx.save_for_backward(x, bias)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, bias = ctx.saved_tensors
        # In place: it is the result of a matrix product, which nobody else reads.
        grad = grad.contiguous()
        _, size, threads, _ = ctx.shape
        sums = torch.zeros(threads, size)
        call("activate_backward", x.dtype, *ctx.shape, x, bias, grad, sums)
        return grad, sums.sum(0), None


def activate(x: Tensor, bias: Tensor, gelu: bool) -> Tensor:
    """GELU or ReLU of `x + bias`; ReLU in place, and the gradient too.

    x: (T, n) in fp32 or bf16, the result of a matrix product, that nobody else reads; bias: (n,)
    fp32. What comes out has to be read by one matrix product alone.
    """
    result: Tensor = _Activate.apply(x, bias, gelu)  # type: ignore[no-untyped-call]
    return result


class _Embed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, low: torch.dtype, rows: int, ids: tuple[Tensor, ...], *tables: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        tables = tuple(table.contiguous() for table in tables)
        count, size = len(ids[0]), tables[0].shape[1]
        out = torch.empty(rows, size)
        rounded = torch.empty(rows, size, dtype=low) if low != torch.float32 else None
        call("embed", low, count, size, torch.get_num_threads(), *ids, *tables, out, rounded)
        for x in (out, rounded):
            if x is not None:
                x[count:] = 0
        ctx.low, ctx.ids, ctx.shapes = low, ids, [table.shape for table in tables]
        return out, out.detach() if rounded is None else rounded

    @staticmethod
    def backward(
        ctx: Any, grad: Tensor | None, low_grad: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        grads = [None if g is None else g.contiguous() for g in (grad, low_grad)]
        tables = [torch.zeros(shape) for shape in ctx.shapes]
        count, size = len(ctx.ids[0]), ctx.shapes[0][1]
        call("embed_backward", ctx.low, count, size, *ctx.ids, *grads, *tables)
        return None, None, None, *tables


def embed(
    ids: tuple[Tensor, ...], tables: tuple[Tensor, ...], rows: int, low: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The sum of three tables' rows, (rows, H) in fp32 and in `low`; zero beyond T.

    ids: three of (T,) int64; tables: three of (n, H) fp32.
    """
    result: tuple[Tensor, Tensor] = _Embed.apply(low, rows, ids, *tables)  # type: ignore[no-untyped-call]
    return result
