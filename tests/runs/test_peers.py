"""A worker that trains together with peers: one curve, and no process that is left over."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
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
from helpers.browser import Visitor, chromium, served
from helpers.browser import wait_for as page_wait
from test_runs_queue import (
    APP,
    LONG,
    ROOT,
    _one_thread,
    a_config,
    a_queue,
    at_step,
    is_over,
    losses,
    until,
)

from bert_demo import load
from bert_demo.config import RunConfig
from bert_demo.model import device
from bert_demo.runs import peers, process, worker
from bert_demo.runs.peers import Peers
from bert_demo.runs.queue import RunQueue
from bert_demo.runs.record import Run
from bert_demo.runs.store import RunStore
from bert_demo.training.distributed import PeerLostError, World, leave
from bert_demo.training.loop import train

__all__ = ["_one_thread", "chromium"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

ALONE = process.COMMAND
TWO = (*ALONE, "--processes", "2")


@contextmanager
def a_queue_with(command: tuple[str, ...], root: Path) -> Iterator[RunQueue]:
    """A queue whose worker is started by this command: by `TWO` it has a peer, on a CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "COMMAND", command)
        with a_queue(root, max_queued_per_owner=5) as queue:
            yield queue


@contextmanager
def a_peer_of_this_process(processes: int | None = 2) -> Iterator[Peers]:
    together = Peers(processes)
    try:
        yield together
    finally:
        for peer in together._peers:
            peer.kill()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, _one_thread: None) -> Iterator[RunQueue]:
    with a_queue_with(TWO, tmp_path_factory.mktemp("runs")) as queue:
        yield queue


def without_dropout(steps: int, **changes: Any) -> RunConfig:
    """Whose curve depends on nothing but its settings: each process draws noise of its own."""
    return dataclasses.replace(a_config(steps, **changes), dropout=0.0)


def nearly(losses: Any) -> Any:
    """What other processes than these find, which sum gradients in another order.

    A last digit grows from step to step, by some 1e-5 in ten; and where Muon rounds to bf16, which
    it does on processors that are fast at it, now and then one falls on the other side. A share of
    the batch that were lost or counted twice would change far more.
    """
    return pytest.approx(losses, abs=3e-3 if device.fast_bf16(torch.device("cpu")) else 3e-4)


def processes_of(queue: RunQueue, run: Run) -> int:
    events, _ = queue.store.events(run.id)
    return int(next(event["processes"] for event in events if event["event"] == "start"))


