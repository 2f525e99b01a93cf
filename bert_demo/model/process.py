"""Settings of the processes that this project starts itself, as those that train.

They can be made only once, before torch is loaded, or cannot be taken back, so they are not for
somebody else's Python: importing the package or training there leaves them alone.
"""

from __future__ import annotations

import ctypes
import os
import sys

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1  # as malloc.h numbers them
_MOST_OF_ITS_OWN = 32 << 20  # bytes; glibc takes no larger threshold
_KEPT = 1 << 30


def prepare_process() -> None:
    """Make this process ready for training. Call it before torch is imported.

    What the environment says already stays as it is.
    """
    # PyTorch's threads wait for their next work by counting, here for a quarter of a millisecond.
    # By default it is milliseconds, in which they keep the threads of `threads.py` off their cores.
    # The library that counts, libgomp, reads this when it is loaded, with torch.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    # Code that the CPU's matrix library compiled for a size of matrix: it keeps 1,024 of them, of
    # about a megabyte each. Sizes repeat here (see `kernels.py`), so fewer serve as well.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "96")
    # Large tensors in pages of 2 MB where Linux has them, so that fresh memory costs few page
    # faults. Read at the first tensor.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    _share_one_heap()


def _share_one_heap() -> None:
    """Let all threads take memory from one place on Linux: gaps that one leaves, another fills.

    It is kept from step to step, until `malloc_trim`: fresh pages cost more than what fills them.
    """
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _MOST_OF_ITS_OWN)
        mallopt(_TRIM_THRESHOLD, _KEPT)
