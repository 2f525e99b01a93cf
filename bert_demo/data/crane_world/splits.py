"""Which text of Crane World is for training, for validation and for testing."""

from __future__ import annotations

import zlib

from bert_demo.common.fields import check_choice

_SHARES = {"train": range(16), "validation": range(16, 18), "test": range(18, 20)}


def check_split(split: str) -> None:
    """Raise `UserError` where there is no such split."""
    check_choice("split", split, _SHARES)


def belongs(text: str, split: str) -> bool:
    """Whether the text is for this split: its checksum decides, so that splits share no text."""
    return zlib.crc32(text.encode()) % 20 in _SHARES[split]
