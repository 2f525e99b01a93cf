"""Queue and worker, with real processes: killed, closed, paused, and always found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.runs import searches, worker
from bert_demo.runs.actions import request
from bert_demo.runs.owners import NotAllowed
from bert_demo.runs.queue import RunQueue
from bert_demo.runs.record import TRAINING, Run
from bert_demo.runs.store import RunStore
from bert_demo.runs.turns import Place
from bert_demo.training import cost
from bert_demo.training.loop import train

ROOT = Path(__file__).resolve().parents[2]
LONG = 100_000
"""Steps of a run that is still going when a test looks away."""


def a_config(steps: int, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {"batch_size": 16, "device": "cpu", "precision": "fp32"}
    return RunConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        dropout=0.1,
        training=TrainingConfig(steps=steps, **(settings | changes)),
    )


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Such small models gain nothing from a second one, and lose much if the computer is busy."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)


@contextmanager
def a_queue(root: Path, **settings: Any) -> Iterator[RunQueue]:
    queue = RunQueue(RunStore(root, admin_token="teacher"), **settings)
    queue.start()
    try:
        yield queue
    finally:
        queue.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, _one_thread: None) -> Iterator[RunQueue]:
    """One warm worker for the tests that leave it alive."""
    with a_queue(tmp_path_factory.mktemp("runs"), max_queued_per_owner=5) as queue:
        yield queue


def until(
    queue: RunQueue | RunStore, run: Run, good: Callable[[Run], bool], seconds: float = 90
) -> Run:
    store = queue.store if isinstance(queue, RunQueue) else queue
    end = time.monotonic() + seconds
    while not good(now := store.get(run.id)):
        assert time.monotonic() < end, f"still {now.status}"
        time.sleep(0.01)
    return now


def is_over(run: Run) -> bool:
    return run.status.state not in ("queued", *TRAINING)


def at_step(step: int) -> Callable[[Run], bool]:
    return lambda run: run.status.step >= step or is_over(run)


def losses(events: list[dict[str, Any]]) -> dict[int, float]:
    return {event["step"]: event["loss"] for event in events if event["event"] == "step"}


def test_a_run_is_trained_by_the_worker_as_it_would_be_here(shared: RunQueue) -> None:
    config = a_config(8)
    run = until(shared, shared.submit(config, "anna"), is_over)
    status = run.status
    assert status.state == "completed", status
    assert status.step == 8 and status.worker_pid not in (None, os.getpid())
    assert status.scores["mlm_loss"] > 0 and status.seconds_left is None
    events, _ = shared.store.events(run.id)
    assert losses(events) == losses(list(train(config)))
    frames = [event for event in events if event["event"] == "probe"]
    assert [frame["step"] for frame in frames][:2] == [1, 2] and frames[-1]["step"] == 8
    model, tokenizer, _ = bert_demo.load(run.model)
    assert bert_demo.encode(model, tokenizer, "a crane is flying").vectors.shape == (6, 16)


def test_a_search_for_a_rate_takes_its_turn_and_leaves_nothing(
    shared: RunQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searches, "SECONDS", 0.5)
    before = shared.store.list()
    search = shared.search_rate(a_config(3, recipe="d2l"), "anna")
    with pytest.raises(UserError, match="already"):
        shared.search_rate(a_config(3), "anna")
    lost = RunConfig(task="nli", start_from="nowhere", training=TrainingConfig(steps=3))
    wrong = shared.search_rate(lost, "ben")
    end = time.monotonic() + 90
    while not (search.over and wrong.over):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert search.found is not None and search.error is None
    assert len(search.found["rates"]) >= 10 and search.found["own"] == 0.01
    assert wrong.found is None and "nowhere" in str(wrong.error)
    assert shared.store.list() == before and not shared.training
    assert until(shared, shared.submit(a_config(2), "anna"), is_over).status.step == 2


def test_pausing_changes_no_number_and_frees_the_worker(shared: RunQueue) -> None:
    config = a_config(400)
    run = until(shared, shared.submit(config, "anna"), at_step(3))
    other = shared.submit(a_config(2), "ben")
    shared.request(run.id, "pause", "anna")
    paused = until(shared, run, is_over)
    assert paused.status.state == "paused", paused.status
    assert 3 <= paused.status.step < 400
    assert until(shared, other, is_over).status.state == "completed"
    _, after = shared.store.events(run.id)
    shared.request(run.id, "resume", "teacher")
    done = until(shared, run, is_over)
    assert done.status.state == "completed" and done.status.step == 400
    events, _ = shared.store.events(run.id, after)
    assert events[0]["event"] == "rewind"
    assert losses(events) == losses(list(train(config)))


def a_long_preparation() -> RunConfig:
    """A run whose teacher judges a million pairs before its first step."""
    return RunConfig(
        task="nli",
        start_from=str(ROOT / "checkpoints" / "bert-small"),
        teacher=str(ROOT / "checkpoints" / "bert-small-snli"),
        new_pairs=1_000_000,
        training=TrainingConfig(budget_seconds=5),
    )


@pytest.mark.parametrize(("action", "state"), [("stop", "stopped"), ("pause", "paused")])
def test_a_preparation_heeds_its_owner(shared: RunQueue, action: str, state: str) -> None:
    run = shared.submit(a_long_preparation(), "anna")
    until(shared, run, lambda run: "Preparing" in run.status.message)
    time.sleep(2)
    asked = time.monotonic()
    shared.request(run.id, action, "anna")
    ended = until(shared, run, is_over)
    assert time.monotonic() - asked < 5  # a second or two, where nothing else computes
    assert ended.status.state == state and ended.status.step == 0
    after = until(shared, shared.submit(a_config(2), "ben"), is_over)
    assert after.status.state == "completed", after.status


def test_a_preparation_counts_against_the_limit(tmp_path: Path) -> None:
    with a_queue(tmp_path, max_run_seconds=6) as queue:
        run = until(queue, queue.submit(a_long_preparation(), "anna"), is_over)
        assert run.status.state == "failed" and run.status.step == 0
        assert "took longer than 6 seconds" in run.status.message
        took = run.status.ended - run.status.started
        assert 5 < took < 10


def test_a_run_whose_memory_was_taken_while_it_waited_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(tmp_path)
    run = store.create(a_config(2), "anna")
    monkeypatch.setattr(cost, "available_memory_bytes", lambda: 0)
    monkeypatch.setattr(cost, "memory_held", lambda processes: 0)
    store.claim(run.id)
    worker.work(tmp_path, run.id, lambda: False, lambda answer: None)
    status = store.get(run.id).status
    assert status.state == "failed" and "memory 0.0 GB are free now" in status.message


def test_a_preparation_that_heeds_nobody_ends_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(tmp_path)
    run = store.create(a_config(2), "anna")
    over = threading.Event()

    def busy(*_: Any, **__: Any) -> Iterator[Any]:
        request(store, run.id, "stop", "anna")
        assert over.wait(20)
        raise SystemExit  # as if the process were gone
        yield

    monkeypatch.setattr("bert_demo.training.loop.train", busy)
    monkeypatch.setattr(worker, "end_at_once", lambda reason: over.set())
    store.claim(run.id)
    began = time.monotonic()
    with pytest.raises(SystemExit):
        worker.work(tmp_path, run.id, lambda: False, lambda answer: None)
    assert time.monotonic() - began < 5
    assert store.get(run.id).status.state == "stopped"


def test_only_the_owner_stops_a_run_and_its_model_stays(shared: RunQueue) -> None:
    run = until(shared, shared.submit(a_config(LONG), "anna"), at_step(2))
    for action in ("stop", "pause", "resume", "delete"):
        with pytest.raises(NotAllowed):
            shared.request(run.id, action, "ben")
    shared.request(run.id, "stop", "anna")
    assert shared.store.get(run.id).status.state in ("stopping", "stopped")
    done = until(shared, run, is_over)
    assert done.status.state == "stopped" and done.goes_on and done.status.scores
    model, tokenizer, _ = bert_demo.load(run.model)
    assert len(bert_demo.fill_mask(model, tokenizer, "a <mask> is flying")[0]) == 5
    shared.request(run.id, "delete", "anna")
    assert not run.folder.exists()


def test_a_run_that_cannot_be_ends_with_a_sentence_and_others_follow(shared: RunQueue) -> None:
    wrong = RunConfig(
        task="nli",
        start_from=str(shared.store.root / "nothing"),
        training=TrainingConfig(steps=2),
    )
    run = shared.submit(wrong, "anna")
    after = shared.submit(a_config(2), "anna")
    done = until(shared, run, is_over)
    assert done.status.state == "failed" and "There is no folder" in done.status.message
    assert until(shared, after, is_over).status.worker_pid == done.status.worker_pid


def test_everybody_has_a_share(shared: RunQueue) -> None:
    first = until(shared, shared.submit(a_config(LONG), "carl", "first"), at_step(1))
    carl, dora, emil = (
        shared.submit(a_config(2), owner, estimate_seconds=7) for owner in ("carl", "dora", "emil")
    )
    places = [shared.place(run.id) for run in (dora, emil, carl)]
    assert [place.position for place in places] == [1, 2, 3]
    waits = [place.expected_wait_seconds for place in places]
    assert waits[0] > 0 and waits[1] == pytest.approx(waits[0] + 7, abs=0.3)
    assert shared.place(first.id) == Place(0, 0.0)
    shared.request(emil.id, "stop", "emil")
    shared.request(first.id, "stop", "carl")
    ends = [until(shared, run, is_over).status for run in (dora, carl)]
    assert ends[0].started is not None and ends[1].started is not None
    assert ends[0].started < ends[1].started
    assert until(shared, emil, is_over).status.message.startswith("Taken out of the queue")


def test_limits_are_said_before_anything_starts(tmp_path: Path) -> None:
    queue = RunQueue(RunStore(tmp_path, admin_token="teacher"), max_run_seconds=60)
    with pytest.raises(UserError, match="at most 60 seconds"):
        queue.submit(a_config(5, budget_seconds=61), "anna")
    run = queue.submit(a_config(5), "anna")
    assert run.config is not None and run.config.training.budget_seconds == 60
    queue.submit(a_config(5), "anna")
    with pytest.raises(UserError, match="2 runs waiting"):
        queue.submit(a_config(5), "anna")
    for _ in range(3):
        queue.submit(a_config(5), "teacher")
    assert len(queue.store.list()) == 5
    queue.request(run.id, "stop", "anna")
    queue.submit(a_config(5), "anna")
    with pytest.raises(UserError, match="2 runs waiting"):
        queue.request(run.id, "resume", "anna")
    with pytest.raises(UserError, match="workers"):
        RunQueue(queue.store, workers=0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no signals")
def test_a_killed_worker_costs_one_run_and_not_its_model(tmp_path: Path) -> None:
    config = a_config(LONG, save_every_seconds=1)
    with a_queue(tmp_path) as queue:
        run = queue.submit(config, "anna")
        after = queue.submit(a_config(3), "ben")
        now = until(queue, run, lambda run: run.goes_on and run.status.step > 1)
        pid = now.status.worker_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        failed = until(queue, run, is_over)
        assert failed.status.state == "failed", failed.status
        assert "killed (SIGKILL), most likely because memory ran out" in failed.status.message
        assert "go on from where" in failed.status.message
        bert_demo.load(run.model)
        assert until(queue, after, is_over).status.state == "completed"
        assert not queue.problem
        step = failed.status.step
        queue.request(run.id, "resume", "anna")
        again = until(queue, run, lambda run: run.status.step > step + 20 or is_over(run))
        assert again.status.state == "running", again.status
        events, _ = queue.store.events(run.id)
        counted = list(losses(events))
        assert counted == list(range(1, len(counted) + 1))
    # Closing the queue in the middle of the run saves it.
    closed = queue.store.get(run.id)
    assert closed.status.state == "interrupted" and closed.goes_on
    assert closed.status.step >= again.status.step


APP = """
import sys, time
from pathlib import Path
from bert_demo.runs import searches, worker
from bert_demo.runs.queue import RunQueue
from bert_demo.runs.store import RunStore

