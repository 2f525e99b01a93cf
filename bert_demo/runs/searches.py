"""Searches for a learning rate: the queue gives them to workers in turn with the runs.

A search leaves nothing on the disk. It belongs to whoever asked for it, whose turn comes as with a
run, and is bounded: in number, and in seconds with all its preparations.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bert_demo.common.errors import Text, UserError, restored, stored
from bert_demo.config import RunConfig, run_config
from bert_demo.data.interruption import Interrupted, interruptible

SECONDS = 10.0
"""How long rates are tried, if thirty steps do not take longer."""
MOST_SECONDS = 120.0
"""The most that a search may take, preparing the text included."""
LOST_SECONDS = 60.0
"""How much later a worker that has not answered is ended."""
_MOST_WAITING = 8


@dataclass(eq=False)
class RateSearch:
    """One of them. Written by the queue, read by all."""

    config: RunConfig
    owner: str
    """As a run's."""
    seconds: float = field(default_factory=lambda: SECONDS)
    id: str = field(default_factory=lambda: f"rate-{secrets.token_hex(8)}")
    asked: float = field(default_factory=time.time)
    began: float | None = None
    """When a worker took it, by `time.monotonic`."""
    found: dict[str, Any] | None = None
    """A `RangeTest` as plain data."""
    error: Text | None = None
    """Why there is none."""
    over: bool = False
    """Whether nothing more will happen."""

    def end(self, found: dict[str, Any] | None, error: Text | None) -> None:
        """What came of it."""
        self.found, self.error, self.over = found, error, True

    @property
    def lost(self) -> bool:
        """Whether its worker should have answered long ago."""
        began = self.began
        return began is not None and time.monotonic() - began > MOST_SECONDS + LOST_SECONDS


class Searches:
    """The searches that are not over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, RateSearch] = {}

    def add(self, search: RateSearch) -> None:
        """Let it wait; `UserError` where its owner has one already, or too many wait."""
        with self._lock:
            if any(other.owner == search.owner for other in self._open.values()):
                raise UserError("You are searching for a learning rate already; wait for its end.")
            if len(self._open) >= _MOST_WAITING:
                raise UserError(
                    "{n} searches for a learning rate wait here already, and no more may; try "
                    "again in a minute.",
                    n=len(self._open),
                )
            self._open[search.id] = search

    def waiting(self) -> list[RateSearch]:
        """Those that no worker has taken yet."""
        with self._lock:
            return [search for search in self._open.values() if search.began is None]

    def get(self, search_id: str | None) -> RateSearch | None:
        """One that is not over, by its id."""
        return self._open.get(search_id or "")

    def leave(self, search: RateSearch) -> None:
        """Nobody waits for it any more; one that a worker has taken goes on to its end."""
        with self._lock:
            if search.began is None:
                self._open.pop(search.id, None)

    def end(self, search_id: str | None, answer: dict[str, Any]) -> None:
        """What a worker answered, or {} if it could not."""
        with self._lock:
            search = self._open.pop(search_id or "", None)
        if search is not None:
            error = None
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
                error = restored(answer["said"])
            search.end(answer.get("found"), error if isinstance(error, Text) else None)


def search(config: dict[str, Any], seconds: float, app_gone: Callable[[], bool]) -> dict[str, Any]:
    """What a worker does for one: {"found": ...} or {"said": why not}; never raises."""
    from bert_demo.training.cost import check_memory
    from bert_demo.training.failures import out_of_memory
    from bert_demo.training.range_test import find_rate

    until = time.monotonic() + MOST_SECONDS
    try:
        run = run_config(config)
        with interruptible(lambda: app_gone() or time.monotonic() > until):
            check_memory(run)
            return {"found": dict(find_rate(run, seconds))}
    except UserError as error:
        return {"said": stored(error)}
    except Interrupted:
        late = Text(
            "Thirty steps took longer than the {seconds:g} seconds that a search may take here; "
            "take a smaller batch or a smaller model.",
            seconds=MOST_SECONDS,
        )
        return {"said": stored(late)}
    except Exception as error:
        if out_of_memory(error):
            full = Text("The memory was not enough; take a smaller batch or a smaller model.")
            return {"said": stored(full)}
        traceback.print_exc()
        return {}
