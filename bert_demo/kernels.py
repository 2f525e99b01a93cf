"""The hot spots of training, each exact and each beside the plain formula that it replaces.

Letters: H hidden size, M masked positions, V vocabulary. Every function has a plain twin that the
tests compare it with.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_demo.compiled import blocks, cross_entropy, library
from bert_demo.noise import dropout

# Code that the CPU's matrix library compiled for a size of matrix: it keeps 1,024 of them, about a
# megabyte each. Sizes repeat here (see `steady`), so fewer serve as well.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "96")
# Large tensors in pages of 2 MB where Linux has them, so that fresh memory costs few page faults.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

_CHUNKS = 3
"""How many chunks of logits add to the gradient of the output matrix together."""

_MANY = 1024
"""Tokens from which on it pays to look for those that are alike."""

_thread = threading.local()


def steady(count: int) -> int:
    """`count`, rounded up a little where it is large: a size that repeats from batch to batch.

    For every size that it has not met, the CPU's matrix library compiles code and keeps it; with
    token counts as they come that is slower and takes a gigabyte within some hundred steps.
    """
    if count < 256:
        return count
    return round_up(count, 256 if count > 4096 else 128 if count > 1024 else 32)


def round_up(count: int, multiple: int) -> int:
    """`count`, or the next multiple."""
    return -(-count // multiple) * multiple


def _low_precision(x: Tensor) -> torch.dtype:
    """What matrix products of `x` run in: autocast's type, or its own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of cross entropies of a linear layer's outputs, which never exist as a whole.

    The gradients are made in the forward pass, chunk by chunk, while the chunk's logits are
    still in the processor's cache; the backward pass only scales them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
        device = x.device.type
        low = _low_precision(x)
        inputs, matrix, offset = x.to(low), weight.to(low), bias.to(low)
        rows, block = _rows(len(labels), weight)
        inputs = F.pad(inputs[: len(labels)], (0, 0, 0, -len(labels) % rows))
        with torch.autocast(device, enabled=False):
            grad_x = torch.empty_like(inputs)
            fresh = torch.empty_like if len(labels) else torch.zeros_like
            grad_weight = fresh(weight, dtype=torch.float32)
            grad_bias = torch.zeros_like(bias, dtype=torch.float32)
            logits, guesses, product, addend = _work_space(matrix)
            total = x.new_zeros((), dtype=torch.float32)
            for begin in range(0, len(inputs), block):
                for start in range(begin, min(begin + block, len(inputs)), rows):
                    part, label = inputs[start : start + rows], labels[start : start + rows]
                    guess = guesses[start - begin : start - begin + rows]
                    torch.addmm(offset, part, matrix.t(), out=logits[:rows])
                    torch.softmax(logits[:rows], 1, out=guess)
                    guess[len(label) :] = 0
                    picked = guess[: len(label)].gather(1, label[:, None]).float()
                    total -= picked.clamp_min(torch.finfo(torch.float32).tiny).log().sum()
                    torch.mm(guess, matrix, out=grad_x[start : start + rows])
                part = inputs[begin : begin + block]
                guess = guesses[: len(part)]
                torch.mm(guess.t(), part, out=product)
                if begin == 0:
                    grad_weight.copy_(product)
                else:  # a sum of two types would convert into fresh memory, which is slow to get
                    grad_weight += addend.copy_(product)
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


