"""The page in another language than English: one for the whole process, chosen when it starts.

English is in the code. Every other language is a file languages/CODE.json that gives a translation
to each English text. The page's own words go through `say`, where they are shown. Sentences of the
engine, which knows of no language, are `Text`s and `UserError`s: English everywhere, and said
anew from their templates by `translate` where they are shown.
"""

from __future__ import annotations

import copy
import functools
import html
import json
import os
import string
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bert_demo.common.errors import Text, UserError

SOURCE = "en"
_FOLDER = Path(__file__).parents[1] / "languages"

_MINUS = "\N{MINUS SIGN}"

_current = SOURCE
_hidden: tuple[str, ...] = ()


def available() -> list[str]:
    """The codes of the languages that there are."""
    return sorted([SOURCE, *(path.stem for path in _FOLDER.glob("*.json"))])


def use(code: str) -> None:
    """Speak this language from now on; one of `available`."""
    global _current
    assert code in available()
    _current = code


def current() -> str:
    """The code of the language that is spoken."""
    return _current


@functools.cache
def catalogue(code: str) -> Mapping[str, str]:
    """English texts with their translations; empty for English."""
    if code == SOURCE:
        return {}
    words: dict[str, str] = json.loads((_FOLDER / f"{code}.json").read_text(encoding="utf-8"))
    return words


class _Formatter(string.Formatter):
    """Fills in values as `str.format` does, and writes numbers as the page's language does."""

    def get_value(self, key: int | str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        value = super().get_value(key, args, kwargs)
        return translate(value) if isinstance(value, Text | UserError) else value

    def format_field(self, value: Any, format_spec: str) -> str:
        words = str(super().format_field(value, format_spec))
        if not isinstance(value, int | float):
            return words
        group, point = say("1,000")[1:-3], say("0.5")[1:-1]
        return words.translate({ord(","): group, ord("."): point, ord("-"): _MINUS})


_FORMATTER = _Formatter()


def say(text: str, /, **values: Any) -> str:
    """`text` in the page's language, with `values` in place of the names in its braces."""
    words = catalogue(_current).get(text, text)
    return _FORMATTER.vformat(words, (), values) if values else words


def later(text: str) -> str:
    """Marks words that a constant keeps in English, for `say` when they are shown."""
    return text


def listed(items: Iterable[Any]) -> str:
    """Items one after the other: "a, b, c"."""
    return say(", ").join(map(str, items))


def number(value: float, layout: str = ",") -> str:
    """A number as the page's language writes it; without a layout with its thousands apart."""
    return _FORMATTER.format_field(value, layout)


def translate(said: str | UserError) -> str:
    """What the engine says, in the page's language; words that have no translation stay."""
    if isinstance(said, UserError):
        said = said.text
    words = say(said.template, **said.values) if isinstance(said, Text) else say(said)
    return without_places(words)


def as_it_came(error: UserError, name: str = "") -> UserError:
    """The same about a file without where the page has put it for a moment; `name`: what it was
    called where it came from, if that is another name."""
    values = error.text.values
    if "path" not in values:
        return error
    called = {**values, "path": name or Path(str(values["path"])).name}
    told = copy.copy(error)  # of its own kind
    told.text = Text(error.text.template, **called)
    told.args = (told.text,)
    return told


def hide_places(folders: Iterable[Path]) -> None:
    """Leave these folders of this computer out of all that `translate` says from now on."""
    global _hidden
    named = {str(path) for folder in folders for path in (folder.absolute(), folder.resolve())}
    _hidden = tuple(sorted((name for name in named if Path(name).name), key=len, reverse=True))


def without_places(words: str) -> str:
    """The words without where on this computer a file is; what it is called there stays."""
    for place in _hidden:
        if place in words:
            words = words.replace(place + os.sep, "").replace(place, Path(place).name)
    return words


def letters(words: str) -> str:
    """Words for a message of Gradio's, which are HTML there, to be shown letter for letter."""
    return html.escape(words, quote=False)
