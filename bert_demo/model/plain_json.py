"""JSON that anybody may have written: read with bounds, and each value taken by its type.

Files of runs and models come from other versions, other people and torn writes. What is read here
can be shown, sent and computed with: no number is without bound, no text without a code point, no
nesting too deep to walk. No torch here: the page opens with this module.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

_MOST_BYTES = 4_000_000
_DEEPEST = 20
_TOO_DEEP = "nested too deep"
_LARGEST = 2**53  # what JavaScript counts to
_LONGEST_WHOLE = 17  # digits and a sign of such a number


def read_value(path: Path) -> Any:
    """The JSON value in a file.

    Raises `OSError` for what is no file (reading a pipe would wait for ever), cannot be read or is
    larger than any file of ours, and `ValueError` for what is no JSON.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "not a file", str(path))
    if state.st_size > _MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return parse_json(path.read_bytes().decode("utf-8-sig"))


def parse_json(text: str) -> Any:
    """The value of a JSON text; raises `ValueError` where it is none, or nested too deep.

    Numbers that are not finite or larger than 2**53 become None, as if they were not known; lone
    surrogates and null characters become U+FFFD.
    """
    try:
        return _plain(json.loads(text, parse_int=_whole), _DEEPEST)
    except RecursionError as error:
        raise json.JSONDecodeError(_TOO_DEEP, "", 0) from error


def is_number(value: Any, low: float = -_LARGEST, high: float = _LARGEST) -> TypeGuard[float]:
    """Whether it is a number, not a truth value, from `low` to `high`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_whole(value: Any, low: int = 0, high: int = _LARGEST) -> TypeGuard[int]:
    """Whether it is a whole number, not a truth value, from `low` to `high`."""
    return isinstance(value, int) and is_number(value, low, high)


def mapping(value: Any) -> Mapping[str, Any]:
    """The object itself; an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def one_line(value: Any, most: int) -> str:
    """Text as one line of at most `most` characters that can be printed; "" for anything else."""
    if not isinstance(value, str):
        return ""
    printable = "".join(c if c.isprintable() else " " for c in value[: 4 * most])
    return " ".join(printable.split())[:most].rstrip()


def _whole(digits: str) -> int | None:
    # Reading a number of a million digits takes minutes where Python does not refuse it.
    return int(digits) if len(digits) <= _LONGEST_WHOLE else None


def _plain(value: Any, deepest: int) -> Any:
    if isinstance(value, str):
        return (
            value.encode("utf-16", "surrogatepass")
            .decode("utf-16", "replace")
            .replace("\0", "\ufffd")
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if math.isfinite(value) and abs(value) <= _LARGEST else None
    if isinstance(value, dict | list) and not deepest:
        raise json.JSONDecodeError(_TOO_DEEP, "", 0)
    if isinstance(value, dict):
        return {_plain(k, deepest): _plain(v, deepest - 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(item, deepest - 1) for item in value]
    return value
