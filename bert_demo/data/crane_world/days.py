"""Ordinary days in Crane World: paragraphs about the people and things of the NLI pairs."""

from __future__ import annotations

from collections.abc import Callable

from bert_demo.data.crane_world.everyday import (
    ACTIVITIES,
    CLOTHES,
    COLOURS,
    COMPARISONS,
    DEEDS,
    DOINGS,
    HANDLING,
    KINDS,
    NUMBERS,
    PEOPLE,
    PERSON_ADJECTIVES,
    PROPERTIES,
    ROOMS,
    SEXES,
    TIMES,
    WORKERS,
)
from bert_demo.data.crane_world.frames import MEN, WOMEN, lines
from bert_demo.data.crane_world.grammar import Dice, State, finite, gerund, participle, plural


def _activity(dice: Dice) -> State:
    activity = dice.choice(ACTIVITIES)
    other = dice.choice([item for item in ACTIVITIES if item.excludes(activity)])
    person = dice.choice(PEOPLE)
    return {
        "n": person,
        "many": plural(person),
        "doing": gerund(activity.verb),
        "specific": gerund(activity.specific),
        "general": gerund(activity.general),
        "not": gerund(activity.general).replace("some", "any"),
        "other": gerund(other.verb),
        "place": dice.choice(activity.places),
        "colour": dice.choice(COLOURS),
        "clothes": dice.choice(CLOTHES),
        "room": dice.choice(ROOMS),
        "when": TIMES,
        "friend": dice.choice(MEN + WOMEN),
        "number": NUMBERS[2:],
        "look": PERSON_ADJECTIVES,
    }


def _kind(dice: Dice) -> State:
    top = dice.choice(tuple(KINDS))
    kind, other = dice.shuffled(tuple(KINDS[top]))[:2]
    one, two = dice.shuffled(KINDS[top][kind])[:2]
    return {
        "top": top,
        "tops": plural(top) if top != "piece of food" else "pieces of food",
        "kind": kind,
        "kinds": plural(kind),
        "other": other,
        "others": plural(other),
        "one": one,
        "ones": plural(one),
        "two": two,
        "stranger": dice.choice(KINDS[top][other]),
        "p": dice.choice(PEOPLE),
        "friend": dice.choice(MEN + WOMEN),
        "look": ("big", "small", "beautiful", "new", "old"),
        "being": DOINGS.get(top, ("beautiful", "for sale", "in the yard")),
        "handling": HANDLING.get(top, ("watching", "talking to", "looking for")),
    }


def _property(dice: Dice) -> State:
    item = dice.choice(PROPERTIES)
    flip = -1 if dice.random() < 0.5 else 1
    owner = dice.choice([name for name in item.owners if name not in ("he", "she")])
    word, opposite = (item.word, item.opposite)[::flip]
    same, opposite_same = (item.same, item.opposite_same)[::flip]
    living = owner in PEOPLE
    return {
        "n": owner,
        "many": plural(owner),
        "he": ("he", "she")[owner in ("woman", "girl", "nurse")] if living else "it",
        "word": word,
        "opposite": opposite,
        "same": same,
        "rival": opposite_same,
        "room": dice.choice(ROOMS),
        "friend": dice.choice(MEN + WOMEN),
        "where": ("here", "near the station", "behind the house", "in front of us", "outside"),
    }


def _deed(dice: Dice) -> State:
    verb, things = dice.choice(DEEDS)
    thing = dice.choice(things)
    one, two = dice.shuffled(SEXES if dice.random() < 0.5 else WORKERS)[:2]
    return {
        "n": one,
        "two": two,
        "verb": verb,
        "did": finite(verb, past=True, many=False),
        "done": participle(verb),
        "thing": thing,
        "place": ("in the street", "in the garden", "at the station", "in the market", "at home"),
        "colour": COLOURS,
        "when": TIMES,
        "friend": dice.choice(MEN + WOMEN),
    }


def _number(dice: Dice) -> State:
    top = dice.choice(("animal", "person", "vehicle"))
    kind = dice.choice(tuple(KINDS[top]))
    low = 2 + int(dice.random() * 6)
    high = low + 1 + int(dice.random() * (10 - low))
    return {
        "kinds": plural(kind),
        "tops": plural(top),
        "low": NUMBERS[low - 1],
        "high": NUMBERS[high - 1],
        "next": NUMBERS[low],
        "place": ("near the bridge", "near the water", "outside", "at the station"),
        "p": dice.choice(PEOPLE),
        "friend": dice.choice(MEN + WOMEN),
        "when": TIMES,
    }


def _comparison(dice: Dice) -> State:
    more, less, word = dice.choice(COMPARISONS)
    one, two, three = dice.shuffled(PEOPLE)[:3]
    return {"more": more, "less": less, "word": word, "one": one, "two": two, "three": three}


