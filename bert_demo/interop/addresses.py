"""What people type or paste for a model of the Hub."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from bert_demo.common.errors import UserError

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_HOSTS = ("huggingface.co/", "www.huggingface.co/", "hf.co/")
_PARTS = ("tree", "blob", "resolve", "raw", "commit", "commits", "discussions", "edit")
_MAIN = ("main", "refs%2Fheads%2Fmain")
LONGEST = 96


def is_address(typed: str) -> bool:
    """Whether it is the address of a page, with or without https in front."""
    return "://" in typed or typed.startswith(_HOSTS)


def repo_id(typed: Any) -> str:
    """ "owner/name" from what a person typed or pasted; `UserError` if it cannot be one.

    Of a page's address counts what names the repository; of the files the newest are meant.
    """
    words = typed.strip() if isinstance(typed, str) else ""
    if is_address(words):
        words = _from_address(words)
    if len(words) > LONGEST or ".." in words or "--" in words or not _REPO.fullmatch(words):
        shown = repr(typed)[:LONGEST]
        raise UserError(
            "{shown} is not a repository's name; it must be owner/name, such as "
            "google-bert/bert-base-uncased.",
            shown=shown,
        )
    return words


def _from_address(address: str) -> str:
    try:
        path = urlsplit(address if "://" in address else f"https://{address}").path
    except ValueError:  # such as an odd bracket
        return ""
    parts = [part for part in path.split("/") if part]
    if parts and parts[0] in ("datasets", "spaces"):
        raise UserError(
            "{address} is the address of a data set or a Space; give that of a model.",
            address=address,
        )
    end = next((i for i, part in enumerate(parts[:3]) if i and part in _PARTS), 2)
    if parts[end : end + 1] and parts[end] in _PARTS[:4]:
        revision = "".join(parts[end + 1 : end + 2])
        if revision and revision not in _MAIN:
            raise UserError(
                "{address} names the version {revision!r}; only the newest, main, is read.",
                address=address,
                revision=unquote(revision),
            )
    return unquote("/".join(parts[:end]))
