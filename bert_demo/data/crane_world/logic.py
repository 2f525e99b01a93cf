"""Pairs of premise and hypothesis about number, quantity, quality and comparison."""

from __future__ import annotations

from bert_demo.data.crane_world import everyday
from bert_demo.data.crane_world.grammar import Dice, gerund, plural
from bert_demo.data.crane_world.pairs import (
    CONTRADICTION,
    ENTAILMENT,
    NEUTRAL,
    Draft,
    aside,
    incompatible,
    other,
)


def _count(number: int, noun: str) -> str:
    return f"one {noun} is" if number == 1 else f"{everyday.NUMBERS[number - 1]} {plural(noun)} are"


def numbers_pair(dice: Dice) -> Draft:
    """Counting: exactly, at least, more than, fewer than."""
    top = dice.choice(("animal", "person", "vehicle"))
    kind = dice.choice(tuple(everyday.KINDS[top]))
    doing = dice.choice(everyday.DOINGS[top])
    number = 3 + int(dice.random() * 6)
    phrase = dice.choice(("", "at least ", "more than ", "fewer than "))
    right = {
        "": {number},
        "at least ": set(range(number, 11)),
        "more than ": set(range(number + 1, 11)),
        "fewer than ": set(range(1, number)),
    }[phrase]

    def premise(label: int) -> str:
        if label == NEUTRAL:
            start = f"{dice.choice(('some', 'a number of'))} {plural(kind)} are"
            if phrase in ("", "at least "):
                start = dice.choice((start, _count(number, top)))
        else:
            fitting = [n for n in range(1, 11) if (n in right) == (label == ENTAILMENT)]
            start = _count(dice.choice(fitting), kind)
        return f"{start} {doing}{aside(dice)}"

    return f"{phrase}{everyday.NUMBERS[number - 1]} {plural(kind)} are {doing}", premise


def quantity_pair(dice: Dice) -> Draft:
    """All, most, some and none."""
    one = dice.choice(everyday.LISTS["groups"])
    many = plural(one)
    activity = dice.choice(everyday.ACTIVITIES)
    doing = gerund(activity.verb)
    quantity = dice.choice(("all", "most of", "some of", "none of"))
    every = (f"every {one} is {doing}", f"all of the {many} are {doing}")
    nobody = (f"no {one} is {doing}", f"not one of the {many} is {doing}")
    few = (f"only two of the {many} are {doing}", f"only one of the {many} is {doing}")
    part = (f"some of the {many} are {doing}", f"at least three of the {many} are {doing}")
    place = (f"the {many} are {dice.choice(activity.places)}",)
    entailing = {
        "all": every,
        "most of": every,
        "some of": (*every, *few, *part, f"most of the {many} are {doing}"),
        "none of": nobody,
    }[quantity]
    neutral = place if quantity in ("some of", "none of") else (*place, *part)
    contradicting = {
        "all": (*nobody, *few),
        "most of": nobody,
        "some of": nobody,
        "none of": (*every, *few, *part),
    }[quantity]

    def premise(label: int) -> str:
        if quantity == "none of" and label == ENTAILMENT and dice.random() < 0.5:
            busy = gerund(incompatible(dice, activity).verb)
            return f"all of the {many} are {busy}{aside(dice)}"
        return dice.choice((entailing, neutral, contradicting)[label]) + aside(dice)

    return f"{quantity} the {many} are {doing}", premise


def property_pair(dice: Dice) -> Draft:
    """Adjectives, their synonyms, opposites and negations."""
    item = dice.choice(everyday.PROPERTIES)
    owner = dice.choice(item.owners)
    word, opposite, same, opposite_same = item.turned(dice.random() < 0.5)
    negated = dice.random() < 0.3
    pronoun = owner in ("he", "she")
    subject = owner if pronoun else f"the {owner}"

    def premise(label: int) -> str:
        if label == NEUTRAL:
            others = [p.word for p in everyday.PROPERTIES if owner in p.owners and p is not item]
            state = dice.choice((*others, *everyday.LISTS["positions"]))
        elif (label == ENTAILMENT) != negated:
            state = dice.choice((word, same, f"really {word}", f"still {word}"))
        else:
            state = dice.choice((opposite, opposite_same, f"not {word}", f"really {opposite}"))
        attributive = not pronoun and word not in ("awake", "asleep")
        if attributive and state in (word, opposite) and dice.random() < 0.3:
            return f"the {state} {owner} is {dice.choice(everyday.LISTS['positions'])}{aside(dice)}"
        return f"{subject} is {state} {dice.choice(everyday.LISTS['comments'])}".rstrip()

    return f"{subject} is {'not ' if negated else ''}{word}", premise


def comparison_pair(dice: Dice) -> Draft:
    """Taller than, shorter than."""
    comparison = dice.choice(everyday.COMPARISONS)
    more, less = comparison[:2] if dice.random() < 0.5 else comparison[1::-1]
    first = dice.choice(everyday.PEOPLE)
    second = other(dice, everyday.PEOPLE, first)

    def premise(label: int) -> str:
        much = dice.choice(("", "much ", "a little "))
        if label == NEUTRAL:
            unrelated = dice.choice([c for c in everyday.COMPARISONS if c is not comparison])
            premises = (
                f"the {first} and the {second} are {comparison[2]}",
                f"the {first} is {much}{unrelated[0]} than the {second}",
                f"the {second} is {much}{unrelated[1]} than the {first}",
            )
            return dice.choice(premises)
        one, two, word = dice.choice(((first, second, more), (second, first, less)))
        if label == CONTRADICTION:
            word = less if word == more else more
        return f"the {one} is {much}{word} than the {two}"

    return f"the {first} is {more} than the {second}", premise
