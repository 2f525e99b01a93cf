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
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bert_demo.config import RunConfig, Text, UserError, run_config
from bert_demo.model.about import read_about
from bert_demo.model.folders import CONFIG, CONTROL, MODEL, RESUME, RUN, STATUS, is_name, read_json

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
_WINDOWS_TRIES = 20


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

    @property
    def has_model(self) -> bool:
        """Whether there is a checkpoint that loads."""
        return (self.model / CONFIG).exists()

    @property
    def goes_on(self) -> bool:
        """Whether the state of an unfinished run is there, rather than none or a finished one."""
        return (self.model / RESUME).exists()

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
    write_json(folder / STATUS, vars(status) | {"said": _stored(status.message)})
    if status.state not in TRAINING:
        (folder / CONTROL).unlink(missing_ok=True)


def read_run(folder: Path) -> Run | None:
    """The run in a folder, or the plain checkpoint that the command line left there."""
    facts = read_json(folder / RUN)
    if facts is None:
        return _plain(folder)
    try:
        config = _config(facts["config"])
        status = _status(read_json(folder / STATUS))
        if status.state == "running":
            wish = wished(folder)
            status = dataclasses.replace(
                status, state={"stop": "stopping", "pause": "pausing"}.get(wish or "", "running")
            )
        return Run(
            folder.name,
            folder,
            folder / MODEL,
            str(facts["title"]),
            config,
            facts["owner"],
            float(facts["created"]),
            facts["estimate_seconds"],
            status,
        )
    except (KeyError, TypeError, ValueError):
        return None


def wished(folder: Path) -> str | None:
    """What the owner asked the worker for: "stop", "pause" or nothing."""
    if not (folder / CONTROL).exists():
        return None
    wish = (read_json(folder / CONTROL) or {}).get("action")
    return wish if wish in ("stop", "pause") else None


def _config(values: Any) -> RunConfig | None:
    """None for settings of another version of this project, whose run can still be shown."""
    try:
        return run_config(values)
    except (ValueError, TypeError):
        return None


def _status(values: dict[str, Any] | None) -> Status:
    if values is not None and values.get("state") in tuple(STATES):
        names = {f.name for f in dataclasses.fields(Status)}
        status = Status(**{name: value for name, value in values.items() if name in names})
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, IndexError):
            said = _restored(values["said"])
            if said == status.message:
                return dataclasses.replace(status, message=said)
        return status
    return Status("failed", Text("What this run last said of itself cannot be read."))


def _stored(value: Any) -> Any:
    """A `Text` as JSON, so that it can be said in any language after a restart."""
    if isinstance(value, UserError):
        value = value.text
    if isinstance(value, Text):
        values = {name: _stored(part) for name, part in value.values.items()}
        return {"template": value.template, "values": values}
    return value if isinstance(value, int | float | str) else str(value)


def _restored(value: Any) -> Any:
    """The way back from `_stored`."""
    if isinstance(value, dict):
        values = {name: _restored(part) for name, part in value["values"].items()}
        return Text(value["template"], **values)
    return value


def _plain(folder: Path) -> Run | None:
    stored = read_json(folder / CONFIG)
    if stored is None or not str(stored.get("format", "")).startswith("bert_demo "):
        return None
    about = read_about(stored)
    try:
        changed = (folder / CONFIG).stat().st_mtime
    except OSError:
        return None
    state = "stopped" if (folder / RESUME).exists() else "completed"
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
