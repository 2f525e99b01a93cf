"""The hot spots of training, each exact and each beside the plain formula that it replaces.

Letters: H hidden size, M masked positions, V vocabulary. Every function has a plain twin that the
tests compare it with.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_demo.data.packing import resized
from bert_demo.model.compiled import blocks, cross_entropy, library
from bert_demo.model.dropout import dropout

# Code that the CPU's matrix library compiled for a size of matrix: it keeps 1,024 of them, about a
# megabyte each. Sizes repeat here (see `steady`), so fewer serve as well.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "96")
# Large tensors in pages of 2 MB where Linux has them, so that fresh memory costs few page faults.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

_LOGITS, _LOGITS_ON_DEVICE = 4_000_000, 128_000_000
"""Of a chunk, at most."""

_CHUNKS = 3
"""How many chunks of logits add to the gradient of the output matrix together."""

_STEPS = (64, 16), (256, 32), (1024, 64), (4096, 128), (sys.maxsize, 256)
"""Up to how many rows a number of rows is rounded up to a multiple of what."""

_MANY = 1024
"""Tokens from which on it pays to look for those that are alike."""

_thread = threading.local()


def steady(count: int) -> int:
    """`count`, rounded up a little: a size that repeats from batch to batch.

    For every size that it has not met, the CPU's matrix library compiles code and keeps it; with
    token counts as they come that is slower and takes a gigabyte within some hundred steps.
    """
    return round_up(count, next(step for most, step in _STEPS if count <= most))


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
        count = len(labels)
        rows, block = _rows(count, weight)
        padded = round_up(count, rows)
        inputs = resized(resized(inputs, count), padded)
        asked = resized(labels >= 0, padded)[:, None]
        labels = resized(labels.clamp(min=0), padded)
        with torch.autocast(device, enabled=False):
            grad_x = torch.empty_like(inputs)
            fresh = torch.empty_like if count else torch.zeros_like
            grad_weight = fresh(weight, dtype=torch.float32)
            grad_bias = torch.zeros_like(bias, dtype=torch.float32)
            logits, guesses, product, addend = _work_space(matrix, rows, block)
            total = x.new_zeros((), dtype=torch.float32)
            for begin in range(0, len(inputs), block):
                for start in range(begin, min(begin + block, len(inputs)), rows):
                    part = inputs[start : start + rows]
                    guess = guesses[start - begin : start - begin + rows]
                    torch.addmm(offset, part, matrix.t(), out=logits[:rows])
                    torch.softmax(logits[:rows], 1, out=guess)
                    label, here = labels[start : start + rows], asked[start : start + rows]
                    picked = guess.gather(1, label[:, None]).masked_fill(~here, 1).float()
                    total -= picked.clamp_min(torch.finfo(torch.float32).tiny).log().sum()
                    guess.masked_fill_(~here, 0)
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
            grad_x -= matrix.index_select(0, labels).masked_fill_(~asked, 0)
            known = inputs.float().masked_fill_(~asked, 0)
            grad_weight.index_add_(0, labels, known, alpha=-1)
            grad_bias.index_add_(0, labels, asked.view(-1).float(), alpha=-1)
            grad_x = resized(resized(grad_x, count), len(x))
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
    return rows, rows * min(chunks, _CHUNKS if weight.device.type == "cpu" else 1)


def _most_rows(weight: Tensor) -> int:
    """Rows whose logits fit a processor's cache and keep the matrix units busy.

    On a GPU it is few large operations that do so, and memory that sets a limit.
    """
    logits = _LOGITS if weight.device.type == "cpu" else _LOGITS_ON_DEVICE
    return round_up(max(16, logits // len(weight) - 15), 16)


def _work_space(matrix: Tensor, rows: int, block: int) -> tuple[Tensor, ...]:
    """Room for logits (rows, V), guesses (block, V) and two matrices (V, H).

    On a CPU it is kept from step to step: fresh memory costs a page fault every 4 kB, which takes
    longer than to fill it.
    """

    def room(rows: int, block: int) -> tuple[Tensor, ...]:
        chunks = (matrix.new_empty(count, len(matrix)) for count in (rows, block))
        sums = (torch.empty_like(matrix, dtype=dtype) for dtype in (matrix.dtype, torch.float32))
        return (*chunks, *sums)

    if matrix.device.type != "cpu":
        return room(rows, block)
    key = (matrix.shape, matrix.dtype)
    if getattr(_thread, "key", None) != key:
        most = _most_rows(matrix)
        _thread.key, _thread.space = key, room(most, _CHUNKS * most)
    space: tuple[Tensor, ...] = _thread.space
    return space


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> Tensor:
    """Sum over M rows of the cross entropy of `x @ weight.T + bias` against `labels`.

    x: (M or more, H), rows beyond M being ignored; weight: (V, H); bias: (V,); labels: (M,) int64,
    -1 where nothing is asked (compiled blocks, on a CPU, are given no such rows). Under autocast
    the matrix products run in its dtype; losses and sums are fp32. Backward may be called once.
    """
    if library.serves(x):
        return cross_entropy.linear_cross_entropy(x, weight, bias, labels, _low_precision(x))
    if not torch.is_grad_enabled() or not x.requires_grad:
        rows, _ = _rows(len(labels), weight)
        parts = zip(x[: len(labels)].split(rows), labels.split(rows), strict=True)
        losses = [
            F.cross_entropy(
                F.linear(part, weight, bias).float(), label, ignore_index=-1, reduction="sum"
            )
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
    x = resized(first + second + third, rows)
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
        resized(F.embedding(distinct, table), steady(len(distinct))),
        *tables[1:],
    )
    x = blocks.embed_once(ids, tables, rows, torch.float32)
    products = tuple(F.linear(table, weight).float() for table in tables)
    return x, blocks.embed_once(ids, products, rows, _low_precision(x))
