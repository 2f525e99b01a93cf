"""Crane World: tidy text, right labels, nothing shared between splits, the same everywhere."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from bert_demo.common.errors import UserError
from bert_demo.data.crane_world import reader
from bert_demo.data.crane_world.everyday import ACTIVITIES, KINDS, NUMBERS, PROPERTIES
from bert_demo.data.crane_world.grammar import Dice, articles, finite, ing, participle, plural
from bert_demo.data.crane_world.nli import generate_nli
from bert_demo.data.crane_world.paragraphs import generate_paragraphs
from bert_demo.data.crane_world.probes import PROBES, SENSES

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[list[str]]]:
    return {split: generate_paragraphs(split) for split in SPLITS}


@pytest.fixture(scope="module")
def pairs() -> dict[str, list[tuple[str, str, int]]]:
    return {split: generate_nli(split) for split in SPLITS}


def _sentences(paragraphs: list[list[str]]) -> list[str]:
    return [sentence.removesuffix(" .") for paragraph in paragraphs for sentence in paragraph]


@pytest.fixture(scope="module")
def counts(corpus: dict[str, list[list[str]]]) -> Counter[str]:
    return Counter(word for text in _sentences(corpus["train"]) for word in text.split())


def test_the_size_of_the_corpus(corpus: dict[str, list[list[str]]], counts: Counter[str]) -> None:
    sizes = {split: sum(map(len, paragraphs)) for split, paragraphs in corpus.items()}
    assert 40_000 <= sizes["train"] < 40_010
    assert 2_000 <= sizes["validation"] < 2_010
    assert 2_000 <= sizes["test"] < 2_010
    assert all(3 <= len(p) <= 6 for paragraphs in corpus.values() for p in paragraphs)
    assert 1_500 <= sum(count >= 5 for count in counts.values()) <= 3_000
    assert counts["crane"] > 2_000
    assert all(counts[word] >= 100 for word in SENSES)


def test_sentences_look_like_the_wikitext_pipelines(corpus: dict[str, list[list[str]]]) -> None:
    for paragraphs in corpus.values():
        for paragraph in paragraphs:
            assert paragraph[-1].endswith(" .")
            assert not any("." in sentence for sentence in paragraph[:-1])
        for sentence in _sentences(paragraphs):
            assert re.fullmatch(r"[a-z0-9-]+( ([a-z0-9-]+|[,:]))*", sentence), sentence
            assert not re.search(r"\ba [aeiou]|\b(\w+) \1\b(?<!that that)", sentence), sentence


def test_no_sentence_occurs_twice_or_in_the_probes(corpus: dict[str, list[list[str]]]) -> None:
    every = [text for paragraphs in corpus.values() for text in _sentences(paragraphs)]
    assert len(set(every)) == len(every)
    probes = {text for senses in SENSES.values() for texts in senses.values() for text in texts}
    assert not probes & set(every)


def test_the_books_own_phrases_occur(corpus: dict[str, list[list[str]]]) -> None:
    text = " | ".join(_sentences(corpus["train"]))
    for phrase in ("a crane is flying", "a crane driver came", "he just left"):
        assert text.count(phrase) >= 5, phrase


def test_a_paragraph_shares_words_and_a_stranger_does_not(
    corpus: dict[str, list[list[str]]], counts: Counter[str]
) -> None:
    common = {word for word, _ in counts.most_common(60)}

    def shared(first: str, second: str) -> bool:
        return bool((set(first.split()) & set(second.split())) - common)

    paragraphs = corpus["train"]
    dice = Dice(0)
    true = [shared(p[0], p[1]) for p in paragraphs]
    false = [shared(p[0], dice.choice(paragraphs)[1]) for p in paragraphs]
    assert sum(true) / len(true) > 0.7
    assert sum(false) / len(false) < 0.2


def test_senses_are_known_words_and_the_word_itself(counts: Counter[str]) -> None:
    assert set(SENSES["crane"]) == {"bird", "machine", "neck", "surname"}
    for word, senses in SENSES.items():
        assert len(senses) >= 2
        for texts in senses.values():
            assert len(set(texts)) == len(texts) >= (6 if word == "crane" else 4)
            for text in texts:
                assert text.split().count(word) == 1
                unknown = [token for token in text.split() if counts[token] < 5]
                assert len(unknown) <= 1, (text, unknown)


def test_probes_have_one_mask_and_known_answers(counts: Counter[str]) -> None:
    for sentence, answers in PROBES:
        assert sentence.split().count("<mask>") == 1
        unknown = {*sentence.split(), *answers} - {"<mask>"} - set(counts)
        assert not unknown


def test_a_word_counter_tells_the_senses_of_crane_apart(
    corpus: dict[str, list[list[str]]],
) -> None:
    """The held-out sentences' own words are found near "crane" in the right scenes."""
    marks = {"bird": "wings", "machine": "cable", "neck": "necks", "surname": "novel"}
    near: dict[str, Counter[str]] = {sense: Counter() for sense in marks}
    for paragraph in corpus["train"]:
        words = " ".join(paragraph).split()
        if {"crane", "cranes"} & set(words):
            for sense, mark in marks.items():
                if mark in words:
                    near[sense].update(set(words))
    totals = {sense: sum(counter.values()) for sense, counter in near.items()}
    right = total = 0
    for sense, texts in SENSES["crane"].items():
        for text in texts:
            scores = {
                s: sum(math.log((near[s][w] + 0.5) / totals[s]) for w in text.split())
                for s in marks
            }
            right += max(scores, key=lambda s: scores[s]) == sense
            total += 1
    assert right / total > 0.8


