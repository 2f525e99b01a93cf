"""Pairs about people and things, made of lists of words: who did it, who is more of it, who has it.

The words are those that captions are about (captions.txt), many more than the templates of
logic.txt have: a judge that meets a sentence with few words learns the words instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bert_demo.config import LABELS
from bert_demo.data.crane_world.grammar import Dice

Row = tuple[str, str, str, int]
"""Kind, premise, hypothesis, label."""

Words = Mapping[str, tuple[str, ...]]

_FOLLOWS, _OPEN, _AGAINST = range(len(LABELS))


def worded(dice: Dice, words: Words, painted: Sequence[str]) -> Iterator[Row]:
    """Every sentence once, with words drawn anew. `painted`: things that captions give a colour."""
    yield from _doing(dice, words)
    yield from _done(dice, words)
    yield from _placed(dice, words)
    yield from _compared(dice, words)
    yield from _handled(dice, words)
    yield from _painted(dice, words, painted or words["things"])
    yield from _owned(dice, words, painted or words["things"])
    yield from _clothed(dice, words)


def _people(dice: Dice, words: Words) -> list[str]:
    """Three, each with an article of its own."""
    people = dice.shuffled(words["people"])[:3]
    return [f"{dice.choice(('the', 'the', 'a'))} {one}" for one in people]


def _doing(dice: Dice, words: Words) -> Iterator[Row]:
    a, b, c = dice.shuffled(words["people"])[:3]
    doing, done, both = dice.choice(words["deeds"]).split()
    kind, swapped = "swapped", _OPEN if both == "both" else _AGAINST
    the = dice.choice(("the {}", "the {}", "a {}")).format
    yes, turned = f"{the(a)} is {doing} {the(b)}", f"{the(b)} is {doing} {the(a)}"
    passive = f"{the(b)} is being {done} by {the(a)}"
    yield kind, yes, passive, _FOLLOWS
    yield kind, passive, yes, _FOLLOWS
    yield kind, yes, turned, swapped
    yield kind, yes, f"{the(a)} is being {done} by {the(b)}", swapped
    yield kind, yes, f"{the(a)} is {doing} {the(c)}", _OPEN
    yield kind, passive, f"nobody is {doing} {the(b)}", _AGAINST


def _done(dice: Dice, words: Words) -> Iterator[Row]:
    """In the past: the other may have done the same at another time."""
    a, b, c = _people(dice, words)
    did, kind = dice.choice(words["done"]), "done"
    when, there = dice.choice(words["times"]), dice.choice(words["scenes"])
    active = dice.choice(
        (f"{a} {did} {b} {when}", f"{when} {a} {did} {b}", f"{a} {did} {b} {there}")
    )
    passive = dice.choice(
        (
            f"{b} was {did} by {a} {when}",
            f"{when} {b} was {did} by {a}",
            f"{b} was {did} {there} by {a}",
        )
    )
    yield kind, active, f"{b} was {did} by {a}", _FOLLOWS
    yield kind, passive, f"{a} {did} {b}", _FOLLOWS
    yield kind, active, f"somebody {did} {b}", _FOLLOWS
    yield kind, active, f"{b} {did} {a}", _OPEN
    yield kind, active, f"{a} was {did} by {b}", _OPEN
    yield kind, passive, f"{b} {did} {a}", _OPEN
    yield kind, passive, f"{a} was {did} by {b}", _OPEN
    yield kind, active, f"{c} was {did} by {a}", _OPEN
    yield kind, f"nobody {did} {b} {when}", f"{b} was {did} by {a} {when}", _AGAINST
    yield kind, f"{b} was {did} by no one {there}", f"{a} {did} {b} {there}", _AGAINST
    yield kind, active, f"nobody {did} {b}", _AGAINST
    yield kind, passive, f"{b} was {did} by nobody", _AGAINST


def _placed(dice: Dice, words: Words) -> Iterator[Row]:
    """What two cannot be of each other."""
    a, b, c = _people(dice, words)
    is_so, kind = dice.choice(words["relations"]), "placed"
    there = dice.choice(words["scenes"])
    yield kind, f"{a} {is_so} {b} {there}", f"{a} {is_so} {b}", _FOLLOWS
    yield kind, f"{b} is smiling and {a} {is_so} {b}", f"{a} {is_so} {b}", _FOLLOWS
    yield kind, f"{a} {is_so} {b} {there}", f"{a} {is_so} {c} {there}", _OPEN
    yield kind, f"{a} {is_so} {b} and {c}", f"{b} {is_so} {c}", _OPEN
    yield kind, f"{a} {is_so} {b}", f"{b} {is_so} {a}", _AGAINST
    yield kind, f"{a} {is_so} {b} {there}", f"{b} {is_so} {a}", _AGAINST


def _compared(dice: Dice, words: Words) -> Iterator[Row]:
    a, b, c = dice.shuffled(words["people"])[:3]
    more, less = dice.choice(words["comparisons"]).split()
    kind, one = "compared", f"the {a} is {more} than the {b}"
    yield kind, one, f"the {b} is {less} than the {a}", _FOLLOWS
    yield kind, one, f"the {b} is not {more} than the {a}", _FOLLOWS
    yield kind, one, f"the {b} is {more} than the {a}", _AGAINST
    yield kind, one, f"the {a} is {less} than the {b}", _AGAINST
    yield kind, one, f"the {a} is {more} than the {c}", _OPEN
    yield (
        kind,
        f"the {a} is {more} than the {c} and the {b}",
        f"the {b} is {more} than the {c}",
        _OPEN,
    )
    yield kind, one, f"the {a} is as {less[:-2]} as the {b}", _AGAINST


def _handled(dice: Dice, words: Words) -> Iterator[Row]:
    """What people do to things, and things never to people."""
    people, things = dice.shuffled(words["people"]), dice.shuffled(words["things"])
    the = dice.choice(("the", "a"))
    a, b, x, y = f"{the} {people[0]}", f"{the} {people[1]}", f"the {things[0]}", f"the {things[1]}"
    did, kind = dice.choice(words["handlings"]), "handled"
    when = dice.choice(("", f" {dice.choice(words['times'])}"))
    yes, passive = f"{a} {did} {x}{when}", f"{x} was {did} by {a}"
    yield kind, yes, passive, _FOLLOWS
    yield kind, f"{passive}{when}", f"{a} {did} {x}", _FOLLOWS
    yield kind, yes, f"{a} was {did} by {x}", _AGAINST
    yield kind, passive, f"{x} {did} {a}", _AGAINST
    yield kind, f"nobody {did} {x}", passive, _AGAINST
    yield kind, passive, f"{x} was {did} by {b}", _OPEN
    yield kind, yes, f"{y} was {did} by {a}", _OPEN


def _painted(dice: Dice, words: Words, things: Sequence[str]) -> Iterator[Row]:
    """Two things with two colours: which has which."""
    x, y = dice.shuffled(things)[:2]
    c, d = dice.shuffled(words["paints"])[:2]
    near = dice.choice(words["nearby"])
    yes = dice.choice(
        (
            f"a {c} {x} is {near} a {d} {y}",
            f"there is a {c} {x} and a {d} {y}",
            f"the {x} was {c} while the {y} was {d}",
            f"somebody is carrying a {c} {x} and a {d} {y}",
            f"one sees a {x} , which is {c} , and a {y} , which is {d}",
            f"the {x} here is {c} but the {y} is {d}",
        )
    )
    be, kind = "was" if " was " in yes else "is", "painted"
    half = dice.choice((f"a {c} {x} is {near} a {y}", f"there is a {y} and a {c} {x}"))
    for mine, its, other in ((x, c, d), (y, d, c)):
        yield kind, yes, f"the {mine} {be} {its}", _FOLLOWS
        yield kind, yes, f"the {mine} {be} not {other}", _FOLLOWS
        yield kind, yes, f"the {mine} {be} {other}", _AGAINST
        yield kind, yes, f"the {mine} {be} not {its}", _AGAINST
    yield kind, half, f"the {x} is {c}", _FOLLOWS
    yield kind, half, f"the {x} is {d}", _AGAINST
    yield kind, half, f"the {y} is {c}", _OPEN
    yield kind, half, f"the {y} is {d}", _OPEN
    yield kind, f"there is a {x} and a {y}", f"the {dice.choice((x, y))} is {c}", _OPEN


def _owned(dice: Dice, words: Words, things: Sequence[str]) -> Iterator[Row]:
    a, b = dice.shuffled(words["people"])[:2]
    x, y = dice.shuffled(things)[:2]
    c, d = dice.shuffled(words["paints"])[:2]
    kind, owns = "owned", f"the {a} owns a {c} {x}"
    yield kind, owns, f"the {a} owns a {x}", _FOLLOWS
    yield kind, f"the {a}'s {x} is {c} and the {b}'s {x} is {d}", f"the {b}'s {x} is {d}", _FOLLOWS
    yield kind, owns, f"the {b} owns a {c} {x}", _OPEN
    yield kind, f"the {a}'s {x} is {c}", f"the {a}'s {y} is {c}", _OPEN
    yield kind, f"the {a}'s {x} is {c}", f"the {b}'s {x} is {c}", _OPEN
    yield kind, f"the {a}'s {x} is {c} and the {b}'s {x} is {d}", f"the {b}'s {x} is {c}", _AGAINST
    yield kind, f"the {a}'s only {x} is {c}", f"the {a}'s {x} is {d}", _AGAINST
    neither, none = f"the {a} owns neither a {x} nor a {y}", f"the {a} owns no {x}"
    yield kind, neither, f"the {a} does not own a {dice.choice((x, y))}", _FOLLOWS
    yield kind, none, f"the {a} owns no {c} {x}", _FOLLOWS
    yield kind, f"the {a} owns no {c} {x}", none, _OPEN
    yield kind, none, f"the {a} owns no {y}", _OPEN
    yield kind, neither, f"the {a} owns a {dice.choice((x, y))}", _AGAINST


def _clothed(dice: Dice, words: Words) -> Iterator[Row]:
    people = dice.shuffled(words["people"])[:2]
    a, b = (f"a {one}" for one in people)
    v, w = (dice.choice(words["clothing"]) for _ in range(2))
    c, d = dice.shuffled(words["paints"])[:2]
    doing, kind = dice.choice(words["deeds"]).split()[0], "clothed"
    yes = dice.choice(
        (
            f"{a} with a {c} {v} is {doing} {b} with a {d} {w}",
            f"{a} in a {c} {v} is {doing} {b} in a {d} {w}",
            f"{a} in a {c} {v} and {b} in a {d} {w} are outside",
        )
    )
    one, two = (f"the {name}" for name in people)
    for who, its, wear, other in ((one, c, v, d), (two, d, w, c)):
        yield kind, yes, f"{who} is wearing a {its} {wear}", _FOLLOWS
        yield kind, yes, f"{who} is wearing a {other} {wear}", _AGAINST
    half = f"{a} in a {c} {v} is {doing} {b}"
    yield kind, half, f"{two} is wearing a {c} {v}", _OPEN
    yield kind, half, f"{two} is wearing a {d} {v}", _OPEN
    yield kind, f"{a} is {doing} {b}", f"{one} is wearing a {c} {v}", _OPEN
