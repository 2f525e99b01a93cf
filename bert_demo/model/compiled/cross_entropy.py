"""Cross entropy over a vocabulary in blocks whose logits stay in the processor's cache.

Letters: H hidden size, M masked positions, V vocabulary, R rows of a chunk of the M.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.model.compiled import tiled_cross_entropy
from bert_demo.model.compiled.library import call

_ROWS, _COLUMNS = 320, 2048
"""Most rows and words of a block: a megabyte of logits in bf16."""
_LAST = 32
"""What the rows of the last chunk are a multiple of."""

_thread = threading.local()


class _Block(NamedTuple):
    """Some words of the vocabulary."""

    place: slice
    matrix: Tensor
    """(words, H)."""
    turned: Tensor
    """(H, words)."""
    bias: Tensor
    """(words,)."""


@dataclass(frozen=True)
class _Chunk:
    """R rows and what their guesses, the exponentials of their logits, add up to.

    A row's largest logit is known only in the end, so guesses are kept relative to the largest one
    so far, as in flash attention (Dao et al. 2022).
    """

    guesses: list[Tensor]
    """For each block (R, words): exp(logit - largest so far)."""
    sums: Tensor
    """(R,): of the guesses, relative to the largest of all."""
    shrinks: tuple[Tensor, ...]
    """For each block (R,): by how much the guesses of the blocks before it are too large."""
    log_likelihoods: Tensor
    """(R,): of the labels."""
    product: Tensor
    """(R, H): guesses @ matrix, relative to the largest of all."""


class _BlockedCrossEntropy(torch.autograd.Function):
    """Each logit is computed once, its exponential kept, and the gradients made of that."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, low: torch.dtype
    ) -> Tensor:
        count, (words, hidden) = len(labels), weight.shape
        matrix, inputs = _prepared(x, weight, count, low)
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
            chunk = _chunk(part, blocks, label, wants_product=True)
            loss -= chunk.log_likelihoods[: len(label)].sum(dtype=torch.float64)
            # What makes probabilities of guesses; zero for rows that are padding.
            shares = 1 / chunk.sums
            shares[len(label) :] = 0
            torch.mul(chunk.product, shares[:, None], out=grad_x[start : start + rows])
            parts = zip(blocks, chunk.guesses, chunk.shrinks, sums, strict=True)
            for block, guesses, shrink, (weight_sum, bias_sum) in reversed(list(parts)):
                size, out = len(block.bias), product[: len(block.bias)]
                given = (guesses, words, part, shrink, shares, scaled, bias_sum)
                call("share_block", low, rows, size, hidden, *given)
                torch.mm(guesses.t(), scaled[:rows], out=out)
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


def _chunk(part: Tensor, blocks: list[_Block], labels: Tensor, *, wants_product: bool) -> _Chunk:
    """The guesses of R rows, block by block; without the product they are not all kept."""
    (rows, hidden), low = part.shape, part.dtype
    threads = torch.get_num_threads()
    space, logits, products = _work_space(blocks)
    words, product = space.shape[1], products[:rows]
    tops, sums, answers = torch.full((rows,), -1e30), torch.zeros(rows), torch.zeros(rows)
    shrinks = torch.empty(len(blocks), rows).unbind()
    total = torch.zeros(rows, hidden)
    guesses = []
    for block, shrink in zip(blocks, shrinks, strict=True):
        size = len(block.bias)
        found = logits[: rows * size].view(rows, size)
        torch.mm(part, block.turned, out=found)
        guess = space[:rows, block.place if wants_product else slice(size)]
        given = (found, block.bias, block.place.start, labels, len(labels), guess, words)
        call("guess_block", low, rows, size, threads, *given, tops, sums, shrink, answers)
        if wants_product:
            guesses.append(guess)
            torch.mm(guess, block.matrix, out=product)
            call("add_rows", low, rows, hidden, total, shrink, product)
    return _Chunk(guesses, sums, shrinks, answers - tops - sums.log(), total)


def _blocks(matrix: Tensor, bias: Tensor) -> list[_Block]:
    places = [slice(begin, begin + _COLUMNS) for begin in range(0, len(matrix), _COLUMNS)]
    return [_Block(place, matrix[place], matrix[place].t(), bias[place]) for place in places]


def _prepared(x: Tensor, weight: Tensor, count: int, low: torch.dtype) -> tuple[Tensor, Tensor]:
    """The matrix, and `count` rows and some padding, as products read them.

    Chunks are whole but for the last, whose size is one of a few, too, that come again.
    """
    inputs = F.pad(x[:count].to(low), (0, 0, 0, -count % _LAST))
    return weight.to(low), inputs


def _work_space(blocks: list[_Block]) -> tuple[Tensor, Tensor, Tensor]:
    """Guesses (rows, V), logits of one block and a block's product, kept from step to step.

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


def linear_cross_entropy(
    x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, low: torch.dtype
) -> Tensor:
    """`bert_demo.model.kernels.linear_cross_entropy` in blocks, its matrix products in `low`."""
    if tiled_cross_entropy.serves(x, low):
        return tiled_cross_entropy.linear_cross_entropy(x, weight, bias, labels)
    if torch.is_grad_enabled() and any(t.requires_grad for t in (x, weight, bias)):
        result: Tensor = _BlockedCrossEntropy.apply(x, weight, bias, labels, low)  # type: ignore[no-untyped-call]
        return result
    matrix, inputs = _prepared(x, weight, len(labels), low)
    blocks = _blocks(matrix, bias)
    parts = zip(inputs.split(_ROWS), labels.split(_ROWS), strict=True)
    chunks = (
        _chunk(part, blocks, label, wants_product=False).log_likelihoods[: len(label)]
        for part, label in parts
    )
    return -torch.stack([chunk.sum() for chunk in chunks]).sum() if len(labels) else x.new_zeros(())
