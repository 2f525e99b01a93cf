"""Packed batches: sequences laid end to end, so that padding does not exist.

Letters: B sequences, T tokens of all of them together, L tokens of one, n sequences of one length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class PackedBatch:
    """B sequences end to end, in ascending order of length.

    The order makes sequences of one length neighbours, so that attention can view each such
    group as a dense (n, L, ...) block: no padding, no mask and no copy.
    """

    input_ids: Tensor
    """(T,) int64."""
    token_type_ids: Tensor
    """(T,) int64: 0 for the first text and its special tokens, 1 for the second."""
    position_ids: Tensor
    """(T,) int64: 0, 1, ... within each sequence."""
    cls_positions: Tensor
    """(B,) int64: where each sequence begins among the T tokens."""
    groups: tuple[tuple[int, int], ...]
    """(n, L) for each run of equal lengths, in order."""
    order: npt.NDArray[np.int64]
    """(B,): sequence i of the batch was number order[i] of what was packed."""

    def __len__(self) -> int:
        return len(self.order)

    @property
    def max_length(self) -> int:
        """Tokens of the longest sequence."""
        return self.groups[-1][1]

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch with its tensors on `device`."""
        return PackedBatch(
            self.input_ids.to(device, non_blocking=True),
            self.token_type_ids.to(device, non_blocking=True),
            self.position_ids.to(device, non_blocking=True),
            self.cls_positions.to(device, non_blocking=True),
            self.groups,
            self.order,
        )


def segments(lengths: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    """For rows of the given lengths laid end to end: each token's row and its place in the row.

    Returns (starts (B,), row (T,), place (T,)).
    """
    starts = np.cumsum(lengths) - lengths
    row = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(int(lengths.sum())) - starts[row]
    return starts, row, place


def length_groups(lengths: npt.NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """(n, L) for each run of equal values in `lengths` (B,)."""
    return tuple((len(list(run)), length) for length, run in groupby(lengths.tolist()))


def pack(sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> PackedBatch:
    """Pack (input_ids, token_type_ids) pairs; `order` tells where each one went."""
    assert sequences, "there is nothing to pack"
    lengths = np.array([len(ids) for ids, _ in sequences], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    starts, _, place = segments(lengths[order])
    ids = np.concatenate([np.asarray(sequences[i][0], dtype=np.int64) for i in order])
    types = np.concatenate([np.asarray(sequences[i][1], dtype=np.int64) for i in order])
    return PackedBatch(
        torch.from_numpy(ids),
        torch.from_numpy(types),
        torch.from_numpy(place),
        torch.from_numpy(starts),
        length_groups(lengths[order]),
        order,
    )


def unpack(values: Tensor, batch: PackedBatch) -> list[Tensor]:
    """Split (T, ...) into one (L, ...) tensor a sequence, in the order that was packed."""
    lengths = [length for count, length in batch.groups for _ in range(count)]
    parts = values.split(lengths)
    result: list[Tensor] = [values] * len(parts)
    for place, part in zip(batch.order.tolist(), parts, strict=True):
        result[place] = part
    return result
