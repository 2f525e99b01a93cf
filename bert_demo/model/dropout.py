"""Dropout's random numbers: a function of (seed, step, shard) alone, and drawn in bulk."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_thread = threading.local()


def seed_noise(*words: int) -> None:
    """Make all random numbers of what this thread does next a function of (seed, step, ...).

    A step that owns its randomness needs no generator state in a checkpoint: a resumed run
    draws what the uninterrupted one would have drawn.
    """
    sequence = np.random.SeedSequence(words)
    _thread.generator = np.random.Generator(np.random.SFC64(sequence))
    seed = int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
    # What `torch.manual_seed` does, without the stack trace that it writes down each time for
    # every kind of device that is not in use.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


class Noise(NamedTuple):
    """What dropout keeps: the numbers whose 16 random bits are at least `limit`."""

    bits: Tensor
    """(count,) int16."""
    limit: int
    factor: float
    """1 / P(keep), by which the kept numbers are multiplied."""


def draw_noise(count: int, rate: float) -> Noise:
    """Random bits for dropout; `factor` uses the probability that is really drawn with.

    PyTorch draws Bernoulli numbers on a CPU one by one; 16 random bits an element, drawn in
    bulk, are eight times as fast and put P(drop) within 1e-5 of `rate`.
    """
    if not hasattr(_thread, "generator"):
        seed_noise(0)
    words = _thread.generator.integers(0, 2**64, (count + 3) // 4, dtype=np.uint64)
    threshold = round(rate * 65536)
    bits = torch.from_numpy(words.view(np.int16)[:count])
    return Noise(bits, threshold - 32768, 65536 / (65536 - threshold))


def keep_mask(shape: torch.Size, rate: float) -> tuple[Tensor, float]:
    """A random bool mask and the factor 1 / P(keep) that makes dropout unbiased."""
    drawn = draw_noise(shape.numel(), rate)
    return drawn.bits.view(shape) >= drawn.limit, drawn.factor


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
