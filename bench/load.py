"""A class on one page: watchers who poll a run as the page's script does, and people who do things.

    python -m bench.load

Everything stays on 127.0.0.1. Two hundred watchers ask for the news of one run as often as the
page's script does while it trains; thirty actors open the page, list the models, ask two of them,
start a run of five seconds, ask how it is, and stop it, over and over, with a second between two
acts. An act that takes several requests is timed as a whole.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench import machine, results
from bench.served import JSON, Answer, app, call, event, json_bytes, panel_id

_POLL_SECONDS = 0.9
_PAUSE_SECONDS = 1.0
_PATIENCE = 60.0
_JUDGE, _PRETRAINED = "bundled/bert-small-snli", "bundled/bert-crane-world"
_CRANES = ["The crane lifted the steel beam.", "A white crane stood in the shallow water."]


@dataclass
class Seen:
    """What the clients saw."""

    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: Counter[str] = field(default_factory=Counter)
    """Refusals in words, by act."""
    faults: Counter[str] = field(default_factory=Counter)

    async def act(self, kind: str, doing: Awaitable[Answer]) -> Answer:
        """Time one act, and count what went wrong."""
        begin = time.perf_counter()
        try:
            answer = await doing
        except httpx.HTTPError as error:
            answer = Answer(0, "")
            self.faults[f"{kind}: {type(error).__name__}"] += 1
        self.seconds[kind].append(time.perf_counter() - begin)
        if answer.code >= 500:
            self.faults[f"{kind}: {answer.code}"] += 1
        elif answer.words:
            self.refused[kind] += 1
        elif answer.code and not answer.done:
            self.faults[f"{kind}: no words"] += 1
        return answer


async def watch(client: httpx.AsyncClient, seen: Seen, panel: int, run: str, until: float) -> None:
    """One watcher."""
    session, after = secrets.token_hex(5), 0
    while time.perf_counter() < until:
        answer = await seen.act("poll", _poll(client, panel, session, run, after))
        after = answer.value if answer.done else after
        await asyncio.sleep(_POLL_SECONDS)


async def _poll(
    client: httpx.AsyncClient, panel: int, session: str, run: str, after: int
) -> Answer:
    wish = {
        "session_hash": session,
        "component_id": panel,
        "fn_name": "poll",
        "data": {"run": run, "after": after},
    }
    path = "/gradio_api/component_server"
    answer = await client.post(path, content=json_bytes(wish), headers=JSON)
    if answer.status_code != 200:
        return Answer(answer.status_code, answer.text)
    news = answer.json()
    return Answer(200, news.get("error", ""), news.get("after"), "error" not in news)


async def open_page(client: httpx.AsyncClient, arriving: int) -> Answer:
    """What a browser asks for before it shows the page, its script and style left out."""
    for path in ("/", "/config"):
        answer = await client.get(path)
        if answer.status_code != 200:
            return Answer(answer.status_code, answer.text)
    return await event(client, arriving, [{"token": "", "admin": ""}, "", ""])


async def person(client: httpx.AsyncClient, seen: Seen, arriving: int, until: float) -> None:
    """One actor."""
    token, run = secrets.token_hex(8), ""

    acts: dict[str, Callable[[], Awaitable[Answer]]] = {
        "open the page": lambda: open_page(client, arriving),
        "list_models": lambda: call(client, "list_models", ""),
        "classify": lambda: call(client, "classify", _JUDGE, "A man eats.", "A man sleeps."),
        "fill_mask": lambda: call(client, "fill_mask", _PRETRAINED, "The <mask> flew away.", 5),
        "compare": lambda: call(client, "compare", _PRETRAINED, "crane", _CRANES, -1, None),
        "start_run": lambda: call(
            client, "start_run", "pretraining", "crane-world", 5.0, "", None, "", token
        ),
        "run_status": lambda: call(client, "run_status", run),
        "stop_run": lambda: call(client, "stop_run", run, token),
    }
    while True:
        for kind, act in acts.items():
            if time.perf_counter() > until:
                return
            if kind in ("run_status", "stop_run") and not run:
                continue  # the start was refused
            answer = await seen.act(kind, act())
            if kind == "start_run":
                run = answer.value["run"] if answer.done else ""
            await asyncio.sleep(_PAUSE_SECONDS)


async def crowd(url: str, watchers: int, actors: int, seconds: float) -> Seen:
    """All of them at once."""
    seen, panel = Seen(), panel_id(url)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=url, timeout=_PATIENCE, limits=limits, trust_env=False
    ) as client:
        config = (await client.get("/config")).json()
        events = config["dependencies"]
        arriving = max(e["id"] for e in events if any(t[1] == "load" for t in e["targets"]))
        # The run that all watch is in training from before the first poll to after the last.
        watched: dict[str, Any] = {}
        while not watched:
            answer = await call(
                client, "start_run", "pretraining", "crane-world", seconds + 30, "", None, "", "w"
            )
            watched = answer.value or {}
            await asyncio.sleep(0 if watched else 2)
        until = time.perf_counter() + seconds
        everybody = [watch(client, seen, panel, watched["run"], until) for _ in range(watchers)]
        everybody += [person(client, seen, arriving, until) for _ in range(actors)]
        await asyncio.gather(*everybody)
    return seen


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description="Put a class on the page.")
    parser.add_argument("--watchers", type=int, default=200)
    parser.add_argument("--actors", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=120)
    flags = parser.parse_args()
    load = machine.load()
    with (
        tempfile.TemporaryDirectory() as home,
        machine.own_cache(),
        app(Path(home)) as up,
    ):
        time.sleep(10)  # the models are loaded behind the page
        before, begin = up.usage(), time.perf_counter()
        seen = asyncio.run(crowd(up.url, flags.watchers, flags.actors, flags.seconds))
        seconds, after = time.perf_counter() - begin, up.usage()
        log = up.log.read_text(encoding="utf-8", errors="replace")
    if "Traceback" in log:
        seen.faults["tracebacks in the log"] = log.count("Traceback")
        print(log[-4000:])
    share = (after["cpu"] - before["cpu"]) / seconds
    asked = sum(map(len, seen.seconds.values()))
    lines = [
        f"Measured by `python -m bench.load`: {flags.watchers} watchers of one run in training and",
        f"{flags.actors} people who act, for {flags.seconds:g} s; the app, its worker and all of",
        "these clients share the processor.",
        "",
        *machine.describe(load, "gradio"),
        "",
        "| Act | times | refused in words | median | 95% | longest |",
        "|---|---|---|---|---|---|",
        *(_row(kind, taken, seen.refused[kind]) for kind, taken in seen.seconds.items()),
        "",
        f"{asked:,} acts; faults (5xx, no words, no answer): {_faults(seen)}. The app without its",
        f"worker took {share:.0%} of a core, held {before['memory'] / 1e6:.0f} MB and",
        f"{before['files']} open files before, {after['memory'] / 1e6:.0f} MB and {after['files']}",
        "after.",
    ]
    results.write_section("A class on one page", lines)
    sys.exit(bool(seen.faults))


def _row(kind: str, taken: list[float], refused: int) -> str:
    half, most, longest = np.quantile(taken, [0.5, 0.95, 1])
    times = f"{half:.2f} s | {most:.2f} s | {longest:.2f} s"
    return f"| {kind} | {len(taken):,} | {refused:,} | {times} |"


def _faults(seen: Seen) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in seen.faults.items()) or "none"


if __name__ == "__main__":
    main()
