"""Which text of Crane World is for training, for validation and for testing."""

from __future__ import annotations

import zlib

_SHARES = {"train": range(16), "validation": range(16, 18), "test": range(18, 20)}


def check_split(split: str) -> None:
    """Raise `ValueError` where there is no such split."""
    if split not in _SHARES:
        raise ValueError(f"split is {split!r}; it must be one of: {', '.join(_SHARES)}.")


def belongs(text: str, split: str) -> bool:
    """Whether the text is for this split: its checksum decides, so that splits share no text."""
    return zlib.crc32(text.encode()) % 20 in _SHARES[split]
