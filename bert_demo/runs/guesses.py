"""How often somebody may guess at the teacher's word, which they may have chosen themselves."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import NamedTuple

_PER_MINUTE = 10
_PER_MINUTE_OVERALL = 60
_REMEMBERED = 2000


class Asker(NamedTuple):
    """Who asks at the moment; empty where that is not known."""

    address: str = ""
    """Of their network."""
    session: str = ""
    """A name that their page has drawn for itself and that nobody else knows."""


class Guesses:
    """Counts wrong words: 10 a minute from one address, 60 from all. Safe to use from threads.

    A wrong word that comes again, as from a page that was opened under an old one, counts once.
    A session in which the right word came stays the teacher's: others' guesses, in the same
    classroom maybe, do not lock the teacher out of it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, None] = OrderedDict()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._trusted: OrderedDict[str, None] = OrderedDict()

    def may_try(self, digest: str, asker: Asker) -> bool:
        """Whether a word of this digest is looked at now; False also for one known to be wrong."""
        with self._lock:
            if digest in self._wrong:
                return False
            left = min(self._now(*limit) for limit in _limits(asker))
            return left >= 1 or asker.session in self._trusted

    def tried(self, digest: str, asker: Asker, right: bool) -> None:
        """Take down what came of it."""
        with self._lock:
            if right:
                if asker.session:
                    _remember(self._trusted, asker.session)
                return
            _remember(self._wrong, digest)
            for name, most in _limits(asker):
                self._left[name] = self._now(name, most) - 1, time.monotonic()
                self._left.move_to_end(name)
            while len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)

    def _now(self, name: str, most: int) -> float:
        """Guesses left: they come back over a minute."""
        left, when = self._left.get(name, (float(most), 0.0))
        return min(float(most), left + (time.monotonic() - when) * most / 60)


def _limits(asker: Asker) -> tuple[tuple[str, int], ...]:
    return (f"at {asker.address}", _PER_MINUTE), ("", _PER_MINUTE_OVERALL)


def _remember(among: OrderedDict[str, None], value: str) -> None:
    among[value] = None
    among.move_to_end(value)
    while len(among) > _REMEMBERED:
        among.popitem(last=False)
