"""Cross entropy over a vocabulary on processors that multiply tiles: logits are computed twice.

Once for the loss and once, in the backward pass, for the gradients, as flash attention does
(Dao et al. 2022): that takes less time than to write probabilities down and to read them again.
Letters: H hidden size, M masked positions, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.model.compiled import library
from bert_demo.model.compiled.library import call

_TILE = 32
"""What the positions and the hidden size are a multiple of."""
_NEVER = 1e30
"""The logarithm of a sum that makes all probabilities vanish."""


def serves(x: Tensor, low: torch.dtype) -> bool:
    """Whether products in `low` of rows as wide as those of `x` can be done here."""
    return library.has_tiles() and low == torch.bfloat16 and x.shape[1] % _TILE == 0


class _TiledCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
        count = len(labels)
        inputs = F.pad(x[:count].float(), (0, 0, 0, -count % _TILE))
        weight, bias = weight.float().contiguous(), bias.float().contiguous()
        ctx.shape = [len(inputs), *reversed(weight.shape), torch.get_num_threads()]
        rows = len(inputs)
        maxima, sums, label_logits = (
            torch.full((rows,), -1e30),
            torch.zeros(rows),
            torch.zeros(rows),
        )
        padded_labels = F.pad(labels, (0, -count % _TILE), value=-1)
        given = (inputs, weight, bias, padded_labels, maxima, sums, label_logits)
        call("tiled_cross_entropy", torch.bfloat16, *ctx.shape, *given)
        log_sums = maxima + sums.log()
        log_sums[count:] = _NEVER
        log_likelihoods = label_logits - log_sums
        # exp() of what is below 0 less 1, without the digits that a subtraction would lose.
        misses = log_likelihoods.expm1()
        ctx.save_for_backward(inputs, weight, bias, log_sums, padded_labels, misses)
        ctx.rows, ctx.count, ctx.kind = len(x), count, x.dtype
        return log_likelihoods[:count].sum(dtype=torch.float64).neg().float()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, bias, *saved = ctx.saved_tensors
        factor, threads = grad.item(), ctx.shape[-1]
        parts = torch.zeros(threads, *inputs.shape)
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
        given = (inputs, weight, bias, *saved, factor, parts, grad_weight, grad_bias)
        call("tiled_cross_entropy_backward", torch.bfloat16, *ctx.shape, *given)
        grad_x = parts.sum(0)[: ctx.count] * factor
        grad_x = F.pad(grad_x, (0, 0, 0, ctx.rows - ctx.count))
        return grad_x.to(ctx.kind), grad_weight, grad_bias, None


def tiled_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """`kernels.linear_cross_entropy` in bf16, where `serves` says that it can be had."""
    result: Tensor = _TiledCrossEntropy.apply(x, weight, bias, labels)  # type: ignore[no-untyped-call]
    return result
