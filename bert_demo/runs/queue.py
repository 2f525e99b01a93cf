"""Who is next: one thread that hands queued runs to warm workers and sees how they end."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from bert_demo.common.errors import Text, UserError
from bert_demo.config import RunConfig
from bert_demo.model.device import memory_held
from bert_demo.runs import actions
from bert_demo.runs.asked import NO_QUESTIONS, Questions
from bert_demo.runs.crowd import Crowd
from bert_demo.runs.owners import owner_of
from bert_demo.runs.process import WorkerProcess
from bert_demo.runs.record import TRAINING, Run, held
from bert_demo.runs.searches import RateSearch, Searches
from bert_demo.runs.store import RunStore
from bert_demo.runs.turns import Place, Turns

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_READY_SECONDS = 180.0
_RETRY_SECONDS = (1.0, 5.0, 30.0)
_LOCK_SECONDS = 5.0


class RunQueue:
    """Trains the store's queued runs, as many at a time as there are workers.

    Who is next says `turns`. The queue is the set of runs whose status says so:
    nothing is lost when the app ends.
    """

    def __init__(
        self,
        store: RunStore,
        *,
        workers: int = 1,
        max_run_seconds: float | None = None,
        max_queued_per_owner: int = 2,
        crowd: Crowd | None = None,
        grace_seconds: float = 20.0,
    ) -> None:
        """A queue in which nothing happens until `start`.

        max_run_seconds: the longest budget that a run may have here, and the longest time for
        preparing and training it; None for any.
        crowd: what bounds all that waits; None where only people at home come.
        grace_seconds: how long a worker may take to save its run when the app ends.
        """
        if workers < 1:
            raise UserError("workers is {value}; it must be at least 1.", value=workers)
        self.store = store
        self.max_run_seconds, self.max_queued_per_owner = max_run_seconds, max_queued_per_owner
        self._crowd = crowd
        self.problem: str = ""
        """Why no training process starts, in a sentence; empty while all is well."""
        self._grace_seconds = grace_seconds
        self._slots: list[WorkerProcess | None] = [None] * workers
        self._retry_at = [0.0] * workers
        self._failures = [0] * workers
        self._turns = Turns()
        self.searches = Searches()
        self._lock = threading.RLock()
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._open = contextlib.ExitStack()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to train; raises `UserError` if another app has the same folder."""
        assert self._thread is None
        until = time.monotonic() + _LOCK_SECONDS
        while not self._open.enter_context(held(self.store.root / ".queue.lock")):
            self._open.close()
            if time.monotonic() > until:
                raise UserError(
                    "Another bert_demo is at work in {folder}; end it, or give this one "
                    "another folder.",
                    folder=self.store.root,
                )
            time.sleep(0.1)
        self.store.tidy()
        for run in self.store.list():
            self._turns.remember(run)
        self._thread = threading.Thread(target=self._work, name="run queue", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the workers; their runs are saved, and interrupted."""
        if self._thread is not None:
            self._closing.set()
            self._inbox.put(lambda: None)
            self._thread.join()
            self._thread = None
        self._open.close()

    @property
    def ready(self) -> bool:
        """Whether a warm worker is there, busy or not."""
        return any(worker is not None and worker.ready for worker in self._slots)

    @property
    def training(self) -> bool:
        """Whether a worker has a run."""
        return bool(self._busy())

    def held_bytes(self) -> int:
        """What the workers hold of this computer's memory, and the next run can have."""
        return memory_held(worker.pid for worker in list(self._slots) if worker is not None)

    def submit(
        self,
        config: RunConfig,
        token: str,
        title: str | None = None,
        estimate_seconds: float | None = None,
        address: str = "",
        most_waiting: int | None = None,
        questions: Questions = NO_QUESTIONS,
    ) -> Run:
        """Queue a new run for the owner of `token`, who came from `address`.

        most_waiting: how many runs of this owner may wait, if not `max_queued_per_owner`.

        Raises `UserError` where the run is longer than allowed here, or too much waits already.
        """
        if self.over_limit(config):
            raise UserError(
                "budget_seconds is {seconds:g}; here a run may take at most {limit:g} seconds.",
                seconds=config.training.budget_seconds,
                limit=self.max_run_seconds,
            )
        with self._lock:
            self._check_queued(token, address, most_waiting)
            run = self.store.create(
                self.with_limit(config), token, title, estimate_seconds, questions
            )
            self._joined(run, address)
        self._inbox.put(lambda: None)
        return run

    def search_rate(self, config: RunConfig, token: str, address: str = "") -> RateSearch:
        """Queue a search for a learning rate of a run like this, for the owner of `token`.

        Raises `UserError` where too much waits already.
        """
        if self._crowd is not None and not self.store.is_admin(token):
            self._crowd.check(self._waiting(), address)
        search = RateSearch(config, owner_of(token))
        self.searches.add(search)
        self._inbox.put(lambda: None)
        return search

    def with_limit(self, config: RunConfig) -> RunConfig:
        """The same run, with all the seconds that it may have here if it names none."""
        if config.training.budget_seconds is not None:
            return config
        training = replace(config.training, budget_seconds=self.max_run_seconds)
        return replace(config, training=training)

    def over_limit(self, config: RunConfig) -> bool:
        """Whether a run asks for more seconds than it may have here."""
        limit = self.max_run_seconds
        return limit is not None and (config.training.budget_seconds or 0) > limit

    def request(self, run_id: str, action: str, token: str | None, address: str = "") -> Run | None:
        """`actions.request`, heeded at once."""
        with self._lock:
            if action == "resume" and self.store.may_control(self.store.get(run_id), token):
                self._check_queued(str(token), address)
            run = actions.request(self.store, run_id, action, token)
            if action == "resume" and run is not None:
                self._joined(run, address)
        self._inbox.put(lambda: None)
        return run

    def place(self, run_id: str) -> Place:
        """Where a run stands and how long it will probably wait."""
        run = self.store.get(run_id)
        if run.status.state != "queued":
            return Place(0, 0.0)
        busy = []
        for busy_id in self._busy():
            with contextlib.suppress(UserError):
                busy.append(self.store.get(busy_id))
        with self._lock:
            return self._turns.place(run_id, self._waiting(), busy, len(self._slots))

    def waiting_of(self, token: str) -> int:
        """How many runs of this owner wait."""
        owner = owner_of(token)
        return sum(run.owner == owner for run in self._waiting())

    def _check_queued(self, token: str, address: str, most: int | None = None) -> None:
        owner, waiting = owner_of(token), self._waiting()
        if self.store.is_admin(token):
            return
        count = sum(run.owner == owner for run in waiting)
        if count >= (most or self.max_queued_per_owner):
            raise UserError(
                "You have {n} runs waiting already, as many as one person can have; wait for "
                "one to begin, or take one out.",
                n=count,
            )
        if self._crowd is not None:
            self._crowd.check(waiting, address)

    def _joined(self, run: Run, address: str) -> None:
        if self._crowd is not None:
            self._crowd.joined(run, address)

    def _waiting(self) -> list[Run]:
        return [run for run in self.store.list() if run.status.state == "queued"]

    def _busy(self) -> list[str]:
        """The runs that workers have."""
        workers = [worker for worker in list(self._slots) if worker is not None]
        return [run_id for worker in workers if (run_id := worker.run_id) is not None]

    def _work(self) -> None:
        """The dispatcher: the only thread that starts and ends workers."""
        while not self._closing.is_set():
            with _surviving():
                self._start_workers()
                self._hand_out()
                self._end_hanging()
            with _surviving(), contextlib.suppress(queue.Empty):
                self._inbox.get(timeout=_TICK_SECONDS)()
            with _surviving():
                self.store.mark_interrupted(besides=self._busy())
        self._end_workers()

    def _start_workers(self) -> None:
        for number, worker in enumerate(self._slots):
            if worker is None and time.monotonic() >= self._retry_at[number]:
                log = self.store.root / f".worker-{number}.log"
                try:
                    self._slots[number] = WorkerProcess(self.store.root, log, self._receive)
                except OSError as error:
                    self._no_start(number, str(error.strerror))
            elif worker is not None and not worker.ready and worker.age() > _READY_SECONDS:
                worker.end()

    def _hand_out(self) -> None:
        for worker in self._slots:
            if worker is None or not worker.ready or worker.run_id is not None:
                continue
            with self._lock:
                waiting: list[Run | RateSearch] = [*self._waiting(), *self.searches.waiting()]
                if not waiting:
                    return
                run = self._turns.next(waiting)
                if isinstance(run, RateSearch):
                    run.began = time.monotonic()
                    self._turns.began(run)
                    worker.search(run.id, run.config.to_dict(), run.seconds)
                    continue
                try:
                    claimed = self.store.claim(run.id)
                except OSError as error:  # a full disk: it waits, and says why
                    self.problem = Text("No run can begin: {reason}.", reason=error.strerror)
                    return
                self.problem = ""
                if claimed:
                    self._turns.began(run)
                    worker.train(run.id, self.max_run_seconds)

    def _end_hanging(self) -> None:
        for worker in self._slots:
            if worker is not None and worker.run_id is not None:
                search = self.searches.get(worker.run_id)
                if search is not None:
                    if search.lost:
                        worker.lose()
                    continue
                with contextlib.suppress(UserError):  # deleted underneath: it will find out
                    training = self.store.get(worker.run_id).status.step > 0
                    worker.end_if_it_hangs(self.store.signs_of_life(worker.run_id), training)

    def _receive(self, worker: WorkerProcess, answer: dict[str, Any] | None) -> None:
        """Called by the workers' threads; the dispatcher acts on it."""
        self._inbox.put(lambda: self._answered(worker, answer))

    def _answered(self, worker: WorkerProcess, answer: dict[str, Any] | None) -> None:
        if answer is None:
            self._died(worker)
        elif answer.get("ready"):
            worker.ready, self.problem = True, ""
            self._failures[self._slots.index(worker)] = 0
        elif answer.get("run") == worker.run_id and answer.get("state") not in TRAINING:
            self.searches.end(worker.run_id, answer)
            self._release(worker, str(answer.get("message", "")))

    def _release(self, worker: WorkerProcess, reason: str) -> None:
        """The worker has let go of its run; `reason` is for a run that could not say itself."""
        run_id, worker.run_id = worker.run_id, None
        self.searches.end(run_id, {})
        with self._lock:
            self._turns.ended(run_id)
        with contextlib.suppress(UserError):
            run = self.store.get(run_id or "")
            if run.status.state in TRAINING:
                self.store.set_end(run.id, "failed", reason)

    def _died(self, worker: WorkerProcess) -> None:
        worker.end()
        cause = worker.cause_of_death()
        number = self._slots.index(worker)
        self._slots[number] = None
        if worker.run_id is not None:
            with contextlib.suppress(UserError):
                left = self.store.get(worker.run_id).what_is_left
                cause = Text("{first} {second}", first=cause, second=left)
            self._release(worker, cause)
        if not worker.ready:
            self._no_start(number, worker.last_words() or cause)

    def _no_start(self, number: int, reason: str) -> None:
        self.problem = Text("No training process starts: {reason}", reason=reason)
        wait = _RETRY_SECONDS[min(self._failures[number], len(_RETRY_SECONDS) - 1)]
        self._failures[number] += 1
        self._retry_at[number] = time.monotonic() + wait

    def _end_workers(self) -> None:
        """Let busy workers save; idle ones have nothing to lose."""
        workers = [worker for worker in self._slots if worker is not None]
        for worker in workers:
            worker.hang_up()
        until = time.monotonic() + self._grace_seconds
        for worker in workers:
            if worker.run_id is not None:
                worker.wait(until - time.monotonic())
            worker.end()
        with contextlib.suppress(OSError, UserError):
            self.store.mark_interrupted()
        self._slots = [None] * len(self._slots)


@contextlib.contextmanager
def _surviving() -> Iterator[None]:
    """A full disk or a folder that somebody removes must not end the queue, nor may a bug."""
    try:
        yield
    except (OSError, UserError):
        pass
    except Exception:
        log.exception("The queue of runs failed, and goes on")
