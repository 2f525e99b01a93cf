"""What a run's folder says, read and written in whole pieces.

run.json        what was asked for; never changes
status.json     how far it is; written by the queue while it waits, by the worker while it trains
control.json    what its owner asked the worker for, until the worker has done it
model/          the checkpoint, with metrics.jsonl in it
lock            held by the worker while it trains, so that whoever finds it free knows it is gone

Their names are in `model/folders.py`.

No torch here: the page opens with this module.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bert_demo.common.errors import Text, UserError, restored, stored
from bert_demo.config import RunConfig, run_config
from bert_demo.model.about import read_about, read_scores
from bert_demo.model.folders import (
    CONFIG,
    CONTROL,
    LONGEST_NOTE,
    LONGEST_TITLE,
    MODEL,
    RESUME,
    RUN,
    STATUS,
    is_file,
    is_name,
    read_json,
)
from bert_demo.model.plain_json import is_number, is_whole, one_line, read_value
from bert_demo.runs.asked import NO_QUESTIONS, Questions, read_questions

TRAINING = ("running", "pausing", "stopping")
"""States in which a worker has the run."""
RESUMABLE = ("paused", "stopped", "interrupted", "failed")
"""States that a run can go on from."""
STATES = {
    "queued": Text("queued"),
    "running": Text("running"),
    "pausing": Text("pausing"),
    "stopping": Text("stopping"),
    "paused": Text("paused"),
    "stopped": Text("stopped"),
    "interrupted": Text("interrupted"),
    "failed": Text("failed"),
    "completed": Text("completed"),
}

_LONGEST_ID = 64
_LONGEST_MESSAGE = 2000
_LAST_TIME = 1e11
"""Some 3,000 years: what any calendar still shows."""
_OWNER = re.compile(r"[0-9a-f]{64}")
_WINDOWS_TRIES = 20


class UnreadableRun(UserError):  # noqa: N818 (an answer, not a fault)
    """What was asked for in a run cannot be read, so that it is no run any more."""


@dataclass(frozen=True)
class Status:
    """How far a run is. Times are Unix times in seconds."""

    state: str
    """One of `STATES`."""
    message: str = ""
    """One or two sentences for people; a `Text`, but for those that older versions wrote."""
    step: int = 0
    seconds: float = 0.0
    """Training time so far, without waiting."""
    seconds_left: float | None = None
    queued: float | None = None
    """When it last joined the queue."""
    started: float | None = None
    """When a worker last took it."""
    ended: float | None = None
    worker_pid: int | None = None
    device_memory_bytes: int | None = None
    """The most that training has held on its GPU; None where it computes in the machine's own."""
    scores: dict[str, Any] = field(default_factory=dict)
    """On all held-out text, once it is over."""


UNREADABLE = Status("failed", Text("What this run last said of itself cannot be read."))


@dataclass(frozen=True)
class Run:
    """One run at one moment."""

    id: str
    folder: Path
    model: Path
    """The checkpoint's folder, which may not exist yet."""
    title: str
    config: RunConfig | None
    """None for a checkpoint that came from elsewhere."""
    owner: str | None
    """Hash of the owner's token; None for what was trained from the command line."""
    created: float
    estimate_seconds: float | None
    status: Status
    note: str = ""
    """What its owner wrote on it."""
    questions: Questions = NO_QUESTIONS
    """What its owner asks in its film."""

    @property
    def has_model(self) -> bool:
        """Whether there is a checkpoint that loads."""
        return is_file(self.model / CONFIG)

    @property
    def goes_on(self) -> bool:
        """Whether the state of an unfinished run is there, rather than none or a finished one."""
        return is_file(self.model / RESUME)

    @property
    def what_is_left(self) -> Text:
        """A sentence on what it can go on from, where it was cut short."""
        if self.goes_on:
            return Text("It can go on from where it was last saved.")
        return Text("Nothing of its training was saved yet; it can begin again.")

    @property
    def expected_seconds(self) -> float | None:
        """How long all of it should take, where that is known."""
        budget = None if self.config is None else self.config.training.budget_seconds
        known = [value for value in (self.estimate_seconds, budget) if value is not None]
        return min(known, default=None)


def run_folder(root: Path, run_id: object) -> Path:
    """The folder of a run; raises `UserError` for what cannot be a run's name."""
    if not isinstance(run_id, str) or not is_name(run_id, _LONGEST_ID):
        raise UserError("{name!r} is not the name of a run.", name=str(run_id)[:80])
    return root / run_id


