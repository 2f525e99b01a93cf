"""Dropout's random numbers on a card."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


def draw_seed(x: Tensor, rate: float) -> Tensor | None:
    """(1,) int64: what a use of dropout at `rate` depends on, where a graph can draw it anew."""
    return torch.randint(1 << 62, (1,), device=x.device) if rate else None


@triton.jit
def is_kept(seed, row, column, rate):
    """(rows, columns): what is kept. As on a CPU (`model/dropout.py`), an integer hash of the
    column under two words of the row."""
    low, high, _, _ = tl.randint4x(tl.load(seed), row)
    bits = (column.to(tl.uint32) * 0x9E3779B9)[None, :] + low.to(tl.uint32)[:, None]
    bits = (bits ^ (bits >> 16)) * 0x7FEB352D
    bits = bits ^ high.to(tl.uint32)[:, None]
    bits = (bits ^ (bits >> 15)) * 0x846CA68B
    return (bits >> 8).to(tl.float32) * (1.0 / 16777216.0) >= rate
