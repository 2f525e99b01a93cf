"""Plain downloads: what arrives whole is kept, everything else leaves a sentence and no file."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.hub_server import HubServer, hub_server

from bert_demo.data import download as module
from bert_demo.data.download import DownloadError, download, is_web_page, reachable

CONTENT = bytes(range(256)) * 4096  # 1 MiB: several chunks
SHA1 = hashlib.sha1(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    module.answers.clear()
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[HubServer]:
    with hub_server() as running:
        running.files = {"models/bert.zip": CONTENT}
        yield running


def assert_refused(url: str, folder: Path, words: str, **arguments: Any) -> None:
    with pytest.raises(DownloadError) as caught:
        download(url, folder / "bert.zip", **arguments)
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")
    assert not folder.exists() or list(folder.iterdir()) == []


def test_arrives_checked(server: HubServer, tmp_path: Path) -> None:
    url, place = f"{server.url}/models/bert.zip", tmp_path / "new" / "folder" / "bert.zip"
    path = download(url, place, sha1=SHA1.upper())
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_file_that_is_there_is_kept_or_replaced(server: HubServer, tmp_path: Path) -> None:
    url, path = f"{server.url}/models/bert.zip", tmp_path / "bert.zip"
    path.write_bytes(CONTENT)
    assert download(url, path, sha1=SHA1) == path
    assert server.requests == []
    path.write_bytes(b"something else")
    assert download(url, path, sha1=SHA1).read_bytes() == CONTENT


def test_failure_leaves_the_old_file_alone(server: HubServer, tmp_path: Path) -> None:
    path = tmp_path / "bert.zip"
    path.write_bytes(b"old")
    with pytest.raises(DownloadError, match="was expected"):
        download(f"{server.url}/models/bert.zip", path, sha1="0" * 40)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("portal", "a web page instead of the file"),
        ("cut", "connection broke"),
        ("error", "answered 500"),
    ],
)
def test_broken_answers(server: HubServer, tmp_path: Path, behaviour: str, words: str) -> None:
    server.behaviour = behaviour
    assert_refused(f"{server.url}/models/bert.zip", tmp_path / "out", words)


def test_wrong_sha1_is_refused(server: HubServer, tmp_path: Path) -> None:
    url = f"{server.url}/models/bert.zip"
    assert_refused(url, tmp_path / "out", SHA1, sha1="0" * 40)


def test_missing_file(server: HubServer, tmp_path: Path) -> None:
    assert_refused(f"{server.url}/models/none.zip", tmp_path / "out", "answered 404")


def test_silent_server(server: HubServer, tmp_path: Path) -> None:
    server.behaviour = "silent"
    start = time.monotonic()
    assert_refused(
        f"{server.url}/models/bert.zip", tmp_path / "out", "no answer in time", timeout_seconds=0.3
    )
    assert time.monotonic() - start < 8, "it waited as long as it does unless told otherwise"


def test_no_server(tmp_path: Path) -> None:
    with hub_server() as gone:
        pass
    assert_refused(f"{gone.url}/bert.zip", tmp_path / "out", "127.0.0.1 cannot be reached")


def test_interrupted_by_the_user(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(start: bytes) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("bert_demo.data.download.is_web_page", stop)
    with pytest.raises(KeyboardInterrupt):
        download(f"{server.url}/models/bert.zip", tmp_path / "bert.zip")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(server: HubServer, tmp_path: Path) -> None:
    url = f"{server.url}/models/bert.zip"
    with pytest.raises(DownloadError, match="is a folder"):
        download(url, tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="cannot be used"):
        download(url, tmp_path / "file" / "bert.zip")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "bert.small", ""])
def test_other_addresses_are_refused(url: str, tmp_path: Path) -> None:
    assert_refused(url, tmp_path / "out", "https://")


def test_reachable_remembers_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with hub_server() as server:
        assert reachable(server.url)
    assert reachable(server.url)
    monkeypatch.setattr(module, "REMEMBER_SECONDS", 0.0)
    assert not reachable(server.url)


def test_hanging_name_resolution_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up, ended = threading.Event(), []

    def hang(*arguments: Any) -> None:
        ended.append(given_up.wait(60))
        raise socket.gaierror("Temporary failure in name resolution")

    monkeypatch.setattr(module, "PROBE_SECONDS", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    before = set(threading.enumerate())
    assert not reachable("https://example.invalid")
    assert ended == []
    given_up.set()
    for thread in set(threading.enumerate()) - before:  # they must end without a warning
        thread.join(60)
    assert ended == [True, True]


def test_connection_that_is_never_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.3)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]  # fill the queue, so that the next one hangs
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        start = time.monotonic()
        assert not reachable(f"http://127.0.0.1:{address[1]}")
        assert time.monotonic() - start < 30, "the system gives up after minutes"
        for one in waiting:
            one.close()


def test_proxy_is_what_must_be_reachable(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", server.url.removeprefix("http://"))
    monkeypatch.setenv("no_proxy", "")
    assert reachable("https://example.invalid/file")


def test_is_web_page() -> None:
    assert is_web_page(b"\xef\xbb\xbf\r\n <!DOCTYPE HTML><html>")
    assert is_web_page(b"<html lang=en>")
    assert not is_web_page(b"PK\x03\x04")
    assert not is_web_page(b"")
