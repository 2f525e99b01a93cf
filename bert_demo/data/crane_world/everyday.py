"""Ordinary life in Crane World: the people, things and deeds that its NLI pairs are made of.

The corpus tells paragraphs with the same words, so that a model has met every word of the
premises and hypotheses before it is fine-tuned on them.
"""

from __future__ import annotations

from typing import NamedTuple

from bert_demo.data.crane_world.reader import read, split

_FILE = read("everyday.txt")
_TABLES = _FILE["tables"]


class Activity(NamedTuple):
    """One thing a person does, somewhere; no two of the places can be the same."""

    verb: str
    specific: str
    """Entails `verb`."""
    general: str
    """Is entailed by `verb`."""
    uses: frozenset[str]
    """What of the body it takes: nobody does two activities that need the same at once."""
    places: tuple[str, ...]

    def excludes(self, other: Activity) -> bool:
        """Whether nobody can do both at once."""
        return self != other and bool(self.uses & other.uses)


class Property(NamedTuple):
    """An adjective, its opposite and the words that mean the same, with what may have it."""

    word: str
    opposite: str
    same: str
    opposite_same: str
    owners: tuple[str, ...]

    def turned(self, turn: bool) -> tuple[str, str, str, str]:
        """Word, opposite and what means the same as each; from the opposite's side if `turn`."""
        if turn:
            return self.opposite, self.word, self.opposite_same, self.same
        return self[:4]


LISTS = _FILE["lists"]
"""Words and phrases that sentences choose from."""
SEXES, WORKERS, NUMBERS = LISTS["sexes"], LISTS["workers"], LISTS["numbers"]
PEOPLE = SEXES + WORKERS
"""A teacher may be a woman, but is no farmer: people differ only within one of the two groups."""
NAMES = LISTS["men"] + LISTS["women"]

ACTIVITIES = tuple(
    Activity(verb, specific, general, frozenset(uses.split()), split(places, ","))
    for verb, specific, general, uses, places in map(split, _TABLES["activities"])
)
PROPERTIES = tuple(
    Property(word, opposite, same, opposite_same, split(owners, ","))
    for word, opposite, same, opposite_same, owners in map(split, _TABLES["properties"])
)
COMPARISONS = tuple(map(split, _TABLES["comparisons"]))
"""(more, less, plain): taller, shorter, tall."""
DEEDS = tuple((verb, split(things, ",")) for verb, things in map(split, _TABLES["deeds"]))
"""(verb, what it can be done to)."""

KINDS = {
    top: {kind: split(members, ",") for kind, members in map(split, rows)}
    for top, rows in _FILE["kinds"].items()
}
"""Top kind -> kind -> members. Kinds under one top share no member."""
DOINGS = _FILE["doings"]
"""What members of a top kind may be: after "is"."""
HANDLING = _FILE["handling"]
"""What people may be doing with members of a top kind."""
LOOKS = _FILE["looks"]
"""Adjectives, and none, that members of a top kind may have."""
