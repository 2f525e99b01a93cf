"""The small grammar Crane World is written with: word forms, and templates filled at random.

A template is plain text with four marks:

- `{slot}` is filled from the paragraph at hand (an actor, a place, what somebody does),
- `[a|b|c]` is one of the choices, drawn anew each time,
- `~verb`, `^verb` and `+verb` agree with the hero, a singular and a plural subject, in the
  paragraph's tense: `the crane ~fly` becomes "the crane flew" or "the crane flies".
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from bert_demo.data.crane_world.reader import read

Item = TypeVar("Item")
State = dict[str, Any]
"""What a paragraph's slots hold: text, choices, or a function that draws a template."""

_FORMS = read("grammar.txt")
_VERBS = _FORMS["verbs"]
_IRREGULAR = {base: forms for base, *forms in map(str.split, _VERBS["irregular"])}
_PLURALS = dict(entry.split() for entry in _FORMS["nouns"]["irregular"])
_DOUBLING = _VERBS["doubling"]
STATIVE = _VERBS["without -ing"]
"""Verbs of states, which take no -ing form: nobody says "it was belonging to the coach"."""

_SHORT = re.compile(r"(?:[^aeiou]*|qu)[aeiou][^aeiouwxy]")
_HISS = re.compile(r"(?:s|x|z|ch|sh|o)$")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")
_ARTICLE = re.compile(r"\ba(?= [aeiou])")
_MARK = re.compile(r"\{(\w+)\}|\[([^\]]*)\]|([~^+])([a-z]+)")


class Dice:
    """Random choices that come out the same on every platform and Python version.

    Only `random.Random.random` is used: Python promises its sequence for a given whole-number
    seed, which it does not for `choice` or `shuffle`.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def choice(self, items: Sequence[Item]) -> Item:
        """One of the items, all equally likely."""
        return items[int(self.random() * len(items))]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """The items in random order (Fisher and Yates)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = int(self.random() * (last + 1))
            result[last], result[other] = result[other], result[last]
        return result


def articles(text: str) -> str:
    """Turn "a" into "an" before a vowel; no word of Crane World needs an exception."""
    return _ARTICLE.sub("an", text)


def plural(noun: str) -> str:
    """The plural of a noun."""
    if noun in _PLURALS:
        return _PLURALS[noun]
    if _CONSONANT_Y.search(noun):
        return noun[:-1] + "ies"
    return noun + ("es" if _HISS.search(noun) else "s")


def ing(verb: str) -> str:
    """The -ing form of a verb."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")) and verb != "be":
        return verb[:-1] + "ing"
    if _SHORT.fullmatch(verb) or verb in _DOUBLING:
        return verb + verb[-1] + "ing"
    return verb + "ing"


def gerund(verb_phrase: str) -> str:
    """A verb phrase with its verb in the -ing form: "reading a book"."""
    verb, _, rest = verb_phrase.partition(" ")
    return f"{ing(verb)} {rest}".strip()


def participle(verb: str) -> str:
    """The past participle of a verb."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb][1]
    if verb.endswith("e"):
        return verb + "d"
    if _CONSONANT_Y.search(verb):
        return verb[:-1] + "ied"
    return verb + (verb[-1] if _SHORT.fullmatch(verb) or verb in _DOUBLING else "") + "ed"


def finite(verb: str, past: bool, many: bool) -> str:
    """The form of a verb that agrees with its subject: third person, singular or plural."""
    if verb == "be":
        return ("were" if many else "was") if past else ("are" if many else "is")
    if past:
        return _IRREGULAR[verb][0] if verb in _IRREGULAR else participle(verb)
    if many:
        return verb
    if verb == "have":
        return "has"
    if _CONSONANT_Y.search(verb):
        return verb[:-1] + "ies"
    return verb + ("es" if _HISS.search(verb) else "s")


Template = tuple[str, tuple["str | tuple[str, ...]", ...]]
"""Text with "%s" for each filler, and the fillers: slots' names, or choices."""


def compiled(template: str, past: bool, many: bool) -> Template:
    """Split a template into text and fillers; verbs get their form."""
    fillers: list[str | tuple[str, ...]] = []

    def replace(match: re.Match[str]) -> str:
        slot, choices, mark, verb = match.groups()
        if verb:
            return finite(verb, past, many if mark == "~" else mark == "+")
        fillers.append(slot or tuple(choices.split("|")))
        return "%s"

    return _MARK.sub(replace, template), tuple(fillers)


def fill(template: Template, state: State, dice: Dice) -> str:
    """Fill a compiled template; a slot's value is text, choices, or a function that draws."""
    text, fillers = template
    values = []
    for filler in fillers:
        value: Any = state[filler] if isinstance(filler, str) else filler
        if type(value) is tuple:
            value = dice.choice(value)
        elif type(value) is not str:
            value = fill(value(), state, dice)
        values.append(value)
    return text % tuple(values)
