"""Labelled pairs sorted by what they are like: length, shared words, negation, numbers, kind.

Words are those of `bert_demo.data.words` without punctuation. Letters: N pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bert_demo.common.errors import Text
from bert_demo.data.words import split_words

if TYPE_CHECKING:
    from bert_demo.data.snli import NliTexts

Parts = list[tuple[Text, npt.NDArray[np.bool_]]]
"""Names with the pairs (N) that go by them, none of them empty; each pair has one name."""

_LENGTHS = (0, 15, 20, 25, 35)
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_MOST_KINDS = 30

_NEGATIONS = "no not never none nobody nothing nowhere neither nor without cannot 't"
NEGATIONS = frozenset(_NEGATIONS.split())
"""Words that deny; "don't" is cut into "don" and "'t"."""

_NUMBERS = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred "
    "thousand million dozen"
)
NUMBERS = frozenset(_NUMBERS.split())
"""Without "one", which is a pronoun as often as not."""


def by_length(texts: NliTexts) -> Parts:
    """By the words of premise and hypothesis together."""
    lengths = np.array([len(p) + len(h) for p, h in _words(texts)])
    names = [
        Text("up to {high} words", high=high) if not low else _from_to(low, high)
        for low, high in pairwise(_LENGTHS)
    ]
    names.append(Text("over {low} words", low=_LENGTHS[-1]))
    return _parts(names, np.searchsorted(_LENGTHS[1:], lengths))


def by_overlap(texts: NliTexts) -> Parts:
    """By the share of the hypothesis' words that stand in the premise too (McCoy et al. 2019)."""
    shares = []
    for premise, hypothesis in _words(texts):
        known = set(premise)
        shares.append(sum(word in known for word in hypothesis) / max(1, len(hypothesis)))
    names = [
        Text("{low:.0%} to {high:.0%} of its words", low=low, high=high)
        for low, high in pairwise(_SHARES[:-1])
    ]
    names += [Text("{low:.0%} or more, not all", low=_SHARES[-2]), Text("all of its words")]
    # Each closed below, so that all is a bin of its own.
    return _parts(names, np.searchsorted(_SHARES[1:], shares, side="right"))


def by_negation(texts: NliTexts) -> Parts:
    """By which of the texts has a word of `NEGATIONS`."""
    names = [
        Text("in neither text"),
        Text("in the premise alone"),
        Text("in the hypothesis alone"),
        Text("in both texts"),
    ]
    found = [
        (not NEGATIONS.isdisjoint(premise)) + 2 * (not NEGATIONS.isdisjoint(hypothesis))
        for premise, hypothesis in _words(texts)
    ]
    return _parts(names, found)


def by_numbers(texts: NliTexts) -> Parts:
    """By the number words and digits of the two texts."""
    names = [
        Text("in neither text"),
        Text("in one text alone"),
        Text("the same in both"),
        Text("others in both"),
    ]
    found = []
    for premise, hypothesis in _words(texts):
        one, two = (set(filter(_is_number, words)) for words in (premise, hypothesis))
        found.append(0 if not one | two else 1 if not one or not two else 2 if one == two else 3)
    return _parts(names, found)


def by_kind(texts: NliTexts) -> Parts:
    """By the source's own kinds, in its order: the 30 most frequent, and the others together."""
    kinds = texts.kinds or []
    frequent = {kind for kind, _ in Counter(kinds).most_common(_MOST_KINDS)}
    names = [kind for kind in dict.fromkeys(kinds) if kind in frequent]
    places = {kind: place for place, kind in enumerate(names)}
    found = [places.get(kind, len(names)) for kind in kinds]
    return _parts([*map(Text, names), Text("other kinds")], found)


def _from_to(low: int, high: int) -> Text:
    return Text("{low} to {high} words", low=low + 1, high=high)


def _parts(names: list[Text], found: npt.ArrayLike) -> Parts:
    places = np.asarray(found, dtype=np.int64)
    parts = [(name, places == place) for place, name in enumerate(names)]
    return [(name, chosen) for name, chosen in parts if chosen.any()]


def _is_number(word: str) -> bool:
    return word in NUMBERS or word[0].isdigit()


def _words(texts: NliTexts) -> Iterator[tuple[list[str], list[str]]]:
    """Each pair's words; every different chunk is cut once."""
    known: dict[str, list[str]] = {}

    def cut(text: str) -> list[str]:
        words: list[str] = []
        for chunk in text.split():
            if chunk not in known:
                pieces = split_words(chunk)
                known[chunk] = [piece for piece in pieces if any(map(str.isalnum, piece))]
            words += known[chunk]
        return words

    for premise, hypothesis in zip(
        texts.premises.to_pylist(), texts.hypotheses.to_pylist(), strict=True
    ):
        yield cut(premise), cut(hypothesis)
