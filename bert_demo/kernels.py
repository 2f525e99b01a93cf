"""The hot spots of training, each exact and each beside the plain formula that it replaces.

Letters: T tokens, H hidden size, h heads, d = H / h, n sequences of one length L, M masked
positions, V vocabulary. Every function has a plain twin that the tests compare it with.
"""

from __future__ import annotations

import math
import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Groups = tuple[tuple[int, int], ...]
_BLOCK_TOKENS = 512

# Code that the CPU's matrix library compiled for a size of matrix: it keeps 1,024 of them, about a
# megabyte each. Sizes repeat here (see `steady`), so fewer serve as well.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "96")

_thread = threading.local()


def steady(count: int) -> int:
    """`count`, rounded up a little where it is large: a size that repeats from batch to batch.

    For every size that it has not met, the CPU's matrix library compiles code and keeps it; with
    token counts as they come that is slower and takes a gigabyte within some hundred steps.
    """
    if count < 256:
        return count
    return _round_up(count, 256 if count > 4096 else 128 if count > 1024 else 32)


def _round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def seed_noise(*words: int) -> None:
    """Make all random numbers of what this thread does next a function of (seed, step, ...).

    A step that owns its randomness needs no generator state in a checkpoint: a resumed run
    draws what the uninterrupted one would have drawn.
    """
    sequence = np.random.SeedSequence(words)
    _thread.generator = np.random.Generator(np.random.SFC64(sequence))
    torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))


