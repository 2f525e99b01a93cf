"""The process that trains: warm before the first run, and alive after the last.

    python -m bert_demo.runs.worker --root DIR

One JSON object a line comes in on stdin, {"run": id}; one a line goes out on stdout:
{"ready": true, ...} once, then {"run": id, "state": ..., "message": ...} at each change of a run's
state. {"search": id, "config": ..., "seconds": ...} is a search for a learning rate, whose end is
told alike. When stdin ends the app is gone: the run is saved and the worker ends too.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bert_demo.common.errors import Text, UserError
from bert_demo.data.interruption import Interrupted, interruptible
from bert_demo.model import fast_paths
from bert_demo.model.folders import ERRORS, LOCK, RUN
from bert_demo.model.process import prepare_process
from bert_demo.runs import searches
from bert_demo.runs.peers import Peers
from bert_demo.runs.preparation import PREPARING_SECONDS, Preparation
from bert_demo.runs.record import (
    Run,
    Status,
    held,
    read_run,
    run_folder,
    wished,
    write_status,
)
from bert_demo.runs.warm import Answer, own_stdout, warm_up
from bert_demo.training.events import Event, StartEvent

_NICE = 5
_OOM_SCORE = 500
STATUS_SECONDS = 0.25
"""The most that status.json is behind the run."""


def main(arguments: list[str] | None = None) -> None:
    """Warm up, then train what comes in until there is no more."""
    parser = argparse.ArgumentParser(prog="python -m bert_demo.runs.worker", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="The folder that holds the runs")
    parser.add_argument("--processes", type=int, help=argparse.SUPPRESS)  # with no GPU, for tests
    flags = parser.parse_args(arguments)
    answer = own_stdout()
    _step_back()
    commands: queue.Queue[dict[str, Any] | None] = queue.Queue()
    app_gone = threading.Event()
    threading.Thread(target=_listen, args=(commands, app_gone), daemon=True).start()

    began = time.perf_counter()
    from bert_demo.model.device import release_memory

    peers = Peers(flags.processes)
    device = warm_up()
    seconds = round(time.perf_counter() - began, 2)
    answer({"ready": True, "pid": os.getpid(), "device": device, "seconds": seconds})
    if commands.empty():
        _touch_local_corpora()
    while (command := commands.get()) is not None:
        if "search" in command:
            found = searches.search(command["config"], command["seconds"], app_gone.is_set)
            release_memory()
            answer({"run": command["search"], "state": "searched", **found})
            continue
        limit = command.get("most_seconds")
        work(flags.root, command["run"], app_gone.is_set, answer, peers, limit)


def work(
    root: Path,
    run_id: str,
    app_gone: Callable[[], bool],
    answer: Answer,
    peers: Peers | None = None,
    most_seconds: float | None = None,
) -> None:
    """Train one run to its end, whatever the end is; never raises.

    `most_seconds` is a limit for preparing and training it together.
    Where the peers did not come through it with this process, this process ends too.
    """
    from bert_demo.model.device import release_memory

    message: str = ""
    state = "failed"
    try:
        folder = run_folder(root, run_id)
        with held(folder / LOCK) as free:
            run = read_run(folder)
            if run is None or run.config is None:
                message = Text("The run's folder cannot be read.")
            elif not free:
                message = Text("Another process is training this run.")
            else:
                status = _train(run, app_gone, answer, peers, most_seconds)
                state, message = status.state, status.message
                write_status(folder, replace(status, ended=time.time(), seconds_left=None))
    except Exception as error:
        state, message = "failed", _sentence(error)
        with contextlib.suppress(OSError):  # the log may lie on the disk that is full
            traceback.print_exc()
    if peers is not None and not peers.part():
        # What is left of their group can hang; the app, which gets no answer, starts us anew.
        end_at_once("a process that trained along was lost")
    release_memory()  # the next run wants it
    answer({"run": run_id, "state": state, "message": message})


def _train(
    run: Run,
    app_gone: Callable[[], bool],
    answer: Answer,
    peers: Peers | None,
    most_seconds: float | None,
) -> Status:
    """Train until the end, an order or a failure; returns the status that the run ends with."""
    status = replace(
        run.status,
        state="running",
        message=Text("Preparing the text and the model."),
        started=time.time(),
        ended=None,
        worker_pid=os.getpid(),
        device_memory_bytes=None,
    )
    write_status(run.folder, status)
    answer({"run": run.id, "state": "running", "message": status.message})
    try:
        for latest in _follow(run, status, app_gone, peers, most_seconds):
            status = latest
    except Exception as error:
        _keep_details(run)
        status = replace(status, state="failed", message=_sentence(error))
    return status


def _follow(
    run: Run,
    status: Status,
    app_gone: Callable[[], bool],
    peers: Peers | None,
    most_seconds: float | None,
) -> Iterator[Status]:
    """Run the loop; yield the status after each event, the last of which is final."""
    import torch

    from bert_demo.model.device import peak_memory_bytes
    from bert_demo.training.cost import check_memory

    assert run.config is not None
    device = "cpu"
    preparation = Preparation(
        run,
        status,
        most_seconds or PREPARING_SECONDS,
        lambda: _cut_short(run, status, app_gone),
        lambda last: _leave(run, last, end_at_once),
    )
    events = _events(run, peers, most_seconds)
    written = 0.0
    try:
        with preparation, interruptible(preparation.is_to_end):
            check_memory(run.config)
            first = next(events)
    except Interrupted:
        yield preparation.outcome()
        return
    for event in itertools.chain([first], events):
        if event["event"] == "start":
            device = event["device"]
            status = replace(status, message=_what_it_does(event), step=event["step"])
        elif event["event"] == "step":
            status = replace(
                status,
                step=event["step"],
                seconds=event["seconds"],
                seconds_left=event["seconds_left"],
            )
        elif event["event"] == "moment" or event["event"] == "dropout":
            status = replace(status, message=event["message"])
        elif event["event"] == "end":
            status = replace(
                status,
                state=event["reason"],
                message=event["message"],
                scores=dict(event["scores"]),
            )
        if event["event"] != "start" and status.state == "running":
            status = _cut_short(run, status, app_gone)
        if status.state != "running":
            events.close()
            yield status
            return
        if time.monotonic() - written >= STATUS_SECONDS:
            if device != "cpu":
                held_there = peak_memory_bytes(torch.device(device))
                status = replace(status, device_memory_bytes=held_there)
            write_status(run.folder, status)
            written = time.monotonic()
        yield status


def _what_it_does(start: StartEvent) -> str:
    """Where the text is from, and what of the device is not used."""
    if "switched_off" not in start:
        return start["source"]
    off = fast_paths.told(start["switched_off"])
    return Text("{source} {off}", source=start["source"], off=off)


def _events(
    run: Run, peers: Peers | None, most_seconds: float | None
) -> Generator[Event, None, None]:
    """The events of training, together with the peers if they come, else alone."""
    from bert_demo.runs.film import film_of
    from bert_demo.training.distributed import PeerLostError, World
    from bert_demo.training.loop import train

    assert run.config is not None
    begin = functools.partial(
        train,
        run.config,
        run.model,
        resume=run.goes_on,
        overwrite=True,  # a run that was cut short before its first save begins again
        should_stop=lambda: wished(run.folder) == "stop",
        most_seconds=most_seconds,
        probe=film_of(run.config, run.questions),
    )
    if peers is not None:
        try:
            yield from begin(world=peers.world(run.config, run.goes_on, lambda: give_up(run)))
            return
        except PeerLostError:  # before the first event
            _keep_details(run)
            peers.dismiss()
    yield from begin(world=World())


def give_up(run: Run, end: Callable[[str], None] | None = None) -> None:
    """End this process (by `end`), which waits for a lost peer and cannot be woken."""
    latest = run
    with contextlib.suppress(UserError):
        latest = read_run(run.folder) or run
    message = Text("One of the processes of this run ended. {left}", left=latest.what_is_left)
    status = replace(latest.status, state="failed", message=message)
    _leave(run, status, end or end_at_once)


def _leave(run: Run, status: Status, end: Callable[[str], None]) -> None:
    """End this process in the middle of a run, which gets this status."""
    with contextlib.suppress(OSError):
        write_status(run.folder, replace(status, ended=time.time(), seconds_left=None))
    end(status.message)


def end_at_once(reason: str) -> None:
    """End this process without waiting for what other processes owe it."""
    with contextlib.suppress(OSError):
        print(reason, file=sys.stderr, flush=True)
    os._exit(1)


def _cut_short(run: Run, status: Status, app_gone: Callable[[], bool]) -> Status:
    """The status that the run gets if it has to be left now; else the same.

    Closing the loop saves its state, without the last validation that a stopped run gets.
    """
    if app_gone():
        message = Text("The app ended at step {n}; the run can go on from there.", n=status.step)
        return replace(status, state="interrupted", message=message)
    if wished(run.folder) == "pause":
        message = Text("Paused after {n} steps.", n=status.step)
        return replace(status, state="paused", message=message)
    return status


def _keep_details(run: Run) -> None:
    """Write the error that is being handled beside the run."""
    details = traceback.format_exc()
    with contextlib.suppress(OSError):
        (run.folder / ERRORS).write_text(details, encoding="utf-8")


def _sentence(error: Exception) -> Text:
    from bert_demo.training.failures import out_of_memory

    if isinstance(error, UserError):
        return error.text
    if out_of_memory(error):
        return Text("The memory was not enough to begin; take a smaller batch or a smaller model.")
    if isinstance(error, OSError):
        return Text(
            "A file could not be written or read: {reason}.", reason=error.strerror or str(error)
        )
    return Text(
        "internal error: {error}; the details are in {file} beside {run}.",
        error=type(error).__name__,
        file=ERRORS,
        run=RUN,
    )


def _step_back() -> None:
    """The page comes first: for the processor, and when memory runs out."""
    # Ctrl-C reaches every process of a terminal; the app ends this one by closing stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(AttributeError, OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")


def _listen(commands: queue.Queue[dict[str, Any] | None], app_gone: threading.Event) -> None:
    for line in sys.stdin:
        with contextlib.suppress(ValueError):
            commands.put(json.loads(line))
    app_gone.set()
    commands.put(None)


def _touch_local_corpora() -> None:
    """Prepare WikiText-2 while nobody waits, if it is on this computer: never by a download."""
    from bert_demo.data.prepare import prepare_text
    from bert_demo.data.whereabouts import whereabouts

    with contextlib.suppress(UserError, OSError):
        for split in ("train", "validation"):
            if whereabouts("wikitext-2").has(split):
                prepare_text("wikitext-2", split)


if __name__ == "__main__":
    prepare_process()
    main()
