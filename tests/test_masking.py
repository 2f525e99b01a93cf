"""The choice of masked positions, against the shares of Devlin et al. 2019, 3.1."""

from __future__ import annotations

import numpy as np
import pytest

from bert_demo.data.masking import mask_tokens

MASK, VOCABULARY, TOKENS = 2, 1000, 200_000


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    ids = generator.integers(5, VOCABULARY, TOKENS)
    candidates = generator.random(TOKENS) < 0.9
    masked, labels = mask_tokens(ids, candidates, VOCABULARY, MASK, np.random.default_rng(1))
    return ids, candidates, masked, labels


def test_fifteen_percent_are_chosen_and_specials_never(drawn: tuple[np.ndarray, ...]) -> None:
    ids, candidates, masked, labels = drawn
    chosen = labels >= 0
    assert not (chosen & ~candidates).any()
    assert (labels[chosen] == ids[chosen]).all()
    assert (masked[~chosen] == ids[~chosen]).all()
    # Five standard deviations of a binomial with p = 0.15.
    share = chosen.sum() / candidates.sum()
    assert abs(share - 0.15) < 5 * np.sqrt(0.15 * 0.85 / candidates.sum())


def test_of_the_chosen_80_10_10(drawn: tuple[np.ndarray, ...]) -> None:
    ids, _, masked, labels = drawn
    chosen = labels >= 0
    as_mask = (masked == MASK)[chosen].mean()
    kept = (masked == ids)[chosen].mean()
    assert abs(as_mask - 0.8) < 0.012
    assert abs(kept - 0.1) < 0.01


def test_random_tokens_cover_the_whole_vocabulary_evenly(drawn: tuple[np.ndarray, ...]) -> None:
    ids, _, masked, labels = drawn
    replaced = masked[(labels >= 0) & (masked != MASK) & (masked != ids)]
    counts = np.bincount(replaced * 10 // VOCABULARY, minlength=10)
    assert counts.min() > 0.7 * len(replaced) / 10


def test_one_position_at_least() -> None:
    for seed in range(50):
        ids = np.arange(5, 9)
        allowed = np.array([False, True, True, False])
        _, labels = mask_tokens(ids, allowed, 10, MASK, np.random.default_rng(seed))
        assert (labels >= 0).any() and (labels[[0, 3]] == -1).all()


def test_nothing_to_choose_from() -> None:
    _, labels = mask_tokens(np.arange(4), np.zeros(4, bool), 10, MASK, np.random.default_rng(0))
    assert (labels == -1).all()
