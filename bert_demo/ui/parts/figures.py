"""Plotly figures as plain dictionaries, without plotly: the browser's script draws them.

Colours are CSS variables with a fallback; view.js looks them up when it draws, so that a figure
follows the page into dark mode. Plotly reads a little HTML in its texts, so what people typed goes
through `plain` first.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.ui.parts.language import say

Figure = dict[str, Any]

# Okabe and Ito (2008), without the yellow that white paper swallows.
_FALLBACKS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
SERIES = tuple(f"var(--series-{i}, {colour})" for i, colour in enumerate(_FALLBACKS, 1))
_INK = "var(--body-text-color, #222222)"
_LINES = "var(--border-color-primary, #dddddd)"
_MARKS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "hexagon", "x")

# Blue for unlike, white for nothing in common, orange for alike; all light enough for black text.
_LIKENESS = [[0, "#4a90c4"], [0.25, "#a9cfe6"], [0.5, "#f7f7f7"], [0.75, "#f5b98a"], [1, "#e08214"]]
_MOST_NUMBERS = 9
_MOST_LABELS = 12


def plain(text: str, longest: int = 60) -> str:
    """Text as Plotly shows it letter for letter, cut where it is long."""
    short = text if len(text) <= longest else text[: longest - 3] + "..."
    return html.escape(short)


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
        numbers = {"texttemplate": "%{z:.2f}", "textfont": {"color": "#111111"}}
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
                "textfont": {"size": 12, "color": _INK},
                "customdata": [f"{i + 1}. {plain(contexts[i])}" for i in chosen],
                "hovertemplate": "%{customdata}<extra></extra>",
                "cliponaxis": False,
                "marker": {
                    "size": 11,
                    "color": SERIES[number % len(SERIES)],
                    "symbol": _MARKS[(number + number // len(SERIES)) % len(_MARKS)],
                },
            }
        )
    layout = _layout()
    axis = {"zeroline": True, "zerolinecolor": _LINES, "gridcolor": _LINES, "showticklabels": False}
    across, up = _axis_words(along, len(contexts))
    title = {"standoff": 6, "font": {"size": 13}}
    layout["xaxis"] = axis | {"title": {"text": across, **title}}
    layout["yaxis"] = axis | {"title": {"text": up, **title}, "scaleanchor": "x"}
    layout["showlegend"] = 1 < len(groups) <= _MOST_LABELS
    layout["legend"] = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    layout["margin"] = {"l": 34, "r": 12, "t": 12, "b": 34}
    return {"data": traces, "layout": layout}


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
        "font": {"color": _INK, "size": 13, "family": "system-ui, sans-serif"},
        "hoverlabel": {"align": "left"},
        "dragmode": False,
    }
