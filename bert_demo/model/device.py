"""What this computer computes with: devices, their memory, and whether bf16 pays on them.

Memory and cores are those this process may use: a container's limits count, not the host's size.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bert_demo.common.errors import UserError
from bert_demo.model import containers, fast_paths

if TYPE_CHECKING:
    import torch

FAST_BF16_RATIO = 1.3
"""bf16 is used where its matrix products are at least this many times as fast as fp32's."""


def devices() -> list[torch.device]:
    """Every device that torch can use here, the one that `auto` takes first."""
    import torch

    found = [torch.device("cuda", n) for n in range(cuda_count())]
    if torch.backends.mps.is_available():
        found.append(torch.device("mps"))
    return [*found, torch.device("cpu")]


def pick_device(name: str) -> torch.device:
    """The device of this name: "auto" (cuda, then mps, then cpu), "cpu", "cuda", "cuda:1", "mps".

    Raises:
        UserError: no such device here; the sentence says what there is. Or it was found to
            compute wrongly or not at all.
    """
    import torch

    if name == "auto":
        return torch.device(next(d.type for d in devices() if _holds(d)))
    if not re.fullmatch(r"cpu|mps|cuda(:\d{1,3})?", name):
        raise UserError("device is {value!r}; it must be one of: auto, cpu, cuda, mps.", value=name)
    wanted = torch.device(name)
    here = devices()
    if not any(d.type == wanted.type and wanted.index in (None, d.index) for d in here):
        names = ", ".join(str(d) for d in here)
        raise UserError(
            "device is {value!r}, which torch does not find here; it finds: {choices}.",
            value=name,
            choices=names,
        )
    if not _holds(wanted):
        raise UserError(
            "device is {value!r}, which does not compute as it should here ({reason}); take "
            "another one, such as cpu.",
            value=name,
            reason=fast_paths.switched_off(wanted)[fast_paths.DEVICE],
        )
    return wanted


def _holds(device: torch.device) -> bool:
    """Whether nothing has been found wrong with the device itself."""
    return device.type == "cpu" or fast_paths.serves(fast_paths.DEVICE, device)


def cards() -> list[int]:
    """Numbers of the CUDA cards of the first one's kind: a slower one would hold them all up."""
    import torch

    names = [device_name(torch.device("cuda", number)) for number in range(cuda_count())]
    return [number for number, name in enumerate(names) if name == names[0]]


def cuda_count() -> int:
    """How many cards CUDA can use here."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_name(device: torch.device) -> str:
    """The maker's name of the device, such as "NVIDIA T4" or "Apple M2 GPU"."""
    if device.type == "cuda":
        import torch

        return str(torch.cuda.get_device_name(device))
    return f"{_processor_name()} GPU" if device.type == "mps" else _processor_name()


@functools.cache
def _processor_name() -> str:
    name = ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if sys.platform == "darwin":
            command = ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")
            name = subprocess.run(command, capture_output=True, text=True, timeout=5).stdout
        elif sys.platform == "linux":
            text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
            found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
            name = found[1] if found else ""
    return name.strip() or platform.processor() or platform.machine() or "CPU"


def memory_bytes(device: torch.device) -> tuple[int, int]:
    """Free and total memory of the device in bytes; on the CPU what this process may use."""
    import torch

    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return int(free), int(total)
    if device.type == "mps":
        # The GPU shares the computer's memory; torch may take up to its recommended part.
        total = int(torch.mps.recommended_max_memory())
        left = min(total - torch.mps.driver_allocated_memory(), psutil.virtual_memory().available)
        return max(0, int(left)), total
    return available_memory_bytes(), total_memory_bytes()


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory this process has held: on a GPU torch's part there, else the whole process.

    MPS keeps no peak, so there it is what is held now.
    """
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def release_memory() -> None:
    """Let go of what ended runs held, on a GPU too, where the peak is then counted anew."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        with contextlib.suppress(RuntimeError):  # a card that was lost has nothing to give back
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def fast_bf16(device: torch.device) -> bool:
    """Whether bf16 is worth using: what the hardware says on CUDA, what was measured elsewhere."""
    if not fast_paths.serves(fast_paths.BF16, device):
        return False
    if device.type == "cuda":
        import torch

        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bf16_speedup(device.type) >= FAST_BF16_RATIO


@functools.cache
def bf16_speedup(device_type: str) -> float:
    """How many times as fast a bf16 matrix product is here; measured once, in tens of ms.

    0 where the device cannot compute in bf16 at all.
    """
    import torch

    # On one core: the ratio is the same, and its own time can be told from other programs'.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Where bf16 is emulated it can be 50 times as slow: a small product says so in time.
        small = product_seconds(device_type, 128)
        if small[0] < small[1] / 2:
            return small[0] / small[1]
        large = product_seconds(device_type, 512)
        return large[0] / large[1]
    except (RuntimeError, TypeError):
        return 0.0
    finally:
        torch.set_num_threads(threads)


def product_seconds(device_type: str, size: int) -> tuple[float, float]:
    """Shortest time of a square matrix product in fp32 and in bf16."""
    import torch

    ones = torch.ones(size, size, device=device_type)
    operands = (ones, ones.to(torch.bfloat16))
    best = [float("inf"), float("inf")]
    # A thread's own time is no measure of a GPU, and too coarse on Windows.
    own_time = device_type == "cpu" and sys.platform != "win32"
    clock = time.thread_time if own_time else time.perf_counter
    for _ in range(4):  # the first round warms up
        for n, operand in enumerate(operands):
            start = clock()
            operand @ operand
            if device_type == "mps":
                torch.mps.synchronize()
            best[n] = min(best[n], clock() - start)
    return best[0], best[1]


def usable_cores() -> int:
    """Cores this process may use, by its affinity and its container's share; at least 1."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    return max(1, math.ceil(min([len(os.sched_getaffinity(0)), *containers.core_limits()])))


def total_memory_bytes() -> int:
    """Memory of this computer in bytes, or the container's limit where that is less."""
    limits = (limit for limit, _ in containers.memory_limits())
    return min([int(psutil.virtual_memory().total), *limits])


def available_memory_bytes() -> int:
    """Memory that can be taken without swapping, in bytes, the container's limit considered."""
    left = (max(0, limit - used) for limit, used in containers.memory_limits())
    return min([int(psutil.virtual_memory().available), *left])


def memory_held(processes: Iterable[int]) -> int:
    """What these processes, by their ids, hold of this computer's memory, in bytes."""
    total = 0
    for pid in processes:
        with contextlib.suppress(psutil.Error):  # it has ended
            total += int(psutil.Process(pid).memory_info().rss)
    return total
