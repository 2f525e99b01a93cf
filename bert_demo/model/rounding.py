"""A matrix in 8 bits: whole numbers from -127 to 127, and one scale for each row.

Symmetric rounding to nearest, without zero points, after Jacob et al. 2018 (Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference), with a scale for each
row as for each output channel in Krishnamoorthi 2018.

A scale is a bf16 number: it has the range of fp32, and its 8 significant bits times the 7 of a
whole number are exact in fp32. So to round what was rounded already changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MOST = 127


def round_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """`matrix` (rows, columns), fp32, as int8 (rows, columns) and scales (rows,), bf16.

    The largest magnitude of a row becomes 127, and no weight moves by more than half its row's
    scale. A row of zeros has the scale 0.
    """
    scales = (matrix.abs().amax(dim=1) / _MOST).bfloat16()
    steps = torch.where(scales > 0, scales.float(), 1.0)
    whole = (matrix / steps[:, None]).round().clamp(-_MOST, _MOST)
    return whole.to(torch.int8), scales


def unround_rows(whole: Tensor, scales: Tensor) -> Tensor:
    """The matrix (rows, columns), fp32, of int8 (rows, columns) and scales (rows,)."""
    return whole.float() * scales.float()[:, None]
