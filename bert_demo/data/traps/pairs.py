"""Trap pairs: their texts share their words, and yet some follow and some contradict.

After HANS (McCoy et al. 2019), whose pairs show what a judge does that goes by shared words alone.
Each kind has equally many pairs of each label, so that no constant answer and no such rule is right
in more than a third; what a label is, the template says. Words and templates are written anew, and
its nouns, deeds and colours are none of Crane World's pairs'.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bert_demo.config import LABELS
from bert_demo.data.crane_world.grammar import Dice, articles, plural
from bert_demo.data.crane_world.reader import read, split
from bert_demo.data.snli import NliTexts, pairs

KINDS = (
    "plain",
    "negation",
    "numbers",
    "who did what",
    "some and all",
    "comparisons",
    "colours",
    "before and after",
    "parts of sentences",
)
"""In this order. "plain" has no traps: whether the words themselves are any trouble."""

FIELDS = dict(zip(("follows", "open", "against"), range(len(LABELS)), strict=True))
"""What a label is called in a text file of templates, and the label."""

_PAIRS = 120  # of a kind and label
_SEED = 29


def trap_pairs() -> NliTexts:
    """All 3,240 pairs with their kinds: the same on every platform and every call."""
    sections = read("traps.txt", Path(__file__).parent)
    dice = Dice(_SEED)
    rows: list[tuple[str, str, int]] = []
    kinds: list[str] = []
    for kind in KINDS:
        for field, label in FIELDS.items():
            templates = sections[kind][field]
            seen: set[tuple[str, str]] = set()
            while len(seen) < _PAIRS:
                premise, hypothesis = split(templates[len(seen) % len(templates)])
                words = _words(dice, sections["words"])
                pair = fill(premise, words), fill(hypothesis, words)
                if pair not in seen:
                    seen.add(pair)
                    rows.append((*pair, label))
                    kinds.append(kind)
    return pairs(rows, kinds=kinds)


def templates() -> list[str]:
    """All of "premise | hypothesis", with slots."""
    sections = read("traps.txt", Path(__file__).parent)
    return [text for kind in KINDS for field in FIELDS for text in sections[kind][field]]


def fill(template: str, words: Mapping[str, str]) -> str:
    """The sentence that a template's {slots} and these words make."""
    return sentence(articles(template.format_map(words)).replace(" ,", ","))


def sentence(text: str) -> str:
    """A text with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def _words(dice: Dice, lists: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """What one pair's slots hold."""
    a, b, c = dice.shuffled(lists["people"])[:3]
    x, y, z = dice.shuffled(lists["things"])[:3]
    place, spot = dice.shuffled(lists["places"])[:2]
    colour, shade = dice.shuffled(lists["colours"])[:2]
    doing, undoing = split(dice.choice(lists["doings"]))
    more, less = split(dice.choice(lists["comparisons"]))
    numbers = lists["numbers"]
    low = int(dice.random() * (len(numbers) - 2))
    high = low + 2 + int(dice.random() * (len(numbers) - low - 2))
    return {
        **{"a": a, "b": b, "c": c, "as": plural(a), "bs": plural(b)},
        **{"x": x, "y": y, "z": z, "xs": plural(x)},
        **{"place": place, "spot": spot, "colour": colour, "shade": shade},
        **{"doing": doing, "undoing": undoing, "more": more, "less": less},
        **{"n": numbers[low], "m": numbers[high]},
        "deed": dice.choice(lists["deeds"]),
        "wear": dice.choice(lists["clothes"]),
    }
