"""Several runs beside each other, as plain data: the list, curves, differences, the best ones."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_demo.data.sources import CORPORA
from bert_demo.runs.record import CHECKPOINT, Run, read_json
from bert_demo.runs.store import RunStore
from bert_demo.ui.figures import Figure, plain
from bert_demo.ui.theme import SERIES
from bert_demo.ui.view import Block, chart, heading, table, text

MOST_CHOSEN = 8
_MOST_POINTS = 400
_BEST = 10
_HEIGHT = 340
_COLOURS = tuple(f"var(--series-{i}, {colour})" for i, colour in enumerate(SERIES, 1))
_DASHES = ("solid", "dash", "dot", "dashdot")
_SOFT = "var(--body-text-color-subdued, #666666)"
_LINES = "var(--border-color-primary, #dddddd)"
_TASKS = {"pretraining": "pretraining", "nli": "fine-tuning"}


@dataclass(frozen=True)
class _Curve:
    """One number of a run over time, and what is known to be its starting point."""

    name: str
    title: str
    baseline: str
    """Its name among the baselines of the run."""
    baseline_words: str


_CURVES = {
    "pretraining": (
        _Curve("mlm_loss", "Masked-LM loss (nats)", "unigram", "word frequency"),
        _Curve("nsp_loss", "Next-sentence loss (nats)", "coin", "a coin"),
    ),
    "nli": (
        _Curve("loss", "Loss (nats)", "uniform", "three equal guesses"),
        _Curve("accuracy", "Accuracy", "chance", "chance"),
    ),
}


def task_of(run: Run) -> str:
    """ "pretraining" or "nli"."""
    if run.config is not None:
        return run.config.task
    return str((_stored(run) or {}).get("task", "pretraining"))


def facts_of(run: Run) -> Mapping[str, Any]:
    """What its checkpoint says of it: baselines, device, number of parameters."""
    about = (_stored(run) or {}).get("about")
    facts = about.get("facts") if isinstance(about, dict) else None
    return facts if isinstance(facts, dict) else {}


def result_of(run: Run) -> tuple[float, str] | None:
    """How good it was in the end, as (what to sort by, words); None while that is not known.

    Pretraining: how far the masked-LM loss on held-out text is below that of guessing by word
    frequency. Fine-tuning: accuracy on the test split, else on the validation split.
    """
    scores = run.status.scores
    if task_of(run) == "nli":
        test = scores.get("test")
        split, found = ("test", test) if isinstance(test, dict) else ("validation", scores)
        accuracy = found.get("accuracy")
        if not isinstance(accuracy, float):
            return None
        return accuracy, f"{accuracy:.1%} right ({split})"
    loss, baseline = scores.get("mlm_loss"), _baseline(run, "unigram")
    if not isinstance(loss, float):
        return None
    if baseline is None:
        return -loss, f"loss {loss:.2f}"
    return baseline - loss, f"loss {loss:.2f}, {_against(baseline - loss)}"


def rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The list of runs for runs.js: words to show, and under "sort" what to sort them by."""
    listed = []
    for run in runs:
        result = result_of(run)
        config, status = run.config, run.status
        corpus = _corpus(run)
        size = "" if config is None or config.task == "nli" else config.size
        task = task_of(run)
        listed.append(
            {
                "id": run.id,
                "title": run.title,
                "state": status.state,
                "task": _TASKS.get(task, task),
                "corpus": corpus,
                "size": size,
                "step": f"{status.step:,}",
                "seconds": _duration(status.seconds),
                "result": "" if result is None else result[1],
                "created": run.created,
                "sort": {
                    "title": run.title.lower(),
                    "step": status.step,
                    "seconds": status.seconds,
                    # The two tasks' results cannot be compared, so they stay apart.
                    "result": None if result is None else result[0] + 100 * (task == "nli"),
                    "created": run.created,
                },
            }
        )
    return listed


