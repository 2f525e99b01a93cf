"""Files and folders that change in one move, tensors in them, and errors in plain words.

A thing is built in a part folder and then renamed into place, so a reader, or whoever comes
after a crash, meets the old one or the new one, never a half of either.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import psutil
from safetensors import SafetensorError, safe_open

from bert_demo.common.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_PART = ".bert_demo-part-"
_PART_SECONDS = 3600.0  # older parts were left by a process that died
_HERE = f"{zlib.crc32(platform.node().encode()):08x}"  # a folder can be shared by several computers


class CheckpointError(UserError):
    """A checkpoint cannot be read or written; the message is one sentence with the reason."""


def cache_dir() -> Path:
    """Folder for what this project computes once: $BERT_DEMO_CACHE or the user's cache folder."""
    value = os.environ.get("BERT_DEMO_CACHE")
    if value:
        return Path(value).expanduser()
    try:
        home = Path.home()
    except RuntimeError:  # a container's user without an entry and without HOME
        return Path(tempfile.gettempdir()) / "bert_demo"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "bert_demo"


def is_lfs_pointer(start: bytes) -> bool:
    """Whether a file that begins so says where a file is, as Git without LFS leaves it behind."""
    return start.startswith(b"version https://git-lfs.github.com/spec/")


def check_whole(path: Path) -> None:
    """Raise `CheckpointError` for a file that is a Git LFS pointer; `OSError` passes."""
    with path.open("rb") as file:
        if is_lfs_pointer(file.read(64)):
            raise CheckpointError(
                "{path} is a Git LFS pointer, not the file itself; `git lfs pull` in its folder "
                "fetches it.",
                path=path,
            )


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of a tensor that has a number which is infinite or none, or None."""
    return next((name for name, value in tensors.items() if not value.isfinite().all()), None)


@contextmanager
def explained(path: Path, verb: Literal["read", "written"]) -> Iterator[None]:
    """Turn what the system says into a `CheckpointError`: "... cannot be written: ..."."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = re.search(r"os error (\d+)", str(error))  # how safetensors reports it
        code = error.errno if isinstance(error, OSError) else int(number[1]) if number else None
        reason = str(error) if code is None else os.strerror(code).lower()
        raise CheckpointError(
            "{path} cannot be read: {reason}."
            if verb == "read"
            else "{path} cannot be written: {reason}.",
            path=path,
            reason=reason,
        ) from error


def writers_path(folder: str | Path) -> Path:
    """The absolute folder, for whoever writes; a replacement that was cut short is undone."""
    path, current = _absolute(folder), readers_path(folder)
    if current != path:
        with explained(path, "written"):
            current.rename(path)
    return path


def readers_path(folder: str | Path) -> Path:
    """Where the folder of this name is right now.

    Between the two moves of `put_folder` nothing has the name, and the old folder is whole.
    """
    path = _absolute(folder)
    with explained(path, "read"):
        previous = _previous(path)
        return previous if previous.is_dir() and not path.exists() else path


def put_folder(part: Path, folder: Path) -> None:
    """Give the finished `part` the name `folder`, in place of the folder that has it."""
    previous = _previous(folder)
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    part.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)


@contextmanager
def part_folder(parent: Path) -> Iterator[Path]:
    """A folder to build in, on the same disk as the place its files will move to."""
    parent.mkdir(parents=True, exist_ok=True)
    remove_left_parts(parent)
    part = parent / _part_name()
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_left_parts(parent: Path) -> None:
    """Delete part folders that their process left behind when it was killed."""
    for left in parent.glob(f"{_PART}*"):
        stamp = file_stamp(left)
        old = stamp is not None and time.time() - stamp.changed_ns / 1e9 > _PART_SECONDS
        if old or _is_left_here(left.name):
            shutil.rmtree(left, ignore_errors=True)


def _part_name() -> str:
    return f"{_PART}{_HERE}-{os.getpid()}-{secrets.token_hex(8)}"


def _is_left_here(name: str) -> bool:
    """Whether a part is of a process of this computer that has ended, so that nobody needs it."""
    here, _, rest = name.removeprefix(_PART).partition("-")
    number = rest.partition("-")[0]
    return here == _HERE and number.isdecimal() and not psutil.pid_exists(int(number))


def remove_folder(folder: Path) -> None:
    """Delete a folder, which first loses its name, so that nobody meets a half of it.

    Raises `OSError` where the name cannot be taken away.
    """
    away = folder.with_name(_part_name())
    folder.rename(away)
    shutil.rmtree(away, ignore_errors=True)


def is_empty(folder: Path) -> bool:
    """Whether there is nothing in the folder but what a killed process left."""
    return all(path.name.startswith(_PART) for path in folder.iterdir())


def folder_bytes(folder: Path) -> int:
    """What the files in a folder take, as far as it can be told while others write there."""
    files = (Path(at, name) for at, _, names in os.walk(folder) for name in names)
    return sum(stamp.size for path in files if (stamp := file_stamp(path)))


class FileStamp(NamedTuple):
    """Another one after each change of a file: as much as can be told without reading it."""

    changed_ns: int
    size: int
    """Bytes."""
    inode: int


def file_stamp(path: Path) -> FileStamp | None:
    """The file's stamp as it is now; None where there is no file."""
    try:
        state = path.stat()
    except OSError:
        return None
    return FileStamp(state.st_mtime_ns, state.st_size, state.st_ino)


def file_identity(path: Path) -> list[Any]:
    """Which file this is and which version of it, as JSON values that stay the same for good."""
    real = path.resolve(strict=True)
    state = real.stat()
    return [str(real), state.st_size, state.st_mtime_ns]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, from tensors on any device."""
    from safetensors.torch import save_file

    ready = {}
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        # A view would drag its whole base along, which safetensors refuses.
        whole = value.untyped_storage().nbytes() == value.nbytes
        ready[name] = value if whole else value.clone()
    path.touch()
    mode = path.stat().st_mode
    save_file(ready, path, metadata)
    path.chmod(mode)  # safetensors lets nobody but the owner read
    with path.open("rb+") as file:  # a move must not overtake the bytes if the power fails
        os.fsync(file.fileno())


@contextmanager
def open_tensors(path: Path) -> Iterator[Any]:
    """What `safe_open` gives; raises `CheckpointError` for a missing or damaged file."""
    with explained(path, "read"):
        if not path.is_file():
            raise CheckpointError(
                "The checkpoint {folder} has no {name}.", folder=path.parent, name=path.name
            )
        check_whole(path)
        try:
            with safe_open(path, "pt") as file:
                yield file
        except SafetensorError as error:
            raise CheckpointError(
                "{path} is damaged or incomplete ({error}).", path=path, error=error
            ) from error


def read_tensors(
    path: Path, expected: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors, on the CPU, and metadata of a safetensors file, which must have `expected`."""
    with open_tensors(path) as file:
        metadata: dict[str, str] = file.metadata() or {}
        if expected.items() - metadata.items():
            raise CheckpointError(
                "{path} does not belong to the files beside it; it was changed or "
                "comes from another checkpoint.",
                path=path,
            )
        # Copies, because the file's own pages must not be tied to the model's life.
        return {name: file.get_tensor(name).clone() for name in list(file.keys())}, metadata


def _absolute(folder: str | Path) -> Path:
    try:
        return Path(folder).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, no home, a null byte
        raise CheckpointError(
            "{folder!r} is not a usable folder name.", folder=str(folder)
        ) from error


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")
