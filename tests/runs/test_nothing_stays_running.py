"""Nothing stays "running" that is not: a full disk, a worker that hangs, a folder that is gone."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.model import checkpoint, unfinished
from bert_demo.runs import process, record, store, watchdog, worker
from bert_demo.runs.actions import request
from bert_demo.runs.queue import RunQueue
from bert_demo.runs.record import TRAINING, read_run
from bert_demo.runs.store import RunStore
from bert_demo.training.recorder import Recorder

TINY = RunConfig(
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=1,
    training=TrainingConfig(steps=3, batch_size=16, device="cpu", precision="fp32"),
)
READY = "import json, sys, time; print(json.dumps({'ready': True}), flush=True); "
HANGING = READY + "sys.stdin.readline(); time.sleep(600)"
IDLE = READY + "sys.stdin.read()"


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[RunQueue]:
    made = RunQueue(RunStore(tmp_path / "runs", admin_token="teacher"), grace_seconds=0.1)
    yield made
    made.close()


def until_over(queue: RunQueue, run_id: str) -> record.Status:
    end = time.monotonic() + 60
    while (status := queue.store.get(run_id).status).state in ("queued", *TRAINING):
        assert time.monotonic() < end, status
        time.sleep(0.05)
    return status


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# What a generator that is given up cannot save any more.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("fails_from", range(1, 10))
def test_whatever_a_full_disk_refuses_the_run_is_said_to_be_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_from: int
) -> None:
    """The disk is full from one of the writes on, for the worker and for the app alike."""
    queue = RunQueue(RunStore(tmp_path))
    run = queue.store.create(TINY, "anna")
    assert queue.store.claim(run.id)
    writes = 0

    def counted(write: Any) -> Any:
        def wrapped(*given: Any, **named: Any) -> Any:
            nonlocal writes
            writes += 1
            return full() if writes >= fails_from else write(*given, **named)

        return wrapped

    for home, name in (
        *((record, "write_json"), (Recorder, "note_all")),
        *((checkpoint, "save"), (unfinished, "save_resume")),
    ):
        monkeypatch.setattr(home, name, counted(getattr(home, name)))
    answers: list[dict[str, Any]] = []
    monkeypatch.setattr(worker.traceback, "print_exc", full)  # the worker's log is on it too
    worker.work(tmp_path, run.id, lambda: False, answers.append)
    assert writes >= fails_from, "this write was never made: try fewer"
    assert answers[-1]["state"] == "failed", answers
    hired = process.WorkerProcess.__new__(process.WorkerProcess)
    hired.run_id = run.id
    queue._release(hired, str(answers[-1]["message"]))
    status = queue.store.get(run.id).status
    assert status.state == "failed" and "No space left" in status.message, status
    monkeypatch.undo()
    queue.store.mark_interrupted()
    written = read_run(run.folder)
    assert written is not None and written.status.state == "failed"
    assert request(queue.store, run.id, "resume", "anna").status.state == "queued"


def test_a_run_that_cannot_begin_waits_and_says_why(
    queue: RunQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", IDLE))
    run = queue.submit(TINY, "anna")
    with monkeypatch.context() as patch:
        patch.setattr(store, "write_status", full)
        queue.start()
        end = time.monotonic() + 30
        while "No space left" not in queue.problem:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert queue.store.get(run.id).status.state == "queued"
    while queue.store.get(run.id).status.state == "queued":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert queue.problem == ""


def test_a_worker_that_hangs_is_ended(queue: RunQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PREPARING_SECONDS", 1.0)
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", HANGING))
    queue.start()
    run = queue.submit(TINY, "anna")
    status = until_over(queue, run.id)
    assert status.state == "failed" and "did nothing any more" in status.message
    assert "begin again" in status.message


def test_who_computes_or_gets_on_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    now, cpu = 0.0, 0.0
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now)
    monkeypatch.setattr(watchdog.Watchdog, "_cpu_seconds", lambda _: cpu)

    def hangs_after(computing: float, sign_every: float, training: bool) -> float | None:
        nonlocal now, cpu
        dog = watchdog.Watchdog(1)
        for second in range(5000):
            now, cpu = now + 1, cpu + computing
            if dog.hangs(second // sign_every, training):
                return second
        return None

    assert hangs_after(computing=0, sign_every=200, training=True) is None
    assert hangs_after(computing=0.01, sign_every=9999, training=True) == 301
    assert hangs_after(computing=0.01, sign_every=9999, training=False) == 901
    assert hangs_after(computing=0.9, sign_every=3000, training=True) is None
    assert hangs_after(computing=0.9, sign_every=9999, training=True) == 3601
    # A laptop that slept for a night.
    dog = watchdog.Watchdog(1)
    dog.hangs(1, True)
    now += 40_000
    assert not dog.hangs(1, True)


def test_a_folder_that_is_deleted_underneath_ends_nothing_else(
    queue: RunQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", IDLE))
    queue.start()
    run = queue.submit(TINY, "anna")
    while queue.store.root.exists():  # into which the queue may be writing
        shutil.rmtree(queue.store.root, ignore_errors=True)
    assert queue.store.list() == []
    with pytest.raises(UserError, match="may have been deleted"):
        queue.store.get(run.id)
    with pytest.raises(UserError, match="may have been deleted"):
        queue.request(run.id, "stop", "anna")
    again = queue.submit(TINY, "anna")
    assert [found.id for found in queue.store.list()] == [again.id]


def test_a_worker_whose_run_is_deleted_comes_to_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(tmp_path)
    run = store.create(TINY, "anna")
    note_all = Recorder.note_all

    def gone(self: Recorder, events: Any) -> None:
        if any(event["event"] == "step" for event in events):
            shutil.rmtree(run.folder, ignore_errors=True)
        note_all(self, events)

    monkeypatch.setattr(Recorder, "note_all", gone)
    answers: list[dict[str, Any]] = []
    worker.work(tmp_path, run.id, lambda: False, answers.append)
    assert answers[-1]["state"] == "failed" and store.list() == []