def compare(store: RunStore, runs: Sequence[Run], by: str) -> list[Block]:
    """Curves of the chosen runs over "step" or "seconds", and how their settings differ."""
    blocks: list[Block] = []
    for task, curves in _CURVES.items():
        of_task = [run for run in runs if task_of(run) == task]
        if not of_task:
            continue
        events = {run.id: store.events(run.id)[0] for run in of_task}
        for curve in curves:
            figure = overlay(of_task, events, curve, by, [runs.index(run) for run in of_task])
            label = f"{curve.title}, {_TASKS[task]}"
            blocks.append(chart(f"runs-{curve.name}", figure, label, _HEIGHT))
    found = differences(runs)
    if len(runs) > 1:
        blocks.append(heading("What is different about them"))
        if found:
            columns = ["Setting", *(f"{i}. {run.title}" for i, run in enumerate(runs, 1))]
            blocks.append(table("Settings in which the chosen runs differ", columns, found))
        else:
            blocks.append(text("Their settings are the same."))
    return blocks


def overlay(
    runs: Sequence[Run],
    events: Mapping[str, Sequence[Mapping[str, Any]]],
    curve: _Curve,
    by: str,
    places: Sequence[int],
) -> Figure:
    """Smoothed lines of several runs, with diamonds where held-out text was scored.

    `places`: which colour and number each run has.
    """
    traces: list[dict[str, Any]] = []
    baselines: dict[float, list[str]] = {}
    for place, run in zip(places, runs, strict=True):
        name = plain(f"{place + 1}. {run.title}", 32)
        colour = _COLOURS[place % len(_COLOURS)]
        steps = [e for e in events[run.id] if e["event"] == "step" and curve.name in e]
        smoothed = smooth([e[curve.name] for e in steps])
        kept = _thin(len(steps))
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "legendgroup": run.id,
                "x": [steps[i][by] for i in kept],
                "y": [float(f"{smoothed[i]:.5g}") for i in kept],
                "line": {"color": colour, "width": 2, "dash": _DASHES[place % len(_DASHES)]},
                "hovertemplate": "%{y:.3f} at %{x}<extra>" + name + "</extra>",
            }
        )
        scored = [e for e in events[run.id] if e["event"] == "validation" and curve.name in e]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "legendgroup": run.id,
                "showlegend": False,
                "x": [e[by] for e in scored],
                "y": [float(f"{e[curve.name]:.5g}") for e in scored],
                "marker": {"color": colour, "size": 8, "symbol": "diamond"},
                "hovertemplate": "%{y:.3f} held out, at %{x}<extra>" + name + "</extra>",
            }
        )
        baseline = _baseline(run, curve.baseline)
        if baseline is not None:
            baselines.setdefault(round(baseline, 3), []).append(_corpus(run))
    axis = {"gridcolor": _LINES, "zeroline": False, "automargin": True}
    title = "step" if by == "step" else "seconds of training"
    return {
        "data": traces,
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": "var(--body-text-color, #222222)", "size": 13},
            "margin": {"l": 46, "r": 12, "t": 8, "b": 40},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hoverlabel": {"align": "left"},
            "xaxis": {**axis, "title": {"text": title, "standoff": 6}, "rangemode": "tozero"},
            "yaxis": {**axis, **({"tickformat": ".0%"} if curve.name == "accuracy" else {})},
            "shapes": [_line(value) for value in baselines],
            "annotations": [
                _note(value, curve.baseline_words, sorted(set(corpora)), len(baselines))
                for value, corpora in baselines.items()
            ],
        },
    }


def smooth(values: Sequence[float]) -> list[float]:
    """An exponential mean without the pull of its beginning; live.js smooths in the same way."""
    span = min(60.0, max(2.0, len(values) / 15))
    keep = 1 - 2 / (span + 1)
    total = weight = 0.0
    smoothed = []
    for value in values:
        total = keep * total + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        smoothed.append(total / weight)
    return smoothed


def differences(runs: Sequence[Run]) -> list[list[str]]:
    """Rows [setting, value of each run], only where they are not all the same."""
    described = [_settings(run) for run in runs]
    names = dict.fromkeys(name for values in described for name in values)
    found = []
    for name in names:
        values = [_words(settings.get(name)) for settings in described]
        if len(set(values)) > 1:
            found.append([name, *values])
    return found