def write_json(path: Path, values: Any) -> None:
    """Replace a file in one move: readers see the old contents or the new."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        part.write_text(json.dumps(values, ensure_ascii=False) + "\n", encoding="utf-8")
        for tries in range(1, _WINDOWS_TRIES + 1):
            try:
                part.replace(path)
                break
            except PermissionError:
                # Windows replaces no file while somebody reads it; readers are quick.
                if sys.platform != "win32" or tries == _WINDOWS_TRIES:
                    raise
                time.sleep(0.01)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def write_status(folder: Path, status: Status) -> None:
    """Replace status.json; where the worker has let go of the run, its orders are void."""
    write_json(folder / STATUS, vars(status) | {"said": stored(status.message)})
    if status.state not in TRAINING:
        (folder / CONTROL).unlink(missing_ok=True)


def read_run(folder: Path) -> Run | None:
    """The run in a folder, or the plain checkpoint that the command line left there.

    What is missing, or of another type than it should be, is taken for unknown. None where there
    is neither; raises `UnreadableRun` where run.json is there and cannot be read.
    """
    try:
        facts = read_value(folder / RUN)
        if not isinstance(facts, dict):
            raise TypeError("run.json holds no JSON object")
    except (FileNotFoundError, NotADirectoryError):
        return _plain(folder)
    except (OSError, ValueError, TypeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise UnreadableRun(
            "The run {name!r} cannot be read: {reason}.", name=folder.name, reason=reason
        ) from error
    status = _status(read_json(folder / STATUS))
    if status.state == "running":
        wish = wished(folder)
        status = dataclasses.replace(
            status, state={"stop": "stopping", "pause": "pausing"}.get(wish or "", "running")
        )
    owner, created, estimate = (facts.get(n) for n in ("owner", "created", "estimate_seconds"))
    return Run(
        folder.name,
        folder,
        folder / MODEL,
        one_line(facts.get("title"), LONGEST_TITLE) or folder.name,
        _config(facts.get("config")),
        owner if isinstance(owner, str) and _OWNER.fullmatch(owner) else None,
        float(created) if is_number(created, 0, _LAST_TIME) else 0.0,
        estimate if is_number(estimate, 0) else None,
        status,
        one_line(facts.get("note"), LONGEST_NOTE),
        _questions(facts.get("questions")),
    )


def wished(folder: Path) -> str | None:
    """What the owner asked the worker for: "stop", "pause" or nothing."""
    if not is_file(folder / CONTROL):  # as almost always
        return None
    wish = (read_json(folder / CONTROL) or {}).get("action")
    return wish if wish in ("stop", "pause") else None


def _config(values: Any) -> RunConfig | None:
    """None for settings of another version of this project, whose run can still be shown."""
    try:
        return run_config(values) if isinstance(values, dict) else None
    except (ValueError, TypeError, AttributeError):
        return None


def _questions(values: Any) -> Questions:
    """None where there are none that can be asked: the run can be trained all the same."""
    try:
        return read_questions(values) if values is not None else NO_QUESTIONS
    except UserError:
        return NO_QUESTIONS


def _status(values: dict[str, Any] | None) -> Status:
    """What status.json says; a field of the wrong type is left at its default."""
    if values is None or values.get("state") not in tuple(STATES):
        return UNREADABLE
    message = values.get("message")
    scores = read_scores(values.pop("scores", None))
    fitting = {n: v for n, v in values.items() if n in _STATUS_FIELDS and _STATUS_FIELDS[n](v)}
    status = Status(values["state"], **fitting, scores=scores)
    if isinstance(message, str):
        status = dataclasses.replace(status, message=message[:_LONGEST_MESSAGE])
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, IndexError):
        said = restored(values["said"])
        if said == status.message:
            return dataclasses.replace(status, message=said)
    return status


def _is_time(value: Any) -> bool:
    return is_number(value, 0, _LAST_TIME)


_STATUS_FIELDS: dict[str, Callable[[Any], bool]] = {
    "step": is_whole,
    "seconds": lambda value: is_number(value, 0),
    "seconds_left": lambda value: is_number(value, 0),
    "queued": _is_time,
    "started": _is_time,
    "ended": _is_time,
    "worker_pid": lambda value: is_whole(value, 1, 2**31),
    "device_memory_bytes": is_whole,
}


def _plain(folder: Path) -> Run | None:
    stored = read_json(folder / CONFIG)
    if stored is None or not str(stored.get("format", "")).startswith("bert_demo "):
        return None
    about = read_about(stored)
    try:
        changed = (folder / CONFIG).stat().st_mtime
    except OSError:
        return None
    state = "stopped" if is_file(folder / RESUME) else "completed"
    return Run(
        folder.name,
        folder,
        folder,
        folder.name,
        about.run,
        None,
        changed,
        None,
        Status(
            state,
            Text("A checkpoint that was not trained from the page."),
            about.step or 0,
            float(about.seconds or 0),
            ended=changed,
            scores=dict(about.scores),
        ),
    )


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold a lock file for as long as this process lives at most; gives whether it was free.

    The system lets go of it when the process dies, however it dies. On a disk that knows no
    locks it counts as free.
    """
    # Any thread may let go of it, and a file whose mere existence locks would outlive a process.
    lock = FileLock(path, blocking=False, thread_local=False, fallback_to_soft=False)
    free = True
    try:
        lock.acquire()
    except Timeout:
        free = False
    except OSError:
        pass
    try:
        yield free
    finally:
        lock.release()
