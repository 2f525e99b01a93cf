"""Ten thousand calls that no honest visitor makes, to everything that the page's server answers.

    python -m bench.hostile

Everything stays on 127.0.0.1. The app is served as to the public. Calls with values, bodies and
paths of bench/hostile_input.py go to the endpoints of the API, to the page's own events through the
queue, to the functions of its components and to every route of the server. Each call is drawn from
the seed and its number alone, so that `--only` repeats it. A finding is: an answer of 5xx, a
refusal without a word, an error of the page's own, a traceback or a path of this computer in an
answer, no answer in time; and afterwards a traceback in the log, or a server that is slow or gone.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench import hostile_input, machine, results
from bench.served import ROOT, Answer, App, app, called, fetch, joined, json_bytes, post
from bert_demo.ui.api import NAMES

_PATIENCE = 60.0
_AT_ONCE = 8
_SHOWN = 300
_BUGS = ("Something went wrong here", "a reason that is the page's own")
_POSTED = ("call/{}", "call/v2/{}", "run/{}", "api/{}", "queue/join", "component_server", "cancel")


@dataclass
class Target:
    """What there is to attack, as the server itself tells."""

    events: dict[int, list[Any]]
    """What the inputs of each of the page's events hold as the page opens."""
    components: list[int]
    routes: list[tuple[str, str]]
    """(method, path)."""


