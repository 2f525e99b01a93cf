"""The files of a checkpoint of Dive into Deep Learning, of which nothing is trusted.

The book ships a zip with `vocab.json`, a list of words, and `pretrained.params`, a PyTorch state
dict. The zip is checked before a byte is unpacked, members are read into memory and never
extracted, and the state dict is read as tensors alone, no pickled code.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from torch import Tensor

from bert_demo.common.errors import UserError
from bert_demo.data.download import download, is_web_page
from bert_demo.data.files import cache_dir, check_whole, is_lfs_pointer
from bert_demo.interop import untrusted

VOCABULARY, PARAMETERS = "vocab.json", "pretrained.params"
_WEIGHTS = (".params", ".pt", ".pth")  # of what people trained themselves and called otherwise


@dataclass(frozen=True)
class BookModel:
    """One of the models that the book publishes."""

    sha1: str
    hidden_size: int
    heads: int

    def url(self, name: str) -> str:
        """Where the book keeps it."""
        return f"https://d2l-data.s3-accelerate.amazonaws.com/{name}.torch.zip"


BOOK_MODELS = {
    "bert.small": BookModel("c72329e68a732bef0452e4b96a1c341c8910f81f", 256, 4),
    "bert.base": BookModel("225d66f04cae318b841a13d32af3acc165f253ac", 768, 12),
}


def find(source: str | Path) -> Path:
    """A path as it is, or the downloaded zip of one of the book's models by its name."""
    path = Path(source).expanduser()
    if path.exists():
        return path
    book = BOOK_MODELS.get(str(source))
    if book is None:
        raise UserError(
            "There is no {source}; give the book's zip, its unpacked folder, or one of: {choices}.",
            source=source,
            choices=", ".join(BOOK_MODELS),
        )
    kept = cache_dir() / "d2l" / f"{source}.torch.zip"
    return download(book.url(str(source)), kept, sha1=book.sha1)


def read(path: Path) -> tuple[list[str], list[str], dict[str, Tensor]]:
    """(names that a zip or a folder goes by, its words, its parameters by name in fp32)."""
    names, words, parameters = _contents(path)
    for content, name in ((words, VOCABULARY), (parameters, PARAMETERS)):
        if is_lfs_pointer(content):
            raise UserError(
                "{file} in {path} is a Git LFS pointer, not the file itself; `git lfs pull` where "
                "it is from fetches it.",
                file=name,
                path=path,
            )
    return names, _words(words, path), _state_dict(parameters, path)


def _contents(path: Path) -> tuple[list[str], bytes, bytes]:
    try:
        if not path.is_dir():
            return _read_zip(path)
        files = {file: file.name for file in path.rglob("*") if file.is_file()}
        found = [_only(_called(files, wanted), wanted, path) for wanted in (VOCABULARY, PARAMETERS)]
        if sum(file.stat().st_size for file in found) > untrusted.MAX_BYTES:
            raise UserError(
                "{path} is larger than {limit} GB; it is not the book's.",
                path=path,
                limit=untrusted.MAX_BYTES >> 30,
            )
        words, parameters = (file.read_bytes() for file in found)
        return [path.resolve().name, found[1].resolve().parent.name], words, parameters
    except OSError as error:
        raise UserError(
            "{path} cannot be read: {reason}.", path=path, reason=error.strerror or error
        ) from error


def _read_zip(path: Path) -> tuple[list[str], bytes, bytes]:
    check_whole(path)
    with path.open("rb") as file:
        if is_web_page(file.read(512)):
            raise UserError(
                "{path} is a web page, not a zip; the download went wrong, so fetch it again.",
                path=path,
            )
    try:
        with zipfile.ZipFile(path) as archive:
            untrusted.check_zip(archive, path.name)
            items = [i for i in archive.infolist() if "__MACOSX" not in i.filename]
            files = {item: PurePosixPath(item.filename).name for item in items}
            found = [
                _only(_called(files, wanted), wanted, path) for wanted in (VOCABULARY, PARAMETERS)
            ]
            words, parameters = (archive.read(item) for item in found)
            return [path.name, PurePosixPath(found[1].filename).parent.name], words, parameters
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise UserError(
            "{path} is not a zip file, or it is damaged ({error}).", path=path, error=error
        ) from error


def _called(files: Mapping[Any, str], name: str) -> list[Any]:
    """The files of this name; for the weights those of other names where none has it."""
    found = [file for file, called in files.items() if called == name]
    if not found and name == PARAMETERS:
        found = [file for file, called in files.items() if called.endswith(_WEIGHTS)]
    return found


def _only(found: Iterable[Any], name: str, path: Path) -> Any:
    files = list(found)
    if len(files) != 1:
        number = "no" if not files else "more than one"
        raise UserError(
            "{path} has {number} {name}; it is not one of the book's checkpoints.",
            path=path,
            number=number,
            name=name,
        )
    return files[0]


def _words(content: bytes, path: Path) -> list[str]:
    try:
        words = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(
            "{file} in {path} is damaged: it is not valid JSON.",
            file=VOCABULARY,
            path=path,
        ) from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UserError("{file} in {path} must be a list of words.", file=VOCABULARY, path=path)
    return words


def _state_dict(content: bytes, path: Path) -> dict[str, Tensor]:
    where = f"{PARAMETERS} in {path}"
    hint = "the book's zips for PyTorch have .torch in their names"
    state = untrusted.read_state_dict(io.BytesIO(content), where, hint)
    weights = {name: value.float() for name, value in state.items()}
    untrusted.check_finite(weights, where)
    return weights