def children(pid: int | None) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(good: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not good():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"  # ended; whoever should ask for its result is gone too, or late


def test_the_curve_is_that_of_one_process(pair: RunQueue) -> None:
    config = without_dropout(6, batch_size=14)
    run = until(pair, pair.submit(config, "anna"), is_over)
    assert run.status.state == "completed", run.status
    assert processes_of(pair, run) == 2
    events, _ = pair.store.events(run.id)
    here = list(train(config))
    assert losses(events) == nearly(losses(here))
    assert run.status.scores["mlm_loss"] == nearly(here[-1]["scores"]["mlm_loss"])
    assert [event["step"] for event in events if event["event"] == "probe"][-1] == 6
    load(run.model)


def test_the_page_says_how_many_train_together(chromium: Any, tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    run = store.create(a_config(3), "anna")
    with a_peer_of_this_process() as together:
        worker.work(store.root, run.id, lambda: False, lambda answer: None, together)
    with served(tmp_path) as address:
        visitor = Visitor(chromium)
        page = visitor.open(f"{address}?run={run.id}")
        tile = "#live-pretrain .bd-tiles"
        page_wait(page, f"document.querySelector('{tile}')?.textContent.includes('2 \u00d7 CPU')")
        visitor.close()
        assert visitor.complaints == []


def test_leaving_in_the_middle_keeps_the_processes(pair: RunQueue) -> None:
    """Stopped or paused: the same two train the next run."""
    run = until(pair, pair.submit(a_config(LONG), "anna"), at_step(3))
    ours = run.status.worker_pid, children(run.status.worker_pid)
    pair.request(run.id, "stop", "anna")
    stopped = until(pair, run, is_over)
    assert stopped.status.state == "stopped" and stopped.status.scores, stopped.status
    second = until(pair, pair.submit(a_config(LONG), "anna"), at_step(3))
    pair.request(second.id, "pause", "anna")
    assert until(pair, second, is_over).status.state == "paused"
    last = until(pair, pair.submit(a_config(3), "anna"), is_over)
    assert last.status.state == "completed" and processes_of(pair, last) == 2
    assert (last.status.worker_pid, children(last.status.worker_pid)) == ours


def test_an_error_of_the_leader_between_two_steps_frees_the_others() -> None:
    def broken(*_: Any) -> dict[str, Any]:
        raise ZeroDivisionError

    config = a_config(2)
    with a_peer_of_this_process() as together:
        with pytest.raises(ZeroDivisionError):
            list(train(config, world=together.world(config, False, lambda: None), probe=broken))
        assert together.part()
        events = list(train(config, world=together.world(config, False, lambda: None)))
        assert (events[0]["processes"], events[-1]["reason"]) == (2, "completed")
        assert together.part()


def test_a_run_goes_on_with_more_processes_and_with_fewer(tmp_path: Path) -> None:
    config = without_dropout(LONG)

    def alone(run: Run) -> dict[int, float]:
        """The next losses of a paused run if this process alone goes on with a copy."""
        copy = tmp_path / "copy"
        shutil.copytree(run.model, copy)
        events = train(config, copy, resume=True)
        found = losses(list(itertools.islice(events, 8)))
        events.close()  # type: ignore[attr-defined]
        shutil.rmtree(copy)
        return found

    def paused(queue: RunQueue, run: Run, step: int) -> Run:
        until(queue, run, at_step(step))
        queue.request(run.id, "pause", "anna")
        found = until(queue, run, is_over)
        assert found.status.state == "paused", found.status
        return found

    with a_queue_with(ALONE, tmp_path / "runs") as queue:
        run = paused(queue, queue.submit(config, "anna"), 3)
        assert processes_of(queue, run) == 1
    with a_queue_with(TWO, tmp_path / "runs") as queue:
        for _ in range(2):  # begun by one process, then by two
            expected = alone(run)
            assert len(expected) > 4
            queue.request(run.id, "resume", "anna")
            run = paused(queue, run, run.status.step + 10)
            assert processes_of(queue, run) == 2
            events, _ = queue.store.events(run.id)
            found = losses(events)
            assert {step: found[step] for step in expected} == nearly(expected)


def test_a_batch_too_small_to_share_is_computed_by_one(pair: RunQueue) -> None:
    for settings in ({"batch_size": 1}, {"batch_size": 5, "gradient_accumulation_steps": 3}):
        run = until(pair, pair.submit(a_config(2, **settings), "anna"), is_over)
        assert run.status.state == "completed", run.status
        assert processes_of(pair, run) == 1


def test_a_killed_peer_costs_one_run_that_can_go_on(tmp_path: Path) -> None:
    with a_queue_with(TWO, tmp_path) as queue:
        run = until(queue, queue.submit(a_config(LONG), "anna"), at_step(3))
        after = queue.submit(a_config(2), "ben")
        (peer,) = children(run.status.worker_pid)
        os.kill(peer, signal.SIGKILL)
        failed = until(queue, run, is_over)
        assert failed.status.state == "failed" and failed.goes_on
        assert failed.status.message == (
            "One of the run's 2 processes ended or can no longer be reached; the run can go on "
            "from what is saved."
        )
        load(run.model)
        done = until(queue, after, is_over)
        assert done.status.state == "completed" and processes_of(queue, after) == 2
        queue.request(run.id, "resume", "anna")
        again = until(queue, run, lambda now: now.status.step > failed.status.step + 2)
        assert again.status.state == "running" and not queue.problem
        # One that is lost while nobody trains is replaced.
        queue.request(run.id, "pause", "anna")
        until(queue, run, is_over)
        (peer,) = children(again.status.worker_pid)
        os.kill(peer, signal.SIGKILL)
        assert wait_for(lambda: is_gone(peer))
        last = until(queue, queue.submit(a_config(2), "anna"), is_over)
        assert last.status.state == "completed" and processes_of(queue, last) == 2
        assert last.status.worker_pid == again.status.worker_pid
        (peer,) = children(last.status.worker_pid)
    assert wait_for(lambda: is_gone(peer))


@pytest.mark.parametrize("killed", ["app", "worker"])
def test_no_process_is_left_over(tmp_path: Path, killed: str) -> None:
    store = RunStore(tmp_path)
    run = store.create(a_config(LONG), "anna")
    code = f"from bert_demo.runs import process\nprocess.COMMAND = {TWO!r}\n{APP}"
    app = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},  # who is killed leaves a file there
    )
    try:
        pid = until(store, run, at_step(5)).status.worker_pid
        assert pid is not None
        ours = [pid, *children(pid)]
        assert len(ours) == 2
        os.kill(pid if killed == "worker" else app.pid, signal.SIGKILL)
        assert wait_for(lambda: all(map(is_gone, ours)))
        found = until(store, run, is_over)
    finally:
        app.kill()
        app.wait()
    assert found.status.state == ("interrupted" if killed == "app" else "failed")
    assert found.goes_on == (killed == "app")


