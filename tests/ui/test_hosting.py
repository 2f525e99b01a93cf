"""Spaces and ZeroGPU: what is found, what is said, and training inside an event."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.runs.queue import RunQueue
from bert_demo.runs.store import RunStore
from bert_demo.runs.zerogpu import LONGEST_RUN, ZeroGpuQueue, gpu_seconds, train_on_gpu
from bert_demo.training.recorder import read_metrics
from bert_demo.ui.serving import hosting

ROOT = Path(__file__).resolve().parents[2]
SPACE = {"SPACE_ID": "someone/bert-demo"}
ZERO = SPACE | {"SPACES_ZERO_GPU": "true"}


def config(**training: Any) -> RunConfig:
    return RunConfig(
        hidden_size=32,
        num_attention_heads=1,
        num_hidden_layers=1,
        intermediate_size=64,
        training=TrainingConfig(**{"batch_size": 16, **training}),
    )


def test_a_laptop_has_nothing_to_be_told(tmp_path: Path) -> None:
    assert not hosting.on_space({}) and not hosting.on_zerogpu({})
    assert hosting.notices(tmp_path, None, {}) == []


def test_a_disk_that_does_not_last_is_said_on_a_space(tmp_path: Path) -> None:
    (notice,) = hosting.notices(tmp_path, None, SPACE)
    assert "BERT_DEMO_DATA_DIR" in notice


def test_a_mounted_folder_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bucket" / "runs"
    folder.mkdir(parents=True)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "bucket")
    assert hosting.is_lasting(folder)
    assert hosting.is_lasting(folder / "not made yet")
    assert not hosting.is_lasting(tmp_path / "elsewhere")
    assert hosting.notices(folder, None, SPACE) == []


def test_zerogpu_says_what_cannot_work_there(tmp_path: Path) -> None:
    first, *_ = hosting.notices(tmp_path, 30, ZERO)
    assert "at most 30 seconds" in first
    assert "API" in first
    queue = ZeroGpuQueue(RunStore(tmp_path), lambda **_: lambda work: work)
    assert queue.max_run_seconds == LONGEST_RUN, "there is always a limit"


@pytest.mark.parametrize(
    ("word", "meant"), [("true", True), ("1", True), ("", False), ("0", False)]
)
def test_zerogpu_is_recognised_as_spaces_does(word: str, meant: bool) -> None:
    assert hosting.on_zerogpu({"SPACES_ZERO_GPU": word}) is meant


def test_elsewhere_a_worker_trains(tmp_path: Path) -> None:
    queue = hosting.make_queue(RunStore(tmp_path), max_run_seconds=9, environ=SPACE)
    assert type(queue) is RunQueue
    assert queue.max_run_seconds == 9


def test_spaces_is_not_imported_elsewhere() -> None:
    code = (
        "import sys; from bert_demo.ui.serving.hosting import claim_gpus; claim_gpus(); "
        "print('spaces' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_the_real_decorator_is_harmless_off_a_space(tmp_path: Path) -> None:
    spaces = pytest.importorskip("spaces")
    store = RunStore(tmp_path)
    queue = ZeroGpuQueue(store, spaces.GPU, max_run_seconds=20)
    run = queue.submit(config(steps=3), "somebody's token")
    assert run.config is not None and run.config.training.budget_seconds == 20
    queue.train_in_event(run.id)
    status = store.get(run.id).status
    assert status.state == "completed", status.message
    assert [e["event"] for e in read_metrics(run.model)][-1] == "end"


class Recorder:
    """`spaces.GPU` with no GPU and no fork: what it was asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.calls = error, []  # type: tuple[Exception | None, list[Any]]

    def __call__(self, duration: Callable[..., float]) -> Callable[..., Any]:
        def decorate(task: Callable[..., Any]) -> Callable[..., Any]:
            def handler(*arguments: Any) -> Any:
                self.calls.append((duration(*arguments), arguments))
                if self.error is not None:
                    raise self.error
                return task(*arguments)

            return handler

        return decorate


def test_the_time_asked_for_comes_from_the_budget(tmp_path: Path) -> None:
    gpu = Recorder(RuntimeError("none left"))
    store = RunStore(tmp_path)
    queue = ZeroGpuQueue(store, gpu, max_run_seconds=50)
    run = queue.submit(config(budget_seconds=12), "token")
    queue.train_in_event(run.id)
    ((seconds, arguments),) = gpu.calls
    assert seconds == arguments[-1] == gpu_seconds(12)
    assert 12 < seconds < 12 + 40
    # One visitor's daily share covers a run of the greatest length, at the rate it is counted.
    assert gpu_seconds(LONGEST_RUN) * 1.5 <= 120


def test_a_gpu_that_does_not_come_fails_the_run_in_words(tmp_path: Path) -> None:
    error = RuntimeError('You have exceeded your <a href="x">free</a> ZeroGPU quota')
    store = RunStore(tmp_path)
    queue = ZeroGpuQueue(store, Recorder(error), max_run_seconds=50)
    run = queue.submit(config(steps=2), "token")
    queue.train_in_event(run.id)
    status = store.get(run.id).status
    assert status.state == "failed"
    assert status.message == "ZeroGPU gave no GPU: You have exceeded your free ZeroGPU quota."
    queue.request(run.id, "resume", "token")
    assert store.get(run.id).status.state == "queued"


