"""Whether vectors mean something: cosines, the mean subtracted, sense separation, a plane.

Letters: n contexts of one word, H hidden size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.common.errors import UserError

Floats = npt.NDArray[np.float64]

_DEALS = 500


def cosines(vectors: Tensor) -> Tensor:
    """(n, H) -> (n, n), from -1 to 1; a vector of zeros is like nothing, itself included."""
    unit = F.normalize(vectors, dim=1)
    return (unit @ unit.T).clamp(-1, 1)


def mean_subtracted(vectors: Tensor) -> Tensor:
    """(n, H) -> (n, H): the vectors less their mean.

    Without this all cosines are high, whatever the words mean: contextual vectors share a
    direction (Ethayarajh 2019).
    """
    centred = vectors - vectors.mean(0)
    # What is left of equal vectors is rounding, which has a direction but no meaning.
    rounding = centred.norm(dim=1) < 1e-5 * vectors.norm(dim=1)
    centred[rounding] = 0
    return centred


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


def sense_separation(vectors: npt.ArrayLike, senses: Sequence[str]) -> Separation:
    """Mean cosine within senses and between them, after subtracting the mean vector.

    `vectors` is (n, H), `senses` has n names. Raises `UserError` unless two senses have two
    contexts each: of fewer the numbers say nothing, three of any kind may well give -1.
    """
    x = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float64))
    if x.ndim != 2 or len(x) != len(senses):
        raise UserError(
            "{n} senses do not fit vectors of shape {shape}.", n=len(senses), shape=tuple(x.shape)
        )
    if sum(count >= 2 for count in Counter(senses).values()) < 2:
        raise UserError(
            "Sense separation needs at least two senses with two or more contexts each; with fewer "
            "it cannot be told."
        )
    pairs, same = _pairs(cosines(mean_subtracted(x)), senses)
    # However the senses are dealt out, as many pairs share one: their sum says it all.
    first, second = np.triu_indices(len(senses), 1)
    numbers = np.unique(np.asarray(senses), return_inverse=True)[1]
    dealt = np.random.default_rng(0).permuted(np.tile(numbers, (_DEALS, 1)), axis=1)
    sums = np.array([pairs[deal[first] == deal[second]].sum() for deal in dealt])
    chance = float(np.mean(sums >= pairs[same].sum() - 1e-9))
    return Separation(float(pairs[same].mean()), float(pairs[~same].mean()), chance)


def within_less_between(similarities: Tensor, senses: Sequence[str]) -> float:
    """Mean similarity (n, n) of two contexts of one sense, less that of two of different senses."""
    pairs, same = _pairs(similarities, senses)
    return float(pairs[same].mean() - pairs[~same].mean())


def _pairs(similarities: Tensor, senses: Sequence[str]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Of each two of the n contexts their similarity, and whether they have the same sense."""
    first, second = np.triu_indices(len(senses), 1)
    names = np.asarray(senses)
    return similarities.double().numpy()[first, second], names[first] == names[second]


def plane(vectors: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The plane on which n vectors (n, H) differ most: principal components by SVD.

    Returns (n, 2) coordinates and the share (2,) of the variance along each axis. The signs,
    which are a convention, are such that each axis' heaviest weight is positive.
    """
    centred = mean_subtracted(
        torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float64))
    ).numpy()
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    heaviest = np.abs(axes).argmax(1)
    axes = axes * np.sign(axes[np.arange(len(axes)), heaviest])[:, None]
    points = np.zeros((len(centred), 2))
    points[:, : len(axes)] = centred @ axes.T
    total = float((sizes**2).sum())
    shares = np.zeros(2)
    if total > 0:
        shares[: len(axes)] = sizes[:2] ** 2 / total
    return points, shares