def best(runs: Sequence[Run]) -> list[Block]:
    """Tables of the best runs that are over: one for each corpus, one for fine-tuning on each."""
    blocks = []
    over = [run for run in runs if run.status.state in ("completed", "stopped")]
    for task in _CURVES:
        groups: dict[str, list[tuple[float, Run]]] = {}
        for run in over:
            scored = _score(run) if task_of(run) == task else None
            if scored is not None:
                groups.setdefault(_corpus(run), []).append((scored, run))
        for corpus in sorted(groups):
            ranked = sorted(groups[corpus], key=lambda item: (-item[0], item[1].created))[:_BEST]
            result = "Test accuracy" if task == "nli" else "Below word frequency"
            listed = [
                [
                    place,
                    run.title,
                    f"{score:.1%}" if task == "nli" else f"{score:.3f} nats",
                    "" if run.config is None else run.config.training.recipe,
                    _duration(run.status.seconds),
                ]
                for place, (score, run) in enumerate(ranked, 1)
            ]
            caption = f"Best {_TASKS[task]} on {corpus}"
            columns = ["Place", "Run", result, "Recipe", "Training time"]
            blocks.append(table(caption, columns, listed, numbers=(0, 2, 4)))
    if not blocks:
        blocks.append(text("No run has come to its end yet.", "muted"))
    return blocks


def _score(run: Run) -> float | None:
    """What the best-of-class tables rank by: only what is comparable between runs."""
    if task_of(run) == "nli":
        test = run.status.scores.get("test")
        accuracy = test.get("accuracy") if isinstance(test, dict) else None
        return accuracy if isinstance(accuracy, float) else None
    loss, baseline = run.status.scores.get("mlm_loss"), _baseline(run, "unigram")
    return baseline - loss if isinstance(loss, float) and baseline is not None else None


def _settings(run: Run) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if run.config is not None:
        settings = run.config.to_dict()
        settings |= settings.pop("training")
        if settings["start_from"] is not None:
            settings["start_from"] = model_name(settings["start_from"])
    facts = facts_of(run)
    for name in ("vocab_size", "parameters", "device"):
        if name in facts:
            settings[name] = facts[name]
    return settings


def model_name(folder: str) -> str:
    """What a checkpoint's folder is called, without saying where on this computer it is."""
    path = Path(folder)
    return path.parent.name if path.name == "model" else path.name


def _words(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _corpus(run: Run) -> str:
    return "" if run.config is None else CORPORA[run.config.corpus].title


def _baseline(run: Run, name: str) -> float | None:
    baselines = facts_of(run).get("baselines")
    value = baselines.get(name) if isinstance(baselines, dict) else None
    return value if isinstance(value, float) else None


def _stored(run: Run) -> dict[str, Any] | None:
    path = run.model / CHECKPOINT
    try:
        state = path.stat()
    except OSError:
        return None
    return _read(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=512)
def _read(path: Path, changed: int, size: int) -> dict[str, Any] | None:
    return read_json(path)


def _thin(count: int) -> list[int]:
    """Which of `count` points to draw; the last always."""
    every = max(1, math.ceil(count / _MOST_POINTS))
    return [*range(0, count - 1, every), count - 1] if count else []


def _against(gain: float) -> str:
    side = "below" if gain >= 0 else "above"
    return f"{abs(gain):.2f} {side} word frequency"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _line(value: float) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": value,
        "y1": value,
        "line": {"color": _SOFT, "width": 1, "dash": "dot"},
    }


def _note(value: float, words: str, corpora: list[str], lines: int) -> dict[str, Any]:
    where = f", {', '.join(corpora)}" if lines > 1 else ""
    return {
        "xref": "paper",
        "x": 1,
        "xanchor": "right",
        "y": value,
        "yanchor": "bottom",
        "text": f"{words}{where}",
        "showarrow": False,
        "font": {"size": 12, "color": _SOFT},
    }
