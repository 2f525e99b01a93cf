"""What a link to the page names: a tab, a run, and what the tabs were asked.

The browser writes the address (static/address.js); here it is read, and everything in it is
checked, as anybody can write a link. What is not here gets a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import gradio as gr

from bert_demo.common.errors import UserError
from bert_demo.inference.models import ModelShelf
from bert_demo.ui.parts.language import say
from bert_demo.ui.tabs.words_contexts import contexts_of, read_rows

Tell = Callable[[str], object]
"""Says a sentence to who has opened the link."""

TABS = ("pretrain", "words", "finetune", "nli", "blank", "runs")
_MOST_LETTERS, _MOST_MODELS = 2000, 3


def values_of(search: Any) -> dict[str, str]:
    """What the part of an address after "?" says, by name; the first of several counts."""
    if not isinstance(search, str) or len(search) > 20_000:
        return {}
    return {name: values[0] for name, values in parse_qs(search.removeprefix("?")).items()}


def tab_of(values: dict[str, str], tell: Tell = lambda _: None) -> str | None:
    """The tab that an address names."""
    if values.get("tab", TABS[0]) not in TABS:
        tell(
            say("The page has no tab {name}, which the link names.", name=repr(values["tab"][:60]))
        )
    return values["tab"] if values.get("tab") in TABS else None


def models_of(shelf: ModelShelf, values: dict[str, str], name: str, tell: Tell) -> list[str]:
    """Ids of models that an address names; of those that are not here it is told."""
    given: Any = values.get(name, "")
    if name == "models":
        given = _json(given)
        given = given if isinstance(given, list) else []
    asked = [one for one in (given if isinstance(given, list) else [given]) if one][:_MOST_MODELS]
    here = {entry.id for entry in shelf.entries()}
    for one in asked:
        if one not in here:
            tell(say("A model that the link names is not here, so another one is shown."))
            break
    return [one for one in asked if isinstance(one, str) and one in here]


def words_of(shelf: ModelShelf, values: dict[str, str], tell: Tell) -> list[Any]:
    """Values for the models, the layer, the word, its list and its contexts; skips what is not
    named."""
    found: list[Any] = [gr.skip()] * 5
    models = models_of(shelf, values, "models", tell)
    if models:
        found[0] = models
    if values.get("layer", "").isdecimal() and len(values["layer"]) < 4:
        found[1] = int(values["layer"])
    try:
        if "list" in values:
            word, rows = contexts_of(values["list"])
            found[2:] = [word, values["list"], rows]
        if "contexts" in values:
            rows = _json(values["contexts"])
            read_rows(rows)
            found[4] = [
                {name: str(row.get(name, "")) for name in ("text", "sense")} for row in rows
            ]
    except UserError as error:
        tell(say("What the link asks of these words cannot be shown: {why}", why=error))
    if "word" in values:
        found[2] = values["word"][:60]
    return found


def pair_of(shelf: ModelShelf, values: dict[str, str], tell: Tell) -> list[Any]:
    """Values for the model, the premise and the hypothesis; skips what is not named."""
    model = models_of(shelf, values, "model", tell) if tab_of(values) == "nli" else []
    texts = [values.get(name, "")[:_MOST_LETTERS] for name in ("premise", "hypothesis")]
    return [model[0] if model else gr.skip(), *(text or gr.skip() for text in texts)]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
