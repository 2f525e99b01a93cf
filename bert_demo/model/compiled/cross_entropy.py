"""Cross entropy over a vocabulary in blocks of words whose logits stay in the processor's cache.

Letters: H hidden size, M masked positions, V vocabulary, R rows of a chunk of the M.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.model.compiled.library import call

_ROWS, _COLUMNS = 320, 2048
"""Most rows and words of a block: a megabyte of logits in bf16."""
_LAST = 32
"""What the rows of the last chunk are a multiple of: sizes repeat from batch to batch."""

_thread = threading.local()


class _Block(NamedTuple):
    """Some words of the vocabulary."""

    place: slice
    matrix: Tensor
    """(words, H)."""
    transposed: Tensor
    """(H, words)."""
    bias: Tensor
    """(words,)."""


@dataclass(frozen=True)
class _Softmax:
    """The softmax of a chunk's logits, not yet divided by its sums.

    A row's largest logit is known only in the end, so exponentials are kept relative to the largest
    one so far, as in flash attention (Dao et al. 2022).
    """

    exponentials: list[Tensor]
    """For each block (R, words): exp(logit - largest so far)."""
    sums: Tensor
    """(R,): of the exponentials, relative to the largest logit of all."""
    factors: tuple[Tensor, ...]
    """For each block (R,): by which to multiply the exponentials of the blocks before it."""
    log_likelihoods: Tensor
    """(R,): of the labels."""
    product: Tensor
    """(R, H): exponentials @ matrix, relative to the largest logit of all."""


class _BlockedCrossEntropy(torch.autograd.Function):
    """Each logit is computed once, its exponential kept, and the gradients made of that."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, low: torch.dtype
    ) -> Tensor:
        count, (words, hidden) = len(labels), weight.shape
        matrix, inputs = weight.to(low), F.pad(x[:count].to(low), (0, 0, 0, -count % _LAST))
        grad_x = torch.empty(len(inputs), hidden)
        grad_weight, grad_bias = torch.empty(words, hidden), torch.zeros(words)
        loss = torch.zeros((), dtype=torch.float64)
        blocks = _blocks(matrix, bias)
        product = _work_space(blocks)[2]
        sums = [(grad_weight[block.place], grad_bias[block.place]) for block in blocks]
        scaled = torch.empty(min(_ROWS, len(inputs)), hidden, dtype=low)
        for start in range(0, len(inputs), _ROWS):
            part, label = inputs[start : start + _ROWS], labels[start : start + _ROWS]
            rows = len(part)
            softmax = _softmax(part, blocks, label)
            loss -= softmax.log_likelihoods[: len(label)].sum(dtype=torch.float64)
            # What makes probabilities of exponentials; zero for rows that are padding.
            scales = 1 / softmax.sums
            scales[len(label) :] = 0
            torch.mul(softmax.product, scales[:, None], out=grad_x[start : start + rows])
            parts = zip(blocks, softmax.exponentials, softmax.factors, sums, strict=True)
            for block, exponentials, factor, (weight_sum, bias_sum) in reversed(list(parts)):
                size, out = len(block.bias), product[: len(block.bias)]
                given = (exponentials, words, part, factor, scales, scaled, bias_sum)
                call("scale_block", low, rows, size, hidden, *given)
                torch.mm(exponentials.t(), scaled[:rows], out=out)
                call("add_all", low, size * hidden, weight_sum, out, int(start == 0))
        if not count:
            grad_weight.zero_()
        # The gradient of a logit is its probability, less 1 at the label.
        grad_x = grad_x[:count] - matrix[labels]
        grad_weight.index_add_(0, labels, inputs[:count].float(), alpha=-1)
        grad_bias -= torch.bincount(labels, minlength=words)
        grad_x = F.pad(grad_x, (0, 0, 0, len(x) - count)).to(x.dtype)
        ctx.save_for_backward(grad_x, grad_weight, grad_bias)
        return loss.float()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_x, grad_weight, grad_bias = ctx.saved_tensors
        # In place: these are the largest tensors of a step, and nobody else holds them.
        return grad_x.mul_(grad), grad_weight.mul_(grad), grad_bias.mul_(grad), None, None


def _softmax(part: Tensor, blocks: list[_Block], labels: Tensor) -> _Softmax:
    """Of R rows, block by block."""
    (rows, hidden), low = part.shape, part.dtype
    threads = torch.get_num_threads()
    space, logits, products = _work_space(blocks)
    words, product = space.shape[1], products[:rows]
    maxima, sums, label_logits = torch.full((rows,), -1e30), torch.zeros(rows), torch.zeros(rows)
    factors = torch.empty(len(blocks), rows).unbind()
    total = torch.zeros(rows, hidden)
    found = []
    for block, factor in zip(blocks, factors, strict=True):
        size = len(block.bias)
        own = logits[: rows * size].view(rows, size)
        torch.mm(part, block.transposed, out=own)
        exponentials = space[:rows, block.place]
        given = (own, block.bias, block.place.start, labels, len(labels), exponentials, words)
        call("exp_block", low, rows, size, threads, *given, maxima, sums, factor, label_logits)
        found.append(exponentials)
        torch.mm(exponentials, block.matrix, out=product)
        call("add_rows", low, rows, hidden, total, factor, product)
    return _Softmax(found, sums, factors, label_logits - maxima - sums.log(), total)


def _blocks(matrix: Tensor, bias: Tensor) -> list[_Block]:
    places = [slice(begin, begin + _COLUMNS) for begin in range(0, len(matrix), _COLUMNS)]
    return [_Block(place, matrix[place], matrix[place].t(), bias[place]) for place in places]


def _work_space(blocks: list[_Block]) -> tuple[Tensor, Tensor, Tensor]:
    """Exponentials (rows, V), logits of one block and a block's product, kept from step to step.

    Fresh memory costs a page fault every 4 kB, which takes longer than to fill it.
    """
    matrix = blocks[0].matrix
    words, hidden = sum(len(block.bias) for block in blocks), matrix.shape[1]
    if getattr(_thread, "key", None) != (words, hidden, matrix.dtype):
        shapes = (_ROWS, words), (_ROWS * _COLUMNS,), (max(_ROWS, _COLUMNS), hidden)
        _thread.key = words, hidden, matrix.dtype
        _thread.space = tuple(matrix.new_empty(shape) for shape in shapes)
    space: tuple[Tensor, Tensor, Tensor] = _thread.space
    return space


def blocked_cross_entropy(
    x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, low: torch.dtype
) -> Tensor:
    """`kernels.linear_cross_entropy` with its gradients, its matrix products in `low`."""
    result: Tensor = _BlockedCrossEntropy.apply(x, weight, bias, labels, low)  # type: ignore[no-untyped-call]
    return result
