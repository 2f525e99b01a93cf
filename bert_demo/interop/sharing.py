"""What leaves this computer with a model: its description without paths, its numbers as a table.

Of somebody's own text there is neither a sentence nor what its files are called; that the
vocabulary is made of its words cannot be helped.

No torch here: the page opens with this module.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PureWindowsPath
from typing import Any

from bert_demo.common.corpus_names import OWN_PREFIXES, own_task
from bert_demo.model.folders import MODEL

_FIRST = ("event", "step", "seconds")
_KINDS = ("step", "validation")
_NAMELESS = "text-0000000000000000"
_PATHS = (("run", "start_from"), ("run", "teacher"), ("facts", "started_from"))


def metrics_csv(events: Sequence[Mapping[str, Any]]) -> str:
    """The steps and validations of a run as comma-separated values, names first."""
    kept = [event for event in events if event["event"] in _KINDS]
    names = dict.fromkeys([*_FIRST, *(name for event in kept for name in event)])
    out = io.StringIO()
    writer = csv.DictWriter(out, list(names), restval="")
    writer.writeheader()
    writer.writerows(kept)
    return out.getvalue()


def model_name(folder: str) -> str:
    """What a checkpoint's folder is called, without saying where on this computer it is."""
    path = PureWindowsPath(folder)  # which knows both kinds of slashes
    return path.parent.name if path.name == MODEL else path.name


def without_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's config.json that says nothing of the folders of the computer it is on.

    What remains is what the weights belong to, so the checkpoint loads as before.
    """
    about = config.get("about")
    if not isinstance(about, dict):
        return dict(config)
    about = dict(about)
    for part, name in _PATHS:
        values = about.get(part)
        if isinstance(values, dict) and isinstance(values.get(name), str):
            about[part] = values | {name: model_name(values[name])}
    source = about.get("source")
    # An imported model's source is a folder or a repository's name: only folders are absolute.
    if isinstance(source, str) and (source.startswith(("/", "~")) or ":" in source):
        about["source"] = model_name(source)
    for part in ("run", "facts"):
        values = about.get(part)
        if isinstance(values, dict) and (task := own_task(values.get("corpus", ""))) is not None:
            about[part] = {n: v for n, v in values.items() if n != "source"}
            about[part]["corpus"] = f"{OWN_PREFIXES[task]}{_NAMELESS}"
    return {**config, "about": about}


def without_text(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A run's events without the sentences of somebody's own text, and what it is called."""
    shown, own = [], False
    for event in events:
        event = dict(event)
        if event["event"] == "start":
            task = own_task(str(event.get("corpus")))
            own = task is not None
            if task is not None:
                event["corpus"] = f"{OWN_PREFIXES[task]}{_NAMELESS}"
        if own:
            for name in ("blanks", "source"):
                event.pop(name, None)
        shown.append(event)
    return shown
