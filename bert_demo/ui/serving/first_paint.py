"""What is ours in the HTML that the server sends.

Gradio adds what it is given for the head when its scripts have come; a browser on a slow line then
shows nothing until there, and asks for our script last.
"""

from __future__ import annotations

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEAD, _BODY = b"</head>", b"<gradio-app"
# Gradio's name, words and picture, by which a link to the page would be shown elsewhere.
_PREVIEW = re.compile(rb"<meta\s+(?:property=\"og:|name=\"twitter:)[^>]*>\s*")


class FirstPaint:
    """Puts `head` into the head of whole HTML pages, and `body` before what Gradio builds."""

    def __init__(self, app: ASGIApp, head: str, body: str) -> None:
        self.app, self._head, self._body = app, head.encode(), body.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        start: Message | None = None
        content = b""

        async def with_tags(message: Message) -> None:
            nonlocal start, content
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    start = message
                    return
            elif start is not None:
                content += message.get("body", b"")
                if message.get("more_body"):
                    return
                content = _PREVIEW.sub(b"", content).replace(_HEAD, self._head + _HEAD, 1)
                message["body"] = content.replace(_BODY, self._body + _BODY, 1)
                MutableHeaders(scope=start)["content-length"] = str(len(message["body"]))
                await send(start)
            await send(message)

        is_page = scope["type"] == "http" and scope["method"] == "GET"
        await self.app(scope, receive, with_tags if is_page else send)
