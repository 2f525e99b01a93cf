"""A batch computed by several threads of one process, each on a shard of it.

PyTorch splits every single operation among the cores, which then wait for each other thousands of
times in a step of a small model, and very long where other programs want a core too. Here a thread
computes a shard of the batch from first to last on one core: they meet once a step.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch
from torch import Tensor

from bert_demo.model.compiled import library
from bert_demo.model.device import peak_memory_bytes

Result = TypeVar("Result")

_GROWTH = 1.02
"""Of the most memory that was ever held, from which on unused parts of it are given back."""

_CPU = torch.device("cpu")
_MOST_THREADS = 8
_MOST_WEIGHTS = 30_000_000
"""Each thread has gradients of its own; large matrices keep all cores busy with one."""
_FROZEN = 1000
"""So many objects are frozen where a program has done so."""


class ShardThreads:
    """Threads that each compute a shard on their part of the cores; only one where that is faster.

    A context: it makes the compiled blocks ready, keeps the garbage collector from what is there
    already, and puts the collector and torch's number of threads back.
    """

    def __init__(self, device: torch.device, weights: int) -> None:
        self._cores = torch.get_num_threads()
        self.count = min(self._cores, _MOST_THREADS)
        if device.type != "cpu" or weights > _MOST_WEIGHTS:
            self.count = 1
        self._pool: ThreadPoolExecutor | None = None
        self._peak = 0.0
        self._on_cpu = device.type == "cpu"
        self._trim = _malloc_trim() if self._on_cpu else None
        self._froze = False

    def __enter__(self) -> ShardThreads:
        if self._on_cpu:
            library.load()
        # A full collection looks at all that was ever imported, while every thread waits for it.
        # Whoever froze more than Python 3.12 does by itself, some hundred, is to unfreeze it.
        self._froze = gc.get_freeze_count() < _FROZEN
        if self._froze:
            gc.freeze()
        if self._trim is not None:
            self._trim(0)  # what preparing the text has left
        if self.count > 1:
            share = self._cores // self.count
            self._pool = ThreadPoolExecutor(
                self.count, "shard", initializer=torch.set_num_threads, initargs=(share,)
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._froze:
            gc.unfreeze()
        if self._pool is not None:
            self._pool.shutdown()
            # The threads' setting is in part the whole process's.
            torch.set_num_threads(self._cores)

    def map(self, work: Callable[[int], Result]) -> list[Result]:
        """[work(0), work(1), ...], each on a thread of its own."""
        if self._trim is not None:
            peak = peak_memory_bytes(_CPU)
            # It grows by gaps between what is in use. Without them all is kept, which is faster.
            if peak > _GROWTH * self._peak:
                self._peak = peak
                self._trim(0)
        if self._pool is None:
            return [work(0)]
        return list(self._pool.map(work, range(self.count)))


def _malloc_trim() -> Callable[[int], int] | None:
    """Linux's way to give freed memory back to the system.

    Tensors of ever other sizes leave gaps that the C library keeps: without this a run of a few
    minutes holds twice the memory that it uses.
    """
    if sys.platform != "linux":
        return None
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found


def add_up(shares: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
    """The sum of the shards' gradients, always in the same order; the first shard's are changed."""
    total = list(shares[0])
    for share in shares[1:]:
        for place, grad in enumerate(share):
            before = total[place]
            if before is None:
                total[place] = grad
            elif grad is not None:
                before.add_(grad)
    return total
