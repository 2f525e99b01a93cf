"""Counted vectors of words against a naive count and numpy's own singular vectors."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from bert_demo.data import word_vectors
from bert_demo.data.prepare import TokenizedText
from bert_demo.data.word_vectors import LEVELS, counted_vectors


def text_of(sentences: list[list[int]]) -> TokenizedText:
    """A text of one paragraph."""
    offsets = np.cumsum([0, *map(len, sentences)])
    ids = np.array([i for sentence in sentences for i in sentence], dtype=np.uint16)
    return TokenizedText(ids, offsets, np.array([0, len(sentences)]))


def vectors_of(sentences: list[list[int]], vocab_size: int, size: int) -> np.ndarray:
    text = text_of(sentences)
    return counted_vectors(text, np.bincount(text.token_ids, minlength=vocab_size), size)


def naive(sentences: list[list[int]], vocab_size: int) -> np.ndarray:
    """(V, V): positive pointwise mutual information of tokens at most two apart."""
    near: Counter[tuple[int, int]] = Counter()
    for sentence in sentences:
        for i, one in enumerate(sentence):
            for j in range(max(0, i - 2), min(len(sentence), i + 3)):
                if i != j:
                    near[one, sentence[j]] += 1
    rows: Counter[int] = Counter()
    for (one, _), count in near.items():
        rows[one] += count
    smoothed = {token: count**0.75 for token, count in rows.items()}  # counts are symmetric
    total = sum(smoothed.values())
    found = np.zeros((vocab_size, vocab_size))
    for (one, other), count in near.items():
        found[one, other] = max(0, math.log(count / (rows[one] * smoothed[other] / total)))
    return found


def cosines(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = vectors / np.where(lengths, lengths, 1)
    found: np.ndarray = scaled @ scaled.T
    return found


def test_they_are_the_leading_singular_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    sentences = [rng.integers(4, 24, rng.integers(0, 9)).tolist() for _ in range(400)]
    sentences += [[25], [], [26, 26]]
    monkeypatch.setattr(word_vectors, "_AT_ONCE", 150)  # sentences at a time
    found = vectors_of(sentences, vocab_size=28, size=6)
    assert found.shape == (28, 6)
    assert not found[[*range(4), 25, 27]].any(), "who has nobody near has no vector"
    lengths = np.linalg.norm(found[4:24].astype(float), axis=1)
    assert lengths == pytest.approx(LEVELS * 6**0.5, rel=0.03)
    left, strengths, _ = np.linalg.svd(naive(sentences, 28))
    right = cosines(left[:, :6] * strengths[:6] ** 0.5)
    assert cosines(found.astype(float))[4:24, 4:24] == pytest.approx(right[4:24, 4:24], abs=0.04)


def test_words_between_the_same_words_are_alike() -> None:
    rng = np.random.default_rng(1)
    sentences = []
    for _ in range(300):
        kind = int(rng.integers(2))
        words = (4, 5) if kind else (6, 7)
        around = (10, 14) if kind else (14, 18)
        one, last = rng.integers(*around, 2).tolist()
        sentences.append([one, int(rng.choice(words)), last])
    near = cosines(vectors_of(sentences, 20, 4).astype(float))
    assert min(near[4, 5], near[6, 7]) > 0.9 > 0.5 > max(near[4, 6], near[5, 7])


def test_a_text_of_few_words_leaves_numbers_at_zero() -> None:
    found = vectors_of([[4, 5], [5, 6], [6, 4]], vocab_size=7, size=16)
    assert found[4:].any(1).all() and not found[:, 3:].any()
    assert not vectors_of([[4], [5]], 6, 8).any()
