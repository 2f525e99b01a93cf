"""The memory that the page shows: a GPU's where training computes there, else the process's own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("gradio")

from bert_demo.common.errors import Text
from bert_demo.config import RunConfig
from bert_demo.model import device
from bert_demo.runs import worker
from bert_demo.runs.record import Status
from bert_demo.runs.store import RunStore
from bert_demo.training import loop
from bert_demo.ui.parts import language, live


@pytest.mark.parametrize(("computes_on", "shown"), [("cuda", 5_000_000_000), ("cpu", None)])
def test_the_worker_tells_what_its_gpu_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computes_on: str, shown: int | None
) -> None:
    store = RunStore(tmp_path / "runs")
    run = store.create(RunConfig(), "me", "run")
    told: list[Any] = []

    def train(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        yield {"event": "start", "device": computes_on, "source": "Crane World", "step": 0}
        yield {"event": "step", "step": 1, "seconds": 0.1, "seconds_left": 0.1}
        status = json.loads((run.folder / "status.json").read_text())
        told.append(status["device_memory_bytes"])
        end = {"event": "end", "reason": "completed", "message": "", "scores": {}}
        yield end | {"step": 1, "seconds": 0.2}

    monkeypatch.setattr(loop, "train", train)
    monkeypatch.setattr(device, "peak_memory_bytes", lambda where: 5_000_000_000)
    monkeypatch.setattr(worker, "STATUS_SECONDS", 0)
    worker.work(store.root, run.id, lambda: False, lambda answer: None)
    assert store.get(run.id).status.state == "completed"
    assert told == [shown]


def test_the_worker_tells_what_is_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(tmp_path / "runs")
    run = store.create(RunConfig(), "me", "run")
    told: list[str] = []

    def train(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        start = {"event": "start", "device": "cuda", "source": Text("From {name}.", name="here")}
        yield start | {"step": 0, "switched_off": {"flash": Text("it masks other tokens")}}
        told.append(language.translate(store.get(run.id).status.message))
        language.use("de")
        told.append(language.translate(store.get(run.id).status.message))
        end = {"event": "end", "reason": "completed", "message": "", "scores": {}}
        yield end | {"step": 1, "seconds": 0.2}

    monkeypatch.setattr(loop, "train", train)
    monkeypatch.setattr(device, "peak_memory_bytes", lambda where: 1)
    try:
        worker.work(store.root, run.id, lambda: False, lambda answer: None)
    finally:
        language.use(language.SOURCE)
    assert told == [
        "From here. Switched off here: FlashAttention (it masks other tokens).",
        "From here. Hier abgeschaltet: FlashAttention (maskiert andere Token).",
    ]


def test_the_page_shows_the_gpus_memory_first() -> None:
    assert live._memory(Status("running", device_memory_bytes=7, worker_pid=1)) == 7
    assert live._memory(Status("running")) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process holds")
def test_without_a_gpu_the_process_is_asked() -> None:

    held = live._memory(Status("running", worker_pid=os.getpid()))
    assert held is not None and held > 10_000_000


def test_a_run_begins_without_the_last_ones_peak(monkeypatch: pytest.MonkeyPatch) -> None:

    asked: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: asked.append("empty"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: asked.append("count anew"))
    device.release_memory()
    assert asked == ["empty", "count anew"]
