"""Curves of several runs in one figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bert_demo.model.metrics import ACCURACY, LOSS, MLM_LOSS, NSP_LOSS, Metric
from bert_demo.runs.curve import smooth
from bert_demo.runs.facts import baseline_of, corpus_of
from bert_demo.runs.record import Run
from bert_demo.ui.parts.figures import Figure, plain
from bert_demo.ui.parts.language import later, listed, say
from bert_demo.ui.parts.theme import INK, LINES, SERIES, SOFT

_MOST_POINTS = 400
_NAME = "%{fullData.name}"
"""The run's title in a template of Plotly's, whose own braces would count there."""
_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Curve:
    """One number of a run over time, and the words for it and for what it has to beat."""

    metric: Metric
    title: str
    baseline_words: str


CURVES = {
    "pretraining": (
        Curve(MLM_LOSS, later("Masked-LM loss (nats)"), later("word frequency, held out")),
        Curve(NSP_LOSS, later("Next-sentence loss (nats)"), later("a coin")),
    ),
    "nli": (
        Curve(LOSS, later("Loss (nats)"), later("three equal guesses")),
        Curve(ACCURACY, later("Accuracy"), later("chance")),
    ),
}


RATE = Curve(Metric("learning_rate", "learning rate", "", None), later("Learning rate"), "")


def overlay(
    runs: Sequence[Run],
    events: Mapping[str, Sequence[Mapping[str, Any]]],
    curve: Curve,
    by: str,
    places: Sequence[int],
    *,
    logarithmic: bool = False,
) -> Figure:
    """Smoothed lines of several runs, with diamonds where held-out text was scored.

    `places`: which colour and number each run has; `logarithmic`: both axes, but that of shares.
    """
    measure = curve.metric.name
    traces: list[dict[str, Any]] = []
    baselines: dict[float, list[str]] = {}
    clock = say("step") if by == "step" else say("seconds of training")
    held_out = say("held out")
    for place, run in zip(places, runs, strict=True):
        name = plain(f"{place + 1}. {run.title}", 32)
        if curve.metric is LOSS and run.config is not None and run.config.teacher is not None:
            name += f" ({say('against the teacher')})"
        colour = SERIES[place % len(SERIES)]
        told = [e for e in events[run.id] if {"step", by, measure} <= e.keys()]
        steps = [e for e in told if e["event"] == "step"]
        values = [e[measure] for e in steps]
        smoothed = values if curve is RATE else smooth(values)
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
                "hovertemplate": "%{y:.4~g} (" + clock + " %{x})<extra>" + _NAME + "</extra>",
            }
        )
        # Of two scores at one step the later one, at the end of a run, is on more text.
        scored = list({e["step"]: e for e in told if e["event"] == "validation"}.values())
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "legendgroup": run.id,
                "showlegend": False,
                "x": [e[by] for e in scored],
                "y": [float(f"{e[measure]:.5g}") for e in scored],
                "marker": {"color": colour, "size": 8, "symbol": "diamond"},
                "hovertemplate": "%{y:.3f} "
                + held_out
                + " ("
                + clock
                + " %{x})<extra>"
                + _NAME
                + "</extra>",
            }
        )
        baseline = baseline_of(run, curve.metric)
        if baseline is not None:
            baselines.setdefault(round(baseline, 3), []).append(corpus_of(run))
    axis: dict[str, Any] = {"gridcolor": LINES, "zeroline": False, "automargin": True}
    is_share = curve.metric.unit == "share"
    across: dict[str, Any] = {"type": "log"} if logarithmic else {"rangemode": "tozero"}
    up = {"tickformat": ".0%"} if is_share else {"type": "log"} if logarithmic else {}
    return {
        "data": traces,
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": INK, "size": 13},
            "margin": {"l": 46, "r": 12, "t": 8, "b": 40},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hoverlabel": {"align": "left"},
            "xaxis": {**axis, "title": {"text": clock, "standoff": 6}, **across},
            "yaxis": {**axis, **up},
            "shapes": [_line(value) for value in baselines],
            "annotations": [
                _note(
                    math.log10(value) if "type" in up else value,
                    curve.baseline_words,
                    sorted(set(corpora)),
                    len(baselines),
                )
                for value, corpora in baselines.items()
            ],
        },
    }


def _thin(count: int) -> list[int]:
    """Which of `count` points to draw; the last always."""
    every = max(1, math.ceil(count / _MOST_POINTS))
    return [*range(0, count - 1, every), count - 1] if count else []


def _line(value: float) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": value,
        "y1": value,
        "line": {"color": SOFT, "width": 1, "dash": "dot"},
    }


def _note(value: float, words: str, corpora: list[str], lines: int) -> dict[str, Any]:
    return {
        "xref": "paper",
        "x": 1,
        "xanchor": "right",
        "y": value,
        "yanchor": "bottom",
        "text": listed([say(words), *(corpora if lines > 1 else [])]),
        "showarrow": False,
        "font": {"size": 12, "color": SOFT},
    }
