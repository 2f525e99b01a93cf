"""Many texts as arrays: each different chunk is handled once, then the ids are put together."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

SURROGATES = re.compile("[\ud800-\udfff]")
"""Halves of characters, which a text can have and no file in UTF-8."""


def arrow_strings(texts: Any) -> Any:
    """`texts` as one pyarrow string array; nulls become empty, lone surrogates are dropped."""
    import pyarrow as pa

    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if not isinstance(texts, pa.Array):
        texts = list(texts)
        try:
            texts = pa.array(texts, pa.string())
        except UnicodeEncodeError:
            texts = pa.array([SURROGATES.sub("", text) for text in texts], pa.string())
    return texts.fill_null("") if texts.null_count else texts


def gather(
    table: list[list[int]], which: npt.NDArray[Any], bounds: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Join table[w] for every w in `which`; `bounds` are texts in `which`, then in the ids."""
    lengths = np.fromiter(map(len, table), np.int64, len(table))
    values = np.fromiter((i for ids in table for i in ids), np.int32, int(lengths.sum()))
    if (lengths == 1).all():
        return values[which], bounds
    starts = np.concatenate(([0], np.cumsum(lengths)))[:-1]
    counts = lengths[which]
    ends = np.concatenate(([0], np.cumsum(counts)))
    source = np.arange(ends[-1]) + np.repeat(starts[which] - ends[:-1], counts)
    return values[source], ends[bounds]
