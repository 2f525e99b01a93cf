"""Parts of the page as plain data, which view.js draws with textContent alone.

A handler returns a `View`; no words of a person or of a vocabulary pass through a template.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from bert_demo.common.errors import UserError
from bert_demo.ui.parts import assets
from bert_demo.ui.parts.language import listed, say, translate

Block = dict[str, Any]
View = dict[str, Any]

_LOG = logging.getLogger(__name__)
_MOST_ROWS = 500
_MOST_WORDS = 8


def view(*blocks: Block, spoken: str = "") -> View:
    """Blocks one below the other; `spoken` is read out by screen readers when it changes."""
    return {"blocks": list(blocks), "spoken": spoken}


def heading(text: str) -> Block:
    """A small heading."""
    return {"kind": "heading", "text": text}


def text(words: str, tone: str = "plain") -> Block:
    """A paragraph; tone is "plain", "muted", "strong" or "alert"."""
    return {"kind": "text", "text": words, "tone": tone}


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    numbers: Sequence[int] = (),
    *,
    picks: bool = False,
    tones: Sequence[str] = (),
    fixed: Sequence[int] = (),
) -> Block:
    """A table; `numbers` are the columns whose digits line up.

    With `picks` a click on a row triggers the component's `select`, with `row`, its place; rows
    that are `fixed` have none. tones: for each row "good", "bad", "muted" or "".
    """
    cut = [list(row) for row in rows[:_MOST_ROWS]]
    return {
        "kind": "table",
        "caption": caption,
        "columns": list(columns),
        "rows": cut,
        "numbers": list(numbers),
        "picks": picks,
        "tones": list(tones),
        "fixed": list(fixed),
    }


def effects(legend: str, lines: Sequence[tuple[str, Sequence[tuple[str, float, float]]]]) -> Block:
    """Lines of words, each coloured by what it does: (name, [(word, effect, other effect)]).

    Effects are between -1 and 1 and shown in points of 100; the first gives the colour.
    """
    rows = [
        {"name": name, "words": [[w, round(100 * a, 1), round(100 * b, 1)] for w, a, b in words]}
        for name, words in lines
    ]
    return {"kind": "effects", "legend": legend, "lines": rows}


def bars(title: str, shares: Mapping[str, float], colours: Sequence[str] = ()) -> Block:
    """A bar for each share between 0 and 1, in the order given."""
    rows = [
        {"label": label, "share": share, "colour": colours[i % len(colours)] if colours else ""}
        for i, (label, share) in enumerate(shares.items())
    ]
    return {"kind": "bars", "title": title, "rows": rows}


def confusion(
    caption: str, names: Sequence[str], counts: Sequence[Sequence[int]], chosen: Sequence[int]
) -> Block:
    """A confusion matrix, a row a true label; a click on a cell triggers `select` with `cell`."""
    return {
        "kind": "confusion",
        "caption": caption,
        "names": list(names),
        "counts": [list(row) for row in counts],
        "chosen": list(chosen),
    }


def sorts(title: str, reading: str, rows: Sequence[Block], overall: float) -> Block:
    """Small bars of accuracy: each row has "label", "share", "error" (standard) and "note"."""
    return {
        "kind": "sorts",
        "title": title,
        "reading": reading,
        "rows": list(rows),
        "overall": overall,
    }


def chart(key: str, figure: Mapping[str, Any], label: str, height: int) -> Block:
    """A Plotly figure; a chart whose key stays is changed in place."""
    return {"kind": "chart", "key": key, "figure": figure, "label": label, "height": height}


def link(url: str) -> Block:
    """A web address to click."""
    return {"kind": "link", "url": url}


def next_step(label: str, tab: str, model: str) -> Block:
    """The button to the next station of the path, which takes the model along."""
    return {"kind": "next", "label": label, "tab": tab, "model": model}


def jump(label: str, target: str) -> Block:
    """A button that unfolds the first details in the part with this id, and goes there."""
    return {"kind": "jump", "label": label, "target": target}


def question(words: str, options: Sequence[str], answer: str) -> Block:
    """Something to guess before one looks; a click on an option tells `answer`."""
    return {"kind": "question", "text": words, "options": list(options), "answer": answer}


def details(summary: str, *blocks: Block, is_open: bool = False) -> Block:
    """Blocks that a click on the summary shows."""
    return {"kind": "details", "summary": summary, "blocks": list(blocks), "open": is_open}


def columns(*parts: Sequence[Block]) -> Block:
    """Blocks side by side on a wide screen, one below the other on a narrow one."""
    return {"kind": "columns", "parts": [list(part) for part in parts]}


def followed(
    tokens: Sequence[str], place: int, first_length: int, texts: Sequence[str], which: int
) -> Block:
    """The tokens of a text to click, `place` of them pressed, and the texts to choose from.

    A click triggers the component's `select`, with `row`, the text and the token in it; the second
    text of a pair begins after `first_length` tokens.
    """
    return {
        "kind": "followed",
        "tokens": list(tokens),
        "place": place,
        "first": first_length,
        "texts": list(texts),
        "which": which,
    }


def attention(
    tokens: Sequence[str],
    place: int,
    first_length: int,
    layers: Sequence[Sequence[Sequence[float]]],
    whole: Sequence[Sequence[Sequence[Sequence[int]]]] = (),
) -> Block:
    """Where a token looks: for each layer and head its weights over all tokens.

    whole: the same for every token, a row each, in hundredths; none where that would be too much.
    """
    return {
        "kind": "attention",
        "tokens": list(tokens),
        "place": place,
        "first": first_length,
        "layers": [[[round(weight, 3) for weight in head] for head in layer] for layer in layers],
        "whole": list(whole),
    }


def few(words: Sequence[str]) -> str:
    """The first of many words, one after the other."""
    if len(words) <= _MOST_WORDS:
        return listed(words)
    return say("{words} and others", words=listed(words[:_MOST_WORDS]))


def sentence(words: str) -> View:
    """What went wrong, in place of a result."""
    return view(text(words, "alert"), spoken=words)


def in_words(handler: Callable[..., View]) -> Callable[..., View]:
    """A handler whose errors become a sentence where its result would be."""

    @functools.wraps(handler)
    def wrapped(*args: Any, **kwargs: Any) -> View:
        try:
            return handler(*args, **kwargs)
        except UserError as error:
            return sentence(translate(error))
        except Exception:
            _LOG.exception("%s failed", handler.__name__)
            return sentence(
                say("That did not work, for a reason that is the page's own; it is logged.")
            )

    return wrapped


def view_part(value: View | None = None, **kwargs: Any) -> gr.HTML:
    """The component that shows a `View`."""
    return _scripted("mountView", value or view(), **kwargs)


def contexts_part(value: list[dict[str, str]], **kwargs: Any) -> gr.HTML:
    """A list of contexts to edit: [{"text": ..., "sense": ...}, ...]."""
    return _scripted("mountContexts", value, **kwargs)


def moments_part(**kwargs: Any) -> gr.HTML:
    """The moments of a run as a slider (parts/moments.py); moving it triggers `select`."""
    return _scripted("mountMoments", {}, elem_classes="bd-moments", **kwargs)


def table_part(**kwargs: Any) -> gr.HTML:
    """Where one's own table is dropped; `droppedTable()` in the browser has it."""
    return _scripted("mountTable", {}, **kwargs)


def reveal(elem_id: str) -> str:
    """Script that brings a result into sight where it lies below the form."""
    return f"() => window.bertDemo.reveal('{elem_id}')"


def _scripted(name: str, value: Any, **kwargs: Any) -> gr.HTML:
    return gr.HTML(
        value,
        html_template="",
        js_on_load=assets.when_loaded(f"{name}(element, props, watch, trigger)"),
        apply_default_css=False,
        **kwargs,
    )
