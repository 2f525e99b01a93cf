"""Masked language modelling's choice of positions (Devlin et al. 2019, 3.1; D2L 15.9.2)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

CHOSEN = 0.15
AS_MASK = 0.8 * CHOSEN
AS_RANDOM = AS_MASK + 0.1 * CHOSEN


def mask_tokens(
    input_ids: IntArray,
    candidates: npt.NDArray[np.bool_],
    vocab_size: int,
    mask_id: int,
    generator: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """Choose 15% of the candidates; of these 80% become <mask>, 10% any token, 10% stay.

    input_ids: (T,); candidates: (T,), false for special tokens. One uniform number a token
    decides everything, the random token included, so each position is chosen independently.
    Returns (new input_ids (T,), labels (T,)): the label is the original id where a position was
    chosen and -1 elsewhere. At least one position is chosen if there is a candidate.
    """
    draw = generator.random(len(input_ids))
    draw[~candidates] = 1.0
    chosen = draw < CHOSEN
    if not chosen.any() and candidates.any():
        chosen[draw.argmin()] = True
    labels = np.where(chosen, input_ids, -1)
    masked = np.where(chosen & (draw < AS_MASK), mask_id, input_ids)
    randomised = chosen & (draw >= AS_MASK) & (draw < AS_RANDOM)
    # Within its band the draw is uniform, so its place there picks the random token.
    place = (draw[randomised] - AS_MASK) / (AS_RANDOM - AS_MASK)
    masked[randomised] = np.minimum((place * vocab_size).astype(np.int64), vocab_size - 1)
    return masked, labels
