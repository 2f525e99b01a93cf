"""How the letters of people's own files are written."""

from __future__ import annotations

import codecs
import hashlib
import re
import string
from pathlib import Path

from bert_demo.common.errors import UserError
from bert_demo.data import interruption
from bert_demo.data.files import check_whole

_BLOCK = 1 << 20
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, which begins alike
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_KINDS = {
    b"%PDF": "PDF",
    b"PK\x03\x04": "Word, EPUB or zip",
    b"\xd0\xcf\x11\xe0": "Word",
    b"\x1f\x8b": "gzip",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
}


def encoding_of(path: Path) -> tuple[str, str]:
    """How a file's letters are written, and the SHA-256 of its bytes; reads it once.

    A byte order mark decides; without one it is UTF-8 where all of it is valid UTF-8, UTF-16 where
    every other byte of its beginning is 0, and else Windows-1252, if most of its letters are ASCII.

    Raises:
        UserError: the file cannot be read, is empty, or is no text.
    """
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    valid, zero, unused, foreign = True, False, False, 0
    try:
        check_whole(path)
        with path.open("rb") as file:
            start = file.read(4096)
            file.seek(0)
            while block := file.read(_BLOCK):
                interruption.check()
                digest.update(block)
                zero = zero or b"\0" in block
                unused = unused or bool(_NOT_WINDOWS.search(block))
                if valid:
                    try:
                        decoder.decode(block)
                    except UnicodeDecodeError:
                        valid = False
                if not valid:
                    foreign += _surplus(block)
        if valid:
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        valid = False
    except OSError as error:
        raise unreadable(path, error) from error
    if not start.strip(b" \t\r\n\xef\xbb\xbf\xfe\xff\0"):
        raise UserError("{path} is empty.", path=path)
    for beginning, kind in _KINDS.items():
        if start.startswith(beginning):
            raise UserError(
                "{path} is no plain text, it seems to be {kind}; save it as text first.",
                path=path,
                kind=kind,
            )
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return encoding, digest.hexdigest()
    if zero:
        for which, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            half = start[which::2]
            if (
                len(start) > 3
                and half.count(0) > 0.5 * len(half)
                and 0 not in start[1 - which :: 2]
            ):
                return encoding, digest.hexdigest()
    if not zero and not unused and not valid and foreign > 0:
        raise UserError(
            "{path} seems to be in another encoding than UTF-8, UTF-16 or Windows-1252; save it as "
            "UTF-8.",
            path=path,
        )
    if not zero and (valid or not unused):
        return "utf-8" if valid else "cp1252", digest.hexdigest()
    raise UserError(
        "{path} is no text: it has bytes that no letters have; save it as text in UTF-8.", path=path
    )


def _surplus(block: bytes) -> int:
    """Bytes above ASCII, less the letters within it: above 0 in Cyrillic, Greek, Arabic or Chinese
    of 8 bits, far below where some letters have accents."""
    ascii_letters = len(block) - len(block.translate(None, string.ascii_letters.encode()))
    return len(block) - len(block.translate(None, bytes(range(128, 256)))) - ascii_letters


_NOT_WINDOWS = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f\x81\x8d\x8f\x90\x9d]")


def unreadable(path: Path, error: Exception) -> UserError:
    """What to say where a file cannot be read."""
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return UserError("{path} cannot be read: {reason}.", path=path, reason=reason)
