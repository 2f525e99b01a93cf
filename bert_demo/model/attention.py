"""Self-attention within packed sequences by PyTorch's own operations.

Letters: T tokens, S sequences, L tokens of one, H hidden size, h heads, d = H / h, M tokens whose
queries are wanted. Which function serves where is for `kernels.attention` to choose: on a CPU with
a compiler it is none of these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.data.packing import PackedBatch, resized
from bert_demo.model import fast_paths
from bert_demo.model.dropout import Draw, draw, kept_weights

IntArray = npt.NDArray[np.int64]

_FLASH_TYPES = (torch.bfloat16, torch.float16)
_FLASH_SIZES = range(8, 257, 8)

_GROUP_TOKENS = 512
_MOST_PADDING = 1.15


def sequence_lengths(groups: Sequence[tuple[int, int]]) -> IntArray:
    """(S,): the length of each sequence, from `PackedBatch.groups`."""
    return np.repeat([length for _, length in groups], [count for count, _ in groups])


def by_sequence(positions: Tensor, lengths: IntArray) -> tuple[Tensor, IntArray]:
    """The order (M,) that sorts `positions` (M,), and how many each sequence has, (S,)."""
    order = np.argsort(positions.numpy(), kind="stable")
    sequence = np.searchsorted(np.cumsum(lengths), positions.numpy()[order], side="right")
    return torch.from_numpy(order), np.bincount(sequence, minlength=len(lengths))


def grouped_attention(
    q: Tensor, k: Tensor, v: Tensor, queries: IntArray, lengths: IntArray, heads: int, rate: float
) -> Tensor:
    """Scaled dot-product self-attention on a CPU, padded within groups of similar lengths.

    q: (M or more, H); k, v: (T or more, H); rows beyond the sequences are ignored. queries: (S,),
    how many rows of q each sequence has; lengths: (S,), ascending, the same of k and v. Returns as
    many rows as q has. In fp32 whatever comes in: bf16 gains nothing on blocks so small.
    """
    ends = _group_ends(lengths)
    counts = np.split(queries, ends), np.split(lengths, ends)
    rows = _split(q.float(), counts[0]), _split(k.float(), counts[1]), _split(v.float(), counts[1])
    drawn = draw(int(queries.sum()), rate, ascending=True) if rate else None
    draws: Sequence[Draw | None] = [None] * len(counts[0])
    if drawn is not None:
        draws = [drawn._replace(places=places) for places in _split(drawn.places, counts[0])]
    with torch.autocast("cpu", enabled=False):
        groups = zip(*rows, *counts, draws, strict=True)
        mixed = [_one_group(a, b, c, asked, n, own, heads) for a, b, c, asked, n, own in groups]
    return resized(torch.cat(mixed), len(q)).to(q.dtype)


def _group_ends(lengths: IntArray) -> list[int]:
    """Where a group of neighbours ends before the last: it has enough tokens and little padding."""
    ends: list[int] = []
    tokens = shortest = 0
    for place, length in enumerate(lengths.tolist()):
        if tokens >= _GROUP_TOKENS and length > _MOST_PADDING * shortest:
            ends.append(place)
            tokens = 0
        shortest = shortest if tokens else length
        tokens += length
    return ends


def _split(x: Tensor, groups: Sequence[IntArray]) -> tuple[Tensor, ...]:
    """The rows of each group."""
    sizes = [int(counts.sum()) for counts in groups]
    parts: tuple[Tensor, ...] = x.split([*sizes, len(x) - sum(sizes)])
    return parts[:-1]


def _one_group(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    queries: IntArray,
    lengths: IntArray,
    drawn: Draw | None,
    heads: int,
) -> Tensor:
    """The formula (Vaswani et al. 2017, 3.2) for n sequences of at most L tokens and L' queries."""
    q = _padded(q, queries).unflatten(2, (heads, -1)).transpose(1, 2)  # (n, h, L', d)
    k, v = (_padded(x, lengths).unflatten(2, (heads, -1)).transpose(1, 2) for x in (k, v))
    scores = (q * q.shape[3] ** -0.5) @ k.transpose(2, 3)  # (n, h, L', L)
    empty = ~_is_token(lengths)[:, None, None, :]
    weights = scores.masked_fill_(empty, -math.inf).softmax(3)
    if drawn is not None:
        padded = drawn._replace(places=_padded(drawn.places[:, None], queries)[:, :, 0])
        weights = (weights * kept_weights(padded, heads, weights.shape[3])).mul_(drawn.factor)
    mixed = (weights @ v).transpose(1, 2).flatten(2)  # (n, L', H)
    own: Tensor = mixed.flatten(0, 1).index_select(0, _places(queries))
    return own


def _is_token(counts: IntArray) -> Tensor:
    """(n, L) bool: which slots hold a token, where n sequences of these lengths are padded."""
    return torch.from_numpy(np.arange(counts.max()) < counts[:, None])


def _places(counts: IntArray) -> Tensor:
    """(rows,): where each row stands among the n L slots."""
    return _is_token(counts).view(-1).nonzero().view(-1)


def _padded(rows: Tensor, counts: IntArray) -> Tensor:
    """(rows, H) -> (n, L, H), zero where no row is."""
    slots = rows.new_zeros(len(counts) * int(counts.max()), rows.shape[1])
    slots = slots.index_copy(0, _places(counts), rows)
    padded: Tensor = slots.view(len(counts), -1, rows.shape[1])
    return padded


def flash_serves(qkv: Tensor, heads: int) -> bool:
    """Whether FlashAttention takes these numbers on their device (Dao et al. 2022)."""
    size = qkv.shape[1] // 3 // heads
    fits = qkv.dtype in _FLASH_TYPES and size in _FLASH_SIZES
    return fits and fast_paths.serves(fast_paths.FLASH, qkv.device) and has_flash(qkv.device)


@lru_cache(maxsize=8)
def has_flash(device: torch.device) -> bool:
    """Whether this card (NVIDIA's, from Ampere on) and this build of torch have its kernels."""
    return (
        torch.version.hip is None
        and torch.backends.cuda.is_flash_attention_available()
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


def flash_attention(qkv: Tensor, batch: PackedBatch, heads: int, rate: float) -> Tensor:
    """`grouped_attention` of (T or more, 3 H) without padding and without waiting for the device.

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
    """The same with padding and a mask, where one large call beats many small ones.

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
