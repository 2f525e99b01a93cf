"""A training set that lives on a GPU: the host says which pairs, the device makes their batch.

A batch has one of a few sizes, so that one plan of work serves many steps, and nothing on its way
makes the host wait. Letters: B pairs, F sequences that fill a batch up, S = B + F, T tokens of all
of them, L tokens of one at most, M positions to be guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bert_demo.data.batches import Batches, TrainingBatch
from bert_demo.data.layout import Place, Plan, lay_out
from bert_demo.data.masking import BERTS, mask_tokens, uniform
from bert_demo.data.packing import PackedBatch

_LEAST_STEP = 32
_DEVIATIONS = 6
"""So many standard deviations of a batch's number of masks does a batch have room for."""
_COLUMNS = 7


@dataclass(frozen=True)
class Size:
    """What a batch on the device has room for."""

    pairs: int
    tokens: int
    masks: int


def room_for(tokens: int) -> int:
    """The least of a few sizes that holds so many tokens and one more: they are 3 to 6% apart."""
    step = max(_LEAST_STEP, 1 << max(0, (tokens // 16).bit_length() - 1))
    return (tokens // step + 1) * step


def room_for_masks(tokens: int, share: float = BERTS.share) -> int:
    """Room for the masks of a batch of so many tokens, of which that share is to be guessed: more
    are chosen once in a billion times."""
    most = share * tokens + _DEVIATIONS * math.sqrt(share * (1 - share) * tokens)
    return min(tokens, -(-int(most + 1) // _LEAST_STEP) * _LEAST_STEP)


class Resident:
    """The token ids of a data set on a device, and the batches that are made of them there."""

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self._device, self._length = device, batches.max_length
        self._tokenizer, self._masks = batches.tokenizer, batches.masks
        self._masking = batches.masking
        self._first = self._moved(batches.first_ids)
        alike = batches.second_ids is batches.first_ids
        self._second = self._first if alike else self._moved(batches.second_ids)
        self._targets: Tensor | None = None
        if batches.targets is not None:
            self._targets = torch.from_numpy(np.array(batches.targets)).to(device)

    def _moved(self, ids: npt.NDArray[np.int32]) -> Tensor:
        return torch.from_numpy(ids.astype(np.int32)).to(self._device)

    def size_of(self, plan: Plan) -> Size:
        """The room that this batch takes."""
        tokens = room_for(int(plan.lengths.sum()))
        masks = room_for_masks(tokens, self._masking.share) if self._masks else 0
        return Size(len(plan.labels), tokens, masks)

    def sent(self, plan: Plan) -> Tensor:
        """The plan on the device, (7 B + 1,) int64; the host goes on while it is on its way."""
        first, second = plan.first, plan.second
        texts = (first.starts, second.starts, first.lengths, second.lengths)
        others = (plan.labels, plan.draws, plan.examples)
        flat = torch.from_numpy(np.concatenate([*texts, *others, [plan.key]]))
        if self._device.type == "cuda":
            flat = flat.pin_memory()
        return flat.to(self._device, non_blocking=True)

    def lay_out(self, sent: Tensor, size: Size) -> TrainingBatch:
        """The batch of a plan that was `sent`, in as much room as `size` says.

        Places of masks that are not there ask about the last token, with the label -1; those of
        padding that is not there about <cls>, with the same label.
        """
        columns = sent[:-1].view(_COLUMNS, size.pairs)
        pair, bounds, at, real = self._places(columns, size.tokens)
        ids, types, words = lay_out(
            at, self._first, self._second, self._tokenizer.cls_id, self._tokenizer.sep_id
        )
        ids = ids.masked_fill(~real, self._tokenizer.pad_id)
        positions = labels = None
        if self._masks:
            draw = self._draw(sent, columns, pair)
            vocab_size, mask_id = self._tokenizer.vocab_size, self._tokenizer.mask_id
            asked = words & real
            ids, chosen = mask_tokens(ids, asked, vocab_size, mask_id, draw, self._masking)
            positions, labels = _gathered(chosen, size.masks)
            if self._masking.padded:
                missing = self._masking.padded - _count_by_pair(chosen >= 0, pair, size.pairs)
                slots = torch.arange(self._masking.padded, device=pair.device)
                fills = slots < missing[:, None]  # (B, slots)
                at_cls = bounds[: size.pairs, None].long().expand_as(fills)
                positions = torch.cat([positions, at_cls.flatten()])
                unknown = torch.where(fills, self._tokenizer.unk_id, -1)
                labels = torch.cat([labels, unknown.flatten()])
        packed = PackedBatch(
            ids,
            types.masked_fill(~real, 0),
            at.place,
            bounds[: size.pairs].long(),
            bounds,
            self._length,
            np.arange(size.pairs),
        )
        targets = None if self._targets is None else self._targets.index_select(0, columns[6])
        return TrainingBatch(packed, columns[4], positions, labels, targets)

    def count_masks(self, sent: Tensor, size: Size) -> Tensor:
        """How many positions of a plan that was `sent` are to be guessed, (), on the device."""
        columns = sent[:-1].view(_COLUMNS, size.pairs)
        pair, _, at, real = self._places(columns, size.tokens)
        draw = self._draw(sent, columns, pair)
        chosen: Tensor = (at.in_first | at.in_second) & real & (draw < self._masking.share)
        if not self._masking.padded:
            return chosen.sum()
        return _count_by_pair(chosen, pair, size.pairs).clamp(min=self._masking.padded).sum()

    def _places(self, columns: Tensor, tokens: int) -> tuple[Tensor, Tensor, Place, Tensor]:
        """Each token's pair (T,), the sequences' bounds (S + 1,), more of each, and which are real.

        Behind the pairs come sequences of L tokens and one that is shorter, up to `tokens`.
        """
        pairs = columns.shape[1]
        lengths = columns[2] + columns[3] + 3
        most = -(-max(_LEAST_STEP, tokens // 16) // self._length)  # that `room_for` leaves empty
        begins = torch.arange(most, device=columns.device) * self._length
        empty = (tokens - lengths.sum() - begins).clamp(0, self._length)
        ends = torch.cat([lengths, empty]).cumsum(0)
        token = torch.arange(tokens, device=columns.device)
        row = torch.searchsorted(ends, token, right=True)
        bounds = torch.cat([ends.new_zeros(1), ends])
        place = token - bounds.index_select(0, row)
        pair = row.clamp(max=pairs - 1)
        found = columns[:4].index_select(1, pair)
        return pair, bounds.int(), Place(place, *found.unbind(0)), row < pairs

    def _draw(self, sent: Tensor, columns: Tensor, pair: Tensor) -> Tensor:
        """Each token's number, (T,), by the plan's `draws`."""
        lengths = columns[2] + columns[3] + 3
        moved = columns[5] - (lengths.cumsum(0) - lengths)
        places = torch.arange(len(pair), device=pair.device) + moved.index_select(0, pair)
        drawn: Tensor = uniform(places, sent[-1])
        return drawn


def _count_by_pair(chosen: Tensor, pair: Tensor, pairs: int) -> Tensor:
    """(B,) int64: how many of each pair's tokens are `chosen` (T,)."""
    return torch.zeros(pairs, dtype=torch.int64, device=pair.device).index_add(
        0, pair, chosen.long()
    )


def _gathered(chosen: Tensor, room: int) -> tuple[Tensor, Tensor]:
    """Where `chosen` (T,) is not -1, in ascending order, and what is there: both (room,) int64.

    What is left of the room points at the last token and has -1; what it cannot hold is left out.
    """
    last = len(chosen) - 1
    here = chosen >= 0
    rank = here.cumsum(0) - 1
    # One slot more takes what is not wanted.
    slot = rank.masked_fill(~here | (rank >= room), room)
    tokens = torch.arange(len(chosen), device=chosen.device)
    positions = torch.full((room + 1,), last, device=chosen.device)
    labels = torch.full((room + 1,), -1, device=chosen.device)
    positions.scatter_(0, slot, tokens)
    labels.scatter_(0, slot, chosen)
    return positions[:room], labels[:room]
