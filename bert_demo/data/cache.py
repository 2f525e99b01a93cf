"""A cache of arrays on disk, opened as memory maps: safe to share and safe to lose."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.data.files import cache_dir

_FORMAT = 1
_STALE_SECONDS = 3600


@dataclass(frozen=True)
class Entry:
    """Named arrays and what is to be remembered about them."""

    arrays: dict[str, npt.NDArray[Any]]
    meta: dict[str, Any]


def cached(name: str, facts: list[Any], build: Callable[[], Entry]) -> Entry:
    """The entry for these facts: from the cache, else built and, where possible, stored.

    `facts` (JSON values) are everything that decides the contents; `name` only helps people who
    look at the folder. Several processes may build the same entry at once: the first to finish
    gives its copy to the others. A damaged entry is built again. When nothing can be
    written (read-only or full disk) the arrays stay in memory.
    """
    key = hashlib.sha256(json.dumps([_FORMAT, *facts]).encode()).hexdigest()
    folder = cache_dir() / "prepared" / f"{name}-{key[:24]}"
    found = _load(folder)
    if found is not None:
        return found
    entry = _built(folder, build)
    # Arrow keeps what it has freed for more of the same, but a run follows.
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()
    return entry


def _built(folder: Path, build: Callable[[], Entry]) -> Entry:
    entry = build()
    try:
        _store(folder, entry)
    except OSError:
        return entry
    return _load(folder) or entry


def _load(folder: Path) -> Entry | None:
    """The entry in `folder`; None when there is none or anything in it is not as written."""
    try:
        record = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        arrays = {}
        for name, checksum in record["checksums"].items():
            path = folder / f"{name}.npy"
            array = np.load(path, mmap_mode="r")
            if _checksum(array) != checksum:
                return None
            arrays[name] = array
        return Entry(arrays, record["meta"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None


def _store(folder: Path, entry: Entry) -> None:
    """Write the entry beside its place and move it there in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(folder.parent)
    part = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.part")
    try:
        part.mkdir()
        for name, array in entry.arrays.items():
            np.save(part / f"{name}.npy", array, allow_pickle=False)
        checksums = {name: _checksum(array) for name, array in entry.arrays.items()}
        record = json.dumps({"checksums": checksums, "meta": entry.meta}, indent=1)
        (part / "meta.json").write_text(record, encoding="utf-8")
        _move(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _move(part: Path, folder: Path) -> None:
    try:
        part.rename(folder)
    except OSError:
        if _load(folder) is not None:
            return
        # What is there is damaged; moving it away first keeps the place free of half a folder.
        aside = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.part")
        folder.rename(aside)
        try:
            part.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _remove_stale(parent: Path) -> None:
    """Remove what processes that were killed while they wrote have left."""
    for path in parent.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _checksum(array: npt.NDArray[Any]) -> str:
    kind = f"{array.dtype.str}{list(array.shape)}"
    return f"{kind}-{zlib.crc32(np.ascontiguousarray(array).data):08x}"


def file_identity(path: Path) -> list[Any]:
    """Tells one version of a file from another without reading it."""
    real = path.resolve()
    state = real.stat()
    return [str(real), state.st_size, state.st_mtime_ns]
