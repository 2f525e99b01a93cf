"""How much of each text of a pair stays where both are too long."""

from __future__ import annotations

from typing import Any

import numpy as np

from bert_demo.common.errors import UserError


def truncate_pair_lengths(a: Any, b: Any, room: int, rule: str) -> tuple[Any, Any]:
    """How many tokens of each text of a pair to keep so that they fit into `room` together.

    `a` and `b` are lengths, or arrays of lengths, and so are the two results. "longest_first"
    takes one token at a time from the longer text, from the second when they are equal (D2L
    16.7.1); "ratio" keeps the ratio of the lengths, and at least one token of each (the
    section's exercise).
    """
    if room < 2:
        raise UserError("There is room for {n} tokens of the pair; it takes at least 2.", n=room)
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    total = a + b
    if rule == "longest_first":
        half = room // 2
        kept = np.where(b <= half, room - b, np.minimum(a, room - half))
    elif rule == "ratio":
        kept = (2 * a * room + total) // np.maximum(2 * total, 1)
        kept = np.clip(kept, np.minimum(a, 1), room - np.minimum(b, 1))
    else:
        raise UserError(
            "truncation is {value!r}; it must be one of: longest_first, ratio.", value=rule
        )
    fits = total <= room
    return np.where(fits, a, kept), np.where(fits, b, room - kept)