def keep_mask(shape: torch.Size, rate: float) -> tuple[Tensor, float]:
    """A random bool mask and the factor 1 / P(keep) that makes dropout unbiased.

    PyTorch draws Bernoulli numbers on a CPU one by one; 16 random bits an element, drawn in
    bulk, are eight times as fast and put P(drop) within 1e-5 of `rate`. The factor uses the
    probability that was really drawn with.
    """
    count = shape.numel()
    if not hasattr(_thread, "generator"):
        seed_noise(0)
    words = _thread.generator.integers(0, 2**64, (count + 3) // 4, dtype=np.uint64)
    bits = torch.from_numpy(words.view(np.int16)[:count]).view(shape)
    threshold = round(rate * 65536)
    return bits >= threshold - 32768, 65536 / (65536 - threshold)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        mask, ctx.factor = keep_mask(x.shape, rate)
        ctx.save_for_backward(mask)
        return (x * mask).mul_(ctx.factor)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return (grad * mask).mul_(ctx.factor), None


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Inverted dropout (Srivastava et al. 2014), as `F.dropout`."""
    if not training or rate == 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, rate)
    result: Tensor = _Dropout.apply(x, rate)  # type: ignore[no-untyped-call]
    return result


@dataclass(frozen=True)
class _Bucket:
    """Neighbouring sequences of nearly one length, padded to the longest: n by L."""

    start: int
    end: int
    count: int
    length: int
    places: Tensor | None
    """(end - start,) int64: where its tokens stand among n L slots; None if they fill them."""
    empty: Tensor | None
    """(n, 1, 1, L) bool: slots that hold no token."""

    cells: int
    """Sum of n L L up to and with this bucket."""

    def of(self, buffer: Tensor, heads: int) -> Tensor:
        """This bucket's part (n h, L, L) of a buffer for all."""
        own = self.count * self.length**2
        part = buffer[heads * (self.cells - own) : heads * self.cells]
        return part.view(self.count * heads, self.length, self.length)

    def spread(self, rows: Tensor) -> Tensor:
        """Tokens (end - start, ...) to slots (n L, ...), zero where there is no token."""
        if self.places is None:
            return rows
        return rows.new_zeros(self.count * self.length, rows.shape[1]).index_copy_(
            0, self.places, rows
        )

    def gather(self, slots: Tensor) -> Tensor:
        """Slots (n L, ...) back to tokens (end - start, ...)."""
        return slots if self.places is None else slots.index_select(0, self.places)


@lru_cache(maxsize=16)
def _buckets(groups: Groups) -> tuple[_Bucket, ...]:
    """One block for each length, but small blocks joined if at most a seventh is padding.

    A block of some hundred tokens stays in the processor's cache from the first product to
    the last; much smaller ones cost more in calls than in arithmetic.
    """
    joined: list[list[tuple[int, int]]] = []
    slots = tokens = 0
    for count, length in groups:
        sequences = sum(n for n, _ in joined[-1]) if joined else 0
        slots, tokens = (sequences + count) * length, tokens + count * length
        enough = joined and tokens - count * length >= _BLOCK_TOKENS
        if not joined or enough or slots * 6 > tokens * 7:
            joined.append([])
            tokens = count * length
        joined[-1].append((count, length))
    buckets = []
    start = cells = 0
    for runs in joined:
        lengths = np.repeat([length for _, length in runs], [count for count, _ in runs])
        end, longest = start + int(lengths.sum()), int(lengths[-1])
        places = empty = None
        if len(runs) > 1:
            taken = torch.arange(longest) < torch.from_numpy(lengths)[:, None]
            places, empty = taken.view(-1).nonzero().view(-1), ~taken[:, None, None, :]
        cells += len(lengths) * longest**2
        buckets.append(_Bucket(start, end, len(lengths), longest, places, empty, cells))
        start = end
    return tuple(buckets)


def _heads(slots: Tensor, bucket: _Bucket, parts: int, heads: int) -> Tensor:
    """Slots (n L, parts H) as (parts, n h, L, d) in fp32."""
    block = slots.view(bucket.count, bucket.length, parts, heads, -1).permute(2, 0, 3, 1, 4)
    block = block.to(torch.float32, memory_format=torch.contiguous_format)
    return block.reshape(parts, bucket.count * heads, bucket.length, -1)


class _BucketedAttention(torch.autograd.Function):
    """Attention on a CPU, one dense block for each bucket of lengths.

    In fp32 whatever comes in: the blocks are too small for the bf16 units to win, and the
    copy that reorders the heads converts for nothing.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, groups: Groups, heads: int, rate: float) -> Tensor:
        hidden = qkv.shape[1] // 3
        size = hidden // heads
        out = qkv.new_empty(qkv.shape[0], hidden)
        buckets = _buckets(groups)
        # One buffer for the weights of all blocks: many small ones that stay until the backward
        # pass would leave gaps of all sizes in the memory.
        kept = qkv.new_empty(heads * _round_up(buckets[-1].cells, 4096), dtype=torch.float32)
        mask, factor = keep_mask(kept.shape, rate) if rate else (kept, 1.0)
        blocks = []
        for bucket in buckets:
            count, length = bucket.count, bucket.length
            block = _heads(bucket.spread(qkv[bucket.start : bucket.end]), bucket, 3, heads)
            blocks.append(block)
            q, k, v = block.unbind(0)
            scores = bucket.of(kept, heads)
            torch.baddbmm(scores, q, k.transpose(1, 2), beta=0, alpha=size**-0.5, out=scores)
            if bucket.empty is not None:
                scores.view(count, heads, length, length).masked_fill_(bucket.empty, -math.inf)
            weights = used = torch.softmax(scores, -1, out=scores)
            if rate:
                used = weights * bucket.of(mask, heads)
                v = v.mul(factor)
            mixed = torch.bmm(used, v).view(count, heads, length, size).transpose(1, 2)
            mixed = mixed.to(qkv.dtype, memory_format=torch.contiguous_format)
            out[bucket.start : bucket.end] = bucket.gather(mixed.reshape(count * length, hidden))
        out[bucket.end :] = 0
        ctx.save_for_backward(kept, mask, *blocks)
        ctx.rate, ctx.factor, ctx.groups, ctx.heads = rate, factor, groups, heads
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        heads, hidden = ctx.heads, grad.shape[1]
        size = hidden // heads
        grad_qkv = grad.new_empty(grad.shape[0], 3 * hidden)
        kept, mask, *blocks = ctx.saved_tensors
        for bucket, block in zip(_buckets(ctx.groups), blocks, strict=True):
            count, length = bucket.count, bucket.length
            q, k, v = block.unbind(0)
            # Zero where there is no token, so that nothing flows back from there.
            out = _heads(bucket.spread(grad[bucket.start : bucket.end]), bucket, 1, heads)[0]
            grads = q.new_empty(3, *q.shape)
            weights = used = bucket.of(kept, heads)
            if ctx.rate:
                used = weights * bucket.of(mask, heads)
                out = out.mul(ctx.factor)
            grad_weights = torch.bmm(out, v.transpose(1, 2))
            if ctx.rate:
                grad_weights.mul_(bucket.of(mask, heads))
            torch.bmm(used.transpose(1, 2), out, out=grads[2])
            # d softmax: w * (g - sum(g * w))
            inner = (grad_weights * weights).sum(-1, keepdim=True)
            scores = grad_weights.sub_(inner).mul_(weights)
            scale = {"beta": 0, "alpha": size**-0.5}
            torch.baddbmm(grads[0], scores, k, **scale, out=grads[0])
            torch.baddbmm(grads[1], scores.transpose(1, 2), q, **scale, out=grads[1])
            shaped = grads.view(3, count, heads, length, size).permute(1, 3, 0, 2, 4)
            shaped = shaped.to(grad.dtype, memory_format=torch.contiguous_format)
            slots = bucket.gather(shaped.reshape(count * length, 3 * hidden))
            grad_qkv[bucket.start : bucket.end] = slots
        grad_qkv[bucket.end :] = 0
        return grad_qkv, None, None, None


def attention(qkv: Tensor, groups: Groups, heads: int, rate: float, training: bool) -> Tensor:
    """Scaled dot-product self-attention within each packed sequence (Vaswani et al. 2017).

    qkv: (T or more, 3 H), the sequences in ascending order of length as `groups` says; rows
    beyond them are ignored. Returns as many rows of width H.
    """
    rate = rate if training else 0.0
    if qkv.device.type == "cpu":
        result: Tensor = _BucketedAttention.apply(qkv, groups, heads, rate)  # type: ignore[no-untyped-call]
        return result
    return padded_attention(qkv, groups, heads, rate)[0]


def padded_attention(
    qkv: Tensor, groups: Groups, heads: int, rate: float = 0.0, need_weights: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """The same with padding and a mask, for devices where one large call beats many small ones.

    Returns (T, H) and, if asked for, the attention weights: for each sequence (h, L, L).
    """
    hidden = qkv.shape[1] // 3
    lengths = torch.tensor([length for n, length in groups for _ in range(n)], device=qkv.device)
    longest = groups[-1][1]
    attention_mask = torch.arange(longest, device=qkv.device) < lengths[:, None]  # (B, L)
    padded = qkv.new_zeros(*attention_mask.shape, 3 * hidden)
    tokens = sum(n * length for n, length in groups)
    padded[attention_mask] = qkv[:tokens]
    q, k, v = padded.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)  # (B, h, L, d)
    allowed = attention_mask[:, None, None, :]
    mixed = F.scaled_dot_product_attention(q, k, v, allowed, dropout_p=rate)
    weights: list[Tensor] = []
    if need_weights:
        scores = (q @ k.transpose(-1, -2)) * (hidden // heads) ** -0.5
        full = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
        weights = [w[:, :n, :n] for w, n in zip(full, lengths.tolist(), strict=True)]
    mixed = mixed.transpose(1, 2).flatten(2)[attention_mask]
    return F.pad(mixed, (0, 0, 0, len(qkv) - tokens)), weights


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of cross entropies of a linear layer's outputs, which never exist as a whole.

    The gradients are made in the forward pass, chunk by chunk, while the chunk's logits are
    still in the processor's cache; the backward pass only scales them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
        device = x.device.type
        low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        inputs, matrix, offset = x.to(low), weight.to(low), bias.to(low)
        chunks = -(-len(labels) // _chunk_rows(weight))
        rows = max(16, _round_up(-(-len(labels) // max(chunks, 1)), 16))
        inputs = F.pad(inputs[: len(labels)], (0, 0, 0, rows * chunks - len(labels)))
        with torch.autocast(device, enabled=False):
            grad_x = torch.empty_like(inputs)
            grad_weight = torch.zeros_like(weight, dtype=torch.float32)
            grad_bias = torch.zeros_like(bias, dtype=torch.float32)
            logits, guess, product = _work_space(rows, matrix)
            total = x.new_zeros((), dtype=torch.float32)
            for start in range(0, len(inputs), rows):
                part, label = inputs[start : start + rows], labels[start : start + rows]
                torch.addmm(offset, part, matrix.t(), out=logits)
                torch.softmax(logits, 1, out=guess)
                guess[len(label) :] = 0
                picked = guess[: len(label)].gather(1, label[:, None]).float()
                total -= picked.clamp_min(torch.finfo(torch.float32).tiny).log().sum()
                torch.mm(guess, matrix, out=grad_x[start : start + rows])
                grad_weight += torch.mm(guess.t(), part, out=product)
                grad_bias += guess.sum(0)  # adds in fp32, and rounds only the result
            # The gradient of a logit is its probability, less 1 at the label.
            grad_x = grad_x[: len(labels)] - matrix[labels]
            grad_weight.index_add_(0, labels, inputs[: len(labels)].float(), alpha=-1)
            grad_x = F.pad(grad_x, (0, 0, 0, len(x) - len(labels)))
            grad_bias -= torch.bincount(labels, minlength=len(bias))
        ctx.save_for_backward(grad_x.to(x.dtype), grad_weight.to(weight.dtype), grad_bias)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        grad_x, grad_weight, grad_bias = ctx.saved_tensors
        # In place: these are the largest tensors of a step, and nobody else holds them.
        return grad_x.mul_(grad), grad_weight.mul_(grad), grad_bias.mul_(grad), None


def _work_space(rows: int, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Two chunks of logits (rows, V) and a matrix (V, H), kept from step to step.

    Fresh memory costs a page fault every 4 kB, which takes longer than to fill it.
    """
    key = (matrix.shape, matrix.dtype, matrix.device)
    if getattr(_thread, "key", None) != key:
        most = _round_up(_chunk_rows(matrix), 16)
        chunks = matrix.new_empty(2, most, len(matrix))
        _thread.key, _thread.space = key, (chunks, torch.empty_like(matrix))
    chunks, product = _thread.space
    return chunks[0, :rows], chunks[1, :rows], product


def _chunk_rows(weight: Tensor) -> int:
    """Rows whose logits fit the processor's cache and keep the matrix units busy."""
    return max(16, 4_000_000 // len(weight))


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """Sum over M rows of the cross entropy of `x @ weight.T + bias` against `labels`.

    x: (M or more, H), rows beyond M being ignored; weight: (V, H); bias: (V,); labels: (M,) int64.
    Under autocast the matrix products run in its dtype; losses and sums are fp32. Backward may
    be called once.
    """
    if not torch.is_grad_enabled() or not x.requires_grad:
        rows = _chunk_rows(weight)
        parts = zip(x[: len(labels)].split(rows), labels.split(rows), strict=True)
        losses = [
            F.cross_entropy(F.linear(part, weight, bias).float(), label, reduction="sum")
            for part, label in parts
        ]
        return torch.stack(losses).sum() if losses else x.new_zeros(())
    result: Tensor = _ChunkedCrossEntropy.apply(x, weight, bias, labels)  # type: ignore[no-untyped-call]
    return result
