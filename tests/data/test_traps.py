"""Trap pairs: always the same, balanced, of words that Crane World's pairs have not."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest

import bert_demo.data.traps
from bert_demo.data.crane_world import reader
from bert_demo.data.crane_world.grammar import plural
from bert_demo.data.crane_world.nli import generate_nli
from bert_demo.data.snli import NliTexts
from bert_demo.data.traps.pairs import KINDS, trap_pairs

SECTIONS = reader.read("traps.txt", Path(bert_demo.data.traps.__file__).parent)


@pytest.fixture(scope="module")
def traps() -> NliTexts:
    return trap_pairs()


def rows(texts: NliTexts) -> list[tuple[str, str, str, int]]:
    assert texts.kinds is not None
    columns = texts.premises.to_pylist(), texts.hypotheses.to_pylist(), texts.labels.tolist()
    return list(zip(texts.kinds, *columns, strict=True))


def test_each_kind_has_equally_many_of_each_label_and_no_pair_twice(traps: NliTexts) -> None:
    found = rows(traps)
    counts = Counter((kind, label) for kind, _, _, label in found)
    assert list(dict.fromkeys(traps.kinds or [])) == list(KINDS)
    assert set(counts.values()) == {120} and len(counts) == 3 * len(KINDS)
    assert len({row[1:3] for row in found}) == len(found) == 3240


def test_they_are_the_same_everywhere(traps: NliTexts) -> None:
    digest = hashlib.sha256(repr(rows(traps)).encode()).hexdigest()
    assert digest[:16] == "8e75c98a44f42486"


def test_sentences_are_whole(traps: NliTexts) -> None:
    for _, *sentences, _ in rows(traps):
        for sentence in sentences:
            assert re.fullmatch(r"[A-Z][a-z ,]+\.", sentence), sentence
            assert not re.search(r"\ba [aeio]|\ban [^aeiou]| ,|  ", sentence), sentence


def test_their_words_and_sentences_are_none_of_crane_world_s(traps: NliTexts) -> None:
    learnt = [
        text for premise, hypothesis, _ in generate_nli("train") for text in (premise, hypothesis)
    ]
    known = {word for text in learnt for word in text.split()}
    lists = SECTIONS["words"]
    for name in ("people", "things", "places", "clothes", "colours", "deeds", "doings"):
        for words in lists[name]:
            for word in reader.split(words):
                assert word not in known and plural(word) not in known, word
    spelt = {text.lower().removesuffix(".").strip() for text in learnt}
    for _, *sentences, _ in rows(traps):
        for sentence in sentences:
            assert sentence.lower().removesuffix(".") not in spelt


def test_labels_by_hand(traps: NliTexts) -> None:
    """A small judge of its own for three of the kinds, which reads sentences and no templates."""
    words = "two three four five six seven eight nine ten eleven twelve"
    value = {word: n for n, word in enumerate(words.split(), 2)} | {"twenty": 20, "thirty": 30}
    seen: Counter[str] = Counter()
    for kind, premise, hypothesis, label in rows(traps):
        if kind == "numbers":
            premise, hypothesis = premise.lower(), hypothesis.lower()
            one, two = (
                next(value[w] for w in re.findall(r"\w+", text) if w in value)
                for text in (premise, hypothesis)
            )
            if one == two:  # of somebody else
                assert label == 1
            elif "at least" in premise or "more than" in premise:
                # As many or more: what else is said of more is open, of fewer impossible.
                assert label == (1 if two > one else 2)
            elif "at least" in hypothesis or "more than" in hypothesis:
                assert one > two and label == 0
            elif "fewer than" in hypothesis:
                assert one < two and label == 0
            else:
                assert "exactly" in premise and label == 2
            seen[kind] += 1
        passive = re.fullmatch(r"The (\w+) was (\w+) by the (\w+)\.", hypothesis)
        active = re.fullmatch(r"The (\w+) (\w+ed|paid) the (\w+)\.", premise)
        if kind == "who did what" and passive and active:
            assert label == (0 if active.groups() == passive.groups()[::-1] else 1)
            seen[kind] += 1
        told = re.fullmatch(r"The (\w+) is (\w+) and the (\w+) is (\w+)\.", premise)
        asked = re.fullmatch(r"The (\w+) is (\w+)\.", hypothesis)
        if kind == "colours" and told and asked:
            colours = {told[1]: told[2], told[3]: told[4]}
            assert label == (0 if colours[asked[1]] == asked[2] else 2)
            seen[kind] += 1
    assert seen == {"numbers": 360, "who did what": 30, "colours": 80}
