"""Packed batches: sequences laid end to end, so that padding does not exist.

Letters: B sequences, S of them and of what fills a batch up, T tokens of all of them together, L
tokens of one, n sequences of one length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
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
    bounds: Tensor
    """(S + 1,) int32: where each sequence begins, and the end of the last. S is B, and more where
    sequences that nobody asks about fill the batch up to a size that repeats."""
    max_length: int
    """At least the tokens of the longest sequence."""
    order: npt.NDArray[np.int64]
    """(B,): sequence i of the batch was number order[i] of what was packed."""
    groups: tuple[tuple[int, int], ...] = ()
    """(n, L) for each run of equal lengths, in order; none where only the device knows them."""

    def __len__(self) -> int:
        return len(self.order)

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch with its tensors on `device`."""
        return PackedBatch(
            self.input_ids.to(device, non_blocking=True),
            self.token_type_ids.to(device, non_blocking=True),
            self.position_ids.to(device, non_blocking=True),
            self.cls_positions.to(device, non_blocking=True),
            self.bounds.to(device, non_blocking=True),
            self.max_length,
            self.order,
            self.groups,
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


def packed_batch(
    input_ids: npt.NDArray[np.int64],
    token_type_ids: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
) -> PackedBatch:
    """Tokens (T,) of sequences of these lengths (B,), in ascending order of length."""
    starts, _, place = segments(lengths)
    return PackedBatch(
        torch.from_numpy(input_ids),
        torch.from_numpy(token_type_ids),
        torch.from_numpy(place),
        torch.from_numpy(starts),
        torch.from_numpy(np.append(starts, len(input_ids)).astype(np.int32)),
        int(lengths[-1]),
        order,
        length_groups(lengths),
    )


def pack(sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> PackedBatch:
    """Pack (input_ids, token_type_ids) pairs; `order` tells where each one went."""
    assert sequences, "there is nothing to pack"
    lengths = np.array([len(ids) for ids, _ in sequences], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    ids = np.concatenate([np.asarray(sequences[i][0], dtype=np.int64) for i in order])
    types = np.concatenate([np.asarray(sequences[i][1], dtype=np.int64) for i in order])
    return packed_batch(ids, types, lengths[order], order)


def resized(x: Tensor, rows: int) -> Tensor:
    """x with so many rows: what is beyond them is left out, and zeros are added.

    Where that is how many there are it is x itself, and not a copy.
    """
    if len(x) >= rows:
        return x if len(x) == rows else x[:rows]
    return F.pad(x, (0, 0) * (x.dim() - 1) + (0, rows - len(x)))


def unpack(values: Tensor, batch: PackedBatch) -> list[Tensor]:
    """Split (T, ...) into one (L, ...) tensor a sequence, in the order that was packed."""
    lengths = [length for count, length in batch.groups for _ in range(count)]
    parts = values.split(lengths)
    result: list[Tensor] = [values] * len(parts)
    for place, part in zip(batch.order.tolist(), parts, strict=True):
        result[place] = part
    return result
