"""Crane World's pairs of premise and hypothesis, with the labels logic gives them.

A hypothesis is drawn first, then a label, then a premise that makes the label right. So the
hypothesis alone says nothing about the label, unlike in SNLI, where it gives two labels in
three away (Gururangan et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable

from bert_demo.data.crane_world import logic, pairs
from bert_demo.data.crane_world.grammar import Dice, articles
from bert_demo.data.crane_world.splits import belongs, check_split

_SIZES = {"train": 20_000, "validation": 2_000, "test": 2_000}
_SEEDS = {"train": 11, "validation": 12, "test": 13}

_FAMILIES: dict[Callable[[Dice], pairs.Draft], int] = {
    pairs.kind_pair: 5,
    pairs.handled_kind_pair: 4,
    pairs.activity_pair: 6,
    pairs.generality_pair: 3,
    pairs.presence_pair: 3,
    logic.numbers_pair: 4,
    logic.quantity_pair: 4,
    pairs.detail_pair: 6,
    pairs.voice_pair: 4,
    logic.property_pair: 6,
    logic.comparison_pair: 1,
}
"""Every kind of pair, with its share."""


def generate_nli(split: str) -> list[tuple[str, str, int]]:
    """The pairs of "train" (20,000), "validation" or "test" (2,000 each).

    Each is (premise, hypothesis, label): lower-cased text, tokens separated by spaces, with a
    final " ."; labels 0 entailment, 1 neutral, 2 contradiction, equally many of each. No
    premise occurs in two splits, so no pair does. The same on every platform and every call.

    Raises `UserError` for any other split.
    """
    check_split(split)
    dice = Dice(_SEEDS[split])
    families = [family for family, weight in _FAMILIES.items() for _ in range(weight)]
    seen: set[tuple[str, str]] = set()
    found: list[tuple[str, str, int]] = []
    while len(found) < _SIZES[split]:
        hypothesis, draw = dice.choice(families)(dice)
        hypothesis = articles(hypothesis) + " ."
        label = len(found) % 3
        # Drawing the premise anew, not the hypothesis, keeps the hypothesis free of the label.
        for _ in range(60):
            premise = articles(draw(label)) + " ."
            if premise == hypothesis:
                continue
            pair = (premise, hypothesis)
            if belongs(premise, split) and pair not in seen:
                seen.add(pair)
                found.append((*pair, label))
                break
    return dice.shuffled(found)
