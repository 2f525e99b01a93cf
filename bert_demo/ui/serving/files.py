"""Files that come and go with the page: a folder of its own, bounded, and gone at its end.

Gradio keeps what it serves in a folder that all its programs of a computer share, and which may
belong to somebody else. This page has one for itself, which nobody else may read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bert_demo.common.errors import UserError
from bert_demo.data.files import file_stamp, folder_bytes
from bert_demo.model.folders import LOCK
from bert_demo.runs.record import held

KEPT_SECONDS = 600
"""How long a prepared download can be fetched."""
_MOST_BYTES = 2_000_000_000
_FREE_BYTES = 500_000_000

_VARIABLE = "GRADIO_TEMP_DIR"
_PREFIX = "bert_demo-page-"
_YOUNG_SECONDS = 60.0  # its process may not hold its lock yet


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """The page's folder, while it is served; those of pages that were killed are removed.

    To be entered before gradio is imported, which looks for its folder then. Raises `OSError`
    where no folder can be made.
    """
    scratch = Path(tempfile.gettempdir())
    before = os.environ.get(_VARIABLE)
    home = Path(before or scratch)
    home.mkdir(parents=True, exist_ok=True)
    for parent in {home, scratch}:
        _remove_left(parent)
    with _locked_folder(home) as folder:
        os.environ[_VARIABLE] = str(folder)
        try:
            yield folder
        finally:
            os.environ.pop(_VARIABLE)
            if before is not None:
                os.environ[_VARIABLE] = before


@contextlib.contextmanager
def _locked_folder(parent: Path) -> Iterator[Path]:
    """A new folder that is known to be in use, and gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with held(folder / LOCK):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(parent: Path) -> None:
    """Delete the folders of pages that were killed."""
    for left in parent.glob(f"{_PREFIX}*"):
        stamp = file_stamp(left)
        if stamp is not None and time.time() - stamp.changed_ns / 1e9 > _YOUNG_SECONDS:
            with held(left / LOCK) as free:
                if free:
                    shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def room_for(size: int) -> Iterator[Path]:
    """A folder for files of `size` bytes that are handed to Gradio, which copies them.

    It lies outside of the page's own, whose files Gradio serves without a copy. Raises `UserError`
    where too much lies there already.
    """
    from gradio.utils import get_upload_folder

    home = Path(get_upload_folder())
    home.mkdir(parents=True, exist_ok=True)
    kept = folder_bytes(home)
    # Twice: these files, and the copies.
    full = shutil.disk_usage(home).free < 2 * size + _FREE_BYTES
    if full or (kept and kept + 2 * size > _MOST_BYTES):
        raise UserError(
            "There is no room for more downloads at the moment; take fewer runs, or try again in "
            "{n} minutes.",
            n=KEPT_SECONDS // 60,
        )
    with _locked_folder(Path(tempfile.gettempdir())) as folder:
        yield folder


def closed_routes() -> list[Route]:
    """What Gradio offers and this page does not need: ways to leave files on this computer."""
    paths = ("upload", "upload/", "deep_link", "deep_link/")
    return [Route(f"/gradio_api/{path}", _refuse, methods=["GET", "POST"]) for path in paths]


async def _refuse(request: Request) -> PlainTextResponse:
    return PlainTextResponse("This page takes no files.", 403)
