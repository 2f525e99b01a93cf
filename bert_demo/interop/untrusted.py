"""Care with files from elsewhere: what they hold is checked before it is believed.

Zips are judged by their list of contents, before a byte is unpacked; state dicts of PyTorch are
read as tensors alone, so that no pickled code runs.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import torch
from torch import Tensor

from bert_demo.common.errors import UserError
from bert_demo.data.files import not_finite

WRAPPERS = ("module.", "_orig_mod.")
"""Before every name of a model that was trained on several cards at once, or compiled."""

MAX_BYTES = 2 << 30
"""The largest model that is read: BERT's own large one takes two thirds of it."""

_MAX_MEMBERS = 1000
_MAX_RATIO = 100  # weights hardly compress at all, words to a third
_SMALL = 1 << 20  # below this no ratio does harm


def check_zip(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse a zip that could do harm, going by its list of contents alone."""
    items = archive.infolist()
    if len(items) > _MAX_MEMBERS:
        raise UserError(
            "{archive} holds {n:,} files; a checkpoint has a handful.", archive=name, n=len(items)
        )
    for item in items:
        # `filename` ends at a null byte and has the system's separators put right.
        parts = re.split(r"[/\\]", item.orig_filename)
        absolute = not parts[0] or re.match(r"[A-Za-z]:", parts[0])
        if absolute or ".." in parts or "\0" in item.orig_filename:
            raise UserError(
                "{archive} is dangerous: {file!r} leads out of its folder.",
                archive=name,
                file=item.orig_filename,
            )
        if stat.S_ISLNK(item.external_attr >> 16):
            raise UserError(
                "{archive} is dangerous: {file!r} is a link.", archive=name, file=item.filename
            )
        plain = item.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if item.flag_bits & 1 or not plain:
            raise UserError("{archive} is encrypted or packed in an unusual way.", archive=name)
        if item.file_size > _SMALL and item.file_size > _MAX_RATIO * item.compress_size:
            raise UserError(
                "{archive} is dangerous: {file!r} would unpack to {size:,} bytes from {packed:,}.",
                archive=name,
                file=item.filename,
                size=item.file_size,
                packed=item.compress_size,
            )
    total = sum(item.file_size for item in items)
    if total > MAX_BYTES:
        raise UserError(
            "{archive} would unpack to {total:,} bytes; {limit:,} are allowed.",
            archive=name,
            total=total,
            limit=MAX_BYTES,
        )


def read_state_dict(stream: IO[bytes], where: str, hint: str) -> dict[str, Tensor]:
    """The tensors by name of a file that `torch.save` wrote, less the names of wrappers in front.

    Args:
        where: the file in words, for errors.
        hint: ends the sentence about a file that is not one of PyTorch's.
    """
    if zipfile.is_zipfile(stream):  # PyTorch's files are zips
        with zipfile.ZipFile(stream) as archive:
            check_zip(archive, where)
    stream.seek(0)
    try:
        # Sparse tensors are refused below; until then torch is to check that they are sound.
        with torch.sparse.check_sparse_tensor_invariants():
            state = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its parser stumbles over
        raise UserError(
            "{where} is not a PyTorch file of weights, or it is damaged; {hint}.",
            where=where,
            hint=hint,
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) and value.layout is torch.strided
        for name, value in state.items()
    ):
        raise UserError("{where} must hold tensors by name.", where=where)
    # A tensor of two numbers can claim to be a billion: strides of 0 cost its maker nothing.
    if sum(value.numel() * 4 for value in state.values()) > MAX_BYTES:
        raise UserError(
            "{where} is larger than {limit} GB, the most that is read.",
            where=where,
            limit=MAX_BYTES >> 30,
        )
    return unwrapped(state, WRAPPERS, where)


def unwrapped(
    state: Mapping[str, Tensor], prefixes: tuple[str, ...], where: str
) -> dict[str, Tensor]:
    """`state` with its names freed of `prefixes`, however many stand before one another.

    Raises `UserError` for two names that become the same, and for a name that is not text.
    """
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        plain = name
        while prefix := next((p for p in prefixes if plain.startswith(p)), ""):
            plain = plain.removeprefix(prefix)
        if plain in found:
            raise UserError("{where} has {name} twice.", where=where, name=plain)
        if not plain.isprintable():
            raise UserError(
                "{where} has a tensor {name!r}, which is not a name.", where=where, name=plain
            )
        found[plain] = value
    return found


def check_finite(state: Mapping[str, Tensor], where: str) -> None:
    """Raise `UserError` for weights that are infinite or no numbers."""
    odd = not_finite(state)
    if odd is not None:
        raise UserError(
            "{where} has numbers in {name!r} that are infinite or none; the model cannot be used.",
            where=where,
            name=odd,
        )


def plain(name: str) -> str:
    """A file's name as text that can be written in UTF-8, which not every system's names are."""
    return name.encode("utf-8", "replace").decode("utf-8")


def depth(value: Any) -> int:
    """How many lists and objects of a JSON value lie in one another; it needs no recursion."""
    deepest, left = 0, [(value, 1)]
    while left:
        one, level = left.pop()
        if isinstance(one, (dict, list)):
            deepest = max(deepest, level)
            inner = one.values() if isinstance(one, dict) else one
            left += [(each, level + 1) for each in inner if isinstance(each, (dict, list))]
    return deepest