def test_nli_is_balanced_and_shares_no_premise(
    pairs: dict[str, list[tuple[str, str, int]]],
) -> None:
    for split, size in (("train", 20_000), ("validation", 2_000), ("test", 2_000)):
        labels = Counter(label for _, _, label in pairs[split])
        assert sum(labels.values()) == size == len({(p, h) for p, h, _ in pairs[split]})
        assert max(labels.values()) - min(labels.values()) <= 1
    premises = [{premise for premise, _, _ in pairs[split]} for split in SPLITS]
    assert not premises[0] & premises[1]
    assert not premises[0] & premises[2]
    assert not premises[1] & premises[2]


def test_no_pair_has_two_labels(pairs: dict[str, list[tuple[str, str, int]]]) -> None:
    labels: dict[tuple[str, str], int] = {}
    for split in SPLITS:
        for premise, hypothesis, label in pairs[split]:
            assert premise != hypothesis
            assert labels.setdefault((premise, hypothesis), label) == label


def test_nli_text_is_made_of_words_of_the_corpus(
    pairs: dict[str, list[tuple[str, str, int]]], counts: Counter[str]
) -> None:
    words = {word for split in SPLITS for p, h, _ in pairs[split] for word in f"{p} {h}".split()}
    assert {word for word in words if counts[word] < 5} == {"."}
    for premise, hypothesis, _ in pairs["train"]:
        for text in (premise, hypothesis):
            assert re.fullmatch(r"[a-z-]+( ([a-z-]+|,))* \.", text), text
            assert not re.search(r"\ba [aeiou]", text)


def test_counting_pairs_against_arithmetic(
    pairs: dict[str, list[tuple[str, str, int]]],
) -> None:
    number = {word: value for value, word in enumerate(NUMBERS, 1)}
    holds = {
        "at least": lambda have, said: have >= said,
        "more than": lambda have, said: have > said,
        "fewer than": lambda have, said: have < said,
    }
    checked = 0
    for premise, hypothesis, label in pairs["train"]:
        found = re.fullmatch(r"(at least|more than|fewer than) (\w+) (\S+) are .*", hypothesis)
        given = re.match(r"(\w+) (\S+) (?:is|are) ", premise)
        if found and given and given[1] in number:
            same_kind = given[2] == found[3] or plural(given[2]) == found[3]
            if same_kind:
                truth = holds[found[1]](number[given[1]], number[found[2]])
                assert label == (0 if truth else 2), (premise, hypothesis)
                checked += 1
            else:
                assert label == 1, (premise, hypothesis)
    assert checked > 500


def test_kinds_against_the_taxonomy(pairs: dict[str, list[tuple[str, str, int]]]) -> None:
    above = {
        member: kind for kinds in KINDS.values() for kind, ms in kinds.items() for member in ms
    }
    tops = {kind: top for top, kinds in KINDS.items() for kind in kinds}
    members = "|".join(sorted((*above, *tops.values()), key=len, reverse=True))
    doing = r"is (resting|looking for food|moving in|hiding|for sale|painted|too expensive)"
    checked = Counter[int]()
    for premise, hypothesis, label in pairs["train"]:
        said = re.match(rf"(?:a|an|the) ({'|'.join(tops)}) {doing}", hypothesis)
        given = re.match(rf"(?:a|an|the) (?:\w+ )??({members}) {doing}", premise)
        if not said or not given or given[2] != said[2]:
            continue
        if given[1] in tops.values():
            expected = 1
        elif given[1] == "crane":  # two senses: the doing tells which
            continue
        else:
            expected = 0 if above[given[1]] == said[1] else 2
        assert label == expected, (premise, hypothesis)
        checked[label] += 1
    assert all(checked[label] > 50 for label in range(3))


def test_opposites_contradict_and_synonyms_entail(
    pairs: dict[str, list[tuple[str, str, int]]],
) -> None:
    same = {p.word: p.same for p in PROPERTIES} | {p.opposite: p.opposite_same for p in PROPERTIES}
    against = {p.word: p.opposite for p in PROPERTIES} | {p.opposite: p.word for p in PROPERTIES}
    checked = Counter[int]()
    for premise, hypothesis, label in pairs["train"]:
        said = re.fullmatch(r"(he|she|the \w+) is (not )?(\w+) \.", hypothesis)
        if not said or said[3] not in same:
            continue
        subject, negated, word = said.groups()
        stated = re.match(rf"{subject} is (.+?)(?: ,| again| today| \.)", premise)
        if not stated:
            continue
        if stated[1] in (word, same[word]):
            expected = 2 if negated else 0
        elif stated[1] in (against[word], same[against[word]], f"not {word}"):
            expected = 0 if negated else 2
        else:
            continue
        assert label == expected, (premise, hypothesis)
        checked[label] += 1
    assert checked[0] > 50 < checked[2]


