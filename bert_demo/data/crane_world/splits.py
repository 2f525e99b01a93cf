"""Which text of Crane World is for training, for validation and for testing."""

from __future__ import annotations

import zlib

from bert_demo.common.errors import UserError

_SHARES = {"train": range(16), "validation": range(16, 18), "test": range(18, 20)}


def check_split(split: str) -> None:
    """Raise `UserError` where there is no such split."""
    if split not in _SHARES:
        raise UserError(
            "split is {value!r}; it must be one of: {choices}.",
            value=split,
            choices=", ".join(_SHARES),
        )


def belongs(text: str, split: str) -> bool:
    """Whether the text is for this split: its checksum decides, so that splits share no text."""
    return zlib.crc32(text.encode()) % 20 in _SHARES[split]
