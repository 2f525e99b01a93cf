"""Labelled pairs for tests."""

from __future__ import annotations

import dataclasses

import numpy as np

from bert_demo.data.snli import NliTexts


def every(texts: NliTexts, nth: int) -> NliTexts:
    """The first of `nth` pairs, the first of the next, and so on."""
    places = np.arange(0, len(texts), nth)
    return dataclasses.replace(
        texts,
        premises=texts.premises.take(places),
        hypotheses=texts.hypotheses.take(places),
        labels=texts.labels[::nth],
        kinds=None if texts.kinds is None else texts.kinds[::nth],
    )
