"""One file from a plain web address, and whether a host answers at all.

Nothing here waits for long: a computer without a network knows it after two seconds.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from bert_demo.common.errors import UserError

PROBE_SECONDS = 2.0
"""Longest wait for a host to accept a connection."""

REMEMBER_SECONDS = 30.0
"""How long a probe's answer is believed; a laptop may find its network again."""

_CHUNK = 1 << 18  # bytes read at a time
_HTML_STARTS = (b"<!doctype html", b"<html")

answers: dict[tuple[str, int], tuple[float, bool]] = {}


class DownloadError(UserError):
    """A file could not be fetched; the message is one sentence with the reason."""


def is_web_page(start: bytes) -> bool:
    """Whether a file that begins with these bytes is an HTML page, such as an error message."""
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML_STARTS)


def reachable(url: str) -> bool:
    """Whether the host of `url` (or the proxy that leads to it) accepts a connection.

    The answer comes within PROBE_SECONDS, even where name resolution hangs, and is remembered
    for REMEMBER_SECONDS.
    """
    address = _first_hop(url)
    known = answers.get(address)
    if known is not None and time.monotonic() - known[0] < REMEMBER_SECONDS:
        return known[1]
    answer = _accepts(*address)
    answers[address] = (time.monotonic(), answer)
    return answer


def remember_silent(url: str) -> None:
    """Note that the host of `url` accepts connections and then says nothing."""
    answers[_first_hop(url)] = (time.monotonic(), False)


def _first_hop(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(host):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host = parts.hostname or ""
    return host, parts.port or (443 if parts.scheme == "https" else 80)


def _accepts(host: str, port: int) -> bool:
    # Resolving a name knows no timeout, so it happens in threads that are left behind. One per
    # address family: a broken IPv6 route must not use up the time that IPv4 needs.
    families = (socket.AF_INET, socket.AF_INET6)
    done = threading.Semaphore(0)
    successes: list[bool] = []

    def connect(family: socket.AddressFamily) -> None:
        try:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            with socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.settimeout(PROBE_SECONDS)
                connection.connect(found[0][4])
            successes.append(True)
        except (OSError, UnicodeError):
            pass  # no such name, no route, refused: all of them mean "not this way"
        finally:
            done.release()

    deadline = time.monotonic() + PROBE_SECONDS
    for family in families:
        threading.Thread(target=connect, args=(family,), daemon=True).start()
    for _ in families:
        finished = done.acquire(timeout=max(0.0, deadline - time.monotonic()))
        if successes or not finished:
            break
    return bool(successes)


def download(
    url: str,
    destination: Path,
    *,
    sha1: str | None = None,
    timeout_seconds: float = 10.0,
) -> Path:
    """Fetch one file, check it and put it in place; what is wrong leaves nothing behind.

    Args:
        url: an http or https address.
        destination: the file to write; its folder is made when it is missing. A file that is
            there already and has the right SHA-1 is kept and nothing is fetched.
        sha1: what the file's SHA-1 must be, as 40 hexadecimal digits.
        timeout_seconds: longest silence of the server.

    Raises:
        DownloadError: no network, an error page, a broken connection, another file than the
            SHA-1 says, a disk that cannot be written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError("{url!r} cannot be downloaded; it must begin with https://.", url=url)
    if destination.is_dir():
        raise DownloadError(
            "{destination} is a folder; name a file to download to.", destination=destination
        )
    try:
        if sha1 is not None and destination.is_file() and _sha1_of(destination) == sha1.lower():
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            "{destination} cannot be used ({reason}).",
            destination=destination,
            reason=_reason(error),
        ) from error
    if not reachable(url):
        raise DownloadError(
            "{host} cannot be reached to download {name}; check the network, or fetch {url} "
            "elsewhere and bring the file along.",
            host=urlsplit(url).hostname,
            name=destination.name,
            url=url,
        )
    # Named for this process alone, so that two downloads of the same file do not mix.
    part = destination.with_name(f".{destination.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        _fetch(url, part, sha1, timeout_seconds)
        part.replace(destination)
    except OSError as error:
        raise DownloadError(
            "{destination} cannot be written ({reason}).",
            destination=destination,
            reason=_reason(error),
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return destination


def _fetch(url: str, part: Path, sha1: str | None, timeout_seconds: float) -> None:
    digest = hashlib.sha1(usedforsecurity=False)
    request = urllib.request.Request(url, headers={"User-Agent": "bert_demo"})
    with _opened(request, timeout_seconds) as response, part.open("xb") as file:
        declared = response.headers.get("Content-Length", "")
        total = int(declared) if declared.isdigit() else None
        received = 0
        while chunk := _read(response, url):
            if received == 0 and is_web_page(chunk):
                raise DownloadError(
                    "{url} gave a web page instead of the file; nothing is kept.", url=url
                )
            digest.update(chunk)
            file.write(chunk)
            received += len(chunk)
    if total is not None and received != total:
        raise DownloadError(
            "The connection broke after {received:,} of {total:,} bytes of {url}; try again.",
            received=received,
            total=total,
            url=url,
        )
    if sha1 is not None and digest.hexdigest() != sha1.lower():
        raise DownloadError(
            "{url} gave a file with SHA-1 {found} where {expected} was expected; it is damaged "
            "or another file, and nothing is kept.",
            url=url,
            found=digest.hexdigest(),
            expected=sha1.lower(),
        )


def _opened(request: urllib.request.Request, timeout_seconds: float) -> http.client.HTTPResponse:
    url = request.full_url
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(
            request, timeout=timeout_seconds
        )
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(
            "{url} answered {code} ({reason}).", url=url, code=error.code, reason=error.reason
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(
            "{url} cannot be opened ({reason}).", url=url, reason=_reason(error)
        ) from error
    return response


def _read(response: http.client.HTTPResponse, url: str) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(
            "The connection broke while downloading {url} ({reason}); try again.",
            url=url,
            reason=_reason(error),
        ) from error


def _sha1_of(path: Path) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _reason(error: BaseException) -> str:
    """The system's own words for an error, in one line without its number."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return _reason(error.reason)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return (str(error) or type(error).__name__).splitlines()[0]
