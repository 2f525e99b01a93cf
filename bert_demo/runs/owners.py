"""Whose a run is, who the teacher is, and how often somebody may guess at the teacher's word."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from bert_demo.common.errors import UserError
from bert_demo.runs.limiter import Limiter, remember

_PER_MINUTE = 10
_PER_MINUTE_OVERALL = 60


class NotAllowed(UserError):  # noqa: N818 (an answer, not a fault)
    """Somebody asked for what only the owner of the run or the teacher may do."""


def owner_of(token: str) -> str:
    """What is kept of a token: enough to know it again, too little to use it."""
    if not isinstance(token, str) or not token:
        raise NotAllowed("Reload the page first: this browser has no name yet.")
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Asker(NamedTuple):
    """Who asks at the moment; empty where that is not known."""

    address: str = ""
    """Of their network."""
    session: str = ""
    """A name that their page has drawn for itself and that nobody else knows."""


class Teacher:
    """Knows the teacher by a token, which people may have chosen. Safe to use from threads.

    Only 10 wrong ones a minute are looked at from one address, 60 from all. A wrong one that comes
    again, as from a page that was opened under an old one, counts once. A session in which the
    right one came stays the teacher's: others' guesses, in the same classroom maybe, do not lock
    the teacher out of it.
    """

    def __init__(self, token: str | None, asker: Callable[[], Asker]) -> None:
        self.owner = owner_of(token) if token else None
        """Of the teacher's own runs."""
        self._length = len(token or "")
        self._asker = asker
        self._lock = threading.Lock()
        self._guesses = Limiter(seconds=60.0)
        self._wrong: OrderedDict[str, None] = OrderedDict()
        self._trusted: OrderedDict[str, None] = OrderedDict()

    def has(self, token: str | None) -> bool:
        """Whether this is the teacher's token; False also for who guesses too often."""
        # Browsers' own tokens are asked about at every turn, and are of another length.
        if self.owner is None or not token or len(token) != self._length:
            return False
        digest, asker = owner_of(token), self._asker()
        limits = (f"at {asker.address}", _PER_MINUTE), ("", _PER_MINUTE_OVERALL)
        with self._lock:
            locked = any(self._guesses.full(*limit) for limit in limits)
            if digest in self._wrong or (locked and asker.session not in self._trusted):
                return False
            right = hmac.compare_digest(digest, self.owner)
            if not right:
                remember(self._wrong, digest)
                for limit in limits:
                    self._guesses.count(*limit)
            elif asker.session:
                remember(self._trusted, asker.session)
            return right