def test_a_peer_that_cannot_prepare_is_noticed(tmp_path: Path) -> None:
    start = tmp_path / "start"
    list(train(a_config(1), start))
    config = RunConfig(start_from=str(start), training=a_config(2).training)
    with a_peer_of_this_process() as together:
        world = together.world(config, False, lambda: None)
        assert world.size == 2

        def rendezvous() -> str:
            shutil.rmtree(start)  # what this process has read, the peer does not find
            return world.rendezvous()

        with pytest.raises(PeerLostError):
            next(train(config, world=dataclasses.replace(world, rendezvous=rendezvous)))
        assert not together.part()


def test_a_run_whose_peers_do_not_come_is_trained_alone(tmp_path: Path) -> None:
    class Absent(Peers):
        dismissed = False

        def world(self, run: RunConfig, resume: bool, give_up: Callable[[], None]) -> World:
            def rendezvous() -> str:
                raise PeerLostError("It did not come.")

            return World(size=2, rendezvous=rendezvous)

        def dismiss(self) -> None:
            self.dismissed = True

    store, absent = RunStore(tmp_path), Absent(1)
    run = store.create(a_config(2), "anna")
    answers: list[dict[str, Any]] = []
    worker.work(store.root, run.id, lambda: False, answers.append, absent)
    assert answers[-1]["state"] == "completed" and absent.dismissed
    assert "PeerLostError" in (run.folder / "error.log").read_text()
    events, _ = store.events(run.id)
    assert [e["processes"] for e in events if e["event"] == "start"] == [1]


def test_a_worker_that_hangs_for_a_lost_peer_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_STUCK_SECONDS", 0.1)
    given_up = threading.Event()
    with a_peer_of_this_process() as together:
        events = train(a_config(LONG), world=together.world(a_config(LONG), False, given_up.set))
        assert next(events)["processes"] == 2
        for peer in together._peers:
            peer.kill()
        assert given_up.wait(30)  # as this process does not go on
        events.close()  # type: ignore[attr-defined]
        assert not together.part()
        leave()

    store, reasons = RunStore(tmp_path), []
    run = store.create(a_config(2), "anna")
    assert store.claim(run.id)
    worker.give_up(store.get(run.id), reasons.append)
    status = store.get(run.id).status
    assert status.state == "failed" and status.ended is not None
    assert status.message.startswith("One of the processes of this run ended. Nothing of its")
    assert reasons == [status.message]


def test_cards_of_one_kind_train_together(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["Large", "Small", "Large"]
    monkeypatch.setattr(device, "cuda_count", lambda: len(names))
    monkeypatch.setattr(device, "device_name", lambda card: names[card.index])
    assert device.cards() == [0, 2]
    with a_peer_of_this_process(None) as together:
        assert [peer.local_rank for peer in together._peers] == [2]
        sizes = {}
        for name in ("cpu", "cuda", "auto"):
            config = a_config(2, device=name)
            sizes[name] = together.world(config, False, lambda: None).size
    assert sizes == {"cpu": 1, "cuda": 2, "auto": 2}
    names.clear()
    assert device.cards() == []
