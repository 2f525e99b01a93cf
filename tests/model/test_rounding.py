"""Matrices in 8 bits: the numbers are those of a calculation by hand, and rounding is done once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bert_demo.model.rounding import round_rows, unround_rows


def by_hand(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rounded and back, by numpy and the bits of bf16: the upper half of an fp32 number."""
    scale = np.abs(matrix).max(axis=1) / np.float32(127)
    bits = scale.view(np.uint32)
    scale = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    step = np.where(scale > 0, scale, np.float32(1))
    found: npt.NDArray[np.float32] = np.rint(matrix / step[:, None]) * scale[:, None]
    return found


def rows_of_all_sizes(seed: int, rows: int = 300, columns: int = 17) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    sizes = 10 ** (torch.rand(rows, 1, generator=generator) * 60 - 30)
    matrix = torch.randn(rows, columns, generator=generator) * sizes
    matrix[0] = 0
    return matrix


def test_rounding_worked_out_by_hand() -> None:
    matrix = torch.tensor([[127.0, -1.5, 0.4, -126.6], [0.0, 0.0, -0.0, 0.0], [-0.5, 0.25, 0, 0]])
    whole, scales = round_rows(matrix)
    assert whole.dtype == torch.int8 and scales.dtype == torch.bfloat16
    assert whole.tolist() == [[127, -2, 0, -127], [0, 0, 0, 0], [-127, 64, 0, 0]]
    assert scales.tolist() == [1.0, 0.0, 129 / 2**15]  # 0.5 / 127 = 129.007 / 2 ** 15
    assert unround_rows(whole, scales)[2, 0] == -127 * 129 / 2**15
    for seed in range(3):
        matrix = rows_of_all_sizes(seed)
        found = unround_rows(*round_rows(matrix)).numpy()
        np.testing.assert_array_equal(found, by_hand(matrix.numpy()))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_no_weight_moves_by_more_than_half_a_step_and_none_moves_twice(seed: int) -> None:
    matrix = rows_of_all_sizes(seed)
    whole, scales = round_rows(matrix)
    found = unround_rows(whole, scales)
    steps = scales.double()[:, None]
    assert bool(((found.double() - matrix.double()).abs() <= steps / 2 * (1 + 1e-6)).all())
    assert whole.abs().amax(dim=1)[1:].eq(127).all() and not found[0].any()
    assert torch.equal(found.double(), whole.double() * steps)  # exact in fp32
    again = round_rows(found)
    assert torch.equal(again[0], whole) and torch.equal(again[1], scales)


def test_rows_too_small_for_a_scale_become_zeros() -> None:
    matrix = torch.full((2, 3), 1e-42)
    assert not unround_rows(*round_rows(matrix)).any()
