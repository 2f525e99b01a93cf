"""A line plot as SVG text, readable on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

# Okabe and Ito's colours that differ for every kind of colour vision; all show on black and white.
COLOURS = ("#d55e00", "#cc79a7", "#009e73", "#0079c0")
_GREY = "#808080"
_WIDTH, _HEIGHT = 880, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 600, 52, 372
_APART = 17


def lines_svg(
    title: str,
    x_title: str,
    y_title: str,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    baseline: tuple[float, str],
) -> str:
    """Curves of (x, y) points with their names at their ends, and a dashed line at `baseline`.

    The y axis shows what happens around and below the baseline: curves that begin far above it
    come in at the top.
    """
    xs = [x for points in curves.values() for x, _ in points]
    ends = [points[-1][1] for points in curves.values()]
    low = math.floor(4 * min([*ends, baseline[0]])) / 4
    high = math.ceil(4 * max([*ends, baseline[0]]) + 1) / 4
    right = max(xs)

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (_RIGHT - _LEFT) * x / right
        return across, _BOTTOM - (_BOTTOM - _TOP) * (y - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'role="img" font-family="sans-serif" font-size="14" fill="{_GREY}">',
        f"<title>{escape(title)}</title>",
        f'<clipPath id="inside"><rect x="{_LEFT}" y="{_TOP}" width="{_RIGHT - _LEFT}" '
        f'height="{_BOTTOM - _TOP}"/></clipPath>',
        _text(_LEFT, 26, title, 'font-size="17"'),
        _text((_LEFT + _RIGHT) / 2, _HEIGHT - 12, x_title, 'text-anchor="middle"'),
        f'<g transform="rotate(-90)">{_text(-(_TOP + _BOTTOM) / 2, 18, y_title, _MIDDLE)}</g>',
    ]
    for x in _ticks(0, right):
        across, _ = place(x, low)
        parts.append(_line(across, _BOTTOM, across, _BOTTOM + 5))
        parts.append(_text(across, _BOTTOM + 22, f"{x:g}", _MIDDLE))
    for y in _ticks(low, high):
        _, down = place(0, y)
        parts.append(_line(_LEFT, down, _RIGHT, down, 'opacity="0.25"'))
        parts.append(_text(_LEFT - 8, down + 5, f"{y:g}", 'text-anchor="end"'))
    parts.append(_line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM))
    _, down = place(0, baseline[0])
    parts.append(_line(_LEFT, down, _RIGHT, down, 'stroke-dasharray="6 5"'))
    labels = [(down, baseline[1], _GREY)]
    for colour, (name, points) in zip(COLOURS, curves.items(), strict=False):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        parts.append(
            f'<polyline points="{path}" clip-path="url(#inside)" fill="none" stroke="{colour}" '
            f'stroke-width="2.5" stroke-linejoin="round"/>'
        )
        end = points[-1][1]
        labels.append((place(right, end)[1], f"{name}: {end:.2f}", colour))
    for down, words, colour in _spread(labels):
        parts.append(_text(_RIGHT + 10, down + 5, words, f'fill="{colour}"'))
    return "\n".join([*parts, "</svg>", ""])


_MIDDLE = 'text-anchor="middle"'


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, more: str = "") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{_GREY}" {more}/>'


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, at most eight."""
    rough = (high - low) / 7
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= rough)
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def _spread(labels: list[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """The labels from top to bottom, pushed apart where they would overlap."""
    placed: list[tuple[float, str, str]] = []
    for down, words, colour in sorted(labels):
        free = placed[-1][0] + _APART if placed else down
        placed.append((max(down, free), words, colour))
    return placed
