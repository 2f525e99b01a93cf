"""Pairs of logic made of people's own sentences, denied, counted, swapped and coloured anew.

A judge that meets logic in sentences of its own kind alone takes it for a matter of those
sentences. Here it is that of the labelled pairs: a caption, what denies it, and what each says of
the other. Captions with a word of the traps' (data/traps) are left out.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bert_demo.config import LABELS
from bert_demo.data import interruption
from bert_demo.data.crane_world.grammar import Dice, articles, plural
from bert_demo.data.crane_world.reader import read
from bert_demo.data.logic.pairs import FOLDER, contracted, fits
from bert_demo.data.logic.worded import Row, worded
from bert_demo.data.snli import NliTexts, pairs
from bert_demo.data.traps import pairs as traps

_FOLLOWS, _OPEN, _AGAINST = range(len(LABELS))
_DOING = re.compile(r"((?:[\w'-]+ ){1,7}?)(is|are) ((?!not\b)[a-z]+ing\b.*)")
_PLACE = re.compile(r" (?:in|on|at|near|by|with|under|outside|inside|behind|through|along) ")
_COUNTED = re.compile(r"(two|three|four|five|six|seven|eight) ([\w' -]+ are .*)")
_PLURAL = re.compile(r"(?:the |some )?((?:[a-z]+ )?(?:[a-z]+s|men|women|people|children)) are (.+)")
_WORDS = read("captions.txt", FOLDER)["words"]
_NUMBERS, _PAINT, _PEOPLE = (_WORDS[name] for name in ("numbers", "colours", "bearers"))
_PAINTED = re.compile(
    rf"\b({'|'.join(_PAINT)}) ([a-z]*[a-rt-z])"
    r"(?= (?:in|on|at|and|with|while|is|near|by|to|from)\b|$)"
)
_CLOTHED = re.compile(
    rf"\b(man|woman|boy|girl|child|person|lady|guy|kid) in an? ({'|'.join(_PAINT)}) "
    r"(shirt|coat|jacket|hat|suit|shorts|top|jersey|uniform|cap|dress|t-shirt|bikini|tie)\b"
)
_SLOW = {"painted": 4, "clothed": 3}  # which colour is whose is learnt last
_CHECK_EVERY = 2000
_OFTEN = 3  # a thing that so many captions give a colour is one


def caption_pairs(labelled: NliTexts, count: int, seed: int = 0) -> NliTexts:
    """`count` pairs with their kinds, about equally many of each kind and label, but three or four
    times as many of which colour is whose; the same for a seed on every platform. Fewer where the
    captions do not make that many. May be interrupted."""
    dice = Dice(seed)
    found: dict[tuple[str, int], list[Row]] = {}
    seen: set[tuple[str, str]] = set()
    painted: Counter[str] = Counter()
    texts = zip(
        labelled.premises.to_pylist(),
        labelled.hypotheses.to_pylist(),
        labelled.labels.tolist(),
        strict=True,
    )
    for number, (premise, hypothesis, label) in enumerate(dice.shuffled(list(texts))):
        if number % _CHECK_EVERY == 0:
            interruption.check()
        text = _bare(premise)
        for row in _of_pair(dice, text, _bare(hypothesis), label):
            _keep(row, found, seen)
        painted.update(thing for _, thing in _PAINTED.findall(text) if _is_noun(thing))
    things = sorted(one for one, n in painted.items() if n >= _OFTEN and one not in _PEOPLE)
    for _ in range(count // 4 + 1):  # of each kind and label one or more each time
        for row in worded(dice, _WORDS, things):
            _keep(row, found, seen)
    rows = _equally(dice, found, count)
    spelt = [(_spelt(dice, row[1]), _spelt(dice, row[2]), row[3]) for row in rows]
    return pairs(spelt, kinds=[row[0] for row in rows])


def _keep(row: Row, found: dict[tuple[str, int], list[Row]], seen: set[tuple[str, str]]) -> None:
    kind, premise, hypothesis, label = row
    if fits((premise, hypothesis), seen):
        found.setdefault((kind, label), []).append(row)


def _is_noun(word: str) -> bool:
    """Whether what stands after a colour is what has it, as far as one can tell."""
    return word != "and" and not word.endswith("ing")


def _equally(dice: Dice, found: dict[tuple[str, int], list[Row]], count: int) -> list[Row]:
    """`count` rows: of each kind and label as many as `caption_pairs` says, if there are."""
    stacks = {key: dice.shuffled(found[key]) for key in sorted(found)}
    rows: list[Row] = []
    while len(rows) < count and any(stacks.values()):
        for (kind, _), stack in stacks.items():
            for _ in range(_SLOW.get(kind, 1)):
                if stack and len(rows) < count:
                    rows.append(stack.pop())
    return dice.shuffled(rows)


def _bare(text: str) -> str:
    """A sentence as the rules read it: lower case, no full stop; nothing if it is several, says a
    denial itself or has a word of the traps'."""
    text = " ".join(text.strip().lower().rstrip(".").split())
    words = set(re.findall(r"[\w'-]+", text))
    several = re.search(r"[.,;:!?\"]", text) is not None
    if several or words & _trap_words() or words & {"not", "no", "nobody", "none", "never"}:
        return ""
    return text


