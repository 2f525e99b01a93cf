"""Files that never change under their address: compressed once, and kept by browsers for good."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterable

import brotli
from starlette.requests import Request
from starlette.responses import Response

_QUICK, _BEST = 5, 11
"""Of brotli. For plotly.js the best takes fifteen seconds, and is a ninth smaller."""

FOR_GOOD = "public, max-age=31536000, immutable"

_packed: dict[tuple[str, str], bytes] = {}


def response(request: Request, address: str, read: Callable[[], bytes], kind: str) -> Response:
    """The file of this address as the browser takes it; `kind` is its media type."""
    headers = {"Cache-Control": FOR_GOOD, "Vary": "Accept-Encoding"}
    accepted = re.findall(r"\b(?:br|gzip)\b", request.headers.get("accept-encoding", ""))
    if not accepted:
        return Response(read(), headers=headers, media_type=kind)
    encoding = headers["Content-Encoding"] = min(accepted)
    content = _packed.get((address, encoding))
    if content is None:
        pack = _brotli if encoding == "br" else gzip.compress
        content = _packed.setdefault((address, encoding), pack(read()))
    return Response(content, headers=headers, media_type=kind)


def pack_well(files: Iterable[tuple[str, Callable[[], bytes]]]) -> None:
    """Compress files of these addresses as small as can be, in the order given.

    It takes a processor half a minute for all that a page needs, so it is for pages that are
    reached over lines, after they are up.
    """
    for address, read in files:
        _packed[address, "br"] = _brotli(read(), _BEST)


def _brotli(content: bytes, quality: int = _QUICK) -> bytes:
    return bytes(brotli.compress(content, quality=quality))
