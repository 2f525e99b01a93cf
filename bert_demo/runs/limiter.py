"""How often something may come from one address."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any

_REMEMBERED = 10_000


class Limiter:
    """Counts what came under a name, such as an address, in the last `seconds`.

    Safe to use from several threads. Of more than 10,000 names the oldest are forgotten.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._came: OrderedDict[str, list[float]] = OrderedDict()

    def full(self, name: str, most: int) -> bool:
        """Whether `most` came under this name."""
        with self._lock:
            return len(self._lately(name)) >= most

    def count(self, name: str, most: int) -> bool:
        """Count one more; False, and not counted, where `most` came already."""
        with self._lock:
            lately = self._lately(name)
            fits = len(lately) < most
            remember(self._came, name, [*lately, time.monotonic()] if fits else lately)
            return fits

    def _lately(self, name: str) -> list[float]:
        now = time.monotonic()
        return [then for then in self._came.get(name, ()) if now - then < self._seconds]


def remember(among: OrderedDict[str, Any], name: str, value: Any = None) -> None:
    """Put a name last; of too many, the first is forgotten."""
    among[name] = value
    among.move_to_end(name)
    while len(among) > _REMEMBERED:
        among.popitem(last=False)
