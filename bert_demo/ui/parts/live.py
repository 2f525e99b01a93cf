"""One run watched live: the component, and what it is told each time it asks.

The browser asks about once a second for what came after its cursor; the answer costs no queue
and no open connection, so a class of watchers costs a run next to nothing.
"""

from __future__ import annotations

import functools
import json
import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import psutil
from starlette.responses import Response

from bert_demo.common.corpus_names import shown_corpus
from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig
from bert_demo.data.corpora import corpus_spec, is_corpus
from bert_demo.inference.entries import BUNDLED, RUN, model_id
from bert_demo.model.folders import METRICS as METRICS_FILE
from bert_demo.model.metrics import METRICS
from bert_demo.runs.events import COLLAPSED, Events, Tail
from bert_demo.runs.record import TRAINING, Run, Status
from bert_demo.runs.references import references_of
from bert_demo.runs.turns import Place
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts import assets
from bert_demo.ui.parts.language import say, translate


@dataclass(frozen=True)
class WayOn:
    """Where the path leads from a run."""

    label: str
    """Of the button."""
    tab: str
    """The tab that it opens, with the run's model."""


_COLUMNS = (
    "step",
    "seconds",
    *METRICS,
    "examples_per_second",
    "seconds_left",
)
_MOST_POINTS = 6000
_MOST_FRAMES = 120
_FRESH_SECONDS = 1.0
_MOST_ANSWERS = 16
_LONGEST_ID = 100
_TEMPLATE = """
<div class="bd-live">
  <div class="bd-empty"><div>
    <strong>{title}</strong><br>{text}<p class="bd-others"></p>
  </div></div>
</div>
"""


def live_panel(context: AppContext, text: str, task: str, way_on: WayOn, elem_id: str) -> gr.HTML:
    """The panel that shows a run; its value is {"run": id or None, "others": [{id, title}]}.

    Where there is no run it plays the recorded one of a model that came along; `text` is what to
    do where there is none of these either.
    It fires `state` whenever the run has come to another state.
    """
    options = json.dumps(
        {"task": task, "next": say(way_on.label), "tab": way_on.tab, "collapsed": COLLAPSED}
    )
    first = FirstAnswers(context)

    def poll(request: Any) -> Any:
        begins = isinstance(request, dict) and not request.get("after")
        return first.response(request) if begins else answer(context, request)

    return gr.HTML(
        {"run": None, "others": []},
        html_template=_TEMPLATE.format(title=say("Nothing is training here yet"), text=text),
        js_on_load=assets.when_loaded(
            f"live(element, props, server, () => trigger('state'), watch, {options})"
        ),
        apply_default_css=False,
        server_functions=[poll],
        elem_id=elem_id,
    )


class FirstAnswers:
    """What browsers get that begin to watch a run: all of it, made once a second at most.

    A class that opens one link together asks for the same thousands of points. Whoever gets an
    answer that is a second old asks for the rest next.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._made: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def response(self, request: dict[str, Any]) -> Response:
        """The answer to {"run": id} or {"recorded": task}, as it is sent."""
        name = json.dumps([request.get("run"), request.get("recorded")])[:_LONGEST_ID]
        with self._lock:
            made, content = self._made.get(name, (0.0, b""))
            if not content or time.monotonic() - made > _FRESH_SECONDS:
                content = json.dumps(answer(self._context, request)).encode()
                self._made[name] = time.monotonic(), content
            self._made.move_to_end(name)
            while len(self._made) > _MOST_ANSWERS:
                self._made.popitem(last=False)
        return Response(content, media_type="application/json")


def answer(context: AppContext, request: Any) -> dict[str, Any]:
    """What is new about a run since a cursor: {"run": id, "after": cursor} as the browser asks."""
    try:
        if not isinstance(request, dict):
            raise UserError("The page asked for no run.")
        if "recorded" in request:
            return recorded(context, request["recorded"])
        after = request.get("after", 0)
        run = context.store.get(request.get("run", ""))
        events, cursor = context.store.events(run.id, after if isinstance(after, int) else 0)
    except UserError as error:
        return {"error": translate(error)}
    # The state is read after the events: a run said to be over has all its events in the answer.
    run = context.store.get(run.id)
    rewind = bool(events) and events[0]["event"] == "rewind"
    frames = [_spoken(frame) for frame in _thin(_of(events, "probe"), _MOST_FRAMES)]
    start = next(iter(reversed(_of(events, "start"))), None)
    if start is not None:  # no visitor is told of this computer's folders
        start = {name: value for name, value in start.items() if name != "started_from"}
        start["corpus"] = shown_corpus(start.get("corpus", ""))
    steps = _thin(_of(events, "step"), _MOST_POINTS)
    return {
        "after": cursor,
        "rewind": rewind,
        "model": model_id(RUN, run.id),
        "start": start,
        "references": None if start is None else _references(run.config),
        "end": _end(events),
        "steps": _columns(steps),
        "validations": _of(events, "validation"),
        "dropout": _dropout(events),
        "frames": frames,
        "diagnosis": _diagnosis(context, run),
        "status": _status(context, run),
    }


def _dropout(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Where dropout began on the way, and why."""
    found = next(iter(_of(events, "dropout")), None)
    return None if found is None else found | {"message": translate(found["message"])}


