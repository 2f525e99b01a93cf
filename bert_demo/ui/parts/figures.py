"""Plotly figures as plain dictionaries, without plotly: the browser's script draws them.

Plotly reads a little HTML in its texts, so what people typed goes
through `plain` first.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bert_demo.ui.parts.language import number as written
from bert_demo.ui.parts.language import say
from bert_demo.ui.parts.theme import INK, LINES, SERIES, SOFT

if TYPE_CHECKING:
    from bert_demo.inference.calibration import CalibrationBin

Figure = dict[str, Any]

_COLOURS = SERIES[:6]  # without the yellow, which white paper swallows
_MARKS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "hexagon", "x")

# Blue for alike and orange for unlike, as in the film; nothing in common is the theme's own.
_LIKENESS = [[0, SERIES[3]], [0.5, "var(--bd-cell)"], [1, SERIES[0]]]
_MOST_NUMBERS = 9
_MOST_LABELS = 12


def plain(text: str, longest: int = 60) -> str:
    """Text as Plotly shows it letter for letter, cut where it is long."""
    short = text if len(text) <= longest else text[: longest - 3] + "..."
    return html.escape(short, quote=False)  # Plotly does not know &quot;


def heat_map(similarities: npt.ArrayLike, contexts: Sequence[str]) -> Figure:
    """Cosines (n, n) of one word's vectors in n contexts, on the whole scale from -1 to 1."""
    z = np.asarray(similarities, dtype=float).round(3)
    count = len(contexts)
    names = [str(i + 1) for i in range(count)]
    trace = {
        "type": "heatmap",
        "z": z.tolist(),
        "x": names,
        "y": names,
        "zmin": -1,
        "zmax": 1,
        "colorscale": _LIKENESS,
        "xgap": 1,
        "ygap": 1,
        # The browser makes the n x n hover texts of these: sent, they would be most of the page.
        "pairs": [f"{i}. {plain(words)}" for i, words in enumerate(contexts, 1)],
        "hovertemplate": "%{text}<br>" + say("cosine") + " %{z:.3f}<extra></extra>",
        "colorbar": {"thickness": 10, "tickvals": [-1, -0.5, 0, 0.5, 1], "outlinewidth": 0},
    }
    if count <= _MOST_NUMBERS:
        numbers = {"texttemplate": "%{z:.2f}", "textfont": {"color": INK}}
        trace |= numbers | {"showscale": False}
    axis = {"type": "category", "showgrid": False, "ticks": "", "constrain": "domain"}
    if count > _MOST_LABELS:
        # Every number would overlap its neighbours on a phone.
        axis |= {"tickvals": names[:: 1 + count // 12], "tickangle": 0}
    layout = _layout()
    layout["xaxis"] = axis
    layout["yaxis"] = axis | {"autorange": "reversed", "scaleanchor": "x"}
    layout["margin"] = {"l": 28, "r": 8, "t": 8, "b": 28}
    return {"data": [trace], "layout": layout}


def word_map(
    points: npt.ArrayLike, shares: npt.ArrayLike, contexts: Sequence[str], senses: Sequence[str]
) -> Figure:
    """The plane (n, 2) of one word's vectors in n contexts; equal `senses` get equal marks.

    `shares` (2,) is the part of the variance along each axis. An empty sense is "no sense".
    """
    places = np.asarray(points, dtype=float).round(4)
    along = np.asarray(shares, dtype=float)
    groups = list(dict.fromkeys(senses))
    traces = []
    for number, group in enumerate(groups):
        chosen = [i for i, sense in enumerate(senses) if sense == group]
        traces.append(
            {
                "type": "scatter",
                # More numbers than that hide each other; the pointer still shows them.
                "mode": "markers+text" if len(contexts) <= _MOST_LABELS else "markers",
                "name": plain(group, 24) or say("no sense"),
                "x": places[chosen, 0].tolist(),
                "y": places[chosen, 1].tolist(),
                "text": [str(i + 1) for i in chosen],
                "textposition": "top center",
                "textfont": {"size": 12, "color": INK},
                "customdata": [f"{i + 1}. {plain(contexts[i])}" for i in chosen],
                "hovertemplate": "%{customdata}<extra></extra>",
                "cliponaxis": False,
                "marker": {
                    "size": 11,
                    "color": _COLOURS[number % len(_COLOURS)],
                    "symbol": _MARKS[(number + number // len(_COLOURS)) % len(_MARKS)],
                },
            }
        )
    layout = _layout()
    axis = {"zeroline": True, "zerolinecolor": LINES, "gridcolor": LINES, "showticklabels": False}
    across, up = _axis_words(along, len(contexts))
    title = {"standoff": 6, "font": {"size": 13}}
    layout["xaxis"] = axis | {"title": {"text": across, **title}}
    layout["yaxis"] = axis | {"title": {"text": up, **title}, "scaleanchor": "x"}
    layout["showlegend"] = 1 < len(groups) <= _MOST_LABELS
    layout["legend"] = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    layout["margin"] = {"l": 34, "r": 12, "t": 12, "b": 34}
    return {"data": traces, "layout": layout}


def reliability(curve: Sequence[CalibrationBin]) -> Figure:
    """How often verdicts are right by how sure they are, the reliability diagram of Guo et al.
    (2017), with two standard errors; the larger a dot, the more verdicts."""
    most = max(part.n for part in curve)
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": [1 / 3, 1],
        "y": [1 / 3, 1],
        "line": {"color": SOFT, "dash": "dash", "width": 1},
        "hoverinfo": "skip",
    }
    dots = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [round(part.confidence, 4) for part in curve],
        "y": [round(part.accuracy, 4) for part in curve],
        "error_y": {
            "type": "data",
            "array": [round(2 * part.standard_error, 4) for part in curve],
            "thickness": 1,
            "width": 0,
        },
        "customdata": [written(part.n) for part in curve],
        "hovertemplate": say(
            "sure {x}, right {y}, {n} pairs", x="%{x:.0%}", y="%{y:.0%}", n="%{customdata}"
        )
        + "<extra></extra>",
        "line": {"color": SERIES[0], "width": 1},
        "marker": {"size": [5 + round(9 * (part.n / most) ** 0.5) for part in curve]},
    }
    layout = _layout()
    axis = {"gridcolor": LINES, "zeroline": False, "tickformat": ".0%", "fixedrange": True}
    title = {"standoff": 6, "font": {"size": 13}}
    layout["xaxis"] = axis | {
        "range": [0.3, 1.02],
        "title": {"text": say("how sure it is"), **title},
    }
    layout["yaxis"] = axis | {
        "range": [0, 1.02],
        "title": {"text": say("how often right"), **title},
    }
    layout["showlegend"] = False
    layout["margin"] = {"l": 52, "r": 8, "t": 8, "b": 40}
    return {"data": [diagonal, dots], "layout": layout}


def rate_curve(found: Mapping[str, Any]) -> Figure:
    """A `RangeTest` as plain data: the losses of growing learning rates, and the suggested one."""
    rates, smoothed = found["rates"], [round(loss, 3) for loss in found["smoothed"]]
    raw = {
        "type": "scatter",
        "mode": "lines",
        "x": rates,
        "y": [round(loss, 3) for loss in found["losses"]],
        "line": {"color": SERIES[0], "width": 1},
        "opacity": 0.3,
        "hoverinfo": "skip",
    }
    line = raw | {"y": smoothed, "line": {"color": SERIES[0], "width": 2.5}, "opacity": 1}
    line["hoverinfo"] = "x+y"
    layout = _layout()
    # A step too large can throw the loss far up; what is of interest lies below its beginning.
    low, high = min(smoothed), max(smoothed[0], 0.0)
    room = 0.15 * max(high - low, 0.1)
    title = {"text": say("learning rate"), "standoff": 4, "font": {"size": 12}}
    layout["xaxis"] = {
        "type": "log",
        "title": title,
        "gridcolor": LINES,
        "dtick": 1,
        "exponentformat": "power",
        "fixedrange": True,
    }
    layout["yaxis"] = {
        "range": [low - room, high + 2 * room],
        "gridcolor": LINES,
        "zerolinecolor": LINES,
        "fixedrange": True,
    }
    if found["suggested"] is not None:
        at = found["suggested"]
        mark = {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1}
        layout["shapes"] = [mark | {"line": {"color": SERIES[1], "width": 2, "dash": "dot"}}]
    layout["showlegend"] = False
    layout["margin"] = {"l": 40, "r": 8, "t": 6, "b": 40}
    return {"data": [raw, line], "layout": layout}


def _axis_words(shares: npt.NDArray[np.float64], count: int) -> tuple[str, str]:
    """What stands along the axes of a map of `count` vectors."""
    if not shares.any():
        return say("the vectors do not differ"), ""
    if count == 2:
        return say("two vectors always lie on one line"), ""
    return say("{share} of the variance", share=f"{shares[0]:.0%}"), f"{shares[1]:.0%}"


def _layout() -> Figure:
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": INK, "size": 13, "family": "system-ui, sans-serif"},
        "hoverlabel": {"align": "left"},
        "dragmode": False,
    }
