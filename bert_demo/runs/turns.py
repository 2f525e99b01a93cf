"""Whose turn it is: of those who wait, who had least of the workers' time."""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from bert_demo.runs.record import Run
from bert_demo.runs.searches import RateSearch

_FAIR_SECONDS = 3600.0
_UNKNOWN_SECONDS = 60.0
Waiting = TypeVar("Waiting", bound=Run | RateSearch)


class Place(NamedTuple):
    """Where a run stands."""

    position: int
    """1 is next; 0 is not waiting."""
    expected_wait_seconds: float


@dataclass
class _Leg:
    """A stretch of time in which a worker worked for somebody."""

    owner: str
    run_id: str
    started: float
    ended: float | None = None

    def seconds_since(self, begin: float, now: float) -> float:
        return max(0.0, (self.ended or now) - max(self.started, begin))


class Turns:
    """Who has been trained for, and who is next: the run of whoever has fewest in training, then of
    whoever used least training time in the last hour, then who came first."""

    def __init__(self) -> None:
        self._legs: list[_Leg] = []

    def remember(self, run: Run) -> None:
        """Take down what an app that has ended trained."""
        status = run.status
        if run.owner is not None and status.started is not None:
            ended = status.ended or status.started + status.seconds
            self._legs.append(_Leg(run.owner, run.id, status.started, ended))

    def began(self, run: Run | RateSearch) -> None:
        """A worker has the run, or the search, now."""
        self._legs.append(_Leg(run.owner or "", run.id, time.time()))

    def ended(self, run_id: str | None) -> None:
        """The worker has let go of it."""
        for leg in self._legs:
            if leg.run_id == run_id and leg.ended is None:
                leg.ended = time.time()

    def next(self, waiting: Sequence[Waiting]) -> Waiting:
        """The one that is next."""
        return _next(waiting, self._used(time.time()), self._training())

    def place(
        self, run_id: str, waiting: Sequence[Run], busy: Sequence[Run], workers: int
    ) -> Place:
        """Where a run stands among those that wait, while the workers are busy with others."""
        now, waiting = time.time(), [*waiting]
        used, training = self._used(now), self._training()
        free = [(0.0, "", "") for _ in range(workers - len(busy))]
        for run in busy:
            seconds = _remaining(run, now)
            free.append((seconds, run.id, run.owner or ""))
            used[run.owner or ""] += seconds
        heapq.heapify(free)
        for position in range(1, len(waiting) + 1):
            wait, ended, owner = heapq.heappop(free)
            if ended:
                training[owner] -= 1
            chosen = _next(waiting, used, training)
            if chosen.id == run_id:
                return Place(position, round(wait, 1))
            waiting.remove(chosen)
            seconds = chosen.expected_seconds or _UNKNOWN_SECONDS
            used[chosen.owner or ""] += seconds
            training[chosen.owner or ""] += 1
            heapq.heappush(free, (wait + seconds, chosen.id, chosen.owner or ""))
        return Place(0, 0.0)  # it was taken while we counted

    def _used(self, now: float) -> defaultdict[str, float]:
        """Seconds of training in the last hour, by owner."""
        begin = now - _FAIR_SECONDS
        self._legs = [leg for leg in self._legs if leg.ended is None or leg.ended > begin]
        used: defaultdict[str, float] = defaultdict(float)
        for leg in self._legs:
            used[leg.owner] += leg.seconds_since(begin, now)
        return used

    def _training(self) -> Counter[str]:
        return Counter(leg.owner for leg in self._legs if leg.ended is None)


def _next(
    waiting: Sequence[Waiting], used: defaultdict[str, float], training: Counter[str]
) -> Waiting:
    def key(run: Waiting) -> tuple[int, float, float]:
        owner = run.owner or ""
        since = run.asked if isinstance(run, RateSearch) else run.status.queued
        return training[owner], used[owner], since or 0.0

    return min(waiting, key=key)


def _remaining(run: Run, now: float) -> float:
    """Seconds that a run in training still needs, as far as one can tell."""
    if run.status.seconds_left is not None:
        return run.status.seconds_left
    whole = run.expected_seconds or _UNKNOWN_SECONDS
    return max(0.0, whole - (now - (run.status.started or now)))