@dataclass
class Found:
    """What came of all calls."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0


async def target_of(client: httpx.AsyncClient) -> Target:
    """Ask the app what it offers."""
    config = (await client.get("/config")).json()
    held = {c["id"]: c["props"].get("value") for c in config["components"]}
    events = {
        d["id"]: [held[name] for name in d["inputs"]]
        for d in config["dependencies"]
        if d["backend_fn"]
    }
    paths = (await client.get("/openapi.json")).json()["paths"]
    routes = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    routes += [("GET", f"/gradio_api/{name}{{path}}") for name in ("file=", "file/", "proxy=")]
    routes += [("GET", "/{path}"), ("GET", "/static/{path}"), ("GET", "/assets/{path}")]
    return Target(events, [c["id"] for c in config["components"]], sorted(set(routes)))


async def attack(
    client: httpx.AsyncClient, target: Target, draw: random.Random
) -> tuple[str, Answer]:
    """One call: (its kind, its answer)."""
    kind = draw.choice(("endpoint", "endpoint", "event", "event", "component", "body", "route"))
    name = draw.choice(NAMES)
    if kind == "endpoint":
        wish: dict[str, Any] = {"data": hostile_input.arguments(draw, name)}
        if draw.random() < 0.2:
            return kind, await post(client, f"run/{name}", json_bytes(wish))
        return kind, await called(client, f"/gradio_api/call/{name}", json_bytes(wish))
    if kind == "event":
        index, session = draw.choice([*target.events]), f"{draw.getrandbits(40):x}"
        data = hostile_input.inputs(draw, target.events[index])
        wish = {"fn_index": index, "data": data, "session_hash": session}
        if draw.random() < 0.2:
            wish[draw.choice(("event_data", "trigger_id", "fn_index"))] = hostile_input.value(draw)
        return kind, await joined(client, json_bytes(wish), session)
    if kind == "component":
        component: Any = draw.choice(target.components)
        wish = {
            "component_id": component if draw.random() < 0.8 else hostile_input.value(draw),
            "fn_name": draw.choice(("poll", "poll", "current", "__init__", "preprocess", "")),
            "session_hash": "hostile",
            "data": hostile_input.value(draw),
        }
        return kind, await post(client, "component_server", json_bytes(wish))
    if kind == "body":
        content, form = hostile_input.body(draw)
        return kind, await post(client, draw.choice(_POSTED).format(name), content, form)
    method, route = draw.choice(target.routes)
    return kind, await fetch(client, method, hostile_input.path(draw, route))


def faults_of(answer: Answer, seconds: float, places: Sequence[str]) -> list[str]:
    """What is wrong with an answer."""
    faults = []
    if answer.code >= 500:
        faults.append(f"answer {answer.code}")
    elif not answer.code:
        faults.append("no answer")
    elif not answer.done and not answer.words and '"error"' in answer.text:
        faults.append("a refusal without a word")
    if any(words in answer.text for words in _BUGS):
        faults.append("an error of the page's own")
    if "Traceback (most recent" in answer.text:
        faults.append("a traceback in an answer")
    faults += [f"{place} in an answer" for place in places if place in answer.text]
    # A table may be judged for minutes, and says all the while how far it is.
    if seconds > _PATIENCE and "process_generating" not in answer.text:
        faults.append(f"{seconds:.0f} s")
    return faults


async def attack_all(app: App, seed: int, numbers: Sequence[int], seconds: float) -> Found:
    """Make all calls, several at a time, or as many as there is time for."""
    found, waiting, end = Found(), iter(numbers), time.perf_counter() + seconds
    places = [str(app.folder), str(ROOT), sys.prefix, str(Path.home()) + "/", "site-packages"]
    limits = httpx.Timeout(_PATIENCE)
    async with httpx.AsyncClient(base_url=app.url, timeout=limits, trust_env=False) as client:
        target = await target_of(client)

        async def visitor() -> None:
            for number in waiting:
                if time.perf_counter() > end:
                    return
                draw, begin = random.Random(f"{seed} {number}"), time.perf_counter()
                try:
                    kind, answer = await attack(client, target, draw)
                except httpx.HTTPError as error:
                    kind, answer = "broken off", Answer(0, "", text=f"{error!r}")
                taken = time.perf_counter() - begin
                found.slowest = max(found.slowest, taken)
                found.answers[kind, outcome(answer)] += 1
                faults = faults_of(answer, taken, places)
                found.faults += [f"call {number}, {kind}: {fault}" for fault in faults]
                if faults and len(found.faults) < 100:
                    print(number, kind, faults, answer.text[:_SHOWN], flush=True)

        await asyncio.gather(*(visitor() for _ in range(_AT_ONCE)))
        begin = time.perf_counter()
        calm = await fetch(client, "GET", "/")
        if calm.code != 200 or time.perf_counter() - begin > 5:
            found.faults.append("the page does not answer in time afterwards")
    return found


def outcome(answer: Answer) -> str:
    """What kind of answer it is."""
    if answer.code != 200:
        return str(answer.code)
    return "done" if answer.done else "refused in words" if answer.words else "no words"


def main() -> None:
    """Attack and write the section."""
    parser = argparse.ArgumentParser(description="Attack the page.")
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=3600, help="the most that they may take")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of calls to repeat")
    flags = parser.parse_args()
    load = machine.load()
    with tempfile.TemporaryDirectory() as home, machine.own_cache():
        flags_of_app = ("--public", "--max-run-seconds", "2")
        with app(Path(home), *flags_of_app) as up:
            time.sleep(10)  # the models are loaded behind the page
            before, begin = up.usage(), time.perf_counter()
            numbers = range(flags.calls) if flags.only is None else flags.only
            found = asyncio.run(attack_all(up, flags.seed, numbers, flags.seconds))
            seconds, after = time.perf_counter() - begin, up.usage()
        log = up.log.read_text(encoding="utf-8", errors="replace")
    if "Traceback" in log:
        found.faults.append(f"{log.count('Traceback')} tracebacks in the log")
        print(log[-200_000:])
    print(*Counter(f.partition(": ")[2] or f for f in found.faults).items(), sep="\n")
    print(found.answers)
    lines = [
        f"Measured by `python -m bench.hostile --calls {flags.calls} --seed {flags.seed}`, on an",
        "app that is served as to the public.",
        "",
        *machine.describe(load, "gradio"),
        "",
        *table(found),
        "",
        f"Findings: {len(found.faults)} in {sum(found.answers.values()):,} calls",
        f"({seconds:,.0f} s, {_AT_ONCE} at a time); the slowest answer took {found.slowest:.1f} s.",
        f"The app held {before['memory'] / 1e6:.0f} MB and {before['files']} files before,",
        f"{after['memory'] / 1e6:.0f} MB and {after['files']} after.",
    ]
    if flags.only is None:
        results.write_section("Hostile calls", lines)
    sys.exit(bool(found.faults))


def table(found: Found) -> list[str]:
    """The answers by kind of call."""
    kinds = sorted({kind for kind, _ in found.answers})
    columns = sorted({name for _, name in found.answers})
    lines = [f"| Call | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for kind in kinds:
        counts = [f"{found.answers[kind, name]:,}" for name in columns]
        lines.append(f"| {kind} | {' | '.join(counts)} |")
    return lines


if __name__ == "__main__":
    main()