def _references(run: RunConfig | None) -> list[dict[str, Any]]:
    """Recorded runs of the same setting, to be drawn behind its curves."""
    return [] if run is None else [vars(one) for one in references_of(run)]


def _diagnosis(context: AppContext, run: Run) -> dict[str, str] | None:
    """Whether its curve is normal, and one thing to try."""
    found = context.diagnoses.of(run.id)
    if found is None:
        return None
    words = say("{some} {more}", some=found.seen, more=found.advice)
    return {"name": found.name, "words": words}


def recorded(context: AppContext, task: Any) -> dict[str, Any]:
    """The whole run of the first model that came along and has kept its run, as `answer` has it.

    Raises `UserError` where there is none.
    """
    for entry in context.shelf.entries(task if isinstance(task, str) else None):
        folder = context.shelf.folder(entry.id)
        events = _whole(folder / METRICS_FILE) if entry.home == BUNDLED else []
        start, end = next(iter(_of(events, "start")), None), _end(events)
        if start is None or end is None or (task == "pretraining" and not _of(events, "probe")):
            continue
        return {
            "after": 0,
            "rewind": False,
            "model": entry.id,
            "start": start,
            "references": _references(entry.about.run),
            "end": end,
            "steps": _columns(_of(events, "step")),
            "validations": _of(events, "validation"),
            "dropout": _dropout(events),
            "frames": [_spoken(frame) for frame in _of(events, "probe")],
            "status": {
                "state": "completed",
                "title": entry.title,
                "task": start["task"],
                "message": "",
                "place": None,
                "memory": None,
                "seconds": end["seconds"],
                "corpus": _described(start["corpus"]),
            },
        }
    raise UserError("No model that came along has kept its run.")


@functools.lru_cache(maxsize=8)
def _whole(path: Path) -> Events:
    """The events of a model that came along, whose file stays as it is."""
    return Tail(path).since(0)[0]


def _described(corpus: str) -> str:
    if corpus == "crane-world":
        return say("Crane World, a made-up world where “crane” has four senses")
    return corpus_spec(corpus).title if is_corpus(corpus) else corpus


def _of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def _spoken(frame: dict[str, Any]) -> dict[str, Any]:
    """A frame of the film with the senses' names in the page's language."""
    likeness = frame.get("similarities")
    if not likeness:
        return frame
    senses = [translate(sense) for sense in likeness["senses"]]
    return frame | {"similarities": likeness | {"senses": senses}}


def _end(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The end, unless the run went on after it."""
    telling = (e for e in reversed(events) if e["event"] in ("end", "step", "start"))
    last = next(telling, None)
    return last if last is not None and last["event"] == "end" else None


def _thin(events: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Every so many, and the last: for who comes late to a long run."""
    every = math.ceil(len(events) / most)
    return events if every <= 1 else [*events[:-1:every], events[-1]]


def _columns(steps: list[dict[str, Any]]) -> dict[str, list[Any]]:
    if not steps:
        return {}
    return {
        name: [_short(step.get(name)) for step in steps] for name in _COLUMNS if name in steps[-1]
    }


def _short(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _status(context: AppContext, run: Run) -> dict[str, Any]:
    status, place, message = run.status, None, translate(run.status.message)
    if status.state == "queued":
        place = context.queue.place(run.id)
        message = _waiting(context, place)
    return {
        "state": status.state,
        "title": run.title,
        "task": "pretraining" if run.config is None else run.config.task,
        "message": message,
        "place": None if place is None else place.position,
        "memory": _memory(status) if status.state in TRAINING else None,
    }


def _waiting(context: AppContext, place: Place) -> str:
    if context.queue.problem:
        return translate(context.queue.problem)
    if place.position <= 1:
        ready = context.queue.ready
        return say("Next in the queue.") if ready else say("The training process warms up.")
    wait = place.expected_wait_seconds
    if wait < 120:
        words = say("about {n} seconds", n=f"{wait:.0f}")
    else:
        words = say("about {n} minutes", n=f"{wait / 60:.0f}")
    return say("Place {n} in the queue, {wait} to wait.", n=place.position, wait=words)


def _memory(status: Status) -> int | None:
    """What training holds, in bytes: on its GPU, else in its process, while there is one."""
    if status.device_memory_bytes is not None:
        return status.device_memory_bytes
    if status.worker_pid is None:
        return None
    try:
        return int(psutil.Process(status.worker_pid).memory_info().rss)
    except (psutil.Error, TypeError, ValueError):
        return None