@functools.cache
def _trap_words() -> frozenset[str]:
    """The words of the traps' lists, in singular and plural."""
    lists = read("traps.txt", Path(traps.__file__).parent)["words"]
    words = {word for name, entries in lists.items() if name != "numbers" for word in entries}
    single = {part for word in words for part in re.findall(r"[\w'-]+", word)}
    return frozenset(single | {plural(word) for word in single})


def _spelt(dice: Dice, text: str) -> str:
    """As captions are: nearly always with a capital and a full stop."""
    text = contracted(dice, articles(text))
    return text if dice.random() < 0.3 else traps.sentence(text)


def _of_pair(dice: Dice, premise: str, hypothesis: str, label: int) -> Iterator[Row]:
    """What a labelled pair gives."""
    for text in (premise, hypothesis):
        yield from _denied(text)
        yield from _counted(dice, text)
        yield from _some_and_all(text)
        yield from _coloured(dice, text)
    split = _DOING.fullmatch(hypothesis)
    if not (premise and split):
        return
    denied = f"{split[1]}{split[2]} not {split[3]}"
    if label == _FOLLOWS:
        yield "denied pair", premise, denied, _AGAINST
        yield "denied pair", denied, premise, _AGAINST
    elif label == _OPEN:
        yield "denied pair", premise, denied, _OPEN
    elif split[1].split()[-1] in premise.split():  # else it may be about somebody else
        yield "denied pair", premise, denied, _FOLLOWS


def _denied(text: str) -> Iterator[Row]:
    split = _DOING.fullmatch(text)
    if not split:
        return
    who, be, doing = split[1], split[2], split[3]
    less = doing[: place.start()] if (place := _PLACE.search(doing)) else doing
    yes, no, nobody = f"{who}{be} {doing}", f"{who}{be} not {doing}", f"nobody is {doing}"
    yield "denied", no, yes, _AGAINST
    yield "denied", yes, no, _AGAINST
    yield "nobody", nobody, yes, _AGAINST
    yield "nobody", yes, f"no one is {doing}", _AGAINST
    yield "nobody", yes, f"somebody is {doing}", _FOLLOWS
    yield "nobody", f"somebody is {doing}", yes, _OPEN
    yield "nobody", f"nobody is {doing}", no, _FOLLOWS
    yield "nobody", no, f"nobody is {doing}", _OPEN
    if less != doing:
        short, never = f"{who}{be} {less}", f"{who}{be} not {less}"
        yield "denied", never, no, _FOLLOWS
        yield "denied", yes, short, _FOLLOWS
        yield "denied", no, never, _OPEN
        yield "denied", no, short, _OPEN
        yield "denied", never, yes, _AGAINST
        yield "denied", yes, never, _AGAINST


