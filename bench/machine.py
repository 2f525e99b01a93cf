"""The machine that is measured on, and programs measured from outside."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Program:
    """What a program did, seen from outside."""

    lines: list[str]
    """What it printed."""
    arrivals: list[float]
    """When each line came, in seconds of `time.perf_counter`."""
    seconds: float
    """From start to end."""
    peak_rss_bytes: int
    """The most memory that its main process held."""


def run_program(
    command: Sequence[str],
    environment: dict[str, str],
    *,
    until: Callable[[list[str]], bool] | None = None,
    patience: float | None = None,
) -> Program:
    """Run a program to its end, or until `until` holds of its lines or `patience` (s) is over.

    `os.wait4` tells the memory of this one child; the interpreter's own figure is of all so far.

    Raises:
        RuntimeError: a program that ended by itself, and not well.
    """
    lines: list[str] = []
    arrivals: list[float] = []
    ended_by_us = threading.Event()
    begin = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as child:

        def end() -> None:
            ended_by_us.set()
            child.kill()

        clock = threading.Timer(patience, end) if patience is not None else None
        if clock is not None:
            clock.start()
        assert child.stdout is not None
        for line in child.stdout:
            lines.append(line)
            arrivals.append(time.perf_counter())
            if until is not None and until(lines):
                end()
                break
        if clock is not None:
            clock.cancel()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    if child.returncode and not ended_by_us.is_set():
        raise RuntimeError(f"exit code {child.returncode}: {shlex.join(command)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Program(lines, arrivals, seconds, usage.ru_maxrss * unit)


def real_data(parser: argparse.ArgumentParser) -> Path:
    """The folder with the real text; ends the script where BERT_DEMO_DATA names none."""
    data = Path(os.environ.get("BERT_DEMO_DATA", ""))
    if not (data / "datasets").is_dir():
        parser.error("BERT_DEMO_DATA must name the folder with the real WikiText-2 and SNLI.")
    return data.resolve()


def own_cache() -> tempfile.TemporaryDirectory[str]:
    """A folder for this measurement alone, where this process and its children prepare text."""
    folder = tempfile.TemporaryDirectory()
    os.environ["BERT_DEMO_CACHE"] = str(Path(folder.name) / "cache")
    return folder


def load() -> float:
    """How busy the machine is, in processes: the mean of the last minute."""
    return os.getloadavg()[0]


def describe(before: float, *packages: str) -> list[str]:
    """The machine and the day as lines of Markdown; `before` is the load before measuring."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", *packages)]
    return [
        f"- {datetime.date.today():%d %B %Y}, load before the first measurement {before:.1f}",
        f"- {_processor()}, {os.cpu_count()} cores, {platform.system()}",
        f"- Python {platform.python_version()}, {', '.join(versions)}",
    ]


def figures(values: Sequence[float]) -> str:
    """Median, lowest and highest."""
    return f"{short(median(values))} ({short(min(values))} to {short(max(values))})"


def short(value: float) -> str:
    """A number with three digits, or all of them where there are more before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    if about.is_file():
        for line in about.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
