"""Ordinary days in Crane World: paragraphs about the people and things of the NLI pairs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from bert_demo.data.crane_world import everyday
from bert_demo.data.crane_world.grammar import (
    Dice,
    State,
    Template,
    compiled,
    finite,
    gerund,
    participle,
    plural,
)
from bert_demo.data.crane_world.reader import read


class Day(NamedTuple):
    """A kind of ordinary paragraph."""

    draw: Callable[[Dice], State]
    """Draws what the slots hold."""
    slots: State
    """What other slots hold in every such paragraph."""
    tenses: tuple[tuple[Template, ...], ...]
    """Its sentences, in the past and in the present."""


@functools.cache
def days() -> tuple[Day, ...]:
    """The kinds of ordinary paragraph, each as many times as its share says."""
    found: list[Day] = []
    for heading, fields in read("days.txt").items():
        slots: State = dict(fields)
        (share,), lines = slots.pop("share"), slots.pop("lines")
        tenses = tuple(tuple(compiled(t, past, False) for t in lines) for past in (True, False))
        found += [Day(_DRAWS[heading], slots, tenses)] * int(share)
    return tuple(found)


def _activity(dice: Dice) -> State:
    activity = dice.choice(everyday.ACTIVITIES)
    other = dice.choice([item for item in everyday.ACTIVITIES if item.excludes(activity)])
    person = dice.choice(everyday.PEOPLE)
    return {
        "n": person,
        "many": plural(person),
        "doing": gerund(activity.verb),
        "specific": gerund(activity.specific),
        "general": gerund(activity.general),
        "not": gerund(activity.general).replace("some", "any"),
        "other": gerund(other.verb),
        "place": dice.choice(activity.places),
        "colour": dice.choice(everyday.LISTS["colours"]),
        "clothes": dice.choice(everyday.LISTS["clothes"]),
        "room": dice.choice(everyday.LISTS["rooms"]),
        "when": everyday.LISTS["times"],
        "friend": dice.choice(everyday.NAMES),
        "number": everyday.NUMBERS[2:],
        "look": everyday.LISTS["person looks"],
    }


def _kind(dice: Dice) -> State:
    top = dice.choice(tuple(everyday.KINDS))
    kind, other = dice.shuffled(tuple(everyday.KINDS[top]))[:2]
    one, two = dice.shuffled(everyday.KINDS[top][kind])[:2]
    state = {
        "top": top,
        "tops": plural(top) if top != "piece of food" else "pieces of food",
        "kind": kind,
        "kinds": plural(kind),
        "other": other,
        "others": plural(other),
        "one": one,
        "ones": plural(one),
        "two": two,
        "stranger": dice.choice(everyday.KINDS[top][other]),
        "p": dice.choice(everyday.PEOPLE),
        "friend": dice.choice(everyday.NAMES),
    }
    special = {"being": everyday.DOINGS.get(top), "handling": everyday.HANDLING.get(top)}
    return state | {slot: choices for slot, choices in special.items() if choices}


def _property(dice: Dice) -> State:
    item = dice.choice(everyday.PROPERTIES)
    word, opposite, same, rival = item.turned(dice.random() < 0.5)
    owner = dice.choice([name for name in item.owners if name not in ("he", "she")])
    living = owner in everyday.PEOPLE
    return {
        "n": owner,
        "many": plural(owner),
        "he": ("he", "she")[owner in ("woman", "girl", "nurse")] if living else "it",
        "word": word,
        "opposite": opposite,
        "same": same,
        "rival": rival,
        "room": dice.choice(everyday.LISTS["rooms"]),
        "friend": dice.choice(everyday.NAMES),
    }


def _deed(dice: Dice) -> State:
    verb, things = dice.choice(everyday.DEEDS)
    thing = dice.choice(things)
    one, two = dice.shuffled(everyday.SEXES if dice.random() < 0.5 else everyday.WORKERS)[:2]
    return {
        "n": one,
        "two": two,
        "verb": verb,
        "did": finite(verb, past=True, many=False),
        "done": participle(verb),
        "thing": thing,
        "colour": everyday.LISTS["colours"],
        "when": everyday.LISTS["times"],
        "friend": dice.choice(everyday.NAMES),
    }


def _number(dice: Dice) -> State:
    top = dice.choice(("animal", "person", "vehicle"))
    kind = dice.choice(tuple(everyday.KINDS[top]))
    low = 2 + int(dice.random() * 6)
    high = low + 1 + int(dice.random() * (10 - low))
    return {
        "kinds": plural(kind),
        "tops": plural(top),
        "low": everyday.NUMBERS[low - 1],
        "high": everyday.NUMBERS[high - 1],
        "next": everyday.NUMBERS[low],
        "p": dice.choice(everyday.PEOPLE),
        "friend": dice.choice(everyday.NAMES),
        "when": everyday.LISTS["times"],
    }


def _comparison(dice: Dice) -> State:
    more, less, word = dice.choice(everyday.COMPARISONS)
    one, two, three = dice.shuffled(everyday.PEOPLE)[:3]
    return {"more": more, "less": less, "word": word, "one": one, "two": two, "three": three}


_DRAWS = {
    "activity": _activity,
    "kind": _kind,
    "property": _property,
    "deed": _deed,
    "number": _number,
    "comparison": _comparison,
}
"""By their headings in days.txt."""
