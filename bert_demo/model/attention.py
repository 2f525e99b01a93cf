"""Self-attention within packed sequences.

Letters: T tokens, S sequences, L tokens of one, H hidden size, h heads, d = H / h, M tokens that
ask. On a CPU it runs in compiled blocks, or without them in buckets; on a GPU in
FlashAttention's kernels for sequences of any lengths, or padded where these do not serve.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.data.packing import PackedBatch, resized
from bert_demo.model.bucketed_attention import (
    Groups,
    askers,
    bucketed_attention,
    chosen_bucketed_attention,
    sequence_lengths,
)
from bert_demo.model.compiled import blocks, library

_FLASH_TYPES = (torch.bfloat16, torch.float16)
_FLASH_SIZES = range(8, 257, 8)


@lru_cache(maxsize=16)
def _layout(groups: Groups) -> blocks.Layout:
    return blocks.layout(sequence_lengths(groups))


def attention(
    qkv: Tensor, bias: Tensor | None, batch: PackedBatch, heads: int, rate: float, training: bool
) -> Tensor:
    """Scaled dot-product self-attention within each packed sequence (Vaswani et al. 2017).

    qkv: (T or more, 3 H), rows beyond the sequences being ignored. bias: (3 H,), what is still to
    be added. Returns as many rows of width H.
    """
    rate = rate if training else 0.0
    if library.serves(qkv) and batch.groups:
        return blocks.attention(None, qkv, bias, _layout(batch.groups), heads, rate)
    if bias is not None:
        qkv = qkv + bias
    if qkv.device.type == "cpu" and batch.groups:
        return bucketed_attention(qkv, batch.groups, heads, rate)
    if _flash_serves(qkv, heads):
        return _flash_attention(qkv, batch, heads, rate)
    return padded_attention(qkv, batch, heads, rate)[0]


def chosen_attention(
    asking: Tensor,
    keys_values: Tensor,
    bias: Tensor | None,
    positions: Tensor,
    groups: Groups,
    heads: int,
    rate: float,
    training: bool,
) -> Tensor:
    """The same on a CPU for the tokens at `positions` alone, all that a last layer needs.

    asking: (M or more, H), queries of these tokens; keys_values: (T or more, 2 H) of all; bias:
    (3 H,), what is still to be added to both; positions: (M,) int64. Returns as many rows as
    `asking`.
    """
    rate = rate if training else 0.0
    compiled = library.serves(keys_values)
    if bias is not None and not compiled:
        width = asking.shape[1]
        asking, keys_values = asking + bias[:width], keys_values + bias[width:]
    order, sequence, asked = askers(groups, positions)
    sorted_asking = asking.index_select(0, order)
    if compiled:
        where = blocks.layout(sequence_lengths(groups), asked)
        mixed = blocks.attention(sorted_asking, keys_values, bias, where, heads, rate)
    else:
        mixed = chosen_bucketed_attention(
            sorted_asking, keys_values, groups, sequence, asked, heads, rate
        )
    return torch.zeros_like(asking).index_copy(0, order, mixed)


def _flash_serves(qkv: Tensor, heads: int) -> bool:
    """Whether FlashAttention takes these numbers on their device (Dao et al. 2022)."""
    size = qkv.shape[1] // 3 // heads
    fits = qkv.dtype in _FLASH_TYPES and size in _FLASH_SIZES
    return fits and qkv.device.type == "cuda" and _has_flash(qkv.device)


@lru_cache(maxsize=8)
def _has_flash(device: torch.device) -> bool:
    """Whether this card (NVIDIA's, from Ampere on) and this build of torch have its kernels."""
    return (
        torch.version.hip is None
        and torch.backends.cuda.is_flash_attention_available()
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


def _flash_attention(qkv: Tensor, batch: PackedBatch, heads: int, rate: float) -> Tensor:
    """`attention` without padding and without waiting for the device.

    By the function below `torch.nn.attention.varlen`, which itself knows no dropout.
    """
    tokens, hidden = len(batch.position_ids), qkv.shape[1] // 3
    q, k, v = resized(qkv, tokens).view(tokens, 3, heads, hidden // heads).unbind(1)  # (T, h, d)
    longest = batch.max_length
    mixed: Tensor = torch.ops.aten._flash_attention_forward(
        q, k, v, batch.bounds, batch.bounds, longest, longest, rate, False, False
    )[0]
    return resized(mixed.reshape(tokens, hidden), len(qkv))


def padded_attention(
    qkv: Tensor, batch: PackedBatch, heads: int, rate: float = 0.0, need_weights: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """`attention` with padding and a mask, where one large call beats many small ones.

    Returns (T, H) and, if asked for, the attention weights: for each sequence (h, L, L).
    """
    hidden = qkv.shape[1] // 3
    slots, attention_mask = _slots(batch)
    padded = qkv.new_zeros(attention_mask.numel(), 3 * hidden)
    padded = padded.index_copy(0, slots, resized(qkv, len(slots)))
    padded = padded.view(*attention_mask.shape, 3, heads, hidden // heads)
    q, k, v = padded.permute(2, 0, 3, 1, 4).unbind(0)  # (S, h, L, d)
    allowed = attention_mask[:, None, None, :]
    mixed = F.scaled_dot_product_attention(q, k, v, allowed, dropout_p=rate)
    weights: list[Tensor] = []
    if need_weights:
        scores = (q @ k.transpose(-1, -2)) * (hidden // heads) ** -0.5
        full = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
        lengths = sequence_lengths(batch.groups).tolist()
        weights = [w[:, :n, :n] for w, n in zip(full, lengths, strict=True)]
    mixed = mixed.transpose(1, 2).reshape(-1, hidden).index_select(0, slots)
    return resized(mixed, len(qkv)), weights


def _slots(batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Where tokens stand among S L padded slots, (T,) int64, and the mask (S, L) of these slots.

    Of operations on the device alone: to look there for what is not masked would make the host
    wait.
    """
    bounds, longest = batch.bounds, batch.max_length
    places = torch.arange(len(batch.position_ids), dtype=bounds.dtype, device=bounds.device)
    row = torch.searchsorted(bounds[1:], places, right=True)
    # A sequence of no tokens has one slot all the same, lest its softmax be over nothing.
    lengths = bounds.diff().clamp(min=1)
    mask = torch.arange(longest, device=bounds.device) < lengths[:, None]
    return row * longest + batch.position_ids, mask
