"""Whole tables judged behind the page's back: one at a time, bounded, and kept while there is room.

Who asks for what is being judged already joins; what nobody waits for any more ends.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bert_demo.common.errors import Text, UserError
from bert_demo.data import interruption

if TYPE_CHECKING:
    from bert_demo.data.snli import NliTexts
    from bert_demo.inference.failures import Failures
    from bert_demo.inference.models import ModelShelf

log = logging.getLogger(__name__)

_MOST_WAITING = 8
_MOST_KEPT_PAIRS = 200_000
_CLOSING_SECONDS = 5.0
_NICE = 10
"""Below the training, which is at 5, and far below the page itself."""
_REST = 2.0
"""Pauses beside a run in training, in times of the work between them: a training that has to share
its cores loses more than its share, as its threads wait for each other."""
_LONGEST_REST = 1.0  # seconds


@dataclass(frozen=True)
class Table:
    """Labelled pairs that can be judged."""

    name: Text
    stamp: str
    """What tells its contents from any other."""
    read: Callable[[], NliTexts] = field(repr=False)
    most_rows: int
    most_seconds: float | None
    """Judging may take no longer; None for as long as it takes."""


@dataclass(eq=False)
class Job:
    """A model at work on a table. Written by one thread, read by all."""

    key: str
    model: str
    title: str
    """The model's."""
    table: Table
    state: str = "waiting"
    """Then "running"; in the end "done", "stopped" or "failed"."""
    share: float = 0.0
    """How much is judged, from 0 to 1."""
    result: Failures | None = None
    error: UserError | None = None
    """Why it failed; None for a fault of the page's own, which is logged."""
    watchers: set[str] = field(default_factory=set)
    """Who waits for it."""

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in ("waiting", "running")


class Judging:
    """The jobs of one page, and their results."""

    def __init__(self, shelf: ModelShelf, training: Callable[[], bool] = lambda: False) -> None:
        """`training`: whether a run is, beside which judging pauses again and again."""
        self._shelf, self._training = shelf, training
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._closed = False

    def close(self) -> None:
        """End what is being judged; the page ends."""
        self._closed = True
        thread = self._thread
        if thread is not None:
            thread.join(_CLOSING_SECONDS)

    def ask(self, model: str, table: Table, watcher: str) -> Job:
        """The job of this model and table, which begins unless it has; a watcher has one job.

        Raises `UserError` for an unknown model and where too many wait already.
        """
        title = self._shelf.entry(model).title
        version = f"{model} {self._shelf.version(model)} {table.stamp}"
        key = hashlib.sha256(version.encode()).hexdigest()[:24]
        with self._lock:
            for job in self._jobs.values():
                if job.key != key:
                    job.watchers.discard(watcher)
            found = self._jobs.get(key)
            if found is None or found.state in ("stopped", "failed"):
                waiting = sum(job.state == "waiting" for job in self._jobs.values())
                if waiting >= _MOST_WAITING:
                    raise UserError(
                        "{n} tables wait to be judged here already, and no more may; try again in "
                        "a minute.",
                        n=waiting,
                    )
                found = self._jobs[key] = Job(key, model, title, table)
            if found.over:
                self._jobs.move_to_end(key)  # forgotten last
            found.watchers.add(watcher)
            if self._thread is None and not found.over:
                self._thread = threading.Thread(target=self._work, name="judging", daemon=True)
                self._thread.start()
            return found

    def leave(self, job: Job, watcher: str) -> None:
        """One less waits for this job; without any it ends."""
        with self._lock:
            job.watchers.discard(watcher)

    def before(self, job: Job) -> int:
        """How many jobs come before this one."""
        with self._lock:
            mine = list(self._jobs)
            place = mine.index(job.key) if job.key in self._jobs else 0
            return sum(not self._jobs[key].over for key in mine[:place])

    def find(self, key: object) -> Job | None:
        """The job of this key, while it is kept."""
        with self._lock:
            return self._jobs.get(key) if isinstance(key, str) else None

    def _work(self) -> None:
        if sys.platform == "linux":
            os.nice(_NICE)  # there it is this thread's alone, and that of threads it begins
        while True:
            with self._lock:
                waiting = [job for job in self._jobs.values() if job.state == "waiting"]
                if not waiting or self._closed:
                    self._thread = None
                    self._forget()
                    return
                job = waiting[0]
                job.state = "running"
            state, error = "failed", None
            try:
                job.result = self._judge(job)
                state = "done"
            except interruption.Interrupted:
                state = "stopped"
            except UserError as why:
                error = why
            except Exception:
                log.exception("Judging %s failed", job.table.name)
            with self._lock:
                job.error, job.state = error, state

    def _judge(self, job: Job) -> Failures:
        from bert_demo.inference.failures import find_failures

        most, begin = job.table.most_seconds, time.monotonic()
        paused = 0.0
        latest = threading.local()

        def stop_wished() -> bool:
            if most is not None and time.monotonic() - begin - paused > most:
                raise UserError(
                    "Judging took longer than the {seconds:.0f} seconds that it may here; take "
                    "fewer pairs or a smaller model.",
                    seconds=most,
                )
            return self._closed or not job.watchers

        with interruption.interruptible(stop_wished):
            interruption.check()
            texts = job.table.read()
            if len(texts) > job.table.most_rows:
                raise UserError(
                    "The table has {n:,} labelled pairs; at most {limit:,} are judged here.",
                    n=len(texts),
                    limit=job.table.most_rows,
                )
            loaded = self._shelf.load(job.model)
            counting = threading.Lock()

            def progress(n: int) -> None:
                nonlocal paused
                now = time.monotonic()
                worked = now - getattr(latest, "at", now) if self._training() else 0.0
                pause = min(_REST * worked, _LONGEST_REST)
                with counting:
                    job.share += n / (2 * len(texts))
                    paused += pause
                time.sleep(pause)
                latest.at = time.monotonic()

            return find_failures(loaded.model, loaded.tokenizer, texts, progress=progress)

    def _forget(self) -> None:
        """Drop the oldest results where there are too many pairs; the last one stays."""
        kept = 0
        for place, (key, job) in enumerate(reversed(list(self._jobs.items()))):
            kept += 0 if job.result is None else len(job.result.texts)
            if job.over and (job.result is None or (place and kept > _MOST_KEPT_PAIRS)):
                del self._jobs[key]
