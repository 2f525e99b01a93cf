"""A batch computed by several threads of one process, each on a share of its pairs.

PyTorch splits every single operation among the cores, which then wait for each other thousands of
times in a step of a small model, and very long where other programs want a core too. A lane
computes a share of the batch from first to last on one core: they meet once a step.
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

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1  # as malloc.h numbers them
_MOST_OF_ITS_OWN = 32 << 20  # bytes; glibc takes no larger threshold
_KEPT = 1 << 30

_CPU = torch.device("cpu")
_MOST_LANES = 8
_MOST_WEIGHTS = 30_000_000
"""Each lane has gradients of its own; large matrices keep all cores busy without lanes."""


class Lanes:
    """Threads that each compute on their share of the cores; on other devices than a CPU, none.

    Long work on a CPU begins here, so here the compiled blocks are made ready.
    """

    def __init__(self, device: torch.device, weights: int) -> None:
        self._cores = torch.get_num_threads()
        self.count = min(self._cores, _MOST_LANES)
        if device.type != "cpu" or weights > _MOST_WEIGHTS:
            self.count = 1
        self._pool: ThreadPoolExecutor | None = None
        self._peak = 0.0
        self._on_cpu = device.type == "cpu"
        self._trim = _malloc_trim() if self._on_cpu else None

    def __enter__(self) -> Lanes:
        if self._on_cpu:
            library.load()
        # A full collection looks at all that was ever imported, while every lane waits for it.
        gc.freeze()
        if self._trim is not None:
            self._trim(0)  # what preparing the text has left
        if self.count > 1:
            share = self._cores // self.count
            _share_one_heap()
            self._pool = ThreadPoolExecutor(
                self.count, "lane", initializer=torch.set_num_threads, initargs=(share,)
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        gc.unfreeze()
        if self._pool is not None:
            self._pool.shutdown()
            # The lanes' setting is in part the whole process's.
            torch.set_num_threads(self._cores)

    def map(self, work: Callable[[int], Result]) -> list[Result]:
        """work(0), work(1), ... of every lane, side by side."""
        if self._trim is not None:
            peak = peak_memory_bytes(_CPU)
            # It grows by gaps between what is in use. Without them all is kept, which is faster.
            if peak > _GROWTH * self._peak:
                self._peak = peak
                self._trim(0)
        if self._pool is None:
            return [work(0)]
        return list(self._pool.map(work, range(self.count)))


def _share_one_heap() -> None:
    """Let all threads take memory from one place on Linux: gaps that one leaves, another fills.

    It is kept from step to step, until `malloc_trim`: fresh pages cost more than what fills them.
    """
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _MOST_OF_ITS_OWN)
        mallopt(_TRIM_THRESHOLD, _KEPT)


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
    """The sum of the lanes' gradients, always in the same order; the first lane's are changed."""
    total = list(shares[0])
    for share in shares[1:]:
        for place, grad in enumerate(share):
            before = total[place]
            if before is None:
                total[place] = grad
            elif grad is not None:
                before.add_(grad)
    return total
