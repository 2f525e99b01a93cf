"""Cross entropy over a vocabulary by PyTorch's own operations.

Letters: H hidden size, M masked positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_LOGITS, _LOGITS_ON_GPU = 4_000_000, 128_000_000
"""Of a chunk: as many as a CPU's cache holds, or on a GPU its memory."""
_ALIGNED = 8
"""Columns of the narrowest product that a GPU's matrix units take."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    """The logits (M, V) never exist as a whole.

    The gradients are made in the forward pass, while a chunk's logits are still in the processor's
    cache; the backward pass only scales them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        labels: Tensor,
        low: torch.dtype,
        wants_gradients: bool,
    ) -> Tensor:
        inputs, matrix, offset = x.to(low), weight.to(low), bias.to(low)
        known = (labels >= 0)[:, None].to(low)  # (M, 1): 1 or 0
        labels = labels.clamp(min=0)[:, None]
        loss = x.new_zeros((), dtype=torch.float32)
        grads = [torch.zeros_like(t, dtype=torch.float32) for t in (x, weight, bias)]
        with torch.autocast(x.device.type, enabled=False):
            for chunk in _chunks(len(labels), weight):
                part, label, real = inputs[chunk], labels[chunk], known[chunk]
                p = torch.addmm(offset, part, matrix.t()).softmax(1)  # (rows, V)
                likelihood = p.gather(1, label).float().clamp_min(torch.finfo(torch.float32).tiny)
                loss -= (likelihood.log() * real).sum()
                if wants_gradients:
                    # The gradient of a logit is its probability, less 1 at the label. Rows that are
                    # not asked about are left out of the sums: to make them zero costs as much as
                    # a product, and so does a sum over rows.
                    slope = p.scatter_add_(1, label, -torch.ones_like(real))
                    grads[0][chunk] = (slope @ matrix) * real
                    grads[1] += slope.t() @ (part * real)
                    grads[2] += (slope.t() @ real.expand(-1, _ALIGNED).contiguous())[:, 0]
        if wants_gradients:
            pairs = zip(grads, (x, weight, bias), strict=True)
            ctx.save_for_backward(*(grad.to(given.dtype) for grad, given in pairs))
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # In place: these are the largest tensors of a step, and nobody else holds them.
        return *(saved.mul_(grad) for saved in ctx.saved_tensors), None, None, None


def _chunks(rows: int, weight: Tensor) -> Iterator[slice]:
    """Slices of `rows`."""
    logits = _LOGITS if weight.device.type == "cpu" else _LOGITS_ON_GPU
    size = -(-max(1, logits // len(weight)) // 16) * 16
    return (slice(begin, min(begin + size, rows)) for begin in range(0, rows, size))


def chunked_cross_entropy(
    x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, low: torch.dtype
) -> Tensor:
    """`kernels.linear_cross_entropy` in chunks of rows, its matrix products in `low`."""
    wants_gradients = torch.is_grad_enabled()
    result: Tensor = _ChunkedCrossEntropy.apply(x, weight, bias, labels, low, wants_gradients)  # type: ignore[no-untyped-call]
    return result
