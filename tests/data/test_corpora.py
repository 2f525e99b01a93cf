"""Every way a corpus arrives or fails to, with the Hub's real client against a stand-in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from helpers.hub_server import COMMIT, HubServer, hub_server

from bert_demo.common.errors import UserError
from bert_demo.data import files, locate, whereabouts

REPO = "datasets/stanfordnlp/snli"
FILE = "plain_text/test-00000-of-00001.parquet"
ROOT = Path(__file__).resolve().parents[2]

# The client reads its environment when it is imported, so each case gets a Python of its own.
_SCRIPT = """
import json, sys, time
from bert_demo.data import whereabouts
for name, arguments in json.loads(sys.argv[1]):
    start = time.monotonic()
    try:
        answer = getattr(whereabouts, name)(**arguments)
        if name == "whereabouts":
            told = [str(answer), answer.here]
        else:
            told = {**vars(answer), "path": str(answer.path), "origin": answer.origin.value}
    except ValueError as error:
        told = {"error": str(error), "type": type(error).__name__}
    print(json.dumps([told, time.monotonic() - start]), flush=True)
"""
TEST_SPLIT = ("corpus_file", {"name": "snli", "split": "test"})


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("parquet") / "file.parquet"
    words = [f"a crane is flying over house {n}" for n in range(2000)]
    pyarrow.parquet.write_table(pyarrow.table({"premise": words}), path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def large_parquet(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """More than the 10 MB that the client keeps in hand before it writes."""
    path = tmp_path_factory.mktemp("parquet") / "large.parquet"
    noise = np.random.default_rng(0).integers(0, 2**62, 1_500_000)
    pyarrow.parquet.write_table(pyarrow.table({"n": noise}), path, compression="none")
    return path.read_bytes()


@pytest.fixture
def hub(parquet: bytes) -> Iterator[HubServer]:
    with hub_server() as server:
        server.files = {f"{REPO}/{FILE}": parquet}
        yield server


class Asker:
    """Calls functions of `sources` in a fresh Python with its own Hub cache."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        kept = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(folder),
            "HF_HOME": str(folder / "hf"),
            "HF_ENDPOINT": endpoint,
            "PYTHONPATH": str(ROOT),
        }

    def all(self, *calls: tuple[str, dict[str, Any]]) -> list[tuple[Any, float]]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", _SCRIPT, json.dumps(calls)],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return [tuple(json.loads(line)) for line in done.stdout.splitlines()]

    def one(self, call: tuple[str, dict[str, Any]] = TEST_SPLIT) -> Any:
        return self.all(call)[0][0]


@pytest.fixture
def ask(tmp_path: Path, hub: HubServer) -> Asker:
    return Asker(tmp_path, hub.url)


def make_mirror(folder: Path, content: bytes) -> Path:
    file = folder / REPO / FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return folder


def assert_names_a_way_out(message: str) -> None:
    assert "--corpus crane-world" in message
    assert "BERT_DEMO_DATA" in message
    assert "python -m bert_demo prepare" in message
    assert message.endswith(".") and "\n" not in message


def test_mirror_comes_first_and_asks_nobody(
    tmp_path: Path, parquet: bytes, ask: Asker, hub: HubServer
) -> None:
    ask.environment["BERT_DEMO_DATA"] = str(make_mirror(tmp_path / "mirror", parquet))
    told = ask.one()
    assert told["origin"] == "local mirror"
    assert told["path"] == str(tmp_path / "mirror" / REPO / FILE)
    assert told["path"] in told["detail"]
    assert hub.requests == []


@pytest.mark.parametrize("behaviour", ["well", "redirect"])
def test_hub_then_its_cache_with_the_server_gone(
    tmp_path: Path, parquet: bytes, behaviour: str
) -> None:
    with hub_server() as server:
        server.files = {f"{REPO}/{FILE}": parquet}
        server.behaviour = behaviour
        ask = Asker(tmp_path, server.url)
        before, told, after = ask.all(
            ("whereabouts", {"corpus": "snli"}), TEST_SPLIT, ("whereabouts", {"corpus": "snli"})
        )
        assert before[0] == ["the Hub (not here yet)", False]
        assert told[0]["origin"] == "hub"
        assert told[0]["revision"] == COMMIT
        assert Path(told[0]["path"]).read_bytes() == parquet
        assert after[0] == ["the Hub's cache (test), the Hub (train, validation)", False]
        assert server.count("GET") == 1
    told, seconds = ask.all(TEST_SPLIT)[0]
    assert told["origin"] == "hub cache"
    assert told["revision"] == COMMIT
    assert Path(told["path"]).read_bytes() == parquet
    assert seconds < 2