def _counted(dice: Dice, text: str) -> Iterator[Row]:
    split = _COUNTED.fullmatch(text)
    if not split:
        return
    given = _NUMBERS.index(split[1])
    more, less = dice.choice(_NUMBERS[given + 1 :]), dice.choice(_NUMBERS[: max(given, 1)])
    same, rest = split[1], split[2]
    kind = "counted"
    yield kind, f"{same} {rest}", f"{more} {rest}", _AGAINST
    yield kind, f"at least {more} {rest}", f"only {same} {rest}", _AGAINST
    yield kind, f"exactly {same} {rest}", f"more than {more} {rest}", _AGAINST
    yield kind, f"at least {same} {rest}", f"at least {more} {rest}", _OPEN
    yield kind, f"at least {same} {rest}", f"{more} {rest}", _OPEN
    yield kind, f"some {rest}", f"{same} {rest}", _OPEN
    yield kind, f"{more} {rest}", f"at least {same} {rest}", _FOLLOWS
    yield kind, f"{same} {rest}", f"fewer than {more} {rest}", _FOLLOWS
    if less != "one":
        yield kind, f"{same} {rest}", f"at least {less} {rest}", _FOLLOWS
        yield kind, f"{same} {rest}", f"more than {less} {rest}", _FOLLOWS


def _some_and_all(text: str) -> Iterator[Row]:
    split = _PLURAL.fullmatch(text)
    if not split:
        return
    who, rest, kind = split[1], split[2], "some and all"
    every, some = f"all of the {who} are {rest}", f"some of the {who} are {rest}"
    none, part = f"none of the {who} are {rest}", f"some of the {who} are not {rest}"
    yield kind, every, some, _FOLLOWS
    yield kind, f"all the {who} are {rest}", f"some {who} are {rest}", _FOLLOWS
    yield kind, none, part, _FOLLOWS
    yield kind, f"most {who} are {rest}", some, _FOLLOWS
    yield kind, some, every, _OPEN
    yield kind, f"some {who} are {rest}", f"all {who} are {rest}", _OPEN
    yield kind, some, part, _OPEN
    yield kind, f"most of the {who} are {rest}", every, _OPEN
    yield kind, every, none, _AGAINST
    yield kind, none, some, _AGAINST
    yield kind, every, part, _AGAINST
    yield kind, part, f"all the {who} are {rest}", _AGAINST


def _coloured(dice: Dice, text: str) -> Iterator[Row]:
    kind = "coloured"
    painted = _PAINTED.findall(text)
    for colour, thing in painted[:2]:
        if text.count(thing) > 1 or not _is_noun(thing):
            continue
        other = dice.choice([one for one in _PAINT if one not in text])
        if thing not in _PEOPLE:
            yield kind, text, f"the {thing} is {other}", _AGAINST
            yield kind, text, f"there is a {colour} {thing}", _FOLLOWS
        bare = text.replace(f"{colour} {thing}", thing)
        yield kind, bare, text, _OPEN
        yield kind, text.replace(f"{colour} {thing}", f"{other} {thing}"), text, _AGAINST
        yield kind, text, bare, _FOLLOWS
    clothed = _CLOTHED.findall(text)
    if len(clothed) == 2 and clothed[0][0] != clothed[1][0] and clothed[0][1] != clothed[1][1]:
        for one, two in (clothed, clothed[::-1]):
            yield kind, text, f"the {one[0]} wears a {one[1]} {one[2]}", _FOLLOWS
            yield kind, text, f"the {one[0]} wears a {two[1]} {one[2]}", _AGAINST
    if len(clothed) == 1:
        who, colour, wear = clothed[0]
        others = [one for one in _PEOPLE if one in text.split() and one != who]
        for other in others[:1]:
            yield kind, text, f"the {other} has a {colour} {wear}", _OPEN
