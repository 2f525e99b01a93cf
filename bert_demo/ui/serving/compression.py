"""What the page sends, made small, and kept by browsers where its name holds a digest."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LEAST_BYTES = 1000
_FOR_GOOD = "public, max-age=31536000, immutable"


class KeepNamedByDigest:
    """Says of Gradio's own scripts and styles that a browser need not ask for them again."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or "/assets/" not in scope["path"]:
            await self.app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                MutableHeaders(scope=message)["Cache-Control"] = _FOR_GOOD
            await send(message)

        await self.app(scope, receive, marked)


class Compressed(GZipMiddleware):
    """Compresses all but downloads, whose length a browser is told and which are packed already."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        download = scope["type"] == "http" and "/file=" in scope["path"]
        await (self.app if download else super().__call__)(scope, receive, send)


def middleware() -> list[Middleware]:
    """To hand to the web server; streams of events and what is small already stay as they are."""
    return [
        Middleware(KeepNamedByDigest),
        Middleware(Compressed, minimum_size=_LEAST_BYTES, compresslevel=6),
    ]