queue = RunQueue(RunStore(Path(sys.argv[1])))
queue.start()
time.sleep(600)
"""


def test_a_run_outlives_its_app(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    config = a_config(LONG)
    run, waiting = store.create(config, "anna"), store.create(a_config(2), "ben")
    app = subprocess.Popen([sys.executable, "-c", APP, str(tmp_path)], cwd=ROOT)
    try:
        until(store, run, at_step(5))
        with pytest.raises(UserError, match="Another bert_demo is at work"):
            RunQueue(store).start()
    finally:
        app.kill()
        app.wait()
    with a_queue(tmp_path) as queue:
        # The old worker notices by itself that its app is gone, and saves.
        found = until(queue, run, is_over)
        assert found.status.state == "interrupted" and found.goes_on
        assert until(queue, waiting, is_over).status.state == "completed"
        queue.request(run.id, "resume", "anna")
        again = until(queue, run, lambda run: run.status.step > found.status.step)
        assert again.status.state == "running"


def test_a_worker_that_does_not_start_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "torch.py").write_text("raise ImportError('no torch for you')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    with a_queue(tmp_path / "runs") as queue:
        run = queue.submit(a_config(2), "anna")
        end = time.monotonic() + 60
        while not queue.problem and time.monotonic() < end:
            time.sleep(0.05)
        assert queue.problem.startswith("No training process starts: ")
        assert "no torch for you" in queue.problem and not queue.ready
        assert queue.store.get(run.id).status.state == "queued"
        monkeypatch.delenv("PYTHONPATH")
        assert until(queue, run, is_over).status.state == "completed"
        assert not queue.problem
