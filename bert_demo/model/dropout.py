"""Dropout whose random numbers belong to places in the batch, as those of masks do.

On a CPU an element is kept or dropped by a function of (seed, step), of how many times the step has
dropped before, of its token's place in the whole batch, and of its column. So it does not matter
which process, thread or part of a batch computes the token. Compiled blocks compute the same
numbers on their way. Other devices draw by PyTorch's own generator, which is seeded here.
Letters: R rows, C columns, T tokens, n sequences, L tokens of one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.data.masking import mixed

IntArray = npt.NDArray[np.int64]

HEAD_COLUMNS = 1 << 16
"""How far the columns of two heads are apart: more than a sequence has tokens."""

# Two rounds of multiply and shift, as in Chris Wellons' "lowbias32"; compiled/vectors.h has the
# same numbers.
_STRIDE, _FIRST, _SECOND = (np.uint32(word) for word in (0x9E3779B9, 0x7FEB352D, 0x846CA68B))
_BLOCK = 1 << 15  # elements that stay in a processor's cache


class _Thread(threading.local):
    """What the numbers of a thread depend on."""

    seed = 0
    uses = 0
    """Of dropout, since it was seeded."""
    places: IntArray | None = None
    chosen: IntArray | None = None


_thread = _Thread()


def seed_noise(*words: int) -> None:
    """Make all random numbers of what this thread does next a function of (seed, step, ...).

    A step that owns its randomness needs no generator state in a checkpoint: a resumed run
    draws what the uninterrupted one would have drawn.
    """
    seed = _begin(*words)
    # What `torch.manual_seed` does, without the stack trace that it writes down each time for
    # every kind of device that is not in use.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


def _begin(*words: int) -> int:
    """Number the uses of dropout from 0 under a seed made of these words, which is returned."""
    seed = int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))
    _thread.seed, _thread.uses, _thread.places, _thread.chosen = seed, 0, None, None
    return seed


@contextmanager
def own_noise(seed: int) -> Iterator[None]:
    """Inside, dropout on a CPU is a function of `seed` alone; no generator is asked or changed.

    Afterwards this thread goes on with the numbers that it was at.
    """
    before = dict(vars(_thread))
    _begin(seed)
    try:
        yield
    finally:
        vars(_thread).clear()
        vars(_thread).update(before)


def number_rows(places: IntArray) -> None:
    """The rows that this thread drops from are tokens at these places of the whole batch, (T,).

    Ascending. Until `seed_noise` is called again; without this they are numbered from 0.
    """
    _thread.places = places


def choose_rows(positions: Tensor | None) -> None:
    """From now on they are the tokens at `positions` (M,) among these, in this order; None: all."""
    _thread.chosen = None if positions is None else positions.numpy()


class Draw(NamedTuple):
    """Which numbers of R rows are kept: those whose 32 random bits are at least `limit`."""

    places: Tensor
    """(R,) int64."""
    key: int
    """Of the use of dropout, as an int64."""
    limit: int
    factor: float
    """1 / P(keep), by which the kept numbers are multiplied."""


def draw(rows: int, rate: float, *, ascending: bool = False) -> Draw:
    """The next use of dropout, on so many rows; `ascending`: those of the tokens in their order.

    Rows beyond the numbered ones hold nothing, and all are at place 0.
    """
    _thread.uses += 1
    key = int(mixed(np.array([_thread.uses]), _thread.seed)[0])
    places = np.zeros(rows, dtype=np.int64)
    chosen = _thread.chosen
    if chosen is None:
        chosen = np.arange(rows if _thread.places is None else min(rows, len(_thread.places)))
    elif ascending:
        chosen = np.sort(chosen)
    places[: len(chosen)] = chosen if _thread.places is None else _thread.places[chosen]
    limit = round(rate * 2**32)
    return Draw(torch.from_numpy(places), key, limit, 2**32 / (2**32 - limit))


def kept(drawn: Draw, columns: IntArray) -> Tensor:
    """(R, C) bool: what is kept of the drawn rows in these columns (C,)."""
    keys = mixed(drawn.places.numpy(), drawn.key).view(np.uint64)
    low, high = keys.astype(np.uint32)[:, None], (keys >> np.uint64(32)).astype(np.uint32)[:, None]
    steps = columns.astype(np.uint32) * _STRIDE
    mask = np.empty((len(keys), len(steps)), dtype=bool)
    block = max(1, _BLOCK // max(1, len(steps)))
    x, shifted = (np.empty((block, len(steps)), dtype=np.uint32) for _ in range(2))
    for begin in range(0, len(keys), block):
        rows = slice(begin, min(begin + block, len(keys)))
        count = rows.stop - begin
        x, shifted = x[:count], shifted[:count]
        np.add(steps, low[rows], out=x)
        x ^= np.right_shift(x, 16, out=shifted)
        x *= _FIRST
        x ^= high[rows]
        x ^= np.right_shift(x, 15, out=shifted)
        x *= _SECOND
        np.greater_equal(x, drawn.limit, out=mask[rows])
    return torch.from_numpy(mask)


def kept_weights(drawn: Draw, heads: int, keys: int) -> Tensor:
    """(n, h, L', L) bool: what is kept of attention weights, `drawn.places` being (n, L')."""
    columns = np.arange(heads)[:, None] * HEAD_COLUMNS + np.arange(keys)
    rows = drawn._replace(places=drawn.places.view(-1))
    mask = kept(rows, columns.ravel()).view(*drawn.places.shape, heads, keys)
    return mask.transpose(1, 2)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        ctx.save_for_backward(mask)
        return (x * mask).mul_(factor)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return (grad * mask).mul_(ctx.factor), None, None


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Inverted dropout (Srivastava et al. 2014), as `F.dropout`.

    x: (R, C), a row for each token.
    """
    if not training or rate == 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, rate)
    drawn = draw(len(x), rate)
    result: Tensor = _Dropout.apply(x, kept(drawn, np.arange(x.shape[1])), drawn.factor)  # type: ignore[no-untyped-call]
    return result
