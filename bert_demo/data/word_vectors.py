"""Vectors of words, counted: words that stand between the same words are alike.

A matrix of how much more often than by chance a word stands near another is factorised, which is
what skip-gram learns step by step (Levy and Goldberg 2014). Letters: V vocabulary, H hidden size,
N of the V tokens, C of them that are counted around the others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bert_demo.data import interruption
from bert_demo.data.prepare import TokenizedText

LEVELS = 32
"""A number of a vector in whole steps: so many make the size that numbers of a vector have."""

_REACH = 2
"""How many tokens to either side are counted: few tell what kind of word it is, many what the
text is about (Levy and Goldberg 2014, "Dependency-based word embeddings")."""
_AROUND = 512
_MOST_TOKENS = 30_000
_SMOOTHING = 0.75  # of how frequent the words around are (Levy, Goldberg and Dagan 2015, 3.2)
_AT_ONCE = 200_000
"""Sentences, and _MOST_TOKENS of the vocabulary: they bound the memory."""


def counted_vectors(
    text: TokenizedText, counts: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.int8]:
    """(V, H): for each token a vector of about one length, in steps of `1 / LEVELS`.

    counts: (V,), how often the text has each token. All zeros for a token that never stands near
    another one, and for rare ones of a vocabulary of more than 30,000. Raises `Interrupted` where
    preparations are no longer wanted.
    """
    found = np.zeros((len(counts), size), dtype=np.int8)
    tokens = np.argsort(-counts, kind="stable")[: min(_MOST_TOKENS, (counts > 0).sum())]
    around = min(len(tokens), max(_AROUND, size))
    together = _together(text, len(counts), tokens, around)
    chance = together.sum(0) ** _SMOOTHING
    chance /= max(chance.sum(), 1)
    expected = together.sum(1, keepdims=True) * chance
    # Positive pointwise mutual information: 0 where two stand together no more than by chance.
    np.divide(together, expected, out=together, where=expected > 0)
    matrix = torch.from_numpy(np.log(np.maximum(together, 1, out=together), out=together))
    interruption.check()
    values, directions = torch.linalg.eigh(matrix.T @ matrix)  # the largest last
    values, directions = values[-size:].clamp(min=1e-6), directions[:, -size:]
    vectors = nn.functional.normalize(matrix @ (directions * values**-0.25))
    steps = (vectors * (LEVELS * size**0.5)).round().clamp(-127, 127)
    found[tokens, : steps.shape[1]] = steps.numpy()
    return found


def _together(
    text: TokenizedText, vocab_size: int, tokens: npt.NDArray[np.int64], around: int
) -> npt.NDArray[np.float32]:
    """(N, C): how often each of `tokens` has each of the first `around` within reach, in the same
    sentence."""
    nobody = len(tokens)  # a row and a column more, for whoever is not counted
    rows = np.full(vocab_size, nobody)
    rows[tokens] = np.arange(nobody)
    counts = np.zeros((nobody + 1) * (around + 1), dtype=np.float32)
    offsets = text.sentence_offsets
    for first in range(0, len(offsets) - 1, _AT_ONCE):
        interruption.check()
        some = offsets[first : first + _AT_ONCE + 1]
        # Apart by as much as is counted, so that no word stands near one of another sentence.
        gaps = _REACH * np.arange(len(some) - 1)
        line = np.full(some[-1] - some[0] + _REACH * len(some), nobody)
        token_ids = text.token_ids[some[0] : some[-1]]
        line[np.arange(len(token_ids)) + np.repeat(gaps, np.diff(some))] = rows[token_ids]
        columns, line = np.minimum(line, around), line * (around + 1)
        for distance in range(1, _REACH + 1):
            for keys in (
                line[:-distance] + columns[distance:],
                line[distance:] + columns[:-distance],
            ):
                counts += np.bincount(keys, minlength=len(counts))
    return np.ascontiguousarray(counts.reshape(nobody + 1, around + 1)[:nobody, :around])
