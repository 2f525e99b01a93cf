"""A cache of arrays on disk, opened as memory maps: safe to share and safe to lose."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.data import interruption
from bert_demo.data.files import cache_dir, part_folder, put_folder

_FORMAT = 1


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
    interruption.check()
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
    interruption.check()
    # Another process may have put its copy there first, so that this one's has no place.
    with contextlib.suppress(OSError):
        _store(folder, entry)
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
    with part_folder(folder.parent) as part:
        for name, array in entry.arrays.items():
            np.save(part / f"{name}.npy", array, allow_pickle=False)
        checksums = {name: _checksum(array) for name, array in entry.arrays.items()}
        record = json.dumps({"checksums": checksums, "meta": entry.meta}, indent=1)
        (part / "meta.json").write_text(record, encoding="utf-8")
        if _load(folder) is None:
            put_folder(part, folder)


def _checksum(array: npt.NDArray[Any]) -> str:
    kind = f"{array.dtype.str}{list(array.shape)}"
    return f"{kind}-{zlib.crc32(np.ascontiguousarray(array).data):08x}"
