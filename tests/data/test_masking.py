"""The choice of masked positions, against the shares of Devlin et al. 2019, 3.1."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bert_demo.data.masking import mask_tokens, uniform

MASK, VOCABULARY, TOKENS = 2, 1000, 200_000


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    ids = generator.integers(5, VOCABULARY, TOKENS)
    candidates = generator.random(TOKENS) < 0.9
    draw = uniform(np.arange(TOKENS), -1234567890123456789)
    masked, labels = mask_tokens(ids, candidates, VOCABULARY, MASK, draw)
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


def test_nothing_to_choose_from() -> None:
    _, labels = mask_tokens(np.arange(4), np.zeros(4, bool), 10, MASK, np.zeros(4))
    assert (labels == -1).all()


def test_the_draw_is_splitmix64() -> None:
    """Against its definition in whole numbers without a limit, key and place by hand."""
    stride, whole = 0x9E3779B97F4A7C15, 1 << 64
    for key, place in ((0, 0), (1, 0), (-5, 3), (2**63 - 1, 10**6)):
        z = (place * stride + key) % whole
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % whole
        z = (z ^ z >> 27) * 0x94D049BB133111EB % whole
        expected = ((z ^ z >> 31) >> 11) / 2**53
        assert uniform(np.array([place]), key)[0] == expected
        assert uniform(torch.tensor([place]), torch.tensor(key)).item() == expected


def test_a_tensor_is_masked_as_an_array_is() -> None:
    ids, draw = np.arange(5, 905), uniform(np.arange(900), 7)
    candidates = ids % 7 > 0
    found = mask_tokens(ids, candidates, 1000, MASK, draw)
    as_tensors = mask_tokens(
        *map(torch.from_numpy, (ids, candidates)), 1000, MASK, torch.from_numpy(draw)
    )
    for array, tensor in zip(found, as_tensors, strict=True):
        assert (array == tensor.numpy()).all()
