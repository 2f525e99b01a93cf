"""Crane World's pairs of premise and hypothesis, with the labels logic gives them.

A hypothesis is drawn first, then a label, then a premise that makes the label right. So the
hypothesis alone says nothing about the label, unlike in SNLI, where it gives two labels in
three away (Gururangan et al. 2018).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from bert_demo.config import UserError
from bert_demo.data.crane_world.grammar import Dice, articles
from bert_demo.data.crane_world.logic import (
    comparison_pair,
    numbers_pair,
    property_pair,
    quantity_pair,
)
from bert_demo.data.crane_world.pairs import (
    Draft,
    activity_pair,
    detail_pair,
    generality_pair,
    handled_kind_pair,
    kind_pair,
    presence_pair,
    voice_pair,
)

_SIZES = {"train": 20_000, "validation": 2_000, "test": 2_000}
_SEEDS = {"train": 11, "validation": 12, "test": 13}
_SHARES = {"train": range(16), "validation": range(16, 18), "test": range(18, 20)}

_FAMILIES: dict[Callable[[Dice], Draft], int] = {
    kind_pair: 5,
    handled_kind_pair: 4,
    activity_pair: 6,
    generality_pair: 3,
    presence_pair: 3,
    numbers_pair: 4,
    quantity_pair: 4,
    detail_pair: 6,
    voice_pair: 4,
    property_pair: 6,
    comparison_pair: 1,
}
"""Every kind of pair, with its share."""


def generate_nli(split: str) -> list[tuple[str, str, int]]:
    """The pairs of "train" (20,000), "validation" or "test" (2,000 each).

    Each is (premise, hypothesis, label): lower-cased text, tokens separated by spaces, with a
    final " ."; labels 0 entailment, 1 neutral, 2 contradiction, equally many of each. No
    premise occurs in two splits, so no pair does. The same on every platform and every call.

    Raises `UserError` for any other split.
    """
    if split not in _SIZES:
        raise UserError(
            "split is {value!r}; it must be one of: {choices}.",
            value=split,
            choices=", ".join(_SIZES),
        )
    dice = Dice(_SEEDS[split])
    families = [family for family, weight in _FAMILIES.items() for _ in range(weight)]
    share = _SHARES[split]
    seen: set[tuple[str, str]] = set()
    pairs: list[tuple[str, str, int]] = []
    size = _SIZES[split]
    while len(pairs) < size:
        hypothesis, draw = dice.choice(families)(dice)
        hypothesis = articles(hypothesis) + " ."
        label = len(pairs) % 3
        # Drawing the premise anew, not the hypothesis, keeps the hypothesis free of the label.
        for _ in range(60):
            premise = articles(draw(label)) + " ."
            if premise == hypothesis:
                continue
            pair = (premise, hypothesis)
            if zlib.crc32(premise.encode()) % 20 in share and pair not in seen:
                seen.add(pair)
                pairs.append((premise, hypothesis, label))
                break
    return dice.shuffled(pairs)
