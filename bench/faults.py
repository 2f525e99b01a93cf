"""Kills: the training process and the app in turns, at random moments, and what is left of the run.

    python -m bench.faults

Everything stays on 127.0.0.1. A short run on Crane World is started, with a save every second, and
at a random moment of its preparation or training the worker alone, or the app with all its
children, is killed by SIGKILL. After each kill: the page answers, nothing is said to be in training
that is not, the run's folder opens, its checkpoint loads, its metrics parse, and the run goes on
where it was saved. At the end a folder that is deleted during a run and, where this user may mount
one, a disk that is full.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from bench import machine, results
from bench.served import App, app
from bench.short_runs import (
    TOKEN,
    ask,
    metrics_of,
    refused_words,
    saved_step,
    start,
    steps_of,
    until,
)
from bert_demo.model import checkpoint
from bert_demo.model.folders import LOCK
from bert_demo.runs.actions import request
from bert_demo.runs.record import RESUMABLE, TRAINING, Run, held
from bert_demo.runs.store import RunStore

_BUDGET_SECONDS = 8.0
_MOMENTS = 8.0
"""Seconds after the start of a run in which a kill comes."""


def kill(process: psutil.Process) -> None:
    """SIGKILL to a process and to what it has started."""
    family = [process, *process.children(recursive=True)]
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)


def settled(up: App, store: RunStore, run: str) -> Run:
    """The run once it is not in training any more, and says so on the page as in its folder."""
    until("the run is over", lambda: ask(up, "run_status", run)["state"] not in TRAINING)
    for one in store.list():
        with held(one.folder / LOCK) as free:
            assert not (free and store.get(one.id).status.state in TRAINING), "nobody trains it"
    found = store.get(run)
    metrics_of(found)
    return found


def goes_on(store: RunStore, run: Run) -> int:
    """Resume a run that was cut short, to its end; the step at which it went on."""
    saved, before = saved_step(run), steps_of(run)
    assert run.status.state in RESUMABLE, run.status
    request(store, run.id, "resume", TOKEN)
    until("the resumed run ends", lambda: store.get(run.id).status.state == "completed")
    again = store.get(run.id)
    after = steps_of(again)
    # The file is cut back to where the run was saved, so each step stands there once, and what
    # was kept is what was written then, down to the seconds.
    assert [step["step"] for step in after] == list(range(1, len(after) + 1)), "steps are missing"
    assert after[:saved] == before[:saved] and len(after) > saved, f"not from step {saved} on"
    assert saved_step(again) == len(after)
    return saved


def kills(home: Path, count: int, seed: int) -> list[tuple[str, int]]:
    """Kill and look, so many times; what was killed, and at which step the run went on."""
    draw = random.Random(seed)
    done = []
    for number in range(count):
        victim = ("worker", "app")[number % 2]
        saved = one_kill(home, victim, draw.uniform(0, _MOMENTS))
        print(f"{number + 1}: {victim}, the run went on at step {saved}", flush=True)
        done.append((victim, saved))
    return done


def one_kill(home: Path, victim: str, seconds: float) -> int:
    """Kill the "worker" or the "app" so long after a run began; the step at which it went on,
    -1 where it had ended before."""
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(app(home))
        store = RunStore(up.folder / "runs")
        name = start(up, _BUDGET_SECONDS)
        until("it begins", lambda: store.get(name).status.state == "running")
        time.sleep(seconds)
        process = psutil.Process(up.process.pid)
        if victim == "worker":
            for child in process.children():
                kill(child)
        else:
            kill(process)
            stack.close()
            up = stack.enter_context(app(home))
        found = settled(up, store, name)
        saved = -1 if found.status.state == "completed" else goes_on(store, found)
        request(store, name, "delete", TOKEN)
        return saved


def deleted_folder(home: Path) -> None:
    """The folder of all runs is deleted during a run: the page answers, and trains the next one."""
    with app(home) as up:
        store = RunStore(up.folder / "runs")
        run = start(up, _BUDGET_SECONDS)
        until("it begins", lambda: store.get(run).status.state == "running")
        time.sleep(2)
        shutil.rmtree(up.folder, ignore_errors=True)
        until("it is gone", lambda: not refused_words(up, run).startswith("running"))
        again = start(up, 1)
        until("the next one ends", lambda: ask(up, "run_status", again)["state"] == "completed")


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[str], None]]:
    """A disk of 2 GB in memory; gives what sets its size. Needs the rights of root, and Linux."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2g", "bench", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    try:
        yield resize
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk(home: Path) -> None:
    """The disk is full in the middle of a run: it ends and says why, and the next one is trained
    once there is room."""
    with small_disk(home / "disk") as resize, app(home / "disk") as up:
        store = RunStore(up.folder / "runs")
        run = start(up, 60)
        until("it begins", lambda: store.get(run).status.step > 0)
        used = shutil.disk_usage(home / "disk").used
        resize(str(used + 4096))
        until("it ends", lambda: ask(up, "run_status", run)["state"] == "failed")
        message = ask(up, "run_status", run)["message"]
        assert "space" in message.lower(), message
        resize("2g")
        again = start(up, 1)
        until("the next one ends", lambda: ask(up, "run_status", again)["state"] == "completed")
        checkpoint.load(store.get(again).model)


def main() -> None:
    """Do all of it and write the section."""
    parser = argparse.ArgumentParser(description="Kill the app and its worker.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    load, begin = machine.load(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, machine.own_cache():
        home = Path(folder)
        done = kills(home, flags.kills, flags.seed)
        deleted_folder(home)
        disk = (
            "A disk that became full during a run ended it with the reason; the next one was kept."
        )
        try:
            full_disk(home)
        except (OSError, subprocess.CalledProcessError) as error:
            disk = f"The full disk was left out, as none could be mounted: {error}."
        log = (home / "log").read_text(encoding="utf-8", errors="replace")
    if "Traceback" in log:
        print(log[-4000:])
        sys.exit(1)
    early = sum(saved == 0 for _, saved in done)
    late = sum(saved < 0 for _, saved in done)
    counts = Counter(victim for victim, _ in done)
    lines = [
        f"Measured by `python -m bench.faults --kills {flags.kills} --seed {flags.seed}`: runs of",
        f"{_BUDGET_SECONDS:g} s that save every second.",
        "",
        *machine.describe(load),
        "",
        f"{counts['worker']} kills of the worker and {counts['app']} of the app with its worker,",
        f"in the first {_MOMENTS:g} s of a run: {early} before the first save, {late} after the",
        "end. After each the page answered, nothing was said to be in training that was not, the",
        "checkpoint loaded, and the run went on where it was saved, to its end, each step once.",
        disk,
        "After the folder of the runs was deleted during a run, the next one was trained.",
        f"No traceback in the log; {time.perf_counter() - begin:,.0f} s in all.",
    ]
    results.write_section("Kills", lines)


if __name__ == "__main__":
    main()
