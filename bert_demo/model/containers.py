"""What Linux's control groups, of which containers are made, leave to this process.

Both versions of their layout are read; where there are none, nothing is limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUP = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def core_limits() -> Iterator[float]:
    """How many cores' time each control group of this process may use, where it has a limit."""
    for folder in _folders("cpu"):
        words = _text(folder / "cpu.max").split()  # "200000 100000" or "max 100000"
        if not words:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            words = [_text(folder / name).strip() for name in names]
        if all(word.isdigit() for word in words) and int(words[1]) > 0:
            yield int(words[0]) / int(words[1])


def memory_limits() -> Iterator[tuple[int, int]]:
    """Limit and use of each control group of this process that has a limit, in bytes.

    File pages that the kernel drops on demand do not count as used.
    """
    for folder in _folders("memory"):
        for limit_name, used_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = (_text(folder / name).strip() for name in (limit_name, used_name))
            if limit.isdigit() and used.isdigit():
                stat = _text(folder / "memory.stat")
                found = re.search(rf"^{cache_name} (\d+)$", stat, re.MULTILINE)
                yield int(limit), int(used) - (int(found[1]) if found else 0)


def _folders(controller: str) -> Iterator[Path]:
    """This process's control groups with their parents."""
    for line in _text(_OWN_GROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _CGROUP / controllers if controllers else _CGROUP
        inside = PurePosixPath(path.lstrip("/"))
        for group in (inside, *inside.parents) if inside.parts else (inside,):
            yield root / group


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