def test_what_is_wrong_is_found_before_gpu_time_is_spent(tmp_path: Path) -> None:
    gpu = Recorder()
    store = RunStore(tmp_path)
    queue = ZeroGpuQueue(store, gpu, max_run_seconds=50)
    wrong = RunConfig(start_from=str(tmp_path / "nothing"), training=TrainingConfig(steps=2))
    run = queue.submit(wrong, "token")
    queue.train_in_event(run.id)
    status = store.get(run.id).status
    assert status.state == "failed" and "nothing" in status.message
    assert gpu.calls == []


def test_only_waiting_runs_are_trained_and_limits_hold(tmp_path: Path) -> None:
    gpu = Recorder(RuntimeError("none left"))
    store = RunStore(tmp_path)
    queue = ZeroGpuQueue(store, gpu, max_run_seconds=50)
    with pytest.raises(UserError, match="at most 50 seconds"):
        queue.submit(config(budget_seconds=51), "token")
    run = queue.submit(config(steps=2), "token")
    assert queue.ready and queue.place(run.id).position == 1
    queue.request(run.id, "stop", "token")
    queue.train_in_event(run.id)
    for nothing in (None, ""):
        queue.train_in_event(nothing)
    with pytest.raises(UserError, match="not the name of a run"):
        queue.train_in_event("../../etc")
    assert gpu.calls == []


def test_a_run_that_sees_its_time_end_saves_itself(tmp_path: Path) -> None:
    import torch

    store = RunStore(tmp_path)
    run = store.create(config(steps=10**6), "token")
    threads = torch.get_num_threads()
    try:
        assert train_on_gpu(str(tmp_path), run.id, 18) == "interrupted"
    finally:
        torch.set_num_threads(threads)
    now = store.get(run.id)
    assert now.status.message == (
        "The 18 seconds of GPU time are over. It can go on from where it was last saved."
    )
    assert now.goes_on


class Host(ThreadingHTTPServer):
    """The host's side of ZeroGPU: grants GPUs, and kills who has one for too long."""

    def __init__(self, limit: float | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _HostAnswers)
        self.limit = limit
        self.seen: list[tuple[str, dict[str, str]]] = []


class _HostAnswers(BaseHTTPRequestHandler):
    server: Host

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        params = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.seen.append((url.path, params))
        if url.path == "/schedule" and "token" not in params:
            return self._answer(429, {"left": 0, "wait": 60})
        if url.path == "/allow" and self.server.limit is not None:
            threading.Timer(self.server.limit, _kill, [int(params["pid"])]).start()
        grant = {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "t"}
        return self._answer(200, grant if url.path == "/schedule" else {})

    def _answer(self, status: int, values: dict[str, Any]) -> None:
        body = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def space(host: Host, root: Path, *arguments: str) -> dict[str, str]:
    """Run helpers/zerogpu_space.py under this host; gives the state of each run afterwards."""
    pytest.importorskip("spaces")
    if not hasattr(os, "fork"):
        pytest.skip("ZeroGPU is Linux: its processes are forked")
    address = f"http://127.0.0.1:{host.server_address[1]}"
    environ = os.environ | ZERO | {"SPACES_ZERO_DEVICE_API_URL": address, "PYTHONPATH": str(ROOT)}
    for name in [name for name in environ if name.lower().endswith("_proxy")]:
        del environ[name]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "tests/helpers/zerogpu_space.py", str(root), *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    states: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return states


def test_runs_train_in_the_forked_process_of_the_real_package(tmp_path: Path, host: Host) -> None:
    store = RunStore(tmp_path)
    first, second = (store.create(config(steps=4), f"token {i}") for i in range(2))
    assert space(host, tmp_path, first.id, second.id, first.id) == {
        first.id: "completed",
        second.id: "completed",
    }
    for run in (first, second):
        now = store.get(run.id)
        assert now.status.step == 4 and now.has_model
        assert now.status.worker_pid not in (None, os.getpid())
        kinds = [e["event"] for e in read_metrics(now.model)]
        assert kinds[0] == "start" and kinds[-1] == "end" and "probe" in kinds
    asked = [params for path, params in host.seen if path == "/schedule"]
    assert len(asked) == 2, "a finished run was trained again"
    # The real package multiplies what we ask for by how the card is counted.
    assert float(asked[0]["durationSeconds"]) >= gpu_seconds(0)
    assert [path for path, _ in host.seen].count("/release") == 2


def test_a_run_whose_time_is_over_keeps_what_it_learnt(tmp_path: Path, host: Host) -> None:
    host.limit = 6
    training: dict[str, Any] = {"steps": 10**6, "save_every_seconds": 1}
    store = RunStore(tmp_path)
    run = store.create(config(**training), "token")
    assert space(host, tmp_path, run.id) == {run.id: "failed"}
    now = store.get(run.id)
    assert now.status.message.startswith("The GPU was taken away (GPU task aborted)")
    assert "It can go on from where it was last saved" in now.status.message
    assert now.has_model and now.goes_on


def test_a_call_without_a_visitor_is_refused_in_words(tmp_path: Path, host: Host) -> None:
    store = RunStore(tmp_path)
    run = store.create(config(steps=2), "token")
    assert space(host, tmp_path, "--no-request", run.id) == {run.id: "failed"}
    assert "GPU limit" in store.get(run.id).status.message
