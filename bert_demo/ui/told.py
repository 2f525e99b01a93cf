"""What anybody may be told of a run: without paths of this computer and names of own texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bert_demo.common.corpus_names import shown_corpus
from bert_demo.inference.entries import RUN, model_id
from bert_demo.model.folders import kept_steps
from bert_demo.runs.record import Run
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts.language import translate, without_places

Answer = dict[str, Any]


def status_of(context: AppContext, run: Run) -> Answer:
    """What `run_status` says of a run."""
    status = run.status
    place = context.queue.place(run.id)
    config = None if run.config is None else run.config.to_dict()
    if config is not None:
        config["corpus"] = shown_corpus(config["corpus"])
        config |= {name: origin(context, config[name]) for name in ("start_from", "teacher")}
    return {
        "run": run.id,
        "model": model_id(RUN, run.id) if run.has_model else None,
        "title": run.title,
        "state": status.state,
        "message": without_places(status.message),
        "step": status.step,
        "moments": kept_steps(run.model),
        "seconds": status.seconds,
        "seconds_left": status.seconds_left,
        "position": place.position,
        "expected_wait_seconds": place.expected_wait_seconds,
        "scores": status.scores,
        "diagnosis": _diagnosis(context, run),
        "settings": config,
    }


def _diagnosis(context: AppContext, run: Run) -> Answer | None:
    found = context.diagnoses.of(run.id)
    if found is None:
        return None
    return {
        "name": found.name,
        "seen": translate(found.seen),
        "advice": translate(found.advice),
        "usual": None if found.usual is None else translate(found.usual),
    }


def public_event(context: AppContext, event: Answer) -> Answer:
    """An event of a run without the paths of this computer."""
    if "corpus" in event:
        event = event | {"corpus": shown_corpus(event["corpus"])}
    if "started_from" in event:
        event = event | {"started_from": origin(context, event["started_from"])}
    return event


def origin(context: AppContext, folder: str | None) -> str | None:
    """The id of the model in a folder, or its bare name where it is none of the page's."""
    if folder is None:
        return None
    path = Path(folder).absolute()
    for entry in context.shelf.entries():
        if context.shelf.folder(entry.id).absolute() == path:
            return entry.id
    return path.name
