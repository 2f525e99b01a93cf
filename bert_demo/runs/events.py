"""The events of runs that many people watch: read once from disk, then from memory."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from bert_demo.model.folders import is_file
from bert_demo.training.events import read_event

Event = dict[str, Any]
Events = list[Event]

REWIND: Event = {"event": "rewind"}
"""Comes first when what was handed out before no longer holds; all events follow."""

COLLAPSED = 0.98
"""From this `alike` of a film's frame on a model tells no word from another: the book's 50 steps at
a rate of 0.01 leave 1.00, 600 steps of "recommended" on Crane World 0.61, and it began at 0.79."""

_KEPT = 16
# A cursor is one number that fits into JavaScript's: which writing of the file, which event.
_EVENTS = 2**32


class Tail:
    """One metrics file and the events in it so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._events: Events = []
        self._offset = 0
        self._last_line = b""
        # Random, so that a cursor from before a restart of the app is not taken for a new one.
        self._writing = 1 + secrets.randbelow(2**19)

    def since(self, cursor: int) -> tuple[Events, int]:
        """The events after `cursor` (0: all of them) and the next cursor; change no event.

        A resumed run rewrites its file without the steps that come again. Who has a cursor from
        before gets `REWIND` and everything anew.
        """
        with self._lock:
            self._read()
            after = self._writing * _EVENTS + len(self._events)
            writing, index = divmod(cursor, _EVENTS)
            if cursor <= 0:
                return self._events[:], after
            if writing != self._writing or index > len(self._events):
                return [REWIND, *self._events], after
            return self._events[index:], after

    def _read(self) -> None:
        data = b""
        if is_file(self.path):  # opening a pipe would wait for ever
            with contextlib.suppress(OSError), self.path.open("rb") as file:
                # The last line read before still stands before what is new, or all is new.
                file.seek(self._offset - len(self._last_line))
                data = file.read()
        if not data.startswith(self._last_line):
            self._writing += 1
            self._events, self._offset, self._last_line = [], 0, b""
            self._read()
            return
        new = data[len(self._last_line) :]
        new = new[: new.rfind(b"\n") + 1]
        if not new:
            return
        for line in new.splitlines():
            event = read_event(line)  # None: a crash of the computer can leave anything
            if event is not None:
                self._events.append(dict(event))
        self._offset += len(new)
        self._last_line = new.splitlines(keepends=True)[-1]


class Tails:
    """The tails of the runs that were watched last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tails: OrderedDict[Path, Tail] = OrderedDict()

    def of(self, path: Path) -> Tail:
        """The one tail of this file."""
        with self._lock:
            tail = self._tails.setdefault(path, Tail(path))
            self._tails.move_to_end(path)
            while len(self._tails) > _KEPT:
                self._tails.popitem(last=False)
            return tail
