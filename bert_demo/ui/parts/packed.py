"""Files that never change under their address: compressed once, and kept by browsers for good."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterable
from pathlib import PurePath

import brotli
from starlette.requests import Request
from starlette.responses import Response

_QUICK, _BEST = 5, 11
"""Of brotli. For plotly.js the best takes fifteen seconds, and is a ninth smaller."""

TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
"""Media types of what is packed, by the ends of names."""
FOR_GOOD = "public, max-age=31536000, immutable"

_packed: dict[tuple[str, str], bytes] = {}


def response(request: Request, name: str, read: Callable[[], bytes]) -> Response:
    """The file of this name, which ends as one of `TYPES`, as the browser takes it."""
    kind = TYPES[PurePath(name).suffix]
    headers = {"Cache-Control": FOR_GOOD, "Vary": "Accept-Encoding"}
    accepted = re.findall(r"\b(?:br|gzip)\b", request.headers.get("accept-encoding", ""))
    if not accepted:
        return Response(read(), headers=headers, media_type=kind)
    encoding = headers["Content-Encoding"] = min(accepted)
    content = _packed.get((name, encoding))
    if content is None:
        pack = _brotli if encoding == "br" else gzip.compress
        content = _packed.setdefault((name, encoding), pack(read()))
    return Response(content, headers=headers, media_type=kind)


def pack_well(files: Iterable[tuple[str, Callable[[], bytes]]]) -> None:
    """Compress files of these names as small as can be, in the order given.

    It takes a processor half a minute for all that a page needs, so it is for pages that are
    reached over lines, after they are up.
    """
    for name, read in files:
        _packed[name, "br"] = _brotli(read(), _BEST)


def _brotli(content: bytes, quality: int = _QUICK) -> bytes:
    return bytes(brotli.compress(content, quality=quality))
