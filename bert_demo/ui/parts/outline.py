"""What stands on the page until Gradio has built it: a line on a slow network takes ten seconds."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from bert_demo.common.errors import UserError
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts.language import later, say
from bert_demo.ui.parts.live import recorded

WHAT = later("A BERT that you train, look into and argue with.")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 720, 330, 34, 34, 26
_POINTS = 120
_STYLE = (
    "body:has(gradio-app > *) > .bd-outline { display: none; } "
    ".bd-outline { width: min(1224px, 100% - 32px); margin: 14px auto; box-sizing: border-box; "
    "font: 15px/1.45 system-ui, sans-serif; } "
    ".bd-outline b { font-size: 20px; margin-right: 14px; } "
    ".bd-outline figure { margin: 40px 0 0 auto; max-width: 888px; } "
    ".bd-outline svg { width: 100%; display: block; font-size: 12px; fill: currentColor; } "
    ".bd-outline path, .bd-outline polyline { fill: none; stroke: currentColor; } "
    ".bd-outline path { opacity: 0.2; } "
    "@media (max-width: 600px) { .bd-outline svg { font-size: 20px; } }"
)


def head() -> str:
    """For the page's head: the outline's rules, and how a link to the page is shown elsewhere."""
    what = html.escape(say(WHAT))
    return (
        f"<style>{_STYLE}</style>\n"
        f'<meta name="description" content="{what}">\n'
        '<meta property="og:title" content="bert_demo">\n'
        f'<meta property="og:description" content="{what}">'
    )


def outline(context: AppContext) -> str:
    """The page's name and the recorded run as a plain picture, for the page's body."""
    figure = ""
    try:
        run = recorded(context, "pretraining")
    except UserError:  # the models that came along were taken away
        pass
    else:
        caption = say("A recorded run. The page to start your own is on its way.")
        caption = f"<figcaption>{html.escape(caption)}</figcaption>"
        figure = f"<figure>{_curve(run['steps'])}{caption}</figure>"
    return f'<div class="bd-outline"><b>bert_demo</b> {html.escape(say(WHAT))}{figure}</div>\n'


def _curve(steps: dict[str, list[Any]]) -> str:
    """The loss of masked words by steps, each point the mean of a few."""
    losses = _means([float(loss) for loss in steps["mlm_loss"]], _POINTS)
    last, most = steps["step"][-1], max(losses)
    across, down = _WIDTH - _LEFT - 6, _HEIGHT - _TOP - _BOTTOM
    title = html.escape(say("Masked words: loss"))
    parts = [f'<text x="{_LEFT}" y="18" font-weight="650" font-size="1.15em">{title}</text>']
    for loss in range(0, int(most) + 1, 2):
        y = _TOP + down * (1 - loss / most)
        parts.append(f'<path d="M{_LEFT} {y:.0f}h{across}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{loss}</text>')
    for step in (0, last // 2, last):
        x = _LEFT + across * step / last
        anchor = "end" if step == last else "middle" if step else "start"
        parts.append(f'<text x="{x:.0f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{step}</text>')
    points = " ".join(
        f"{_LEFT + across * i / (len(losses) - 1):.1f},{_TOP + down * (1 - loss / most):.1f}"
        for i, loss in enumerate(losses)
    )
    parts.append(f'<polyline stroke-width="2.5" points="{points}"/>')
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}"'
    return f"<svg {box}>{''.join(parts)}</svg>"


def _means(values: Sequence[float], count: int) -> list[float]:
    """`count` means of neighbours, in order; fewer where there are fewer values."""
    sums = [0.0, *accumulate(values)]
    edges = [len(values) * i // count for i in range(count + 1)]
    pairs = pairwise(edges)
    return [(sums[b] - sums[a]) / (b - a) for a, b in pairs if b > a]
