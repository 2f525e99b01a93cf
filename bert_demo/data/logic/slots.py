"""What the slots of logic.txt hold: drawn in groups, and only those that a pair asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bert_demo.data.crane_world.grammar import Dice, finite, gerund, participle, plural
from bert_demo.data.crane_world.reader import Section, split

_FORMS = ("do", "does", "did", "done", "doing")


class Slots(dict[str, str]):
    """One pair's words by slot; a slot is drawn, with those it belongs to, when it is asked for."""

    def __init__(self, dice: Dice, lists: Section) -> None:
        super().__init__()
        self._dice, self._lists = dice, lists

    def __missing__(self, slot: str) -> str:
        names, draw = _GROUPS[slot]
        for name, word in zip(names, draw(self), strict=True):
            self.setdefault(name, word)
        return self[slot]

    def one(self, name: str) -> tuple[str, ...]:
        """The parts of one entry of a list."""
        return split(self._dice.choice(self._lists[name]))

    def some(self, items: str | Sequence[str], count: int) -> list[str]:
        """`count` different entries of a list."""
        entries = self._lists[items] if isinstance(items, str) else items
        found: list[str] = []
        while len(found) < count:
            entry = self._dice.choice(entries)
            if entry not in found:
                found.append(entry)
        return found

    def known(self, noun: str, determiners: str) -> str:
        """The noun as one that both texts speak of."""
        return f"{self.one(determiners)[0]} {noun}"

    def people(self) -> list[str]:
        lists = self._lists
        apart = self.some("people", 2)
        rest = [noun for noun in lists["people"] + lists["sexes"] if noun not in apart]
        nouns = self.some(rest, 7)
        names = self.some("names", 4)
        called = [
            name if self._dice.random() < 0.3 else self.known(noun, "determiners")
            for name, noun in zip(names, nouns, strict=False)
        ]
        groups = [self.known(plural(noun), "groups") for noun in nouns[4:6]]
        neutral = [self.known(noun, "determiners") for noun in apart]
        return [*called, *neutral, *nouns[4:], *map(plural, nouns[4:]), *groups]

    def acts(self) -> list[str]:
        return [form for act in self.some("acts", 2) for form in _forms(act)]

    def deeds(self) -> list[str]:
        return [form for deed in self.some("deeds", 2) for form in _regular(deed)]

    def events(self) -> list[str]:
        first, second = (split(event) for event in self.some("events", 2))
        return [*first, *second]

    def things(self) -> list[str]:
        nouns = self.some("things", 6)
        known = [self.known(noun, "specifiers") for noun in nouns[3:]]
        return [*nouns[:3], *map(plural, nouns[:3]), *known]

    def halls(self) -> list[str]:
        hall, room = self.some("halls", 2)
        return [f"in the {hall}", f"in the {room}", f"the {hall}", f"the {room}"]

    def numbers(self) -> list[str]:
        n, k, m = self._apart("numbers", 3, 2)
        return [n, k, m]

    def sums(self) -> list[str]:
        first, second = (2 + int(self._dice.random() * 4) for _ in range(2))
        words = ("one", *self._lists["numbers"])
        return [words[number - 1] for number in (first, second, first + second)]

    def days(self) -> list[str]:
        return self._apart("days", 2, 1)

    def hours(self) -> list[str]:
        return self._apart(self._lists["numbers"][:11], 2, 1)

    def contrary(self, name: str) -> list[str]:
        """What is so, the word for it and its opposite."""
        good, bad, owners = self.one(name)
        return [self.known(self._dice.choice(split(owners, ",")), "specifiers"), good, bad]

    def pets(self) -> list[str]:
        pet, members = self.one("pets")
        pug, cat = self.some(split(members, ","), 2)
        pets = plural(pet) if " of " not in pet else pet.replace("piece", "pieces")
        return [pet, pug, cat, pets, plural(pug), plural(cat)]

    def _apart(self, items: str | Sequence[str], count: int, least: int) -> list[str]:
        """Entries in their list's order, with at least `least` steps between neighbours."""
        entries = self._lists[items] if isinstance(items, str) else items
        spare = len(entries) - (count - 1) * (least - 1)
        places = sorted(map(int, self.some([str(i) for i in range(spare)], count)))
        return [entries[place + i * (least - 1)] for i, place in enumerate(places)]


def _forms(phrase: str) -> list[str]:
    """Base, third person, past, past participle and -ing form."""
    verb, _, rest = phrase.partition(" ")
    whole = (
        finite(verb, past=False, many=False),
        finite(verb, past=True, many=False),
        participle(verb),
    )
    return [phrase, *(f"{form} {rest}".rstrip() for form in whole), gerund(phrase)]


def _regular(verb: str) -> list[str]:
    """The same of a regular verb, whose past is its participle."""
    base, present, past, _, doing = _forms(verb)
    return [base, present, past, doing]


def _two(name: str) -> Callable[[Slots], list[str]]:
    return lambda slots: slots.some(name, 2)


def _entry(name: str) -> Callable[[Slots], Sequence[str]]:
    return lambda slots: slots.one(name)


def _owned(name: str) -> Callable[[Slots], list[str]]:
    return lambda slots: slots.contrary(name)


_DRAWS: tuple[tuple[str, Callable[[Slots], Sequence[str]]], ...] = (
    ("A B C D P Q a b c as bs cs As Bs", Slots.people),
    (" ".join((*_FORMS, *("un" + form for form in _FORMS))), Slots.acts),
    ("V Vs Ved Ving W Ws Wed Wing", Slots.deeds),
    ("S Ss Sed Sing", lambda slots: _regular(slots.one("holds")[0])),
    ("e E f F", Slots.events),
    ("trait trait2", _two("traits")),
    ("x y z xs ys zs X Y Z", Slots.things),
    ("place spot hall room", Slots.halls),
    ("n k m", Slots.numbers),
    ("i j sum", Slots.sums),
    ("d1 d2", Slots.days),
    ("h1 h2", Slots.hours),
    ("colour shade", _two("colours")),
    ("stuff glass", _two("stuffs")),
    ("wear worn", _two("clothes")),
    ("more less much", _entry("measures")),
    ("Pmore Pless Pmuch Pmost Pleast", _entry("ranks")),
    ("Pother", _entry("ranks apart")),
    ("O good bad", _owned("contraries")),
    ("K open shut", _owned("opposites")),
    ("parent child", _entry("parents")),
    ("elder younger", _entry("elders")),
    ("mother father", _entry("mothers")),
    ("cousin", _entry("cousins")),
    ("left right", _entry("sides")),
    ("gave give giving given got get getting", _entry("trades")),
    ("game", _entry("games")),
    ("box bag", _two("containers")),
    ("pet pug cat pets pugs cats", Slots.pets),
    ("show talk", _two("shows")),
    ("scene", _entry("scenes")),
    ("look look2", _two("looks")),
)
_GROUPS = {name: (names.split(), draw) for names, draw in _DRAWS for name in names.split()}
