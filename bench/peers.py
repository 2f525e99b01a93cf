"""The sides of the comparison: each runs one measure in a process of its own.

A side's finding is a dict with "value" (examples a second, or seconds of preparing),
"peak_rss_bytes" and, for training, "precision".
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import Program, run_program
from bench.workload import BATCH_SIZE

Finding = dict[str, Any]

_STEPS_FOR_ONE = {"transformers": 1, "own": 8}
"""Steps for each of the book's: as many seconds of measuring, or nearly."""


@dataclass(frozen=True)
class Bench:
    """What every measure needs to know."""

    d2l: Path
    steps: int
    work: Path
    data: Path

    def environment(self, cache: str) -> dict[str, str]:
        """The child's environment, with a cache of prepared corpora under this name."""
        folder = str(self.work / cache)
        return {**os.environ, "BERT_DEMO_CACHE": folder, "BERT_DEMO_DATA": str(self.data)}

    def fresh(self) -> str:
        """A path where nothing lies yet."""
        return str(Path(tempfile.mkdtemp(dir=self.work)) / "new")


def book(bench: Bench, measure: str) -> Finding:
    """The book's code, in fp32."""
    script = str(Path(__file__).with_name("d2l_baseline.py"))
    command = [sys.executable, "-W", "ignore", script, "--d2l", str(bench.d2l)]
    command += ["--only", measure, "--steps", str(bench.steps), "--here"]
    done = run_program(command, bench.environment("book"))
    return {"precision": "fp32", **json.loads(done.lines[-1])}


def transformers(bench: Bench, measure: str, precision: str = "auto") -> Finding:
    """Hugging Face's, in bf16 where this machine is fast at it."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.transformers_baseline"]
    command += ["--only", measure, "--precision", precision]
    command += ["--steps", str(bench.steps * _STEPS_FOR_ONE["transformers"])]
    done = run_program(command, bench.environment("own"))
    finding: Finding = json.loads(done.lines[-1])
    return finding


def transformers_fp32(bench: Bench, measure: str) -> Finding:
    """Hugging Face's in fp32."""
    return transformers(bench, measure, "fp32")


def own(bench: Bench, measure: str) -> Finding:
    """This project's command line, timed by when each step's line arrives."""
    if measure.startswith("prepare"):
        return _own_preparation(bench, measure)
    steps = bench.steps * _STEPS_FOR_ONE["own"] + 1
    flags = ["--recipe", "d2l", "--batch-size", str(BATCH_SIZE), "--steps", str(steps)]
    flags += ["--validate-every-steps", str(steps + 1), "--save-every-seconds", "86400"]
    if measure == "pretrain":
        command = ["pretrain", "--corpus", "wikitext-2", "--model", "tiny", "--max-length", "64"]
        command += ["--truncation", "drop"]  # as the book does, so that pairs are equally long
    else:
        start = ["--from", str(_start_of_finetuning(bench))]
        command = ["finetune", "--corpus", "snli", "--max-length", "128", *start]
    done = _own_command(bench, [*command, *flags, "--out", bench.fresh()])
    events = [json.loads(line) for line in done.lines]
    lines = zip(events, done.arrivals, strict=True)
    times = [at for event, at in lines if event["event"] == "step"]
    seconds = times[-1] - times[0]
    return {
        "value": BATCH_SIZE * (len(times) - 1) / seconds,
        "seconds": seconds,
        "steps": len(times) - 1,
        "peak_rss_bytes": done.peak_rss_bytes,
        "precision": events[0]["precision"],
    }


SIDES: dict[str, Callable[[Bench, str], Finding]] = {
    "book": book,
    "transformers": transformers,
    "transformers in fp32": transformers_fp32,
    "own": own,
}


def sides_of(measure: str) -> tuple[str, ...]:
    """Who takes part: `transformers` has no preparation of its own to compare."""
    return ("book", "own") if measure.startswith("prepare") else tuple(SIDES)


def limits(bench: Bench) -> Finding:
    """What limit.py says of this machine now."""
    done = run_program([sys.executable, "-m", "bench.limit"], bench.environment("own"))
    finding: Finding = json.loads(done.lines[-1])
    return finding


def _own_preparation(bench: Bench, measure: str) -> Finding:
    """From an empty cache, then from the cache that this made, each in a new process."""
    environment = bench.environment(bench.fresh())
    command = [sys.executable, "-m", "bench.preparation", "--here", measure]
    cold, cached = (run_program(command, environment) for _ in range(2))
    seconds = float(cold.lines[-1])
    return {
        "value": seconds,
        "seconds": seconds,
        "peak_rss_bytes": cold.peak_rss_bytes,
        "from_cache": {
            "value": float(cached.lines[-1]),
            "peak_rss_bytes": cached.peak_rss_bytes,
        },
    }


def _start_of_finetuning(bench: Bench) -> Path:
    """A small model with WikiText-2's vocabulary; its weights do not matter to speed."""
    folder = bench.work / "small"
    if not folder.exists():
        command = ["pretrain", "--corpus", "wikitext-2", "--model", "small", "--recipe", "d2l"]
        _own_command(bench, [*command, "--steps", "1", "--out", str(folder)])
    return folder


def _own_command(bench: Bench, arguments: list[str]) -> Program:
    command = [sys.executable, "-m", "bert_demo", *arguments, "--json"]
    return run_program(command, bench.environment("own"))
