"""A small stand-in of the Hub on 127.0.0.1, well-behaved or broken in one chosen way.

It speaks what the Hub's client asks of `resolve` addresses, and serves plain files beside that.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote

COMMIT = "c0ffee" + "0" * 34
PAGE = b"<!DOCTYPE html>\n<html><body>Service unavailable</body></html>"


class HubServer:
    """What the server has, how it misbehaves, and what it was asked.

    `behaviour` is one of:
      well            as the Hub answers
      redirect        as the Hub answers for large files: a redirect to another path
      short           GET brings half the file and calls it whole
      cut             every transfer breaks before its end, and Range is not understood
      cut once        the first transfer breaks before its end, and Range is understood
      html            an HTML page with all the Hub's headers
      portal          an HTML page for everything, without the Hub's headers
      silent          accepts the connection and never answers
      error           500 for everything
      gated           401 for everything
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.behaviour = "well"
        self.requests: list[tuple[str, str, str | None]] = []
        self.url = ""
        self.commit = COMMIT
        self.closing = threading.Event()

    def count(self, method: str) -> int:
        """How many requests of this method have come for a repository's files."""
        return sum(asked[0] == method and "/resolve/" in asked[1] for asked in self.requests)


class Answers(BaseHTTPRequestHandler):
    """What the server says to each request."""

    hub: ClassVar[Any]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        hub = self.hub
        path = unquote(self.path)
        hub.requests.append((self.command, path, self.headers.get("Range")))
        if hub.behaviour == "silent":
            hub.closing.wait(30)
            self.close_connection = True
            return
        if hub.behaviour == "portal":
            return self.send(200, {"Content-Type": "text/html"}, PAGE, body)
        if hub.behaviour == "error":
            return self.send(500, {}, b"", body)
        if hub.behaviour == "gated":
            return self.send(401, {"X-Error-Code": "GatedRepo"}, b"", body)
        stored, status = self._look_up(path)
        if status:
            return self.send(404, {"X-Error-Code": status, "X-Repo-Commit": hub.commit}, b"", body)
        if hub.behaviour == "html":
            stored = PAGE
        headers = {
            "X-Repo-Commit": hub.commit,
            "ETag": f'"{hashlib.sha1(stored, usedforsecurity=False).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        if hub.behaviour == "redirect" and not path.startswith("/cdn"):
            headers["X-Linked-Etag"] = headers.pop("ETag")
            headers["X-Linked-Size"] = str(len(stored))
            headers["Location"] = "/cdn" + self.path
            return self.send(302, headers, b"", body)
        self._send_file(stored, headers, body)

    def _look_up(self, path: str) -> tuple[bytes, str]:
        """The stored bytes, or the Hub's code for what is missing."""
        path = path.removeprefix("/cdn").removeprefix("/")
        if path in self.hub.files:
            return self.hub.files[path], ""
        repo, _, rest = path.partition("/resolve/")
        revision, _, filename = rest.partition("/")
        if not any(name.startswith(repo + "/") for name in self.hub.files):
            return b"", "RepoNotFound"
        if revision not in ("main", self.hub.commit):
            return b"", "RevisionNotFound"
        name = f"{repo}/{filename}"
        return self.hub.files.get(name, b""), "" if name in self.hub.files else "EntryNotFound"

    def _send_file(self, stored: bytes, headers: dict[str, str], body: bool) -> None:
        behaviour = self.hub.behaviour
        wanted = self.headers.get("Range")
        if body and behaviour == "short":
            return self.send(200, headers, stored[: len(stored) // 2], body)
        if body and behaviour == "cut once" and wanted is not None:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(stored) - 1}/{len(stored)}"
            return self.send(206, headers, stored[start:], body)
        if body and behaviour.startswith("cut"):
            self.close_connection = True
            return self.send(200, headers, stored, body, sent=len(stored) - 1000)
        self.send(200, headers, stored, body)

    def send(
        self,
        status: int,
        headers: dict[str, str],
        content: bytes,
        body: bool,
        sent: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[:sent])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up is part of the tests


@contextmanager
def serving(hub: HubServer, answers: type[Answers]) -> Iterator[None]:
    """Answer at `hub.url` for as long as the block lasts."""
    handler = type("Handler", (answers,), {"hub": hub})
    server = _Server(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        hub.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """A running stand-in; it is gone at the end of the block."""
    hub = HubServer()
    with serving(hub, Answers):
        yield hub