EVERYDAY: tuple[tuple[Callable[[Dice], State], tuple[str, ...], int], ...] = (
    (
        _activity,
        lines("""
[a|the] {look} {n} ^be {doing} {place}
the {n} ^be {look} , and {friend} ^be {look} , too
the {n} in the {colour} {clothes} ^be {doing} {when}
the {n} ^wear a {colour} {clothes} and ^be {specific}
the {n} ^be not {other} , because {friend} ^say that the {n} ^be {doing}
{when} the {n} ^be {specific} {place} , and so ^be {friend}
whoever ^be {doing} ^be {general} , {friend} ^say [today|again|with a smile]
{friend} ^be not {not} , but the {n} ^be {doing} {when}
all of the {many} {place} +be {doing} [today|again|now|as usual]
most of the {many} +be {specific} {when}
only {number} of the {many} +be {other} {when}
some of the {many} +be {doing} , but none of them +be {other}
not one of the {many} ^be {other} {place}
no one ^be {other} and nobody ^be in the {room} , {friend} ^say
there ^be someone in the {room} , but the {n} ^be {place}
the {n} ^be {doing} [alone|with a friend|with a child] {when}
it ^be [raining|cold|late] , so {friend} and the {n} +be {doing} {place}
every {n} {place} ^be {general} while the bell ^be ringing
the sun ^be shining while the {n} ^be {doing} {place}
"""),
        3,
    ),
    (
        _kind,
        lines("""
[a|the|every] {one} ^be a {kind} , and every {kind} ^be [a|some sort of] {top}
{friend} ^know that [all|most|many] {ones} +be {kinds}
no {one} ^be a {other} , the {p} ^tell {friend}
a {one} and a {two} +be {kinds} , but a {stranger} ^be a {other}
the {p} ^draw a {kind} : it ^be a {look} {one}
the {look} {one} ^be {being}
a {look} {two} ^be {being} , and a {stranger} ^be {being} , too
the {p} ^be {handling} a {one} and {friend} ^be {handling} a {stranger}
{friend} ^be {handling} something , a {kind} or a {other}
some {kinds} +be {ones} , but not all {kinds} +be {ones}
the {look} {one} ^be a {top} and the {stranger} ^be a {top} , too
{kinds} and {others} +be {tops} , {friend} ^read in a book
the {p} ^show {friend} a {look} {kind} , a {one}
the {p} ^like the {one} more than the {stranger} , because {friend} ^like {kinds}
{friend} ^look for a {kind} and ^find a {look} {one}
which {top} ^be it , a {kind} or a {other} , the {p} ^ask
"""),
        3,
    ),
    (
        _property,
        lines("""
the {n} ^be {word} [now|again|today|of course|as usual]
the {word} {n} ^be {where} , and the {opposite} {n} ^be in the {room}
the {n} ^be [really|still] {word} , so {he} ^be not {opposite}
{friend} ^say that the {n} ^be {same} , and everybody can see that {he} ^be {word}
{friend} ^see two {many} : one ^be {word} and the other ^be {opposite}
what ^be {same} ^be {word} , what ^be {rival} ^be {opposite} , {friend} ^say
the {n} {where} ^be not {word} but {opposite} , {friend} ^think
yesterday the {n} was {opposite} , but today {he} is {word}
{friend} ^hope that the {n} ^be not {rival} [now|any more|again]
the {n} in the {room} ^be {same} [again|today|as usual]
{he} is {word} , {friend} ^say , and {he} was never {opposite}
"""),
        2,
    ),
    (
        _deed,
        lines("""
the {n} {did} the {thing} {place}
the {colour} {thing} was {done} by the {n} {when}
it was the {n} who {did} the {thing} , not the {two}
the {two} did not {verb} the {thing} , {friend} [said|thought|knew]
someone {did} the {thing} {when} , but {friend} did not know who
the {thing} was {done} {place} , and {friend} saw the {n}
{friend} saw that the {n} {did} the {colour} {thing} {when}
nobody saw who {did} the {thing} , but {friend} asked the {two} and the {n}
the {n} wanted to {verb} the {thing} {place}
by {when} the {thing} was {done} by the {n} and {friend}
"""),
        2,
    ),
    (
        _number,
        lines("""
there +be {low} {kinds} {place} {when}
{high} {kinds} +be more than {low} {kinds} , the {p} ^tell {friend}
{friend} ^count at least {low} {kinds} {place}
there +be fewer than {high} {kinds} {place} , {friend} ^say
a number of {kinds} +be {place} , {low} or {next}
after {low} ^come {next} , the {p} ^say {when} and ^count the {kinds}
some {tops} +be {place} : {low} {kinds} and one more make {next}
the {p} ^see {high} {kinds} {place} , but {friend} ^see only {low}
at least {low} and fewer than {high} {kinds} +be {place}
"""),
        1,
    ),
    (
        _comparison,
        lines("""
the {one} ^be [much|a little] {more} than the {two}
the {two} ^be {less} than the {one} , as everybody can see
the {one} and the {three} +be {word} , but the {one} ^be [much|a little] {more}
because the {one} ^be {more} than the {two} , the {two} ^be {less} than the {one}
the {three} ^be {more} than the {two} , but not {more} than the {one}
who ^be {more} , the {one} or the {two} , the {three} ^ask
"""),
        1,
    ),
)
"""Kinds of ordinary paragraph: what they draw at random, the sentences they tell, their share."""
