"""Short runs on Crane World, started on a served app and looked at in their folders."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from bench.served import App, call
from bert_demo.model import checkpoint
from bert_demo.model.about import read_about
from bert_demo.model.folders import METRICS
from bert_demo.runs.record import Run

TOKEN = "bench"
"""Of who starts them."""
PATIENCE = 240.0
"""Seconds that anything may take, on a machine that others use too."""


def ask(up: App, name: str, *data: Any) -> Any:
    """A call that has to be done; raises `AssertionError` with the refusal."""

    async def asked() -> Any:
        async with httpx.AsyncClient(base_url=up.url, timeout=60, trust_env=False) as client:
            answer = await call(client, name, *data)
            assert answer.done, answer.words or answer
            return answer.value

    return asyncio.run(asked())


def start(up: App, seconds: float) -> str:
    """A run, by its id."""
    settings = {"save_every_seconds": 1.0}
    wish = ("pretraining", "crane-world", seconds, "", settings, "", TOKEN)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return str(ask(up, "start_run", *wish)["run"])
        except AssertionError:  # this computer may not have been measured yet
            if time.monotonic() > end:
                raise
        time.sleep(1)


def until(what: str, holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until something holds; raises `AssertionError` where it does not come."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.1)


def metrics_of(run: Run) -> list[dict[str, Any]]:
    """The events of a run; the last line may have been cut by the kill."""
    path = run.model / METRICS
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else [""]
    return [json.loads(line) for line in lines[:-1]]


def saved_step(run: Run) -> int:
    """At which step the checkpoint was saved, which must load; 0 where there is none yet."""
    if not run.has_model:
        return 0
    checkpoint.load(run.model)
    return read_about(checkpoint.read_config(run.model)).step or 0


def steps_of(run: Run) -> list[dict[str, Any]]:
    """The events of its steps."""
    return [event for event in metrics_of(run) if event["event"] == "step"]


def refused_words(up: App, run: str) -> str:
    """The state of a run, or why there is none, in words."""
    try:
        return str(ask(up, "run_status", run)["state"])
    except AssertionError as error:
        return str(error)
