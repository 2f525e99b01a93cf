"""Cross entropy over a vocabulary in blocks whose logits stay in the processor's cache.

Letters: H hidden size, M masked positions, V vocabulary, R rows of a chunk of the M.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.compiled.library import call

_ROWS, _COLUMNS = 320, 2048
"""Most rows and words of a block: a megabyte of logits in bf16."""
_LAST = 32
"""What the rows of the last chunk are a multiple of."""

_thread = threading.local()


@dataclass(frozen=True)
class _Chunk:
    """R rows and what their guesses, the exponentials of their logits, add up to.

    A row's largest logit is known only in the end, so guesses are kept relative to the largest one
    so far, as in flash attention (Dao et al. 2022).
    """

    guesses: Tensor
    """(R, V): exp(logit - largest so far)."""
    sums: Tensor
    """(R,): of the guesses, relative to the largest of all."""
    shrinks: Tensor
    """(blocks, R): by how much the guesses of the blocks before each one are too large."""
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
        product = _work_space(matrix)[2]
        grad_x = torch.empty(len(inputs), hidden)
        grad_weight, grad_bias = torch.empty(words, hidden), torch.zeros(words)
        loss = torch.zeros((), dtype=torch.float64)
        for start in range(0, len(inputs), _ROWS):
            part, label = inputs[start : start + _ROWS], labels[start : start + _ROWS]
            rows = len(part)
            chunk = _chunk(part, matrix, bias, label, wants_product=True)
            loss -= chunk.log_likelihoods[: len(label)].sum(dtype=torch.float64)
            # What makes probabilities of guesses; zero for rows that are padding.
            share = 1 / chunk.sums
            share[len(label) :] = 0
            torch.mul(chunk.product, share[:, None], out=grad_x[start : start + rows])
            blocks = zip(_blocks(words), chunk.shrinks, strict=True)
            for (begin, end), shrink in reversed(list(blocks)):
                guesses, size = chunk.guesses[:, begin:end], end - begin
                columns = (rows, size, guesses, words, share, grad_bias[begin:end])
                call("add_columns", matrix.dtype, *columns)
                scaled = (part * share[:, None]).to(matrix.dtype)
                torch.mm(guesses.t(), scaled, out=product[:size])
                fresh = int(start == 0)
                call("add_all", matrix.dtype, size * hidden, grad_weight[begin:end], product, fresh)
                share = share * shrink
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


def _chunk(
    part: Tensor, matrix: Tensor, bias: Tensor, labels: Tensor, *, wants_product: bool
) -> _Chunk:
    """The guesses of R rows, block by block; without the product they are not all kept."""
    (rows, hidden), words, low = part.shape, len(matrix), matrix.dtype
    threads = torch.get_num_threads()
    guesses, logits, product = _work_space(matrix)
    tops, sums, answers = torch.full((rows,), -1e30), torch.zeros(rows), torch.zeros(rows)
    blocks = _blocks(words)
    shrinks = torch.empty(len(blocks), rows)
    total = torch.zeros(rows, hidden)
    for (begin, end), shrink in zip(blocks, shrinks, strict=True):
        size = end - begin
        block = logits[: rows * size].view(rows, size)
        torch.mm(part, matrix[begin:end].t(), out=block)
        guess = guesses[:rows, begin:end] if wants_product else guesses[:rows, :size]
        asked = (block, bias[begin:end], begin, labels, len(labels))
        found = (guess, words, tops, sums, shrink, answers)
        call("guess_block", low, rows, size, threads, *asked, *found)
        if wants_product:
            torch.mm(guess, matrix[begin:end], out=product[:rows])
            call("add_rows", low, rows, hidden, total, shrink, product)
    return _Chunk(guesses[:rows], sums, shrinks, answers - tops - sums.log(), total)


def _blocks(words: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + _COLUMNS, words)) for begin in range(0, words, _COLUMNS)]


def _prepared(x: Tensor, weight: Tensor, count: int, low: torch.dtype) -> tuple[Tensor, Tensor]:
    """The matrix, and `count` rows and some padding, as products read them.

    Chunks are whole but for the last, whose size is one of a few, too, that come again.
    """
    inputs = F.pad(x[:count].to(low), (0, 0, 0, -count % _LAST))
    return weight.to(low), inputs


def _work_space(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Guesses (rows, V), logits of one block and a block's product, kept from step to step.

    Fresh memory costs a page fault every 4 kB, which takes longer than to fill it.
    """
    key = (matrix.shape, matrix.dtype)
    if getattr(_thread, "key", None) != key:
        words, hidden = matrix.shape
        shapes = (_ROWS, words), (_ROWS * _COLUMNS,), (max(_ROWS, _COLUMNS), hidden)
        _thread.key, _thread.space = key, tuple(matrix.new_empty(shape) for shape in shapes)
    space: tuple[Tensor, Tensor, Tensor] = _thread.space
    return space


def linear_cross_entropy(
    x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, low: torch.dtype
) -> Tensor:
    """`bert_demo.kernels.linear_cross_entropy` in blocks, its matrix products in `low`."""
    if torch.is_grad_enabled() and any(t.requires_grad for t in (x, weight, bias)):
        result: Tensor = _BlockedCrossEntropy.apply(x, weight, bias, labels, low)  # type: ignore[no-untyped-call]
        return result
    matrix, inputs = _prepared(x, weight, len(labels), low)
    parts = zip(inputs.split(_ROWS), labels.split(_ROWS), strict=True)
    chunks = (
        _chunk(part, matrix, bias, label, wants_product=False).log_likelihoods[: len(label)]
        for part, label in parts
    )
    return -torch.stack([chunk.sum() for chunk in chunks]).sum() if len(labels) else x.new_zeros(())
