"""The compiled blocks: built once on each machine, if it has a C++ compiler.

Without one everything runs on PyTorch's own operations, slower and with the same results.
`CXX` names another compiler, as for other programs; `CXX=false` does without.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bert_demo.data.files import cache_dir

_SOURCES = (
    "vectors.h",
    "tiles.h",
    "attention.cpp",
    "rows.cpp",
    "vocabulary.cpp",
    "tiled_vocabulary.cpp",
)
_COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-O3", "-std=gnu++17", "-fPIC", "-shared", "-pthread", "-w")
_TUNED: tuple[list[str], ...] = (
    ["-march=native"],
    ["-march=native", "-DNO_TILES"],
    ["-mcpu=native"],
    [],
)
TRIAL = "import ctypes, sys; sys.exit(not ctypes.CDLL(sys.argv[1]).tiles_hold())"
_SECONDS = 120
_KINDS = {torch.float32: "fp32", torch.bfloat16: "bf16"}


@dataclass(frozen=True)
class Blocks:
    """The blocks of this process: none, with the reason, or the library that has them."""

    library: ctypes.CDLL | None
    tiles: bool = False
    """Whether those that multiply tiles are ready: this processor and system have them."""
    reason: str | None = None
    """A sentence's end that says why there are none."""


_lock = threading.Lock()
blocks: Blocks | None = None
"""None until `load` is called."""


def serves(x: Tensor) -> bool:
    """Whether the blocks are ready in this process and compute with `x`."""
    ready = blocks is not None and blocks.library is not None
    return ready and x.device.type == "cpu" and x.dtype in _KINDS


def has_tiles() -> bool:
    """Whether the blocks that multiply tiles are ready."""
    return blocks is not None and blocks.tiles


def load() -> str | None:
    """Make the blocks ready, which takes some seconds once on a machine; safe to repeat.

    Returns None, or a sentence's end that says why there are none.
    """
    global blocks
    with _lock:
        if blocks is None:
            try:
                library = build()
                blocks = Blocks(library, bool(library.tiles_ready()))
            except OSError as error:
                blocks = Blocks(None, reason=str(error))
        return blocks.reason


def build(flags: Sequence[str] = FLAGS, trial: str = TRIAL) -> ctypes.CDLL:
    """Compile what the cache lacks; `trial` is a program that says whether its tiles hold.

    Raises `OSError` with the reason if that cannot be.
    """
    named = os.environ.get("CXX")
    compiler = (
        shutil.which(named) if named else next(filter(None, map(shutil.which, _COMPILERS)), None)
    )
    if compiler is None:
        raise OSError(
            f"CXX names {named}, which is not there" if named else "there is no C++ compiler"
        )
    folder = Path(__file__).parent
    sources = [folder / name for name in _SOURCES]
    facts = [compiler, str(Path(compiler).stat().st_mtime), _processor(), *flags]
    digest = hashlib.sha256("\n".join(facts).encode())
    for source in sources:
        digest.update(source.read_bytes())
    target = cache_dir() / f"blocks-{digest.hexdigest()[:16]}.so"
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = _ours(target.parent)
    if kept and target.exists() and _ours(target):
        with contextlib.suppress(OSError):  # half of it may be left of a full disk
            return ctypes.CDLL(str(target))
    with tempfile.TemporaryDirectory(dir=target.parent if kept else None) as scratch:
        fresh = Path(scratch) / target.name
        files = [str(source) for source in sources if source.suffix == ".cpp"]
        for tuned in _TUNED:
            command = [compiler, *flags, *tuned, "-o", str(fresh), *files]
            try:
                done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                raise OSError(f"{compiler} took longer than {_SECONDS} s") from None
            if done.returncode == 0 and fresh.exists() and _tiles_hold(fresh, trial):
                library = ctypes.CDLL(str(fresh))
                if kept:
                    fresh.replace(target)  # at once, so that nobody meets half a file
                return library
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    raise OSError(f"{compiler} failed: {lines[0] if lines else 'it said nothing'}")


def _tiles_hold(library: Path, trial: str) -> bool:
    """Whether the blocks that multiply tiles work, tried where they can stop nobody else."""
    command = [sys.executable, "-I", "-S", "-c", trial, str(library)]
    try:
        return not subprocess.run(command, timeout=_SECONDS, check=False).returncode
    except (subprocess.TimeoutExpired, OSError):
        return False


def _ours(path: Path) -> bool:
    """Whether nobody else can have put code there: without a home the cache is in /tmp."""
    if not hasattr(os, "geteuid"):
        return True
    found = path.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _processor() -> str:
    """What this machine's processor can do: a cache may be shared by several machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"


Argument = Tensor | npt.NDArray[np.int64] | int | float | None


def call(name: str, kind: torch.dtype, *arguments: Argument) -> None:
    """Call one block for numbers of this kind; arrays are handed over as where they begin."""
    assert blocks is not None
    function = getattr(blocks.library, f"{name}_{_KINDS[kind]}")
    if function.argtypes is None:
        function.argtypes, function.restype = [_type(argument) for argument in arguments], None
    function(*map(_value, arguments))


def _type(argument: Argument) -> Any:
    if isinstance(argument, int):
        return ctypes.c_int64
    return ctypes.c_float if isinstance(argument, float) else ctypes.c_void_p


def _value(argument: Argument) -> int | float | None:
    if isinstance(argument, Tensor):
        return argument.data_ptr()
    return argument.ctypes.data if isinstance(argument, np.ndarray) else argument
