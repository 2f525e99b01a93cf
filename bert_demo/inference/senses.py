"""Numbers that say whether vectors mean something: sense separation, a plane, word counts.

Letters: n contexts, H hidden size.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.config import NLI_CORPORA, PRETRAINING_CORPORA, UserError
from bert_demo.data.corpora import CORPORA, CorpusUnavailable, locate
from bert_demo.data.tokenizer import Tokenizer

Floats = npt.NDArray[np.float64]

_DEALS = 500


@dataclass(frozen=True)
class Separation:
    """How much closer vectors of one sense are to each other than to those of another."""

    within: float
    """Mean cosine of two contexts of the same sense, the mean of all vectors subtracted."""
    between: float
    """The same for two contexts of different senses."""
    chance: float
    """How often as great a difference comes of senses dealt out at random, from 0 to 1."""

    @property
    def difference(self) -> float:
        """About 0 where the senses do not show in the vectors, at most 2."""
        return self.within - self.between


def cosines(vectors: npt.ArrayLike) -> Floats:
    """(n, H) -> (n, n); a vector of zeros is like nothing, itself included."""
    x = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    unit = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
    similar: Floats = np.clip(unit @ unit.T, -1, 1)
    return similar


def sense_separation(vectors: npt.ArrayLike, senses: Sequence[str]) -> Separation:
    """Mean cosine within senses and between them, after subtracting the mean vector.

    Without the subtraction all cosines are high, whatever the words mean: contextual vectors
    share a direction (Ethayarajh 2019). `vectors` is (n, H), `senses` has n names. Raises
    `UserError` unless there are two senses, one of them with two contexts.
    """
    x = np.asarray(vectors, dtype=np.float64)
    if x.ndim != 2 or len(x) != len(senses):
        raise UserError(
            "{n} senses do not fit vectors of shape {shape}.", n=len(senses), shape=x.shape
        )
    names = np.asarray(senses)
    same = names[:, None] == names[None, :]
    above = np.triu(np.ones_like(same), 1)
    if not (same & above).any() or not (~same & above).any():
        raise UserError(
            "Sense separation needs at least two senses, one of them with two or more contexts."
        )
    centred = x - x.mean(0)
    # What is left of equal vectors is rounding, which has a direction but no meaning.
    rounding = np.linalg.norm(centred, axis=1) < 1e-5 * np.linalg.norm(x, axis=1)
    centred[rounding] = 0
    similar = cosines(centred)
    within = float(similar[same & above].mean())
    between = float(similar[~same & above].mean())
    # However the senses are dealt out, as many pairs share one: their sum says it all.
    rng = np.random.default_rng(0)
    dealt = rng.permuted(np.tile(np.unique(names, return_inverse=True)[1], (_DEALS, 1)), axis=1)
    sums = [similar[(deal[:, None] == deal[None, :]) & above].sum() for deal in dealt]
    chance = float(np.mean(np.array(sums) >= similar[same & above].sum() - 1e-9))
    return Separation(within, between, chance)


def plane(vectors: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The plane on which n vectors differ most: principal components by SVD.

    Returns (n, 2) coordinates and the share (2,) of the variance along each axis. The signs,
    which are a convention, are such that each axis' heaviest weight is positive.
    """
    x = np.asarray(vectors, dtype=np.float64)
    centred = x - x.mean(0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    heaviest = np.abs(axes).argmax(1)
    axes = axes * np.sign(axes[np.arange(len(axes)), heaviest])[:, None]
    points = np.zeros((len(x), 2))
    points[:, : len(axes)] = centred @ axes.T
    total = float((sizes**2).sum())
    shares = np.zeros(2)
    if total > 0:
        shares[: len(axes)] = sizes[:2] ** 2 / total
    return points, shares


@dataclass(frozen=True)
class WordCount:
    """How often a word is in the text that a model was last trained on."""

    count: int
    tokens: int
    """How long that text is."""
    corpus: str
    """Its title: "WikiText-2"."""


def word_count(word: str, tokenizer: Tokenizer, task: str, corpus: str | None) -> WordCount | None:
    """Count a word in the training split of `corpus`; as often as the model could learn it.

    None when the corpus is unknown or not on this computer: nothing is downloaded to count. A
    word that the vocabulary lacks is counted 0 times, for the model never saw it.
    """
    known = PRETRAINING_CORPORA if task == "pretraining" else NLI_CORPORA
    if corpus is None or corpus not in known or not _at_hand(corpus):
        return None
    try:
        ids, starts = _training_ids(corpus, task, _Key(tokenizer))
    except (CorpusUnavailable, OSError):
        return None
    pieces = tokenizer.encode(word, allow_mask=False)
    title = CORPORA[corpus].title
    if not pieces or tokenizer.unk_id in pieces:
        return WordCount(0, len(ids), title)
    found = np.flatnonzero(ids[: len(ids) - len(pieces) + 1] == pieces[0])
    for place, piece in enumerate(pieces[1:], 1):
        found = found[ids[found + place] == piece]
        found = found[~np.isin(found + place, starts, assume_unique=True)]
    if tokenizer.kind == "wordpiece":  # "crane" begins "cranes" too
        every = tokenizer.tokens(range(tokenizer.vocab_size))
        goes_on = np.array([token.startswith("##") for token in every])
        after = found + len(pieces)
        inside = after < len(ids)
        found = np.concatenate([found[inside][~goes_on[ids[after[inside]]]], found[~inside]])
    return WordCount(len(found), len(ids), title)


def _at_hand(corpus: str) -> bool:
    spec = CORPORA[corpus]
    if spec.parts:
        return all(map(_at_hand, spec.parts))
    if spec.repo_id is None:
        return True
    try:
        locate(spec.repo_id, spec.files["train"], revision=spec.revision, offline=True)
    except CorpusUnavailable:
        return False
    return True


class _Key:
    """A tokenizer that is equal to another of the same vocabulary, for the cache."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and hash(self) == hash(other)

    def __hash__(self) -> int:
        return hash(self.tokenizer.fingerprint)


@functools.lru_cache(maxsize=4)
def _training_ids(corpus: str, task: str, key: _Key) -> tuple[Any, Any]:
    """Token ids of the training split, and where its sentences begin."""
    # Imported here because it takes its time, and a page that starts needs none of it.
    from bert_demo.data.prepare import prepare_nli, prepare_text

    tokenizer = key.tokenizer
    if task == "pretraining":
        if tokenizer.kind == "word":
            # Where the vocabulary is the corpus' own, training has prepared these arrays.
            text, own, _ = prepare_text(corpus, "train")
            if own.fingerprint == tokenizer.fingerprint:
                return text.token_ids, text.sentence_offsets
        text, _, _ = prepare_text(corpus, "train", tokenizer=tokenizer)
        return text.token_ids, text.sentence_offsets
    pairs, _ = prepare_nli(corpus, "train", tokenizer)
    ids = np.concatenate([pairs.premise_ids, pairs.hypothesis_ids])
    starts = np.concatenate(
        [pairs.premise_offsets, pairs.hypothesis_offsets + len(pairs.premise_ids)]
    )
    return ids, starts
