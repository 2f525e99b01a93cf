"""What is known of a run beyond its status: its results, its settings, its baselines."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from bert_demo.data.corpora import CORPORA
from bert_demo.data.files import FileStamp, file_stamp
from bert_demo.interop.sharing import model_name
from bert_demo.model.about import read_about
from bert_demo.model.metrics import ACCURACY, MLM_LOSS, Metric
from bert_demo.runs.record import CHECKPOINT, Run, read_json
from bert_demo.ui.parts.language import later, say

_ON_TEST, _ON_VALIDATION = later("on the test split"), later("on the validation split")


def task_of(run: Run) -> str:
    """ "pretraining" or "nli"."""
    if run.config is not None:
        return run.config.task
    return str((_stored(run) or {}).get("task", "pretraining"))


def corpus_of(run: Run) -> str:
    """The title of the text that it learns from; empty where that is not known."""
    return "" if run.config is None else CORPORA[run.config.corpus].title


def baseline_of(run: Run, metric: Metric) -> float | None:
    """What a run has to beat by this metric; None where that is not known."""
    return read_about(_stored(run)).baselines.get(metric.baseline or "")


def result_of(run: Run) -> tuple[float, str, str] | None:
    """How good it was in the end: what to sort by, words, more words; None while not known.

    Pretraining: how far the masked-LM loss on held-out text is below that of guessing by word
    frequency. Fine-tuning: accuracy on the test split, else on the validation split.
    """
    scores = run.status.scores
    if task_of(run) == "nli":
        test = scores.get("test")
        where, found = (_ON_TEST, test) if isinstance(test, dict) else (_ON_VALIDATION, scores)
        accuracy = found.get(ACCURACY.name)
        if not isinstance(accuracy, float):
            return None
        return accuracy, say("{share} right", share=f"{accuracy:.1%}"), say(where)
    loss, baseline = scores.get(MLM_LOSS.name), baseline_of(run, MLM_LOSS)
    if not isinstance(loss, float):
        return None
    words = say("loss {n}", n=f"{loss:.2f}")
    if baseline is None:
        return -loss, words, ""
    return baseline - loss, words, _against(baseline - loss)


def score_of(run: Run) -> float | None:
    """What the best-of-class tables rank by: only what is comparable between runs."""
    if task_of(run) == "nli":
        test = run.status.scores.get("test")
        accuracy = test.get(ACCURACY.name) if isinstance(test, dict) else None
        return accuracy if isinstance(accuracy, float) else None
    loss, baseline = run.status.scores.get(MLM_LOSS.name), baseline_of(run, MLM_LOSS)
    return baseline - loss if isinstance(loss, float) and baseline is not None else None


def settings_of(run: Run) -> dict[str, Any]:
    """All its settings by name, and the facts that follow from them and the computer."""
    settings: dict[str, Any] = {}
    if run.config is not None:
        settings = run.config.to_dict()
        settings |= settings.pop("training")
        if settings["start_from"] is not None:
            settings["start_from"] = model_name(settings["start_from"])
    facts = read_about(_stored(run)).facts
    for name in ("vocab_size", "parameters", "device"):
        if name in facts:
            settings[name] = facts[name]
    return settings


def _stored(run: Run) -> dict[str, Any] | None:
    path = run.model / CHECKPOINT
    stamp = file_stamp(path)
    return None if stamp is None else _read(path, stamp)


@functools.lru_cache(maxsize=512)
def _read(path: Path, stamp: FileStamp) -> dict[str, Any] | None:
    return read_json(path)


def _against(gain: float) -> str:
    words = f"{abs(gain):.2f}"
    if gain >= 0:
        return say("{n} below word frequency", n=words)
    return say("{n} above word frequency", n=words)
