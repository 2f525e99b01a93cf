"""People's own texts and pairs, taken in once: a folder each in the cache, and what is in it.

A text that is called `own:TITLE-HASH` is a corpus as WikiText-2 is one. TITLE is what its file was
called, HASH tells its contents, so the same files are one text however often they are given. Pairs
are `own-pairs:TITLE-HASH`. A folder has meta.json and a parquet file for each split: lists of
sentences in WikiText's spelling, or SNLI's columns.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from bert_demo.common.corpus_names import OWN_PREFIXES, own_task, own_title
from bert_demo.common.errors import UserError
from bert_demo.data.files import cache_dir, file_stamp, part_folder, put_folder

_META = "meta.json"
_BROUGHT = "brought"
"""Is there if a page has taken it in, which deletes it with the last run that used it."""
_LONGEST_TITLE = 40


class TextGone(UserError):  # noqa: N818 (a state of things, not a fault)
    """The text is not in this computer's cache, or not any more."""


def name_of(task: str, title: str, digest: str) -> str:
    """What a text or table of this title and these contents is called."""
    return f"{OWN_PREFIXES[task]}{plain_title(title)}-{digest[:16]}"


def plain_title(title: str) -> str:
    """A title of letters, digits, dots and dashes, 40 at most."""
    plain = re.sub(r"[^\w.]+", "-", unicodedata.normalize("NFC", title))[:_LONGEST_TITLE]
    return plain.strip("-._") or "text"


def folder_of(name: str) -> Path:
    """Where it lies, or would lie; `name` is one that `own_task` knows."""
    assert own_task(name) is not None
    return cache_dir() / "own" / _file_name(name)


def file_of(name: str, split: str) -> Path:
    """The parquet file of a split; raises `TextGone` where there is none."""
    path = folder_of(name) / f"{split}.parquet"
    if not path.is_file():
        raise TextGone(
            "The text {title} is not in this computer's cache any more; give its files again.",
            title=own_title(name),
        )
    return path


def is_here(name: str) -> bool:
    """Whether it is in this computer's cache."""
    return meta_of(name) is not None


def meta_of(name: str) -> dict[str, Any] | None:
    """What was noted when it was taken in; None where it is not here."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((folder_of(name) / _META).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else None
    return None


def every() -> Iterator[tuple[str, dict[str, Any]]]:
    """All that are here, with what was noted of each."""
    folder = cache_dir() / "own"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads((path / _META).read_text(encoding="utf-8"))
            if own_task(found["name"]) is not None:
                yield found["name"], found


def keep(name: str, write: Callable[[Path], dict[str, Any]]) -> None:
    """Keep a text: `write` fills a folder and returns what is to be noted.

    Raises `UserError` where the cache cannot be written.
    """
    folder = folder_of(name)
    try:
        with part_folder(folder.parent) as part:
            noted = {"name": name, **write(part)}
            (part / _META).write_text(json.dumps(noted, ensure_ascii=False), encoding="utf-8")
            if _by_page.get():
                (part / _BROUGHT).touch()
            if not is_here(name):
                put_folder(part, folder)
    except OSError as error:
        raise UserError(
            "{path} cannot be written: {reason}.", path=folder, reason=error.strerror
        ) from error


@contextlib.contextmanager
def brought_by_page() -> Iterator[None]:
    """What is taken in inside is gone with the last run that uses it."""
    token = _by_page.set(True)
    try:
        yield
    finally:
        _by_page.reset(token)


_by_page = ContextVar("by_page", default=False)


def brought() -> list[str]:
    """Those that a page has taken in."""
    return [name for name, _ in every() if (folder_of(name) / _BROUGHT).is_file()]


def age_seconds(name: str) -> float | None:
    """How long ago it was taken in; None where it is not here."""
    stamp = file_stamp(folder_of(name) / _META)
    return None if stamp is None else time.time() - stamp.changed_ns / 1e9


def forget(name: str) -> None:
    """Delete it, and everything that was prepared of it; nothing happens where it is not here."""
    shutil.rmtree(folder_of(name), ignore_errors=True)
    for prepared in (cache_dir() / "prepared").glob(f"{_file_name(name)}-*"):
        shutil.rmtree(prepared, ignore_errors=True)


def _file_name(name: str) -> str:
    return name.replace(":", "-")
