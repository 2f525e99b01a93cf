"""What comes before a run's first event: ended where somebody wants that, or by its limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from bert_demo.common.errors import Text
from bert_demo.runs.record import TRAINING, Run, Status, wished

PREPARING_SECONDS = 600.0
"""The most that a run may take before its first step, where it has no shorter limit."""
_HEED_SECONDS = 1.0
_ASK_SECONDS = 0.25


class Preparation:
    """A context to prepare a run in.

    What is done in it asks `is_to_end`. Where it does not heed that soon, in the middle of another
    library's work or waiting for the network, the process ends: the app starts another.
    """

    def __init__(
        self,
        run: Run,
        status: Status,
        most_seconds: float,
        cut_short: Callable[[], Status],
        leave: Callable[[Status], None],
    ) -> None:
        """`cut_short` gives the status that the run gets if it has to be left now, else the same;
        `leave` ends this process, and the run with a status."""
        self._run, self._status = run, status
        self._cut_short, self._leave = cut_short, leave
        self._most = min(most_seconds, PREPARING_SECONDS)
        self._until = time.monotonic() + self._most
        self._over = threading.Event()

    def __enter__(self) -> None:
        threading.Thread(target=self._watch, name="preparation", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def is_to_end(self) -> bool:
        """Whether it is not wanted any more, or takes too long."""
        return self.outcome().state not in TRAINING

    def outcome(self) -> Status:
        """The status that the run gets if its preparation has to end now; else the same."""
        if wished(self._run.folder) == "stop":
            message = Text("Stopped before its training began.")
            return replace(self._status, state="stopped", message=message)
        if time.monotonic() > self._until:
            message = Text(
                "Preparing the text and the model took longer than {seconds:g} seconds, as long as "
                "it may here.",
                seconds=self._most,
            )
            return replace(self._status, state="failed", message=message)
        return self._cut_short()

    def _watch(self) -> None:
        while not self._over.wait(_ASK_SECONDS):
            if self.is_to_end() and not self._over.wait(_HEED_SECONDS):
                self._leave(self.outcome())
