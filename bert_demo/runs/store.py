"""All runs under one folder."""

from __future__ import annotations

import base64
import contextlib
import hmac
import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bert_demo.common.corpus_names import shown_corpus
from bert_demo.common.errors import Text, UserError
from bert_demo.config import RunConfig
from bert_demo.data.files import (
    file_stamp,
    folder_bytes,
    part_folder,
    remove_left_parts,
)
from bert_demo.model.folders import (
    CONFIG,
    CONTROL,
    LOCK,
    LONGEST_TITLE,
    METRICS,
    MODEL,
    MOMENTS,
    RESUME,
    RUN,
    STATUS,
    is_file,
)
from bert_demo.model.plain_json import one_line
from bert_demo.runs.asked import NO_QUESTIONS, Questions
from bert_demo.runs.events import Events, Tails
from bert_demo.runs.owners import Asker, Teacher, owner_of
from bert_demo.runs.record import (
    TRAINING,
    UNREADABLE,
    Run,
    Status,
    UnreadableRun,
    held,
    read_run,
    run_folder,
    write_json,
    write_status,
)

log = logging.getLogger(__name__)

_PART_SECONDS = 60.0
_FREE_BYTES = 500_000_000  # a run of the smaller models, and room for everybody else


class RunStore:
    """The runs in the folders of `root`; safe to use from several threads.

    The folders are all there is, so an app that starts again finds everything, and a checkpoint
    that the command line saved to `root` is listed too.
    """

    def __init__(
        self,
        root: Path,
        *,
        admin_token: str | None = None,
        asker: Callable[[], Asker] = Asker,
        max_runs_per_owner: int = 30,
        max_total_bytes: int = 20_000_000_000,
    ) -> None:
        """The store over a folder, which is made.

        asker: who asks at the moment, for guesses at the teacher's token.
        """
        self.root = root.expanduser().resolve()
        self.max_runs_per_owner, self.max_total_bytes = max_runs_per_owner, max_total_bytes
        self.lock = threading.RLock()
        """Held by whoever changes a run."""
        self._teacher = Teacher(admin_token, asker)
        self._tails = Tails()
        self._seen: dict[str, tuple[Any, Run]] = {}
        self._told: dict[str, str] = {}
        self._unwritten: dict[str, Status] = {}
        """How runs ended where the disk does not take it yet."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                "{folder} cannot hold runs: {reason}.", folder=self.root, reason=error.strerror
            ) from error

    def create(
        self,
        config: RunConfig,
        owner_token: str,
        title: str | None = None,
        estimate_seconds: float | None = None,
        questions: Questions = NO_QUESTIONS,
    ) -> Run:
        """A new run, queued. Raises `UserError` where the disk or the owner has too much."""
        owner = owner_of(owner_token)
        now = time.time()
        with self.lock:
            with contextlib.suppress(OSError):  # it may have been deleted; what follows says so
                self.root.mkdir(parents=True, exist_ok=True)
            facts = {
                "title": _title(title) or default_title(config),
                "config": config.to_dict(),
                "owner": owner,
                "created": now,
                "estimate_seconds": estimate_seconds,
                "questions": questions.to_dict(),
            }
            try:
                self._check_room(owner)
                with part_folder(self.root) as part:
                    write_json(part / RUN, facts)
                    write_status(part, Status("queued", Text("Waiting for its turn."), queued=now))
                    return self.get(_settle(part, self.root))
            except OSError as error:
                raise UserError(
                    "No new run can be kept: {reason}.", reason=error.strerror
                ) from error

    def get(self, run_id: str) -> Run:
        """The run as it is now; raises `UserError` if there is none of this name."""
        folder = run_folder(self.root, run_id)
        run = self._read(folder)
        if run is None:
            raise UserError("There is no run {name!r}; it may have been deleted.", name=run_id)
        return run

    def list(self) -> list[Run]:
        """All runs, newest first."""
        runs = []
        try:
            folders = [*self.root.iterdir()]
        except OSError as error:  # deleted, or a disk that is gone: nothing is there
            self._log_once("", f"{self.root} cannot be read: {error.strerror}.")
            folders = []
        for folder in folders:
            try:
                run = self._read(run_folder(self.root, folder.name))
            except UnreadableRun as error:
                self._log_once(folder.name, f"{error} It is left out of the list.")
            except UserError:
                continue  # no name of a run
            else:
                if run is not None:
                    runs.append(run)
        with self.lock:
            gone = self._seen.keys() - {run.id for run in runs}
            for name in gone:
                self._seen.pop(name, None)
        return sorted(runs, key=lambda run: (-run.created, run.id))

    def events(self, run_id: str, after: int = 0) -> tuple[Events, int]:
        """The events of a run after a cursor (0: all), and the next cursor.

        Where the first event is "rewind", forget those from before: a resumed run goes back to
        where it was saved, and the events from its beginning follow.
        """
        return self._tails.of(self.get(run_id).model / METRICS).since(after)

    def is_admin(self, token: str | None) -> bool:
        """Whether this is the teacher's token; False also for who guesses too often."""
        return self._teacher.has(token)

    def may_control(self, run: Run, token: str | None) -> bool:
        """Whether this token started the run, or is the teacher's."""
        if not token or run.owner is None:
            return self.is_admin(token)
        return hmac.compare_digest(owner_of(token), run.owner) or self.is_admin(token)

    def set_status(self, run_id: str, **changes: Any) -> Run:
        """Change fields of the status of a run that no worker has."""
        with self.lock:
            run = self.get(run_id)
            write_status(run.folder, replace(run.status, **changes))
            self._unwritten.pop(run_id, None)
            return self.get(run_id)

    def set_end(self, run_id: str, state: str, message: str) -> None:
        """How a run ended that no worker has any more.

        Where that cannot be written, as on a full disk, it is remembered, and written later by
        `mark_interrupted`: nothing is said to be in training that is not.
        """
        with self.lock:
            status = replace(
                self.get(run_id).status,
                state=state,
                message=message,
                ended=time.time(),
                seconds_left=None,
            )
            self._unwritten[run_id] = status
            self._write_ends()

    def signs_of_life(self, run_id: str) -> Hashable:
        """Another value whenever the run has made progress."""
        folder = run_folder(self.root, run_id)
        return file_stamp(folder / STATUS), file_stamp(folder / MODEL / METRICS)

    def claim(self, run_id: str) -> bool:
        """Take a run out of the queue, for a worker; False if it is no longer in it.

        Raises `OSError` where that cannot be written.
        """
        with self.lock, contextlib.suppress(UserError):
            if self.get(run_id).status.state == "queued":
                self.set_status(
                    run_id, state="running", message=Text("Starting."), started=time.time()
                )
                return True
        return False

    def mark_interrupted(self, besides: Iterable[str] = ()) -> None:
        """Put right the runs that say they are being trained while their worker is gone.

        `besides`: runs that a live worker is just about to begin. A worker that lost its app
        still saves, so a run that is held now may have to be asked about again.
        """
        with self.lock:
            self._write_ends()
        for run in self.list():
            if run.status.state not in TRAINING or run.id in besides:
                continue
            with held(run.folder / LOCK) as free, self.lock:
                # The worker may have said how it ended before it let go.
                if free and self.get(run.id).status.state in TRAINING:
                    left = run.what_is_left
                    message = Text("The app ended in the middle of this run. {left}", left=left)
                    self.set_end(run.id, "interrupted", message)

    def _write_ends(self) -> None:
        for name, status in list(self._unwritten.items()):
            folder = self.root / name
            if is_file(folder / RUN):
                try:
                    write_status(folder, status)
                except OSError:
                    continue
            del self._unwritten[name]

    def tidy(self) -> None:
        """Remove what processes that were killed left behind in the folders of runs."""
        models = [run.model for run in self.list()]
        for folder in (self.root, *models, *(model / MOMENTS for model in models)):
            with contextlib.suppress(OSError):
                remove_left_parts(folder)
        for part in self.root.glob("*/.*.json.????????"):  # of `write_json`
            stamp = file_stamp(part)
            if stamp is not None and time.time() - stamp.changed_ns / 1e9 > _PART_SECONDS:
                with contextlib.suppress(OSError):
                    part.unlink()

    def _read(self, folder: Path) -> Run | None:
        """The run in `folder`; read again only if one of its files has changed."""
        ended = self._unwritten.get(folder.name)
        if ended is not None:
            run = read_run(folder)
            return None if run is None else replace(run, status=ended)
        key = tuple(file_stamp(folder / name) for name in (STATUS, CONTROL, RUN, CONFIG, RESUME))
        seen = self._seen.get(folder.name)
        if seen is not None and seen[0] == key:
            return seen[1]
        run = read_run(folder) if any(key) else None
        # What could not be read may be readable in a moment, without any change of the file.
        if run is not None and run.status is not UNREADABLE:
            self._seen[folder.name] = key, run
        return run

    def _log_once(self, name: str, problem: str) -> None:
        """Not at every poll."""
        if self._told.get(name) != problem:
            self._told[name] = problem
            log.warning("%s", problem)

    def _check_room(self, owner: str) -> None:
        if owner != self._teacher.owner:
            kept = sum(run.owner == owner for run in self.list())
            if kept >= self.max_runs_per_owner:
                raise UserError(
                    "You have {n} runs, which is as many as one person can keep here; delete "
                    "one of them first.",
                    n=kept,
                )
        used = folder_bytes(self.root)
        if used >= self.max_total_bytes:
            raise UserError(
                "The runs here take {used}, and no more than {limit} is allowed; delete some "
                "first.",
                used=_gigabytes(used),
                limit=_gigabytes(self.max_total_bytes),
            )
        free = shutil.disk_usage(self.root).free
        if free < _FREE_BYTES:
            raise UserError(
                "The disk has only {free} left; delete some runs first.", free=_gigabytes(free)
            )


def default_title(config: RunConfig) -> Text:
    """What a run is called if nobody names it."""
    corpus = shown_corpus(config.corpus)
    if config.task == "nli":
        return Text("fine-tuned on {corpus}", corpus=corpus)
    if config.start_from is not None:
        return Text("trained further on {corpus}", corpus=corpus)
    return Text("{size} on {corpus}", size=config.size, corpus=corpus)


def _title(title: str | None) -> str:
    if title is not None and not isinstance(title, str):
        raise UserError("The title must be text.")
    return one_line(title, LONGEST_TITLE)


def _settle(part: Path, root: Path) -> str:
    """Give a new folder a name that no other run has; returns the name."""
    while True:
        letters = base64.b32encode(secrets.token_bytes(5)).decode().lower()[:4]
        name = f"{time.strftime('%Y%m%d')}-{letters}"
        # The caller has the lock of the only store that makes new runs.
        if not (root / name).exists():
            part.rename(root / name)
            return name


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
