"""A trained checkpoint made small enough to come along with the project, with its card.

Weights in 16 or 8 bits, a curve of some hundred points, no path of the computer that it was
trained on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_demo.data.files import explained, writers_path
from bert_demo.inference.report import Report
from bert_demo.interop.card import model_card
from bert_demo.interop.sharing import without_paths, without_text
from bert_demo.model import checkpoint, unfinished
from bert_demo.model.folders import METRICS
from bert_demo.model.stored_weights import Storage
from bert_demo.training.events import Event
from bert_demo.training.recorder import read_metrics

CARD = "README.md"
_POINTS, _FRAMES = 200, 40


@dataclass(frozen=True, eq=False)
class Bundled(Report):
    """The small copy of a checkpoint."""

    out: str
    """Its folder."""
    bytes: int
    """The size of its weights."""


def bundle(
    source: str | Path,
    out: str | Path,
    *,
    storage: Storage = "fp16",
    notes: Sequence[str] = (),
    overwrite: bool = False,
) -> Bundled:
    """Write the small copy of the checkpoint in `source` to `out`.

    Args:
        storage: how its weights are stored, as for `checkpoint.save`.
        notes: paragraphs for its card, such as how it came about.
        overwrite: replace a checkpoint that is in `out` already.

    Raises:
        CheckpointError: `source` is no checkpoint, or `out` cannot be written.
        UserError: an unknown `storage`.
    """
    source, folder = Path(source), writers_path(out)
    checkpoint.check_writable(folder, overwrite=overwrite)
    model, tokenizer, _ = checkpoint.load(source)
    about = without_paths(checkpoint.read_config(source))["about"]
    events = read_metrics(source)
    statistics = checkpoint.statistics(source)
    checkpoint.save(folder, model, tokenizer, about, storage=storage, statistics=statistics)
    unfinished.remove_resume(folder)
    with explained(folder, "written"):
        lines = "".join(json.dumps(event) + "\n" for event in _thinned(events))
        (folder / METRICS).write_text(lines, encoding="utf-8")
        (folder / CARD).write_text(model_card(folder, notes=notes), encoding="utf-8")
        size = (folder / checkpoint.WEIGHTS).stat().st_size
    return Bundled(str(folder), size)


def _thinned(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Every start, validation and end, `_POINTS` of the steps, `_FRAMES` of the film's frames."""
    kept = set()
    for kind, most in (("step", _POINTS), ("probe", _FRAMES)):
        found = [event for event in events if event["event"] == kind]
        stride = max(1, math.ceil(len(found) / most))
        kept |= {id(event) for event in (*found[::stride], *found[-1:])}
    others = ("start", "validation", "end")
    chosen = [event for event in events if event["event"] in others or id(event) in kept]
    return [
        {name: value for name, value in event.items() if name not in ("source", "started_from")}
        for event in without_text(chosen)
    ]
