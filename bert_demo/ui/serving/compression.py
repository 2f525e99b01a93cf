"""What the page sends, made small."""

from __future__ import annotations

from brotli_asgi import BrotliMiddleware
from starlette.middleware import Middleware

_LEAST_BYTES = 1000
# Downloads are packed already, and a browser is told their length; streams send a line at a time.
_AS_THEY_ARE = [r"/file=", r"/queue/data", r"/heartbeat"]


def middleware() -> list[Middleware]:
    """To hand to the web server; what is compressed already stays as it is."""
    return [
        Middleware(
            BrotliMiddleware,
            quality=5,
            minimum_size=_LEAST_BYTES,
            excluded_handlers=_AS_THEY_ARE,
        )
    ]
