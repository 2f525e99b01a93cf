"""Masked language modelling's choice of positions (Devlin et al. 2019, 3.1; D2L 15.9.2).

Written once for numpy's arrays and torch's tensors: a GPU draws the very masks that a CPU does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Masking:
    """Which share of the words is to be guessed, and what is shown in their place."""

    share: float = 0.15
    """Of all words."""
    replaced: float = 0.8
    """Of these, become <mask>."""
    random: float = 0.1
    """Of these, become any word; what is left stays as it is."""
    padded: int = 0
    """To how many guesses each text is filled up: <unk> at its <cls>, as in the book's loss, whose
    weights cancel (D2L 15.10)."""

    @property
    def bands(self) -> tuple[float, float]:
        """Below the first a word's number makes it <mask>, below the second a random word."""
        as_mask = self.replaced * self.share
        return as_mask, as_mask + self.random * self.share


BERTS = Masking()
"""Devlin et al. 2019. Held-out text is always masked so: losses of all runs can be compared."""

_STRIDE = 0x9E3779B97F4A7C15
_MIXING = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def uniform(places: Any, key: Any) -> Any:
    """One number in [0, 1) for each of the places (T,) int64, float64: a function of it and of key.

    The upper bits of `mixed`.
    """
    xp: Any = torch if isinstance(places, torch.Tensor) else np
    return xp.asarray(_shifted(mixed(places, key), 11), dtype=xp.float64) * 2.0**-53


def mixed(places: Any, key: Any) -> Any:
    """64 random bits for each of the places (T,) int64, as int64: a function of it and of key.

    SplitMix64 (Steele, Lea and Flood 2014): numbers that need no others before them, so that any
    part of a batch can be drawn anywhere.
    """
    x = places * _signed(_STRIDE) + key
    for bits, factor in _MIXING:
        x = (x ^ _shifted(x, bits)) * _signed(factor)
    return x ^ _shifted(x, 31)


def _shifted(x: Any, bits: int) -> Any:
    """x without its last bits, as a number without a sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    """The int64 of the same bits."""
    return word - (1 << 64) if word >> 63 else word


def mask_tokens(
    input_ids: Any,
    candidates: Any,
    vocab_size: int,
    mask_id: int,
    draw: Any,
    masking: Masking = BERTS,
) -> tuple[Any, Any]:
    """Choose 15% of the candidates; of these 80% become <mask>, 10% any token, 10% stay.

    With another `masking` the shares are its own; what is chosen by a smaller share is chosen by a
    larger one too.

    input_ids: (T,) int64; candidates: (T,) bool, false for special tokens; draw: (T,), numbers of
    `uniform`. Each decides everything of its token, the random one included, so positions are
    chosen independently. Returns (new input_ids (T,), labels (T,)): the label is the original id
    where a position was chosen and -1 elsewhere.
    """
    xp: Any = torch if isinstance(input_ids, torch.Tensor) else np
    below_mask, below_random = masking.bands
    chosen = candidates & (draw < masking.share)
    labels = xp.where(chosen, input_ids, xp.full_like(input_ids, -1))
    as_mask = chosen & (draw < below_mask)
    masked = xp.where(as_mask, xp.full_like(input_ids, mask_id), input_ids)
    if below_random == below_mask:
        return masked, labels
    as_random = chosen & ~as_mask & (draw < below_random)
    # Within its band the draw is uniform, so its place there picks the random token.
    place = (draw - below_mask) * (vocab_size / (below_random - below_mask))
    other = xp.asarray(place.clip(0, vocab_size - 1), dtype=xp.int64)
    return xp.where(as_random, other, masked), labels
