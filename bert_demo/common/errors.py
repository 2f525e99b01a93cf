"""Words for people: texts that can be translated, and what people did wrong."""

from __future__ import annotations

import functools
import math
import os
import re
import reprlib
import string
from collections.abc import Iterable, Mapping
from typing import Any


class Text(str):
    """English words that can still be said in another language.

    `Text("{n:,} words", n=1000)` is "1,000 words", and keeps the template and the values that it
    was made of. A value that is to be translated too is a `Text` or a `UserError` itself.
    """

    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> Text:
        text = super().__new__(cls, template.format(**values) if values else template)
        text.template, text.values = template, values
        return text


def listed(texts: Iterable[Text]) -> Text:
    """One after the other: "a, b, c"."""
    return functools.reduce(lambda some, one: Text("{some}, {one}", some=some, one=one), texts)


class UserError(ValueError):
    """What people did wrong or can put right, in one sentence; anything else raised is a bug.

    Made of a template and its values, as a `Text` is, or of a `Text` that is there already. Of long
    values no more than the beginning is said.
    """

    def __init__(self, template: str, /, **values: Any) -> None:
        values = {name: _shown(value) for name, value in values.items()}
        self.text = template if isinstance(template, Text) else Text(template, **values)
        super().__init__(self.text)


_LONG, _SHOWN = 200, 60  # letters of a value: from how many on it is cut, and what then remains
_HUGE = 10**30


class _Plain(str):
    """What is shown of a value is shown without quotation marks."""

    __repr__ = str.__str__


def _shown(value: Any) -> Any:
    """A value for a sentence: of what is long, deep or huge there is the beginning."""
    if isinstance(value, (Text, UserError, bool)):
        return value
    if isinstance(value, str):
        return value if len(value) <= _LONG else f"{value[:_SHOWN]}..."
    if isinstance(value, int):  # as text it could be longer than Python writes
        return value if -_HUGE < value < _HUGE else math.inf if value > 0 else -math.inf
    if isinstance(value, (list, tuple, dict, set)):
        return _Plain(_shown(_BRIEF.repr(value)))
    if isinstance(value, os.PathLike) and len(str(value)) > _LONG:
        return f"...{str(value)[-_LONG:]}"  # whose end says most
    if isinstance(value, BaseException):
        return _shown(str(value))
    return value


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _SHOWN


def stored(value: Any) -> Any:
    """A `Text` as JSON, so that it can be said in any language after a restart."""
    if isinstance(value, UserError):
        value = value.text
    if isinstance(value, Text):
        values = {name: stored(part) for name, part in value.values.items()}
        return {"template": value.template, "values": values}
    return value if isinstance(value, int | float | str) else str(value)


def restored(value: Any) -> Any:
    """The way back from `stored`; raises `ValueError`, `TypeError`, `KeyError`
    or `AttributeError` where JSON has another shape."""
    if isinstance(value, dict):
        for _, name, layout, _ in string.Formatter().parse(value["template"]):
            # Anything more could look into objects, or ask for a text of a billion characters.
            if name is not None and not (name.isidentifier() and _LAYOUT.fullmatch(layout or "")):
                raise TypeError(value["template"])
        values = {name: restored(part) for name, part in value["values"].items()}
        return Text(value["template"], **values)
    return value


_LAYOUT = re.compile(r"[,g]?(\.\d)?[fg%]?")
