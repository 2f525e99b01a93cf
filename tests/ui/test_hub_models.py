"""Models of the Hub in the page: fetched once, by whoever may, and then on the shelf."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers.hub_server import COMMIT, hub_server

from bert_demo.cli import parser
from bert_demo.common.errors import UserError
from bert_demo.interop.addresses import repo_id
from bert_demo.interop.importer import Importer
from bert_demo.interop.known import KNOWN_MODELS
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts.model_menu import offer
from bert_demo.ui.serving import hosting
from bert_demo.ui.serving.settings import AppSettings
from bert_demo.ui.tabs.runs import hub_models
from bert_demo.ui.tabs.training_handlers import starting_points

transformers = pytest.importorskip("transformers")

ROOT = Path(__file__).resolve().parents[2]
ADMIN = "teacher's secret"
STRANGER, TEACHER = {"token": "somebody", "admin": ""}, {"token": "x", "admin": ADMIN}


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local mirror with a BERT with a masked-LM head, one without, and no BERT."""
    folder = tmp_path_factory.mktemp("mirror")
    for name, kind in (("mini", "BertForMaskedLM"), ("encoder", "BertModel")):
        repo = folder / "models/some" / name
        config = transformers.BertConfig(
            vocab_size=7,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            max_position_embeddings=16,
        )
        getattr(transformers, kind)(config).save_pretrained(repo)
        vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\ncrane\n"
        (repo / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    (folder / "models/some/gpt").mkdir()
    (folder / "models/some/gpt/config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    return folder


@pytest.fixture
def _from_mirror(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERT_DEMO_DATA", str(mirror))


def page(folder: Path, **settings: Any) -> AppContext:
    values = {"data_dir": folder, "checkpoints_dir": folder / "none", "admin_token": ADMIN}
    return AppContext(AppSettings(**values | settings))


def words_of(shown: dict[str, Any]) -> str:
    return json.dumps(shown["blocks"], ensure_ascii=False)


@pytest.mark.usefixtures("_from_mirror")
def test_what_is_fetched_is_on_the_shelf_and_in_the_menus(tmp_path: Path) -> None:
    context = page(tmp_path)
    assert "No model has been fetched" in words_of(hub_models.listing(context))
    told: list[tuple[Any, str]] = []

    def progress(share: Any, desc: str) -> None:
        told.append((share, desc))

    shown = hub_models.fetched(context, "some/mini", STRANGER, progress)
    assert "some/mini is here" in shown["spoken"]
    assert "pooler, next-sentence head" in words_of(shown)
    assert told[0][1] == "Asking for the model" and told[-1][1] == "Making the checkpoint"
    hub_models.fetched(context, " https://hub.example/some/encoder/tree/main ", STRANGER, progress)

    found = {entry.id: entry for entry in context.shelf.entries()}
    assert set(found) == {"imported/some--mini", "imported/some--encoder"}
    encoder = found["imported/some--encoder"]
    assert (encoder.title, encoder.task) == ("some/encoder", "encoder")
    assert encoder.origin == "encoder, imported from Hugging Face"
    assert context.shelf.load("imported/some--mini").tokenizer.vocab_size == 7
    offered = {
        task: {entry.id for entry in offer(context.shelf, task, None, "", "")[0]}
        for task in (None, "pretraining", "nli")
    }
    assert offered == {None: set(found), "pretraining": {"imported/some--mini"}, "nli": set()}
    choices = {value for _, value in starting_points(context, None).choices}
    assert choices == set(found)


@pytest.mark.usefixtures("_from_mirror")
@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("some/gpt", "GPT-2"),
        ("some/none", "cannot be had"),
        ("", "owner/name"),
        (None, "owner/name"),
        ("../models", "owner/name"),
        ("a/b/c", "owner/name"),
        ("/etc", "owner/name"),
        ("~", "owner/name"),
        ("_x/y", "owner/name"),
        ("x" * 200, "owner/name"),
        ("a\0b", "owner/name"),
    ],
)
def test_what_cannot_be_fetched_gets_a_sentence(
    tmp_path: Path, typed: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bert_demo.data.hub.is_offline", lambda: True)
    context = page(tmp_path)
    with pytest.raises(UserError, match=reason) as caught:
        hub_models.fetched(context, typed, STRANGER, lambda *_, **__: None)
    assert "\n" not in str(caught.value)
    assert context.shelf.entries() == []


@pytest.mark.usefixtures("_from_mirror")
def test_a_folder_of_this_computer_is_never_a_source(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "some/mini"
    here.mkdir(parents=True)
    (here / "config.json").write_text("a secret", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert Importer(tmp_path / "models").bring("some/mini") == "some--mini"


@pytest.mark.usefixtures("_from_mirror")
def test_one_import_at_a_time_and_each_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importer = Importer(tmp_path)
    begun, go = threading.Event(), threading.Event()

    def slow(words: str, share: float | None) -> None:
        begun.set()
        go.wait(30)

    first = threading.Thread(target=importer.bring, args=("some/mini", slow))
    first.start()
    begun.wait(30)
    with pytest.raises(UserError, match="some/mini is being fetched right now"):
        importer.bring("some/encoder")
    go.set()
    first.join(60)
    with pytest.raises(UserError, match="here already"):
        importer.bring("some/mini")
    with pytest.raises(UserError, match="GPT-2"):
        importer.bring("some/gpt")
    assert importer.bring("some/encoder") == "some--encoder"  # a failure blocks nobody


def test_addresses_and_names_are_understood() -> None:
    wanted = "google-bert/bert-base-uncased"
    for typed in (wanted, f" {wanted}\n", f"https://hub.example/{wanted}/blob/main/config.json"):
        assert repo_id(typed) == wanted
    assert repo_id("bert-base-uncased") == "bert-base-uncased"


@pytest.mark.parametrize(
    ("settings", "public"),
    [
        ({}, False),
        ({"host": "127.0.0.1"}, False),
        ({"host": "localhost"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "192.168.0.7"}, True),
        ({"share": True}, True),
        ({"root_path": "/bert"}, True),
    ],
)
def test_on_a_public_page_only_the_teacher_fetches(
    tmp_path: Path, settings: dict[str, Any], public: bool
) -> None:
    context = page(tmp_path, **settings)
    assert context.is_public is public
    assert context.may_fetch(STRANGER) is not public and context.may_fetch(None) is not public
    assert context.may_fetch(TEACHER)
    assert not context.may_fetch({"token": "x", "admin": "guess"}) or not public
    if public:
        with pytest.raises(UserError, match="only the teacher"):
            hub_models.fetched(context, "some/mini", STRANGER, None)


def test_a_space_is_public() -> None:
    assert hosting.serves_others(None, False, None, {"SPACE_ID": "someone/bert"})
    assert hosting.serves_others(None, False, None, {"GRADIO_SERVER_NAME": "0.0.0.0"})
    assert not hosting.serves_others(None, False, None, {})


def test_known_models_are_named_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["import-hf", "--help"]) == 0
    text = "".join(capsys.readouterr().out.split())
    for model in KNOWN_MODELS:
        assert repo_id(model.repo_id) == model.repo_id
        assert "".join(model.title.split()) in text


# The client reads its environment when it is imported, so it gets a Python of its own.
_SCRIPT = """
import json, sys
from bert_demo.interop import untrusted
from bert_demo.interop.hugging_face import import_hf
untrusted.MAX_BYTES = int(sys.argv[2])
told = []
try:
    found = import_hf("some/mini", sys.argv[1], progress=lambda *args: told.append(args))
    answer = dict(found)
except ValueError as error:
    answer = str(error)
print(json.dumps([answer, told]))
"""


@pytest.mark.parametrize(
    ("most", "behaviour"), [(1 << 30, "well"), (1 << 30, "redirect"), (3000, "well")]
)
def test_the_hubs_bytes_are_counted_and_limited(
    tmp_path: Path, mirror: Path, most: int, behaviour: str
) -> None:
    with hub_server() as server:
        for path in (mirror / "models/some/mini").iterdir():
            server.files[f"some/mini/{path.name}"] = path.read_bytes()
        server.behaviour = behaviour
        kept = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
        environment |= {"HF_ENDPOINT": server.url, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", _SCRIPT, str(tmp_path / "out"), str(most)],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert done.returncode == 0, done.stderr
    answer, told = json.loads(done.stdout.splitlines()[-1])
    if most == 3000:
        assert "model.safetensors" in answer and "larger than 3,000 bytes" in answer
        assert not (tmp_path / "out").exists()
        return
    assert answer["revision"] == COMMIT and answer["source"] == "some/mini"
    size = (mirror / "models/some/mini/model.safetensors").stat().st_size
    last = [share for words, share in told if words.startswith("Fetching model.safetensors")][-1]
    assert last == 1.0
    assert any(f"of {size / 1e6:.1f} MB" in words for words, _ in told)