def test_activities_exclude_each_other_both_ways() -> None:
    for one in ACTIVITIES:
        assert not one.excludes(one)
        assert any(one.excludes(other) for other in ACTIVITIES)
        for other in ACTIVITIES:
            assert one.excludes(other) == other.excludes(one)


def test_the_hypothesis_alone_gives_little_away(
    pairs: dict[str, list[tuple[str, str, int]]],
) -> None:
    """Logistic regression on the hypothesis's bag of words stays near chance (a third)."""
    words = sorted({w for _, hypothesis, _ in pairs["train"] for w in hypothesis.split()})
    index = {word: i for i, word in enumerate(words)}

    def bags(split: str) -> tuple[torch.Tensor, torch.Tensor]:
        bag = torch.zeros(len(pairs[split]), len(words))
        for row, (_, hypothesis, _) in enumerate(pairs[split]):
            for word in hypothesis.split():
                if word in index:
                    bag[row, index[word]] = 1
        return bag, torch.tensor([label for _, _, label in pairs[split]])

    inputs, labels = bags("train")
    weights = torch.zeros(len(words), 3, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=0.1)
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(inputs @ weights, labels).backward()
        optimizer.step()
    test_inputs, test_labels = bags("test")
    accuracy = ((test_inputs @ weights).argmax(1) == test_labels).float().mean().item()
    assert accuracy < 0.40


def test_the_same_text_everywhere(
    corpus: dict[str, list[list[str]]], pairs: dict[str, list[tuple[str, str, int]]]
) -> None:
    digest = hashlib.sha256()
    for split in SPLITS:
        for paragraph in corpus[split]:
            digest.update(("\n".join(paragraph) + "\n\n").encode())
        for premise, hypothesis, label in pairs[split]:
            digest.update(f"{premise}\t{hypothesis}\t{label}\n".encode())
    assert digest.hexdigest() == "54976215dde730dee8d4803a1e219e0fdaf2975550170fdcecf76e154cdca64e"
    digest = hashlib.sha256(json.dumps([PROBES, SENSES]).encode())
    assert digest.hexdigest() == "be40b811c01e619a07552a02ed5b505826514b629879b050dbd93def0d583156"
    assert generate_paragraphs("test") == corpus["test"]
    assert generate_nli("test") == pairs["test"]


def test_generation_is_fast() -> None:
    """CPU seconds: about 0.4 for the corpus and 0.2 for the pairs, with room for a slow machine."""
    start = time.process_time()
    generate_paragraphs("train")
    generate_nli("train")
    assert time.process_time() - start < 4


@pytest.mark.parametrize("split", ["dev", "", "Train"])
def test_an_unknown_split_is_refused(split: str) -> None:
    for generate in (generate_paragraphs, generate_nli):
        with pytest.raises(UserError, match="it must be one of: train, validation, test"):
            generate(split)


def test_word_forms() -> None:
    assert [ing(v) for v in ("lie", "swim", "crane", "see", "begin", "open", "play")] == [
        *("lying", "swimming", "craning", "seeing", "beginning", "opening", "playing")
    ]
    assert [finite(v, past=True, many=False) for v in ("fly", "carry", "stop", "hide", "be")] == [
        *("flew", "carried", "stopped", "hid", "was")
    ]
    assert [finite(v, past=False, many=False) for v in ("fly", "catch", "go", "have", "play")] == [
        *("flies", "catches", "goes", "has", "plays")
    ]
    assert [participle(v) for v in ("throw", "hide", "travel", "clap")] == [
        *("thrown", "hidden", "travelled", "clapped")
    ]
    assert [plural(n) for n in ("child", "puppy", "fish", "bus", "day")] == [
        *("children", "puppies", "fish", "buses", "days")
    ]
    assert articles("a owl and a crane saw a old car") == "an owl and a crane saw an old car"


def test_dice_shuffle_keeps_every_item() -> None:
    dice = Dice(3)
    assert sorted(dice.shuffled(range(50))) == list(range(50))
    drawn = Counter(dice.choice("abcd") for _ in range(8_000))
    assert all(1_800 < count < 2_200 for count in drawn.values())


def test_reading_a_text_file(tmp_path: Path) -> None:
    text = tmp_path / "some.txt"
    text.write_text("# remark\n= a | b\nx: one; -; two\n  three\n\ny:\n  [p|q] {r}\n", "utf-8")
    assert reader.read("some.txt", tmp_path) == {
        "a | b": {"x": ("one", "", "two", "three"), "y": ("[p|q] {r}",)}
    }
    for wrong in ("x: before any section", "= a\n  before any field", "= a\nwithout a colon"):
        text.write_text(wrong, "utf-8")
        with pytest.raises(ValueError, match=r"some\.txt, line .* belongs to no field"):
            reader.read("some.txt", tmp_path)