def test_mirror_without_the_file_goes_on_and_says_so(tmp_path: Path, ask: Asker) -> None:
    (tmp_path / "mirror" / "datasets").mkdir(parents=True)
    ask.environment["BERT_DEMO_DATA"] = str(tmp_path / "mirror")
    (told, _), (again, _) = ask.all(TEST_SPLIT, TEST_SPLIT)
    assert (told["origin"], again["origin"]) == ("hub", "hub cache")
    for detail in (told["detail"], again["detail"]):
        assert f"the local mirror {tmp_path / 'mirror'} has no {REPO}/{FILE}" in detail


@pytest.mark.parametrize("make", ["nothing", "file", "empty folder"])
def test_nonsense_as_mirror_is_named(tmp_path: Path, ask: Asker, make: str) -> None:
    place = tmp_path / "nonsense"
    if make == "file":
        place.write_text("not a folder")
    elif make == "empty folder":
        place.mkdir()
    ask.environment["BERT_DEMO_DATA"] = str(place)
    (told, _), (where, _) = ask.all(TEST_SPLIT, ("whereabouts", {"corpus": "snli"}))
    assert told["origin"] == "hub"
    words = "has no folder named datasets" if make == "empty folder" else "is not a folder"
    for text in (told["detail"], where[0]):
        assert f"BERT_DEMO_DATA is {str(place)!r}, which {words}" in text


def test_damaged_mirror_goes_on_and_says_so(tmp_path: Path, parquet: bytes, ask: Asker) -> None:
    mirror = make_mirror(tmp_path / "mirror", parquet[: len(parquet) // 2])
    ask.environment["BERT_DEMO_DATA"] = str(mirror)
    told = ask.one()
    assert told["origin"] == "hub"
    assert "local mirror" in told["detail"] and "cut short" in told["detail"]


def test_damaged_cache_is_fetched_again(parquet: bytes, ask: Asker) -> None:
    Path(ask.one()["path"]).resolve().write_bytes(parquet[:-100])
    (offline, _), (told, _) = ask.all(
        ("locate", {"repo_id": "stanfordnlp/snli", "filename": FILE, "offline": True}), TEST_SPLIT
    )
    assert "the copy in the Hub's cache" in offline["error"]
    assert told["origin"] == "hub"
    assert "the copy in the Hub's cache" in told["detail"]
    assert Path(told["path"]).read_bytes() == parquet


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("corpus_file", {"name": "snli", "split": "train"}), "has no file plain_text/train"),
        (("corpus_file", {"name": "wikitext-2", "split": "test"}), "the Hub has no Salesforce"),
        (
            ("locate", {"repo_id": "stanfordnlp/snli", "filename": FILE, "revision": "old"}),
            "has no revision old",
        ),
    ],
)
def test_missing_on_the_hub(ask: Asker, call: tuple[str, dict[str, Any]], words: str) -> None:
    told, seconds = ask.all(call)[0]
    kind = "NotInRepository" if "no file" in words else "CorpusUnavailable"
    assert told["type"] == kind
    assert words in told["error"]
    assert_names_a_way_out(told["error"])
    assert seconds < 3


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("short", "Consistency check failed"),
        ("html", "is a web page"),
        ("portal", "is not the Hub"),
        ("error", "answered 500"),
        ("gated", "permission"),
    ],
)
def test_broken_answers(ask: Asker, hub: HubServer, behaviour: str, words: str) -> None:
    hub.behaviour = behaviour
    told = ask.one()
    assert told["type"] == "CorpusUnavailable"
    assert words in told["error"]
    assert_names_a_way_out(told["error"])
    assert hub.count("GET") == {"short": 2, "html": 2}.get(behaviour, 0)
    hub.behaviour = "well"
    assert ask.one()["origin"] == "hub"


