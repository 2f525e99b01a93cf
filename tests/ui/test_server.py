"""The page as a server over real HTTP: where it starts, what it keeps, what it lets nobody do."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("gradio")

from helpers.page_server import ROOT, served

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig
from bert_demo.data.files import part_folder, remove_left_parts
from bert_demo.runs import limiter
from bert_demo.runs.owners import Asker
from bert_demo.runs.store import RunStore
from bert_demo.training.text_facts import text_facts
from bert_demo.ui.parts import language
from bert_demo.ui.serving import files
from bert_demo.ui.serving.launch import check_address
from bert_demo.ui.serving.proxies import keep_usable_proxies
from bert_demo.ui.serving.settings import AppSettings


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_an_address_that_cannot_be_had_is_told_before_the_page_is_built() -> None:
    check_address(None, None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} is in use.*--port"):
            check_address(None, port)
    check_address("localhost", port)
    for host in ("203.0.113.7", "no.such.host.invalid"):
        with pytest.raises(UserError, match=f"host is '{host}'.*0.0.0.0"):
            check_address(host, None)


def own_folders(root: Path) -> list[Path]:
    return list((root / "tmp").glob("bert_demo-page-*"))


@pytest.mark.skipif(os.name == "nt", reason="limits of open files, and signals")
def test_a_page_starts_where_others_have_been_and_leaves_nothing(
    tmp_path: Path, closing: ExitStack
) -> None:
    store = RunStore(tmp_path / "runs")
    run = store.create(RunConfig(), "anna")
    (run.folder / "model").mkdir()
    line = {"event": "step", "step": 1, "seconds": 0.5, "loss": 7.0, "mlm_loss": 6.3}
    metrics = run.folder / "model" / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(line | {"step": n}) + "\n" for n in range(1, 900)))
    odd = {"all_proxy": "socks5://127.0.0.1:9", "no_proxy": "[::1],fe80::/10,example.org"}
    client = closing.enter_context(httpx.Client(trust_env=False, timeout=30))
    with served(tmp_path, host="::1", **odd) as (url, page):
        assert client.get(url).status_code == 200
        for path in ("upload", "deep_link"):
            refused = client.post(f"{url}gradio_api/{path}", files={"files": b"x" * 1000})
            assert refused.status_code == 403 and "takes no files" in refused.text
        config = client.get(f"{url}config").json()
        live = next(c for c in config["components"] if c["props"].get("elem_id") == "live-pretrain")
        asked = {"component_id": live["id"], "fn_name": "poll", "session_hash": "x"}
        address = f"{url}gradio_api/component_server"
        first = client.post(address, json={**asked, "data": {"run": run.id, "after": 0}}).json()
        assert first["steps"]["step"] == list(range(1, 900))
        with metrics.open("a") as file:
            file.write(json.dumps(line | {"step": 900}) + "\n")
        again = client.post(address, json={**asked, "data": {"run": run.id, "after": 0}}).json()
        assert again == first, "who comes in the same second gets the same copy"
        data = {"run": run.id, "after": first["after"]}
        rest = client.post(address, json={**asked, "data": data}).json()
        assert rest["steps"]["step"] == [900]
        idle = http.client.HTTPConnection("::1", httpx.URL(url).port)
        for seconds in (0, 6):  # uvicorn's own limit is 5
            time.sleep(seconds)
            idle.request("HEAD", "/config")
            assert idle.getresponse().read() == b""
        idle.close()
        gone = client.post(address, json={**asked, "data": {"run": "gone", "after": 0}}).json()
        assert "no run" in gone["error"]
        said = (tmp_path / "log").read_text()
        assert "all_proxy" in said and "fe80::/10" in said and str(tmp_path) not in gone["error"]
        soft, hard = map(int, said.partition("\n(")[2].partition(")")[0].split(","))
        assert soft == min(hard, 65_536) or hard < 0
        (folder,) = own_folders(tmp_path)
        assert folder.stat().st_mode & 0o77 == 0
        page.kill()
        page.wait(30)
    assert folder.exists(), "what a killed page leaves behind"
    os.utime(folder, (time.time() - 120,) * 2)
    with served(tmp_path, "--root-path", "bert/") as (url, _):
        assert not folder.exists() and len(own_folders(tmp_path)) == 1
        assert client.get(url).status_code == 200
        assert client.get(f"{url}config").json()["root"].endswith("/bert")
    assert own_folders(tmp_path) == []


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        *(("bert", "/bert"), ("/bert/", "/bert"), ("//a/b//", "/a/b"), ("/", ""), (None, None)),
        ("https://ada.org/bert/", "https://ada.org/bert"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_a_root_path_is_taken_with_and_without_slashes(given: Any, meant: Any) -> None:
    assert AppSettings(root_path=given).root_path == meant


@pytest.mark.parametrize("path", ["/a b", "/<script>", '/"', "/a//b", "ftp://x"])
def test_a_root_path_that_no_address_can_have_is_said(path: str) -> None:
    with pytest.raises(UserError, match="root_path"):
        AppSettings(root_path=path)


@pytest.mark.parametrize(
    ("given", "meant"), [("::1", "[::1]"), ("[::1]", "[::1]"), ("::", "[::]"), ("0.0.0.0",) * 2]
)
def test_an_ipv6_address_is_a_host(given: str, meant: str) -> None:
    assert AppSettings(host=given).host == meant


def test_an_auth_file_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "logins"
    path.write_bytes("\ufeffada:pass:word\r\nben:x\r\n".encode())
    assert AppSettings(auth_file=path).logins() == [("ada", "pass:word"), ("ben", "x")]


@pytest.mark.parametrize(
    "url", ["socks5://127.0.0.1:1", "socks4://x", "ftp://x", "http://x:port", "127.0.0.1:99", ""]
)
@pytest.mark.parametrize("name", ["all_proxy", "HTTPS_PROXY", "http_proxy"])
@pytest.mark.parametrize("no", ["", "::1", "[::1]:80", "fe80::/10,a.org", "*", ",,"])
def test_no_proxy_of_the_environment_keeps_the_page_from_starting(
    monkeypatch: pytest.MonkeyPatch, url: str, name: str, no: str
) -> None:
    for known in list(os.environ):
        if known.lower().endswith("_proxy"):
            monkeypatch.delenv(known)
    monkeypatch.setenv(name, url)
    monkeypatch.setenv("no_proxy", no)
    monkeypatch.setenv("NO_PROXY", "")  # put back afterwards
    told = keep_usable_proxies()
    httpx.Client().close()
    assert bool(told) == (os.environ.get(name) != url or "/" in no)
    assert "127.0.0.1" in os.environ["no_proxy"]


def test_guesses_at_the_teachers_word_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asker = 1000.0, Asker("198.51.100.7", "one")
    monkeypatch.setattr(limiter.time, "monotonic", lambda: now)
    store = RunStore(tmp_path, admin_token="crane-42", asker=lambda: asker)
    teacher = Asker("192.0.2.1", "the teacher's page")
    asker = teacher
    assert store.is_admin("crane-42")
    asker = Asker("198.51.100.7", "one")
    for n in range(50):
        assert not store.is_admin(f"guess-{n:02}")
        asker = Asker("198.51.100.7", f"session {n}")
    assert not store.is_admin("crane-42"), "the right word comes too late"
    for n in range(200):  # from a whole botnet
        asker = Asker(f"203.0.113.{n}", "")
        store.is_admin(f"spray{n:03}")
    asker = Asker("192.0.2.99", "")
    assert not store.is_admin("crane-42")
    asker = teacher
    assert store.is_admin("crane-42"), "who was the teacher before stays it"
    now += 61
    asker = Asker("198.51.100.7", "one")
    assert not store.is_admin("guess-00") and store.is_admin("crane-42")


def test_an_old_word_that_a_page_still_sends_counts_once(tmp_path: Path) -> None:
    store = RunStore(tmp_path, admin_token="crane-42")
    for _ in range(500):
        assert not store.is_admin("crane-41")
        assert not store.is_admin("a browser's own token")
    assert store.is_admin("crane-42")


def test_prepared_downloads_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    monkeypatch.setattr(files, "_MOST_BYTES", 1000)
    with files.room_for(5000) as folder:  # larger than all that is kept, but the only one
        (folder / "a").write_bytes(bytes(900))
        assert not folder.is_relative_to(tmp_path / "files"), "Gradio copies nothing of its own"
    assert not folder.exists()
    (tmp_path / "files" / "kept").write_bytes(bytes(900))
    with pytest.raises(UserError, match="no room for more downloads"), files.room_for(60):
        pass
    with files.room_for(40):
        pass


def test_parts_of_a_process_that_is_gone_are_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from bert_demo.data.files import part_folder\n"
        "with part_folder(Path(sys.argv[1])): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, timeout=60, check=False)
    (left,) = tmp_path.iterdir()
    with part_folder(tmp_path) as mine:
        assert not left.exists()
        remove_left_parts(tmp_path)
        assert mine.exists()


def test_no_sentence_tells_where_files_are(tmp_path: Path) -> None:
    try:
        language.hide_places([tmp_path, Path("/")])
        error = UserError("{path} is damaged.", path=tmp_path / "runs" / "a" / "config.json")
        assert language.translate(error) == "runs/a/config.json is damaged."
        assert language.translate(f"{tmp_path} is full") == f"{tmp_path.name} is full"
        assert str(tmp_path) in str(error), "the log and the command line say all of it"
    finally:
        language.hide_places([])


def test_nobody_has_a_vocabulary_trained_by_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    from bert_demo.data.tokenizer import Tokenizer

    def never(*_: Any) -> Any:
        raise AssertionError("it was trained")

    monkeypatch.setattr(Tokenizer, "train_wordpiece", never)
    words = text_facts(RunConfig())
    for pieces in (100, 1000, 8000, 100_000):
        facts = text_facts(RunConfig(vocabulary="wordpiece", wordpieces=pieces))
        assert facts.pairs == words.pairs and facts.vocab_size <= pieces
        assert words.length <= facts.length <= 64
