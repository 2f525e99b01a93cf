"""How quickly the page comes up, and what fifty watchers cost a run that they watch.

    python -m bench.page

Everything stays on 127.0.0.1. The app is started several times with an empty data folder and asked
until it answers. Then two runs of the same length train on Crane World, one alone and one with
watchers who poll as the page's own script does, once a second each; who begins changes from round
to round. A watcher's curve is behind by the age of the oldest step that it does not show yet, taken
just before its next answer arrives.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from gradio_client import Client

from bench.served import app, panel_id


def appearances(metrics: Path, steps: dict[int, float], over: threading.Event) -> None:
    """Note when each step's line appeared in the run's file, until told to end."""
    read = 0
    while not over.wait(0.02):
        if not metrics.exists():
            continue
        with metrics.open(encoding="utf-8") as file:
            file.seek(read)
            for line in iter(file.readline, ""):
                if not line.endswith("\n"):
                    break
                read = file.tell()
                event = json.loads(line)
                if event["event"] == "step":
                    steps.setdefault(event["step"], time.perf_counter())


async def watch(
    url: str, body: dict[str, Any], until: float, seen: dict[int, float]
) -> list[float]:
    """Poll as a browser does; returns how far behind the curve was before each answer."""
    behind = []
    shown = after = 0
    async with httpx.AsyncClient(timeout=30) as client:
        while time.perf_counter() < until:
            request = {**body, "data": {"run": body["data"]["run"], "after": after}}
            answer = await client.post(f"{url}/gradio_api/component_server", json=request)
            answer.raise_for_status()
            now, news = time.perf_counter(), answer.json()
            if shown + 1 in seen and shown:
                behind.append(now - seen[shown + 1])
            after = news["after"]
            shown = max([shown, *news["steps"].get("step", [])])
            await asyncio.sleep(1)
    return behind


def one_run(url: str, folder: Path, seconds: float, watchers: int) -> dict[str, Any]:
    """Train once; returns its pairs a second, and how far behind the watchers were."""
    client = Client(url, verbose=False)
    run = client.predict("pretraining", "crane-world", seconds, api_name="/start_run")["run"]
    steps: dict[int, float] = {}
    over = threading.Event()
    metrics = folder / "runs" / run / "model" / "metrics.jsonl"
    tail = threading.Thread(target=appearances, args=(metrics, steps, over))
    tail.start()
    while len(steps) < 3:
        time.sleep(0.05)
    behind: list[float] = []
    if watchers:
        panel = panel_id(url)
        until = time.perf_counter() + seconds - 2

        async def all_of_them() -> list[list[float]]:
            bodies = [
                {"session_hash": f"w{i}", "component_id": panel, "fn_name": "poll"}
                for i in range(watchers)
            ]
            data = {"data": {"run": run}}
            return await asyncio.gather(*(watch(url, b | data, until, steps) for b in bodies))

        behind = [age for one in asyncio.run(all_of_them()) for age in one]
    while client.predict(run, api_name="/run_status")["state"] not in ("completed", "failed"):
        time.sleep(0.5)
    over.set()
    tail.join()
    client.close()
    last = max(steps)
    speed = (last - 3) / (steps[last] - steps[3])
    return {"steps_per_second": speed, "behind": behind}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the page.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--watchers", type=int, default=50)
    flags = parser.parse_args()
    os.environ["BERT_DEMO_CACHE"] = tempfile.mkdtemp()
    starts = []
    for _ in range(flags.rounds):
        with tempfile.TemporaryDirectory() as home, app(Path(home)) as up:
            starts.append(up.seconds)
    print(f"start to answer: median {median(starts):.1f} s, worst {max(starts):.1f} s", flush=True)
    with tempfile.TemporaryDirectory() as home, app(Path(home)) as up:
        one_run(up.url, up.folder, 5, 0)  # the worker is warm from here on
        ratios, behind = [], []
        for number in range(flags.rounds):
            order = (0, flags.watchers) if number % 2 == 0 else (flags.watchers, 0)
            found = {n: one_run(up.url, up.folder, flags.seconds, n) for n in order}
            watched = found[flags.watchers]
            ratios.append(watched["steps_per_second"] / found[0]["steps_per_second"])
            behind += watched["behind"]
            print(f"round {number + 1}: {ratios[-1]:.3f} of the speed alone", flush=True)
    behind.sort()
    print(f"speed with {flags.watchers} watchers: {median(ratios):.3f} of the speed alone")
    print(f"behind: median {median(behind):.2f} s, worst {behind[-1]:.2f} s, {len(behind)} answers")


if __name__ == "__main__":
    main()
