"""A page of our own in a headless Chromium: what tests of the page share."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADMIN = "teacher's secret"
BUNDLED = ("--checkpoints-dir", str(ROOT / "checkpoints"))
"""Flags for the page with the models that come along."""
# The browser itself would ask its maker for updates.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@contextlib.contextmanager
def served(folder: Path, *flags: str) -> Iterator[str]:
    """The address of the page, served by app.py with these flags, with its runs in `folder`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--data-dir", str(folder)]
    command += ["--checkpoints-dir", str(folder / "none"), "--admin-token", ADMIN, *flags]
    url = f"http://127.0.0.1:{port}/"
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT) as server,
    ):
        try:
            fetch(url, server)
            yield url
        finally:
            # Impatient people ask more than once, and in two ways.
            for number in (signal.SIGINT, signal.SIGTERM) * 5:
                server.send_signal(number)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
    assert server.returncode == 0, (folder / "log").read_text()
    assert "Traceback" not in (folder / "log").read_text()


def fetch(address: str, server: subprocess.Popen[bytes] | None = None) -> str:
    """The page's text, as soon as the server answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 120
    while True:
        try:
            with opener.open(address, timeout=10) as answer:
                text: str = answer.read().decode()
            return text
        except OSError:
            assert server is not None and server.poll() is None, "the server ended"
            assert time.monotonic() < end, "no answer in two minutes"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    with api.sync_playwright() as play:
        if path is None and not Path(play.chromium.executable_path).exists():
            pytest.skip("no Chromium was found")
        browser = play.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


class Visitor:
    """A browser of its own that notes what went wrong and where it asked."""

    def __init__(self, chromium: Any, **options: Any) -> None:
        self.context = chromium.new_context(**options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.set_default_timeout(90_000)

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    @contextlib.contextmanager
    def _leaving(self) -> Iterator[None]:
        """That Gradio's client says of answers which were still on their way that they are cut off
        is no complaint: nobody is there to see them."""
        before = len(self.complaints)
        yield
        cut = ("AbortError: ", "Unexpected error Connection errored out")
        late = [told for told in self.complaints[before:] if not told.startswith(cut)]
        self.complaints[before:] = late

    def leave_for(self, address: str) -> Any:
        """The page at another address."""
        with self._leaving():
            self.page.goto(address)
        return self.page

    def close(self) -> None:
        """Leave for good."""
        with self._leaving():
            self.context.close()

    def open(self, address: str) -> Any:
        """The page at an address, when its button to start a run is there and its form is filled:
        what is typed before is written over by what this browser had kept."""
        self.page.goto(address)
        self.page.locator(".bd-first-card button").first.wait_for()
        wait_for(self.page, "document.querySelector('.bd-name input, .bd-name textarea')?.value")
        return self.page


@pytest.fixture
def visit(chromium: Any, address: str) -> Iterator[Callable[..., Visitor]]:
    """Visitors, at whose end nothing may have gone wrong or have left this machine."""
    visitors: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        visitors.append(Visitor(chromium, **options))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.close()
        assert visitor.complaints == [], visitor.complaints
        local = (address, "data:", "blob:")
        assert [url for url in visitor.asked if not url.startswith(local)] == []


def wait_for(page: Any, condition: str) -> None:
    page.wait_for_function(condition)


def badge(page: Any, words: str, panel: str) -> None:
    wait_for(page, f"document.querySelector('{panel} .bd-badge').textContent === '{words}'")


def press(page: Any, name: str) -> None:
    page.locator(f"button:visible:text-is('{name}')").first.click()


def stop_after(page: Any, panel: str, number: int, unit: str) -> None:
    tab = page.locator(f"[role=tabpanel]:has({panel})")
    if not tab.get_by_label("Stop after").is_visible():
        tab.get_by_text("Settings", exact=True).click()
    tab.get_by_label("Stop after").fill(str(number))
    tab.get_by_label("Unit").click()
    page.get_by_role("option", name=unit).click()
