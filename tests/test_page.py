"""The first page: what it lists, and that it is served."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from bert_demo.ui.page import describe_checkpoints


def test_checkpoints_are_listed_by_name(tmp_path: Path) -> None:
    for name in ("zeta", "alpha", "<b>bold"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "unfinished").mkdir()
    text = describe_checkpoints(tmp_path)
    assert text.index("alpha") < text.index("zeta")
    assert "<b>" not in text
    assert "unfinished" not in text


def test_no_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    assert "None yet" in describe_checkpoints(tmp_path / "missing")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_app_serves_the_page_with_no_font_from_elsewhere() -> None:
    port = free_port()
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "app.py", "--port", str(port)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL) as server:
        try:
            text = fetch(f"http://127.0.0.1:{port}/", server)
        finally:
            server.terminate()
    assert "bert_demo" in text
    assert "fonts.googleapis.com/css" not in text


def fetch(address: str, server: subprocess.Popen[bytes]) -> str:
    """The page's text, as soon as the server answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 60
    while True:
        try:
            with opener.open(address, timeout=10) as answer:
                text: str = answer.read().decode()
            return text
        except OSError:
            assert server.poll() is None, "the server ended before it answered"
            assert time.monotonic() < end, "no answer in 60 seconds"
            time.sleep(0.2)
