"""What a run's checkpoint says of it: its text, its baselines, its results, its settings."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from bert_demo.common.corpus_names import shown_corpus
from bert_demo.config import TASKS
from bert_demo.data.corpora import corpus_spec
from bert_demo.data.files import FileStamp, file_stamp
from bert_demo.inference.results import Result, read_result
from bert_demo.interop.sharing import model_name
from bert_demo.model.about import About, read_about
from bert_demo.model.folders import CONFIG, read_json
from bert_demo.model.metrics import Metric
from bert_demo.runs.record import Run


def task_of(run: Run) -> str:
    """ "pretraining" or "nli"."""
    if run.config is not None:
        return run.config.task
    task = (_stored(run) or {}).get("task")
    return task if task in tuple(TASKS) else "pretraining"


def corpus_of(run: Run) -> str:
    """The title of the text that it learns from; empty where that is not known."""
    return "" if run.config is None else corpus_spec(run.config.corpus).title


def baseline_of(run: Run, metric: Metric) -> float | None:
    """What a run has to beat by this metric; None where that is not known."""
    return _about(run).baselines.get(metric.baseline or "")


def result_of(run: Run) -> Result | None:
    """How good it was in the end; None while that is not known."""
    return read_result(task_of(run), run.status.scores, _about(run).baselines)


def settings_of(run: Run) -> dict[str, Any]:
    """All its settings by name, and the facts that follow from them and the computer."""
    settings: dict[str, Any] = {}
    if run.config is not None:
        settings = run.config.to_dict()
        settings |= settings.pop("training")
        settings["corpus"] = shown_corpus(settings["corpus"])
        for name in ("start_from", "teacher"):
            if settings[name] is not None:
                settings[name] = model_name(settings[name])
    facts = _about(run).facts
    return settings | {
        name: facts[name] for name in ("vocab_size", "parameters", "device") if name in facts
    }


def _about(run: Run) -> About:
    return read_about(_stored(run))


def _stored(run: Run) -> dict[str, Any] | None:
    path = run.model / CONFIG
    stamp = file_stamp(path)
    return None if stamp is None else _read(path, stamp)


@functools.lru_cache(maxsize=512)
def _read(path: Path, stamp: FileStamp) -> dict[str, Any] | None:
    return read_json(path)
