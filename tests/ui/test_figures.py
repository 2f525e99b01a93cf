"""Figures as plain data: what stands along the axes of a map, and which scores a run shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bert_demo.config import RunConfig
from bert_demo.runs.record import Run, Status
from bert_demo.ui.parts.figures import word_map
from bert_demo.ui.tabs.runs.curves import CURVES, overlay


def axis_words(figure: dict[str, Any]) -> tuple[str, str]:
    layout = figure["layout"]
    return layout["xaxis"]["title"]["text"], layout["yaxis"]["title"]["text"]


@pytest.mark.parametrize(
    ("points", "shares", "words"),
    [
        ([[-1, 0], [1, 0]], [1, 0], ("two vectors always lie on one line", "")),
        ([[0, 0], [0, 0]], [0, 0], ("the vectors do not differ", "")),
        ([[0, 0], [0, 0], [0, 0]], [0, 0], ("the vectors do not differ", "")),
        ([[-1, 0], [1, 1], [0, -1]], [0.6, 0.4], ("60% of the variance", "40%")),
    ],
)
def test_the_axes_of_a_map_say_what_there_is_to_see(
    points: list[list[float]], shares: list[float], words: tuple[str, str]
) -> None:
    texts = [f"crane {i}" for i in range(len(points))]
    assert axis_words(word_map(points, shares, texts, texts)) == words


def test_of_two_scores_at_one_step_the_later_one_is_shown(tmp_path: Path) -> None:
    run = Run("a", tmp_path, tmp_path, "a", RunConfig(), None, 0.0, None, Status("completed"))
    events = [
        {"event": "step", "step": 9, "seconds": 1.0, "mlm_loss": 6.0},
        {"event": "validation", "step": 5, "seconds": 0.5, "mlm_loss": 7.0},
        {"event": "validation", "step": 9, "seconds": 1.0, "mlm_loss": 6.1},
        {"event": "validation", "step": 9, "seconds": 2.0, "mlm_loss": 6.3},
    ]
    figure = overlay([run], {"a": events}, CURVES["pretraining"][0], "step", [0])
    marks = next(trace for trace in figure["data"] if trace["mode"] == "markers")
    assert (marks["x"], marks["y"]) == ([5, 9], [7.0, 6.3])
