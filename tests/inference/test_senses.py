"""Sense separation, the plane and word counts, against sums done by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from bert_demo.common.errors import UserError
from bert_demo.data.prepare import prepare_nli, prepare_text
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.senses import (
    cosines,
    plane,
    sense_separation,
    within_less_between,
)
from bert_demo.inference.words import word_count


def test_separation_of_two_clean_senses_is_two() -> None:
    vectors = [[5, 1], [5, 1], [5, -1], [5, -1]]
    found = sense_separation(vectors, ["a", "a", "b", "b"])
    assert found.within == pytest.approx(1)
    assert found.between == pytest.approx(-1)
    assert found.difference == pytest.approx(2)


def test_senses_kept_apart_are_more_alike_within_than_between() -> None:
    senses = ["bird", "machine", "bird", "machine"]
    apart = torch.tensor([[1 if a == b else -1 for b in senses] for a in senses])
    assert within_less_between(apart, senses) == 2
    assert within_less_between(torch.ones(4, 4), senses) == 0


def test_separation_is_zero_on_average_for_random_senses() -> None:
    rng = np.random.default_rng(0)
    found = [
        sense_separation(rng.normal(size=(12, 16)) + 3, rng.permutation(list("aaaabbbbcccc")))
        for _ in range(300)
    ]
    differences = np.array([item.difference for item in found])
    assert abs(differences.mean()) < 3 * differences.std() / np.sqrt(len(differences))


def test_chance_is_the_share_of_dealings_that_separate_as_well() -> None:
    vectors = np.random.default_rng(4).normal(size=(6, 3))
    senses = "aabbba"
    found = sense_separation(vectors, list(senses))
    every = [
        sense_separation(vectors, list(deal)).difference
        for deal in sorted(set(itertools.permutations(senses)))
    ]
    exact = np.mean(np.array(every) >= found.difference - 1e-9)
    assert found.chance == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 500))
    clean = sense_separation([[5, 1]] * 5 + [[5, -1]] * 5, list("aaaaabbbbb"))
    assert clean.chance < 0.03
    assert sense_separation(np.ones((4, 2)), list("aabb")).chance == 1


def test_separation_agrees_with_a_plain_loop() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(7, 5))
    senses = ["x", "y", "x", "z", "y", "y", "x"]
    centred = vectors - vectors.mean(0)
    same, other = [], []
    for i in range(7):
        for j in range(i):
            a, b = centred[i], centred[j]
            cosine = a @ b / np.sqrt((a @ a) * (b @ b))
            (same if senses[i] == senses[j] else other).append(cosine)
    found = sense_separation(vectors, senses)
    assert found.within == pytest.approx(np.mean(same))
    assert found.between == pytest.approx(np.mean(other))


def test_equal_vectors_separate_nothing() -> None:
    vectors = np.full((4, 8), 0.1) + np.float32(1e-9)
    assert sense_separation(vectors, ["a", "a", "b", "b"]).difference == 0


@pytest.mark.parametrize("senses", ["", "a", "ab", "aa", "abc", "aab", "aabc", "aaaaaab", "aaaa"])
def test_separation_needs_two_contexts_in_each_of_two_senses(senses: str) -> None:
    vectors = np.random.default_rng(0).normal(size=(len(senses), 3))
    with pytest.raises(UserError, match="at least two senses with two or more contexts each"):
        sense_separation(vectors, list(senses))


def test_separation_needs_a_sense_for_each_vector() -> None:
    with pytest.raises(UserError, match="do not fit"):
        sense_separation(np.eye(3), ["a", "b"])


def test_cosines_of_a_zero_vector_are_zero() -> None:
    assert cosines(torch.tensor([[0.0, 0], [2, 0], [0, -1]])).tolist() == [
        [0, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
    ]


def test_plane_finds_the_directions_of_most_variance() -> None:
    rng = np.random.default_rng(2)
    true = rng.normal(size=(50, 2)) * [10, 3]
    turn = np.linalg.qr(rng.normal(size=(20, 20)))[0][:2]
    vectors = true @ turn + rng.normal(size=(50, 20)) * 0.01 + 7
    points, shares = plane(vectors)
    centred = true - true.mean(0)
    between = np.linalg.norm(centred[:, None] - centred[None], axis=2)
    assert np.linalg.norm(points[:, None] - points[None], axis=2) == pytest.approx(between, abs=0.2)
    assert shares[0] > shares[1] > 0
    assert shares.sum() == pytest.approx(1, abs=1e-3)


def test_plane_keeps_its_signs_when_contexts_change_places() -> None:
    vectors = np.random.default_rng(3).normal(size=(6, 9))
    points, _ = plane(vectors)
    again, _ = plane(vectors[::-1])
    assert again[::-1] == pytest.approx(points)


@pytest.mark.parametrize("vectors", [[[1.0, 2.0, 3.0]], [[1.0, 2.0], [3.0, 5.0]], np.ones((3, 4))])
def test_plane_of_few_or_equal_vectors_has_two_columns(vectors: list[list[float]]) -> None:
    points, shares = plane(vectors)
    assert points.shape == (len(vectors), 2)
    assert np.isfinite(points).all()
    assert 0 <= shares.sum() <= 1 + 1e-9


def test_words_are_counted_in_the_training_text() -> None:
    text, tokenizer, _ = prepare_text("crane-world")
    words = [tokenizer.tokens([i])[0] for i in text.token_ids]
    found = word_count("Crane", tokenizer, "pretraining", "crane-world")
    assert found is not None
    assert found.count == words.count("crane") > 100
    assert (found.tokens, found.corpus) == (len(words), "Crane World")
    pairs, _ = prepare_nli("crane-world", "train", tokenizer)
    found = word_count("crane", tokenizer, "nli", "crane-world")
    crane = tokenizer.encode("crane")[0]
    in_pairs = int((pairs.premise_ids == crane).sum() + (pairs.hypothesis_ids == crane).sum())
    assert found is not None and found.count == in_pairs


def test_pieces_are_counted_as_whole_words_only() -> None:
    _, pieces, _ = prepare_text("crane-world", vocabulary="wordpiece", vocab_size=400)
    _, words, _ = prepare_text("crane-world", min_frequency=1)
    for word in ("crane", "the", "container"):
        by_word = word_count(word, words, "pretraining", "crane-world")
        by_piece = word_count(word, pieces, "pretraining", "crane-world")
        assert by_word is not None and by_piece is not None
        assert by_piece.count == by_word.count > 0
    assert len(pieces.encode("container")) > 1


def test_an_unknown_word_has_no_count_and_an_unknown_corpus_neither(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, tokenizer, _ = prepare_text("crane-world")
    found = word_count("xylophonist", tokenizer, "pretraining", "crane-world")
    assert found is not None and found.count == 0
    assert word_count("crane", tokenizer, "pretraining", None) is None
    assert word_count("crane", tokenizer, "nli", "wikitext-2") is None
    # A corpus that is not on this computer is not fetched to count a word.
    monkeypatch.setenv("BERT_DEMO_DATA", "")
    monkeypatch.setattr("bert_demo.data.hub.cached", lambda *_, **__: None)
    monkeypatch.setattr("bert_demo.data.hub.fetch", lambda *_, **__: pytest.fail("fetched"))
    plain = Tokenizer.from_words(["<unk>", "<pad>", "<mask>", "<cls>", "<sep>", "crane"])
    assert word_count("crane", plain, "pretraining", "wikitext-2") is None
