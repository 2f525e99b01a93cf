"""Where a classifier fails: sorts of pairs by hand, pairs behind cells, one pass over all."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS, BertConfig
from bert_demo.data.snli import NliTexts, pairs
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.inference import slices
from bert_demo.inference.evaluation import evaluate
from bert_demo.inference.failures import Failures, find_failures
from bert_demo.inference.predict import classify_all
from bert_demo.model import dropout
from bert_demo.model.bert import BertModel

ROWS = [
    ("A man sleeps.", "The man doesn't sleep!", 2),
    ("Two dogs run", "two dogs run", 0),
    ("Two dogs run", "3 dogs run", 2),
    ("Nobody is here", "no one is here", 0),
    ("a man", "one man", 0),
    ("a " * 30 + "man", "a dog , not a man", 2),
    ("some dogs", "a dozen", 1),
]


def texts_of(rows: list[tuple[str, str, int]], kinds: list[str] | None = None) -> NliTexts:
    return pairs(rows, left_out=2, kinds=kinds)


def sizes(parts: slices.Parts) -> dict[str, list[int]]:
    return {str(name): np.flatnonzero(chosen).tolist() for name, chosen in parts}


def test_pairs_are_sorted_as_by_hand() -> None:
    texts = texts_of(ROWS)
    assert sizes(slices.by_length(texts)) == {
        "up to 15 words": [0, 1, 2, 3, 4, 6],
        "over 35 words": [5],
    }
    # "the man don 't sleep" has one of five words, "a dog not a man" three of five.
    assert sizes(slices.by_overlap(texts)) == {
        "0% to 25% of its words": [0, 6],
        "50% to 75% of its words": [2, 3, 4, 5],
        "all of its words": [1],
    }
    assert sizes(slices.by_negation(texts)) == {
        "in neither text": [1, 2, 4, 6],
        "in the hypothesis alone": [0, 5],
        "in both texts": [3],
    }
    assert sizes(slices.by_numbers(texts)) == {
        "in neither text": [0, 3, 4, 5],
        "in one text alone": [6],
        "the same in both": [1],
        "others in both": [2],
    }
    # Lengths at the edges: 15 words and 16.
    edge = texts_of([("a " * 14, "b", 0), ("a " * 15, "b", 0)])
    assert list(sizes(slices.by_length(edge)).values()) == [[0], [1]]


def test_kinds_stay_in_order_and_the_rare_go_together() -> None:
    kinds = ["b", "a", "b", *(f"k{i}" for i in range(40)), *(f"k{i}" for i in range(28)), "a"]
    found = sizes(slices.by_kind(texts_of([ROWS[0]] * len(kinds), kinds)))
    assert list(found)[:2] == ["b", "a"] and list(found)[-1] == "other kinds"
    assert len(found) == 31 and len(found["other kinds"]) == 12


@pytest.fixture(scope="module")
def judge() -> tuple[BertModel, Tokenizer]:
    words = sorted({word for p, h, _ in ROWS for word in (p + " " + h).lower().split()})
    tokenizer = Tokenizer.from_words([*SPECIAL_TOKENS, *words])
    dropout.seed_noise(3)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=16, intermediate_size=32, initializer_range=0.9
    )
    return BertModel(config, "nli").eval(), tokenizer


@pytest.fixture(scope="module")
def found(judge: tuple[BertModel, Tokenizer]) -> Failures:
    texts = texts_of(ROWS * 3, (["plain"] * 4 + ["trap"] * 3) * 3)
    counted: list[int] = []
    found = find_failures(*judge, texts, progress=counted.append)
    assert sum(counted) == 2 * len(texts)
    return found


def test_it_has_the_scores_of_evaluate(judge: tuple[BertModel, Tokenizer], found: Failures) -> None:
    from bert_demo.data.prepare import tokenize_nli

    wanted = dict(evaluate(*judge, tokenize_nli(found.texts, judge[1])))
    for name, value in found.scores.items():
        if name not in ("seconds", "examples_per_second"):
            assert value == wanted[name], name


def test_each_cell_has_its_pairs_the_surest_first(
    judge: tuple[BertModel, Tokenizer], found: Failures
) -> None:
    said = classify_all(*judge, [row[:2] for row in ROWS * 3])
    wanted = Counter(
        (p, h, LABELS[label], one.label) for (p, h, label), one in zip(ROWS * 3, said, strict=True)
    )
    seen: Counter[tuple[str, ...]] = Counter()
    for i, label in enumerate(LABELS):
        for j, verdict in enumerate(LABELS):
            behind = found.pairs(label, verdict)
            assert len(behind) == found.scores.confusion[i][j]
            sure = [one.confidence for one in behind]
            assert sure == sorted(sure, reverse=True)
            seen.update((one.premise, one.hypothesis, one.label, one.verdict) for one in behind)
            assert found.pairs(label, verdict, most=1) == behind[:1]
            assert all(one.kind == "trap" for one in found.pairs(label, verdict, kind="trap"))
    assert seen == wanted
    assert found.probabilities.sum(1) == pytest.approx(1)
    first = next(one for one, (p, h, _) in zip(said, ROWS, strict=False) if (p, h) == ROWS[0][:2])
    assert found.probabilities[0] == pytest.approx(list(first.probabilities.values()), abs=1e-5)
    with pytest.raises(UserError, match="'true' is no label"):
        found.pairs("true", "neutral")


def test_sorts_add_up_to_the_whole(found: Failures) -> None:
    assert set(found.slices) == {"length", "overlap", "negation", "numbers", "kind"}
    for parts in found.slices.values():
        total = np.sum([part.confusion for part in parts], axis=0)
        assert total.tolist() == found.scores.confusion
        for part in parts:
            assert part.n == np.sum(part.confusion)
            assert part.accuracy == pytest.approx(np.trace(part.confusion) / part.n)
            assert part.standard_error == pytest.approx(
                (part.accuracy * (1 - part.accuracy) / part.n) ** 0.5
            )
            assert part.constant_accuracy == np.sum(part.confusion, axis=1).max() / part.n
        for name in ("accuracy", "hypothesis_only_accuracy"):
            mean = sum(part.n * part[name] for part in parts) / found.scores.n
            assert mean == pytest.approx(found.scores[name])
    distance = sum(part.n * abs(part.accuracy - part.confidence) for part in found.calibration)
    assert distance / found.scores.n == pytest.approx(found.scores.ece)


def test_it_refuses_with_a_sentence(judge: tuple[BertModel, Tokenizer]) -> None:
    with pytest.raises(UserError, match="no labelled pairs"):
        find_failures(*judge, texts_of([]))
    encoder = BertModel(judge[0].config, "encoder")
    with torch.no_grad(), pytest.raises(UserError, match="fine-tune it first"):
        find_failures(encoder, judge[1], texts_of(ROWS))
