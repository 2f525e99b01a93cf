"""Pairs whose labels logic gives, by kind, in many wordings: a judge learns reading from them.

A hypothesis is drawn first, then a premise that makes the label right, so that the hypothesis
alone says nothing about it (see crane_world/nli.py). Some hypotheses are denied as a whole, which
turns what follows into what is contradicted, so that the premise alone says less. Words
of the lists and templates are none of the traps' (data/traps), which are for asking only.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from bert_demo.config import LABELS
from bert_demo.data import interruption
from bert_demo.data.crane_world.grammar import Dice
from bert_demo.data.crane_world.reader import read, split
from bert_demo.data.logic.slots import Slots
from bert_demo.data.snli import NliTexts, pairs
from bert_demo.data.traps.pairs import FIELDS, fill, templates

FOLDER = Path(__file__).parent
_CHOICE = re.compile(r"\[([^\]]*)\]")
_NOT = re.compile(r"\b(is|are|was|were|does|did|has|have|had) not\b")
_CONTRACTED, _IN_DIGITS, _OPENED, _ENDED, _DENIED, _AFFIRMED = 0.3, 0.25, 0.1, 0.12, 0.12, 0.05
_CHECK_EVERY = 1000

Group = tuple[str, tuple[tuple[str, ...], ...]]
"""A hypothesis and the premises of each label."""


def logic_groups() -> dict[str, list[Group]]:
    """The templates, by kind."""
    found: dict[str, list[Group]] = {}
    for heading, fields in read("logic.txt", FOLDER).items():
        if heading != "words":
            kind, hypothesis = split(heading)
            premises = tuple(fields[name] for name in FIELDS)
            found.setdefault(kind, []).append((hypothesis, premises))
    return found


def logic_pairs(count: int, seed: int = 0) -> NliTexts:
    """`count` different pairs with their kinds, equally many of each kind and label.

    The same for a seed on every platform; the first pairs of a larger count are those of a
    smaller one. Half a million take about a minute. May be interrupted.
    """
    lists = read("logic.txt", FOLDER)["words"]
    groups = list(logic_groups().items())
    numbers = {word: str(n) for n, word in enumerate(lists["numbers"][:11], 2)}
    numbers |= {"fifteen": "15", "twenty": "20", "thirty": "30", "fifty": "50"}
    spelt = re.compile(rf"\b({'|'.join(numbers)})\b", re.IGNORECASE)
    dice = Dice(seed)
    seen: set[tuple[str, str]] = set()
    rows: list[tuple[str, str, int]] = []
    kinds: list[str] = []

    def varied(text: str) -> str:
        text = contracted(dice, text)
        if dice.random() < _IN_DIGITS:
            text = spelt.sub(lambda match: numbers[match[0].lower()], text)
        return text

    while len(rows) < count:
        if len(rows) % _CHECK_EVERY == 0:
            interruption.check()
        label = len(rows) % len(LABELS)
        kind, wordings = groups[len(rows) // len(LABELS) % len(groups)]
        hypothesis, premises = dice.choice(wordings)
        draw, reason = dice.random(), label
        if draw < _DENIED:
            hypothesis = f"{dice.choice(lists['denials'])} {hypothesis}"
            reason = len(LABELS) - 1 - label  # what follows from the denial contradicts the rest
        elif draw < _DENIED + _AFFIRMED:
            hypothesis = f"{dice.choice(lists['affirmations'])} {hypothesis}"
        premise = _chosen(dice, dice.choice(premises[reason]))
        words = Slots(dice, lists)
        pair = fill(premise, words), fill(_chosen(dice, hypothesis), words)
        if not fits(pair, seen):
            continue
        draw = dice.random()
        if draw < _OPENED:
            premise = f"{dice.choice(lists['openings'])} {premise}"
        elif draw < _OPENED + _ENDED:
            premise = f"{premise} {dice.choice(lists['endings'])}"
        rows.append((varied(fill(premise, words)), varied(pair[1]), label))
        kinds.append(kind)
    return pairs(rows, kinds=kinds)


def _chosen(dice: Dice, template: str) -> str:
    """The template with one of each [a/b]."""
    return _CHOICE.sub(lambda match: dice.choice(match[1].split("/")), template)


def contracted(dice: Dice, text: str) -> str:
    """The text with "isn't" for "is not" and the like, now and then."""
    return _NOT.sub(r"\1n't", text) if dice.random() < _CONTRACTED else text


def fits(pair: tuple[str, str], seen: set[tuple[str, str]]) -> bool:
    """Whether a pair can be learnt from: two texts, none of the traps, and new in `seen`."""
    if pair in seen or pair[0] == pair[1] or is_scored(*pair):
        return False
    seen.add(pair)
    return True


def is_scored(premise: str, hypothesis: str) -> bool:
    """Whether the traps have a template of which this pair could be made, with any words."""
    text = "|".join(text.removesuffix(".") for text in (premise, hypothesis)).lower()
    sizes = len(premise.split()), len(hypothesis.split())
    return any(pattern.fullmatch(text) for pattern in _scored().get(sizes, ()))


@functools.cache
def _scored() -> dict[tuple[int, int], list[re.Pattern[str]]]:
    """The traps' templates as patterns, by the numbers of words."""
    found: dict[tuple[int, int], list[re.Pattern[str]]] = {}
    for template in templates():
        parts = [part.replace(" ,", ",") for part in split(template)]
        sizes = len(parts[0].split()), len(parts[1].split())
        known: set[str] = set()

        def word(match: re.Match[str], known: set[str] = known) -> str:
            if match[1] in known:
                return f"(?P={match[1]})"
            known.add(match[1])
            return rf"(?P<{match[1]}>[\w'-]+)"

        whole = re.sub(r"\ba ", "an? ", r"\|".join(parts))
        found.setdefault(sizes, []).append(re.compile(re.sub(r"\{(\w+)\}", word, whole)))
    return found
