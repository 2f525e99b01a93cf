"""The page in another language than English: one for the whole process, chosen when it starts.

English is in the code. Every other language is a file languages/CODE.json that gives a translation
to each English text. The page's own words go through `say`, where they are shown. Sentences of the
engine, which knows of no language, go through `translate`, and so do all errors: a ValueError is
raised in English everywhere and translated where it is caught to be shown.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SOURCE = "en"
_FOLDER = Path(__file__).parents[1] / "languages"
_LONGEST = 2000  # what is longer is somebody's text, not worth the search
_SENTENCES = re.compile(r"(?<=[.!?]) (?=[A-Z])")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")

_current = SOURCE


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


def say(text: str, /, **values: Any) -> str:
    """`text` in the page's language, with `values` in place of the names in its braces."""
    words = catalogue(_current).get(text, text)
    return words.format(**values) if values else words


def later(text: str) -> str:
    """Marks words that a constant keeps in English, for `say` when they are shown."""
    return text


def listed(items: Iterable[Any]) -> str:
    """Items one after the other: "a, b, c"."""
    return say(", ").join(map(str, items))


def number(value: int) -> str:
    """A whole number with its thousands apart: "1,000"."""
    return _apart(f"{value:,}")


def translate(sentence: str) -> str:
    """A sentence that the engine has made, or several, in the page's language.

    It is found whole, or by the text around what was put into it ({} in the catalogue), or its
    sentences are, or all parts between its commas. What is not found stays as it is.
    """
    if _current == SOURCE or len(sentence) > _LONGEST:
        return sentence
    if (found := catalogue(_current).get(sentence)) is not None:
        return found
    if _THOUSANDS.fullmatch(sentence):
        return _apart(sentence)
    parts = sentence.split(", ")
    # Of names that are to be typed as they are, some may be words too: "d2l, recommended".
    if len(parts) > 1 and all(translate(part) != part for part in parts):
        return listed(map(translate, parts))
    matches = [(m, words) for p, words in _templates(_current) if (m := p.fullmatch(sentence))]
    # What was put in is seldom as long as a sentence: rather, another sentence follows.
    whole = [pair for pair in matches if not any(map(_SENTENCES.search, pair[0].groups()))]
    if whole:
        return _filled(*whole[0])
    parts = _SENTENCES.split(sentence)
    if len(parts) > 1 and (translated := [translate(part) for part in parts]) != parts:
        return " ".join(translated)
    return _filled(*matches[0]) if matches else sentence


def _filled(match: re.Match[str], words: str) -> str:
    return words.format(*map(translate, match.groups()))


def _apart(digits: str) -> str:
    return digits.replace(",", say("1,000")[1:-3])


@functools.cache
def _templates(code: str) -> list[tuple[re.Pattern[str], str]]:
    """What recognises each sentence of the engine; those that say most themselves come first."""
    keys = [key for key in catalogue(code) if "{}" in key]
    keys.sort(key=lambda key: -len(key.replace("{}", "")))
    found = []
    for key in keys:
        pattern = "(.*?)".join(map(re.escape, key.split("{}")))
        found.append((re.compile(pattern, re.DOTALL), catalogue(code)[key]))
    return found