def test_file_that_is_cut_short_on_the_server(ask: Asker, hub: HubServer, parquet: bytes) -> None:
    hub.files[f"{REPO}/{FILE}"] = parquet[: len(parquet) // 2]
    told = ask.one()
    assert "what the Hub sent, twice, is not a whole parquet file" in told["error"]
    assert_names_a_way_out(told["error"])


def test_one_broken_connection_is_resumed(ask: Asker, hub: HubServer, large_parquet: bytes) -> None:
    hub.files[f"{REPO}/{FILE}"] = large_parquet
    hub.behaviour = "cut once"
    told = ask.one()
    assert told["origin"] == "hub"
    assert Path(told["path"]).read_bytes() == large_parquet
    assert hub.count("GET") == 2
    assert str(hub.requests[-1][2]).startswith("bytes=")


def test_connection_that_always_breaks_ends(
    ask: Asker, hub: HubServer, large_parquet: bytes
) -> None:
    hub.files[f"{REPO}/{FILE}"] = large_parquet
    hub.behaviour = "cut"
    told, seconds = ask.all(TEST_SPLIT)[0]
    assert "broke again and again" in told["error"]
    assert_names_a_way_out(told["error"])
    assert hub.count("GET") == 4
    assert seconds < 10


def test_no_server_at_all(tmp_path: Path) -> None:
    with hub_server() as server:
        pass
    told, seconds = Asker(tmp_path, server.url).all(TEST_SPLIT)[0]
    assert told["type"] == "CorpusUnavailable"
    assert "cannot be reached" in told["error"]
    assert_names_a_way_out(told["error"])
    assert seconds < 2.5


def test_silent_server_is_waited_for_once(ask: Asker, hub: HubServer) -> None:
    hub.behaviour = "silent"
    (first, waited), (second, again) = ask.all(TEST_SPLIT, TEST_SPLIT)
    assert "does not answer" in first["error"]
    assert waited < 10
    assert "cannot be reached" in second["error"]
    assert again < 0.5


def test_hub_offline_is_respected(ask: Asker, hub: HubServer) -> None:
    ask.environment["HF_HUB_OFFLINE"] = "1"
    told = ask.one()
    assert "HF_HUB_OFFLINE is set" in told["error"]
    assert hub.requests == []


def test_cache_that_cannot_be_written(tmp_path: Path, ask: Asker) -> None:
    (tmp_path / "hf").write_text("a file where the folder should be")
    told = ask.one()
    assert told["type"] == "CorpusUnavailable"
    assert_names_a_way_out(told["error"])


def test_models_are_found_beside_datasets(tmp_path: Path, ask: Asker) -> None:
    file = tmp_path / "mirror" / "models" / "somebody" / "bert" / "config.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    ask.environment["BERT_DEMO_DATA"] = str(tmp_path / "mirror")
    arguments = {"repo_id": "somebody/bert", "repo_type": "model"}
    found, missing = ask.all(
        ("locate", arguments | {"filename": "config.json"}),
        ("locate", arguments | {"filename": "model.safetensors"}),
    )
    assert found[0]["path"] == str(file)
    assert "crane-world" not in missing[0]["error"]
    assert "while online" in missing[0]["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"repo_id": "../secrets", "filename": "a"}, "owner/name"),
        ({"repo_id": "", "filename": "a"}, "owner/name"),
        ({"repo_id": "a/b/c", "filename": "a"}, "owner/name"),
        ({"repo_id": "a/b", "filename": "../../a"}, "'../../a'"),
        ({"repo_id": "a/b", "filename": "/etc/passwd"}, "'/etc/passwd'"),
        ({"repo_id": "a/b", "filename": ""}, "not a path"),
        ({"repo_id": "a/b", "filename": "a", "repo_type": "space"}, "'space'"),
    ],
)
def test_impossible_names(arguments: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        locate.locate(**arguments, offline=True)


def test_unknown_corpus_and_split() -> None:
    with pytest.raises(
        ValueError, match="it must be one of: wikitext-2, snli, wikitext-2-snli, crane-world"
    ):
        whereabouts.corpus_file("imdb", "train")
    with pytest.raises(UserError, match="no split 'dev'; it must be one of: train, validation"):
        whereabouts.corpus_file("snli", "dev")
    with pytest.raises(UserError, match="Crane World is generated"):
        whereabouts.corpus_file("crane-world", "train")
    assert str(whereabouts.whereabouts("crane-world")).startswith("built in")


def test_file_fault(tmp_path: Path, parquet: bytes) -> None:
    def fault(name: str, content: bytes) -> str | None:
        (tmp_path / name).write_bytes(content)
        return locate.file_fault(tmp_path / name)

    assert fault("whole.parquet", parquet) is None
    assert fault("config.json", b"{}") is None
    assert fault("empty.json", b"") == "is empty"
    assert "web page" in str(fault("page.zip", b"\n <HTML><body>403</body></HTML>"))
    assert "cut short" in str(fault("half.parquet", parquet[: len(parquet) // 2]))
    assert "not a parquet file" in str(fault("tail.parquet", parquet[len(parquet) // 2 :]))
    pyarrow.parquet.write_table(pyarrow.table({"text": []}), tmp_path / "none.parquet")
    assert locate.file_fault(tmp_path / "none.parquet") == "has no rows"
    assert "cannot be read" in str(locate.file_fault(tmp_path / "not there"))


def test_cache_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BERT_DEMO_CACHE", str(tmp_path / "own"))
    assert files.cache_dir() == tmp_path / "own"
    monkeypatch.delenv("BERT_DEMO_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert files.cache_dir() == tmp_path / "xdg" / "bert_demo"
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert files.cache_dir() == tmp_path / "Library" / "Caches" / "bert_demo"

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert files.cache_dir().name == "bert_demo"


def test_real_corpora_are_found(real_data: Path) -> None:
    for name in ("wikitext-2", "snli"):
        for split in ("train", "validation", "test"):
            located = whereabouts.corpus_file(name, split)
            assert located.origin is locate.Origin.MIRROR
            assert located.path.is_relative_to(real_data)
        assert str(whereabouts.whereabouts(name)) == "the local mirror"
