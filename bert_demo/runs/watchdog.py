"""Whether a worker hangs: it shows no progress, and does not compute either.

A step of a large model, a validation or the preparation of a text can take long without a word,
but then the processor is busy; a download waits, but not for ever.
"""

from __future__ import annotations

import time
from collections.abc import Hashable

import psutil

IDLE_SECONDS = 300.0
"""How long a worker in the middle of training may do nothing at all."""
PREPARING_SECONDS = 900.0
"""The same before its first step, where it may wait for a download."""
STILL_SECONDS = 3600.0
"""How long it may compute without any progress."""

_BUSY = 0.05  # of a core
_LONGEST_LOOK = 5.0  # a computer that slept has not looked


class Watchdog:
    """Looks after one worker while it has a run."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._signs: Hashable = None
        self._looked = time.monotonic()
        self._computed = self._idle = self._still = 0.0

    def hangs(self, signs: Hashable, training: bool) -> bool:
        """Whether it hangs; to be asked every second or so.

        signs: whatever changes with its progress; training: whether it is past its first step.
        """
        now, computed = time.monotonic(), self._cpu_seconds()
        passed = min(now - self._looked, _LONGEST_LOOK)
        busy = computed - self._computed > _BUSY * passed
        self._looked, self._computed = now, computed
        if signs != self._signs:
            self._signs, self._idle, self._still = signs, 0.0, 0.0
            return False
        self._still += passed
        self._idle = 0.0 if busy else self._idle + passed
        return self._idle > (IDLE_SECONDS if training else PREPARING_SECONDS) or (
            self._still > STILL_SECONDS
        )

    def _cpu_seconds(self) -> float:
        try:
            times = psutil.Process(self._pid).cpu_times()
        except psutil.Error:
            return self._computed
        return float(times.user + times.system)