def _rows(count: int, weight: Tensor) -> tuple[int, int]:
    """Rows of a chunk, and of a block: the chunks that add to the weight's gradient together."""
    chunks = max(1, -(-count // _most_rows(weight)))
    rows = round_up(max(1, -(-count // chunks)), 16)
    return rows, rows * min(chunks, _CHUNKS)


def _most_rows(weight: Tensor) -> int:
    """Rows whose logits fit the processor's cache and keep the matrix units busy."""
    return round_up(max(16, 4_000_000 // len(weight) - 15), 16)


def _work_space(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits (chunk, V), guesses (block, V) and two matrices (V, H), kept from step to step.

    Fresh memory costs a page fault every 4 kB, which takes longer than to fill it.
    """
    key = (matrix.shape, matrix.dtype, matrix.device)
    if getattr(_thread, "key", None) != key:
        most = _most_rows(matrix)
        chunks = (matrix.new_empty(count * most, len(matrix)) for count in (1, _CHUNKS))
        sums = (torch.empty_like(matrix, dtype=dtype) for dtype in (matrix.dtype, torch.float32))
        _thread.key, _thread.space = key, (*chunks, *sums)
    space: tuple[Tensor, Tensor, Tensor, Tensor] = _thread.space
    return space


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """Sum over M rows of the cross entropy of `x @ weight.T + bias` against `labels`.

    x: (M or more, H), rows beyond M being ignored; weight: (V, H); bias: (V,); labels: (M,) int64.
    Under autocast the matrix products run in its dtype; losses and sums are fp32. Backward may
    be called once.
    """
    if library.serves(x):
        return cross_entropy.linear_cross_entropy(x, weight, bias, labels, _low_precision(x))
    if not torch.is_grad_enabled() or not x.requires_grad:
        rows, _ = _rows(len(labels), weight)
        parts = zip(x[: len(labels)].split(rows), labels.split(rows), strict=True)
        losses = [
            F.cross_entropy(F.linear(part, weight, bias).float(), label, reduction="sum")
            for part, label in parts
        ]
        return torch.stack(losses).sum() if losses else x.new_zeros(())
    result: Tensor = _ChunkedCrossEntropy.apply(x, weight, bias, labels)  # type: ignore[no-untyped-call]
    return result


def project(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor | None]:
    """`F.linear`, and the bias if it is still to be added: compiled blocks do that on their way."""
    if library.serves(x):
        return F.linear(x, weight), bias
    return F.linear(x, weight, bias), None


def add_norm(
    x: Tensor, inner: Tensor, linear: nn.Linear, norm: nn.LayerNorm, rate: float
) -> tuple[Tensor, Tensor]:
    """LayerNorm of `x` and, after dropout at `rate`, of `linear(inner)`.

    x: (T, H); inner: (T, n). Returns (T, H) twice: to be added to, and as matrix products read it,
    which may be rounded.
    """
    if library.serves(x) and x.dtype == torch.float32:
        return blocks.add_norm(x, F.linear(inner, linear.weight), linear.bias, norm, rate)
    result: Tensor = norm(x + dropout(linear(inner), rate, True))
    return result, result


def activate(x: Tensor, linear: nn.Linear, gelu: bool) -> Tensor:
    """GELU or ReLU of `linear(x)`; x: (T, H)."""
    if library.serves(x):
        return blocks.activate(F.linear(x, linear.weight), linear.bias, gelu)
    inner = linear(x)
    return F.gelu(inner) if gelu else F.relu(inner, inplace=True)


def embed(ids: tuple[Tensor, ...], tables: tuple[Tensor, ...], rows: int) -> tuple[Tensor, Tensor]:
    """The sum of the tables' rows at `ids`, with rows of zeros up to `rows`; twice, as `add_norm`.

    ids: three of (T,) int64; tables: three of (n, H).
    """
    if library.serves(tables[0]):
        return blocks.embed(ids, tables, rows, _low_precision(tables[0]))
    first, second, third = (F.embedding(i, table) for i, table in zip(ids, tables, strict=True))
    x = F.pad(first + second + third, (0, 0, 0, rows - len(first)))
    return x, x


def embed_and_project(
    ids: tuple[Tensor, ...], tables: tuple[Tensor, ...], rows: int, weight: Tensor
) -> tuple[Tensor, Tensor] | None:
    """What `embed` gives in fp32, and its product with `weight` (n, H), which is linear: (rows, n).

    Words come again and again, so it is their rows that are multiplied, some thousand for ten
    thousand tokens. None where that gains nothing.
    """
    words, table = ids[0], tables[0]
    if not library.serves(table) or len(words) < _MANY:
        return None
    seen = torch.zeros(len(table), dtype=torch.bool).index_fill_(0, words, True)
    distinct = seen.nonzero().view(-1)
    if 2 * len(distinct) > len(words):
        return None
    place = torch.empty(len(table), dtype=torch.int64)
    place[distinct] = torch.arange(len(distinct))
    ids = place[words], *ids[1:]
    tables = (
        F.pad(F.embedding(distinct, table), (0, 0, 0, steady(len(distinct)) - len(distinct))),
        *tables[1:],
    )
    x = blocks.embed_once(ids, tables, rows, torch.float32)
    products = tuple(F.linear(table, weight).float() for table in tables)
    return x, blocks.embed_once(ids, products, rows, _low_precision(x))
