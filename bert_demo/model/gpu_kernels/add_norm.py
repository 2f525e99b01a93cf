"""Dropout, residual sum and LayerNorm as one kernel each way."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from bert_demo.model.gpu_kernels.random import draw_seed, is_kept

_ELEMENTS = 2048
"""Of a hidden state that a program holds at once."""
_PROGRAMS = 528
"""At most, of a backward pass: each adds up its own rows' share of the sums over tokens."""


@triton.jit(do_not_specialize=["rows"])
def _add_norm_forward(
    x, added, offset, weight, bias, seed, out, low, normed, scales, rows, columns, eps, rate,
    DROPS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    real = column < columns
    here = (row < rows)[:, None] & real[None, :]
    place = row[:, None] * columns + column[None, :]
    rest = tl.load(added + place, mask=here, other=0.0).to(tl.float32)
    rest += tl.load(offset + column, mask=real, other=0.0)[None, :]
    if DROPS:
        rest = tl.where(is_kept(seed, row, column, rate), rest / (1 - rate), 0.0)
    total = tl.load(x + place, mask=here, other=0.0) + rest
    mean = tl.sum(tl.where(here, total, 0.0), 1) / columns
    centred = tl.where(here, total - mean[:, None], 0.0)
    scale = 1 / tl.sqrt(tl.sum(centred * centred, 1) / columns + eps)
    unit = centred * scale[:, None]
    result = unit * tl.load(weight + column, mask=real, other=0.0)[None, :]
    result += tl.load(bias + column, mask=real, other=0.0)[None, :]
    tl.store(out + place, result, mask=here)
    tl.store(low + place, result.to(low.dtype.element_ty), mask=here)
    tl.store(normed + place, unit.to(normed.dtype.element_ty), mask=here)
    tl.store(scales + row, scale, mask=row < rows)


@triton.jit(do_not_specialize=["rows"])
def _add_norm_backward(
    of_out, of_low, normed, scales, weight, seed, of_x, of_added, sums, rows, columns, rate,
    OUT: tl.constexpr, LOW: tl.constexpr, DROPS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    column = tl.arange(0, COLUMNS)
    real = column < columns
    factor = tl.load(weight + column, mask=real, other=0.0)[None, :]
    of_weight = tl.zeros((COLUMNS,), tl.float32)
    of_bias = tl.zeros((COLUMNS,), tl.float32)
    of_offset = tl.zeros((COLUMNS,), tl.float32)
    for block in range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0)):
        row = block * ROWS + tl.arange(0, ROWS)
        here = (row < rows)[:, None] & real[None, :]
        place = row[:, None] * columns + column[None, :]
        grad = tl.zeros((ROWS, COLUMNS), tl.float32)
        if OUT:
            grad += tl.load(of_out + place, mask=here, other=0.0)
        if LOW:
            grad += tl.load(of_low + place, mask=here, other=0.0).to(tl.float32)
        unit = tl.load(normed + place, mask=here, other=0.0).to(tl.float32)
        of_weight += tl.sum(grad * unit, 0)
        of_bias += tl.sum(grad, 0)
        grad *= factor
        along = tl.sum(grad * unit, 1) / columns
        mean = tl.sum(grad, 1) / columns
        scale = tl.load(scales + row, mask=row < rows, other=0.0)
        grad = (grad - mean[:, None] - unit * along[:, None]) * scale[:, None]
        tl.store(of_x + place, grad, mask=here)
        if DROPS:
            grad = tl.where(is_kept(seed, row, column, rate), grad / (1 - rate), 0.0)
        grad = tl.where(here, grad, 0.0)
        of_offset += tl.sum(grad, 0)
        tl.store(of_added + place, grad.to(of_added.dtype.element_ty), mask=here)
    own = sums + tl.program_id(0) * 3 * columns + column
    tl.store(own, of_weight, mask=real)
    tl.store(own + columns, of_bias, mask=real)
    tl.store(own + 2 * columns, of_offset, mask=real)


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
        out, low, normed = torch.empty_like(x), torch.empty_like(added), torch.empty_like(added)
        scales = x.new_empty(len(x))
        ctx.seed, ctx.rate, ctx.tile = draw_seed(x, rate), rate, _tile(x.shape[1])
        _add_norm_forward[(triton.cdiv(len(x), ctx.tile["ROWS"]),)](
            x, added, offset, weight, bias, ctx.seed, out, low, normed, scales,
            *x.shape, eps, rate, DROPS=rate > 0, **ctx.tile,
        )  # fmt: skip
        ctx.save_for_backward(normed, scales, weight)
        return out, low

    @staticmethod
    def backward(ctx: Any, of_out: Tensor | None, of_low: Tensor | None) -> tuple[Any, ...]:
        normed, scales, weight = ctx.saved_tensors
        of_out = None if of_out is None else of_out.contiguous()
        of_low = None if of_low is None else of_low.contiguous()
        of_x, of_added = torch.empty_like(normed, dtype=torch.float32), torch.empty_like(normed)
        rows, columns = normed.shape
        # Half as many as there are blocks at most, so that a small trial tries the loop too.
        programs = max(1, min(_PROGRAMS, triton.cdiv(rows, 2 * ctx.tile["ROWS"])))
        sums = scales.new_empty(programs, 3, columns)
        _add_norm_backward[(programs,)](
            of_out, of_low, normed, scales, weight, ctx.seed, of_x, of_added, sums,
            rows, columns, ctx.rate,
            OUT=of_out is not None, LOW=of_low is not None, DROPS=ctx.rate > 0, **ctx.tile,
        )  # fmt: skip
        of_weight, of_bias, of_offset = sums.sum(0).unbind()
        return of_x, of_added, of_offset, of_weight, of_bias, None, None


def _tile(columns: int) -> dict[str, int]:
    """How many rows and columns a program holds at once."""
    width = triton.next_power_of_2(columns)
    return {"ROWS": max(1, _ELEMENTS // width), "COLUMNS": width}


def add_norm(
    x: Tensor, added: Tensor, offset: Tensor, norm: nn.LayerNorm, rate: float
) -> tuple[Tensor, Tensor]:
    """LayerNorm of `x` and, after dropout at `rate`, `added` and `offset`: in fp32 and as `added`.

    x: (T, H) fp32; added: (T, H) bf16 or fp16; offset: (H,) fp32.
    """
    found: tuple[Tensor, Tensor] = _AddNorm.apply(
        x, added, offset, norm.weight, norm.bias, norm.eps, rate
    )
    return found
