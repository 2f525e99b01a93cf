"""Publishing and fetching, with the Hub's real client against a stand-in of the Hub."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.hub_writes import TOKEN, WritableHub, hub, turn_to, writable_hub
from huggingface_hub import constants

from bert_demo.cli.parser import main
from bert_demo.common.errors import UserError
from bert_demo.config import BertConfig, RunConfig, TrainingConfig
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.interop import errors
from bert_demo.interop.hugging_face import import_hf
from bert_demo.interop.publish import fetch, publish
from bert_demo.interop.sharing import model_name, without_paths
from bert_demo.model import checkpoint, dropout, unfinished
from bert_demo.model.bert import BertModel
from bert_demo.ui.context import AppContext
from bert_demo.ui.serving.settings import AppSettings
from bert_demo.ui.tabs.runs.publish import published

__all__ = ["hub"]

# How the Hub's client sends a large file without Xet is old-fashioned; that is its own affair.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
FILES = {"config.json", "tokenizer.json", "model.safetensors", "README.md", "metrics.csv"}
EVENTS = [
    {"event": "start", "source": "the local mirror", "step": 0},
    {"event": "step", "step": 1, "seconds": 0.5, "loss": 9.0},
    {"event": "validation", "step": 1, "seconds": 0.6, "mlm_loss": 8.5},
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A run's folder of a small model of the book's, with all that is not to be published."""
    run = tmp_path / "home of ada" / "runs" / "1"
    dropout.seed_noise(1)
    tokenizer = Tokenizer.from_words([*SPECIAL_TOKENS, "a", "crane", "is", "flying"])
    config = BertConfig(vocab_size=tokenizer.vocab_size, hidden_size=16, intermediate_size=32)
    secret = str(tmp_path / "home of ada" / "first")
    about = {"run": {"start_from": secret}, "facts": {"started_from": secret}, "step": 1}
    folder = run / "model"
    checkpoint.save(folder, BertModel(config, "pretraining"), tokenizer, about)
    unfinished.save_resume(folder, {"weights": torch.ones(3)}, {"step": 1})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in EVENTS))
    (run / "run.json").write_text('{"owner": "somebody"}')
    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_published_comes_back(hub: WritableHub, model: Path, tmp_path: Path) -> None:
    before = contents(model / "model")
    done = publish(model, "ada/crane")
    assert (done.repo, done.url, done.private) == ("ada/crane", f"{hub.url}/ada/crane", True)
    held = hub.holds("ada/crane")
    assert set(done.files) == FILES and held.keys() == FILES | {".gitattributes"}
    assert len(hub.commits) == 1, "all files, or none"
    assert contents(model / "model") == before
    assert b"home of ada" not in b"".join(held.values())
    assert json.loads(held["config.json"])["about"]["run"]["start_from"] == "first"
    assert held["model.safetensors"] == before["model.safetensors"]
    assert held["metrics.csv"].decode().splitlines()[0] == "event,step,seconds,loss,mlm_loss"
    assert b"fetch ada/crane" in held["README.md"]

    out = tmp_path / "deep" / "fetched"
    came = fetch("ada/crane", out)
    assert (came.repo, came.revision, came.task) == ("ada/crane", hub.commit, "pretraining")
    assert contents(out) == {k: held[k] for k in FILES}
    there, here = checkpoint.load(model / "model").model, checkpoint.load(out).model
    assert came.parameters == sum(p.numel() for p in here.parameters())
    for name, value in there.state_dict().items():
        assert torch.equal(value, here.state_dict()[name]), name
    assert [path.name for path in out.parent.iterdir()] == ["fetched"]


def test_transformers_finds_the_same_model_beside_it(
    hub: WritableHub, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "exportable"
    tokenizer = checkpoint.load(model / "model").tokenizer
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        intermediate_size=32,
        embedding_layer_norm=True,
        tie_word_embeddings=True,
    )
    checkpoint.save(folder, BertModel(config, "pretraining"), tokenizer, {})
    publish(folder, "ada/crane")
    held = hub.holds("ada/crane")
    assert b'subfolder="transformers"' in held["README.md"]
    exported = tmp_path / "exported"
    exported.mkdir()
    for name, data in held.items():
        if name.startswith("transformers/"):
            (exported / name.partition("/")[2]).write_bytes(data)
    import_hf(exported, tmp_path / "back")
    here, back = checkpoint.load(folder).model, checkpoint.load(tmp_path / "back").model
    for name, value in here.state_dict().items():
        assert torch.equal(value, back.state_dict()[name]), name
    assert set(contents(Path(fetch("ada/crane", tmp_path / "came").folder))) == FILES - {
        "metrics.csv"
    }

    publish(model, "ada/crane")
    held = hub.holds("ada/crane")
    assert held.keys() == FILES | {".gitattributes"}, "no other model's export stays behind"
    assert b"architecture of the book" in held["README.md"]


def test_publishing_again_brings_the_repository_up_to_date(
    hub: WritableHub, model: Path, tmp_path: Path
) -> None:
    publish(model, "crane", public=True)
    folder = model / "model"
    loaded = checkpoint.load(folder)
    with torch.no_grad():
        next(loaded.model.parameters()).add_(1)
    checkpoint.save(folder, loaded.model, loaded.tokenizer, {"step": 2})
    done = publish(folder, "ada/crane")
    assert not done.private, "a repository that was there keeps its visibility"
    assert fetch("ada/crane", tmp_path / "one").revision == hub.commit
    with pytest.raises(UserError, match="--overwrite"):
        fetch("ada/crane", tmp_path / "one")
    fetch("ada/crane", tmp_path / "one", overwrite=True)
    assert checkpoint.read_config(tmp_path / "one")["about"]["step"] == 2
    assert len(hub.commits) == 2


def test_a_name_without_an_owner_is_ones_own(hub: WritableHub, model: Path) -> None:
    assert publish(model, "crane").repo == "ada/crane"
    assert publish(model, "other", public=True).private is False


@pytest.mark.parametrize("name", ["", "a/b/c", "a b", "../x", "a--b", "-a", "a/b.git", "x" * 97])
def test_an_impossible_name_is_refused(hub: WritableHub, model: Path, name: str) -> None:
    for call in (lambda: publish(model, name), lambda: fetch(name, model / "new")):
        with pytest.raises(UserError, match=r"must look like owner/name"):
            call()
    assert hub.sent_to == []


def test_who_is_not_logged_in_is_told_how(
    hub: WritableHub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match=r"not logged in.*hf auth login"):
        publish(model, "ada/crane")
    assert hub.sent_to == []
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    for name in ("ada/crane", "crane"):
        with pytest.raises(UserError, match=r"does not accept your login.*hf auth login"):
            publish(model, name)


@pytest.mark.parametrize(
    ("behaviour", "repo", "words"),
    [
        ("well", "google/crane", "may not write to google/crane.*'google' must be you"),
        ("read only", "ada/crane", "may not write to ada/crane"),
        ("busy", "ada/crane", "answered 503.*nothing was published"),
        ("cut upload", "ada/crane", "connection to the Hub broke.*nothing was published"),
        ("conflict", "ada/crane", "being changed by somebody else"),
        ("full", "ada/crane", r"refuses with 402 \(No space left for \(hidden\)\), so nothing"),
        ("portal", "ada/crane", "What answers is not the Hub"),
        ("portal", "crane", "What answers is not the Hub"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    hub: WritableHub, model: Path, behaviour: str, repo: str, words: str
) -> None:
    hub.behaviour = behaviour
    with pytest.raises(errors.HubFailure, match=words) as caught:
        publish(model, repo)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    assert TOKEN not in str(caught.value)
    assert hub.commits == []
    hub.behaviour = "well"
    assert publish(model, "ada/crane").repo == "ada/crane"


def test_a_silent_hub_is_not_waited_for(
    hub: WritableHub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.behaviour = "silent"
    monkeypatch.setattr(errors, "SILENCE_SECONDS", 0.3)
    with pytest.raises(errors.HubFailure, match="does not answer, so nothing was published"):
        publish(model, "ada/crane")
    with pytest.raises(errors.HubFailure, match="does not answer, so nothing was fetched"):
        fetch("ada/crane", model / "new")


def test_without_a_network(model: Path, hub: WritableHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with writable_hub() as gone:
        pass
    turn_to(gone, monkeypatch)
    with pytest.raises(errors.HubFailure, match="cannot be reached, so nothing was published"):
        publish(model, "ada/crane")
    with pytest.raises(errors.HubFailure, match="cannot be reached, so nothing was fetched"):
        fetch("ada/crane", model / "new")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(errors.HubFailure, match="HF_HUB_OFFLINE is set"):
        publish(model, "ada/crane")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (b'{"model_type": "bert", "hidden_size": 2}', "a Hugging Face BERT.*import-hf"),
        (b'{"model_type": "roberta"}', "a model of the kind 'roberta'"),
        (b'{"format": "bert_demo 99"}', "a checkpoint of another version of bert_demo"),
        (b"[1]", "not a checkpoint of bert_demo"),
        (b"{", "not a checkpoint of bert_demo"),
        (b"\xff", "not a checkpoint of bert_demo"),
        (None, "not a checkpoint of bert_demo"),
    ],
)
def test_a_foreign_repository_is_neither_read_nor_replaced(
    hub: WritableHub, model: Path, config: bytes | None, words: str
) -> None:
    hub.put("ada/other", model_safetensors=b"weights")
    if config is not None:
        hub.put("ada/other", config_json=config)
    before = dict(hub.files)
    with pytest.raises(UserError, match=f"ada/other on the Hub is {words}"):
        fetch("ada/other", model / "new")
    with pytest.raises(UserError, match=f"there already and is {words}.*choose another name"):
        publish(model, "ada/other")
    assert hub.files == before and not (model / "new").exists()


def test_a_private_repository_is_for_its_owner(
    hub: WritableHub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(model, "ada/crane")
    with pytest.raises(UserError, match=r"has no ada/nothing, .*your login may not see it"):
        fetch("ada/nothing", model / "new")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match=r"has no ada/crane, .*you are not logged in"):
        fetch("ada/crane", model / "new")
    hub.private["ada/crane"] = False
    assert fetch("ada/crane", model / "new").task == "pretraining"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("model.safetensors", None, "is not complete: it has no model.safetensors"),
        ("tokenizer.json", b"{}", "tokenizer.json"),
        ("model.safetensors", b"\x08\0\0\0\0\0\0\0{}      ", "model.safetensors"),
        ("model.safetensors", b"", "model.safetensors"),
        ("tokenizer.json", b" " * 64_000_001, "64,000,001 bytes; more than 64,000,000"),
    ],
)
def test_what_is_damaged_is_not_kept(
    hub: WritableHub, model: Path, name: str, data: bytes | None, words: str
) -> None:
    publish(model, "ada/crane")
    if data is None:
        del hub.files[f"ada/crane/{name}"]
    else:
        hub.files[f"ada/crane/{name}"] = data
    checkpoint.save(model / "old", *checkpoint.load(model / "model")[:2], {"old": True})
    before = contents(model / "old")
    for out in (model / "new", model / "old"):
        with pytest.raises(UserError, match=words):
            fetch("ada/crane", out, overwrite=True)
    assert not (model / "new").exists() and contents(model / "old") == before
    assert not list(model.glob(".bert_demo-*"))


def test_a_broken_download_leaves_nothing(hub: WritableHub, model: Path) -> None:
    publish(model, "ada/crane")
    hub.behaviour = "short"
    with pytest.raises(errors.HubFailure, match="cannot be fetched: "):
        fetch("ada/crane", model / "new")
    assert not (model / "new").exists()


def test_what_does_not_load_is_not_published(hub: WritableHub, model: Path) -> None:
    (model / "model" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        publish(model, "ada/crane")
    with pytest.raises(UserError, match="There is no folder"):
        publish(model / "nothing", "ada/crane")
    assert hub.sent_to == []


def test_nothing_says_the_token(
    hub: WritableHub, model: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("huggingface_hub").setLevel(logging.DEBUG)
    publish(model, "ada/crane")
    fetch("ada/crane", tmp_path / "new")
    assert TOKEN not in caplog.text and caplog.text
    assert TOKEN.encode() not in b"".join(hub.files.values())
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert TOKEN.encode() not in b"".join(kept)
    told = {path for path, sent in hub.sent_to if sent is not None}
    assert told and not any(path.startswith("/lfs/") for path in told), "storage needs no login"


def test_the_commands(
    hub: WritableHub, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(model), "crane"]) == 0
    said = capsys.readouterr().out
    assert f"{hub.url}/ada/crane" in said and "private" in said
    out = str(tmp_path / "new")
    assert main(["fetch", "ada/crane", "--out", out]) == 0
    assert out in capsys.readouterr().out
    assert main(["publish", str(model), "ada/open", "--public", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["repo"] == "ada/open" and told["private"] is False
    assert main(["fetch", "ada/open", "--out", out]) == 2
    assert main(["fetch", "ada/open", "--out", out, "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == out


def test_the_commands_as_a_user_runs_them(hub: WritableHub, model: Path, tmp_path: Path) -> None:
    """In a process of its own, with the client's loudest log and a login from the environment."""
    kept = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")
    environment = {name: os.environ[name] for name in kept if name in os.environ} | {
        "HOME": str(tmp_path),
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": TOKEN,
        "HF_DEBUG": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_VERBOSITY": "debug",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "bert_demo", "publish", str(model), "ada/crane"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert hub.holds("ada/crane").keys() >= FILES


def test_paths_of_this_computer_are_left_out() -> None:
    about = {
        "run": {"start_from": "/home/ada/runs/7/model", "corpus": "snli"},
        "facts": {"started_from": "runs/7", "loss": 1},
        "source": "/home/ada/minilm",
    }
    told = without_paths({"format": "f", "about": about})
    assert told == {
        "format": "f",
        "about": {
            "run": {"start_from": "7", "corpus": "snli"},
            "facts": {"started_from": "7", "loss": 1},
            "source": "minilm",
        },
    }
    for source in ("sentence-transformers/all-MiniLM-L6-v2", "bert.small"):
        assert without_paths({"about": {"source": source}})["about"]["source"] == source
    windows = without_paths({"about": {"source": "C:\\Users\\ada\\minilm"}})
    assert "Users" not in windows["about"]["source"]
    assert without_paths({"about": 3}) == {"about": 3} and without_paths({}) == {}
    assert model_name("/a/b/") == "b"


@pytest.fixture
def page(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppContext:
    """The page of somebody at home, with a finished run, one in training and one without model."""
    monkeypatch.delenv("SPACE_ID", raising=False)
    settings = AppSettings(data_dir=tmp_path / "page", checkpoints_dir=tmp_path / "none")
    context = AppContext(settings)
    config = RunConfig(training=TrainingConfig(steps=1))
    for title in ("done", "learning", "empty"):
        run = context.store.create(config, "somebody", title)
        if title != "empty":
            shutil.copytree(model / "model", run.model)
        state = "running" if title == "learning" else "completed"
        context.store.set_status(run.id, state=state)
    return context


def ticked(page: AppContext, *titles: str) -> list[str]:
    return [run.id for run in page.store.list() if run.title in titles]


def test_the_teacher_publishes_from_the_page(hub: WritableHub, page: AppContext) -> None:
    teacher = {"token": "t", "admin": page.admin_token}
    shown = published(page, ticked(page, "done"), " crane ", False, teacher)
    assert "'done' is on the Hub, and you alone can see it" in shown["spoken"]
    assert shown["blocks"][-1] == {"kind": "link", "url": f"{hub.url}/ada/crane"}
    assert hub.holds("ada/crane").keys() >= FILES
    shown = published(page, ticked(page, "done"), "ada/open", True, teacher)
    assert "everybody can see it" in shown["spoken"]


@pytest.mark.parametrize(
    ("titles", "repo", "words"),
    [
        ((), "crane", "Tick the one run"),
        (("done", "empty"), "crane", "Tick the one run"),
        (("done",), "  ", "a name first"),
        (("done",), None, "a name first"),
        (("done",), "a b", "must look like owner/name"),
        (("empty",), "crane", "'empty' has no model yet"),
        (("learning",), "crane", "'learning' is still learning"),
    ],
)
def test_the_page_refuses_in_words(
    hub: WritableHub, page: AppContext, titles: tuple[str, ...], repo: Any, words: str
) -> None:
    teacher = {"token": "t", "admin": page.admin_token}
    with pytest.raises(UserError, match=words):
        published(page, ticked(page, *titles), repo, False, teacher)
    assert hub.sent_to == []


def test_the_login_of_the_host_is_for_the_teacher_alone(
    hub: WritableHub, page: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for browser in (None, {"token": "somebody", "admin": ""}, {"token": "x", "admin": "guess"}):
        with pytest.raises(UserError, match="Only the teacher can publish"):
            published(page, ticked(page, "done"), "crane", False, browser)
    monkeypatch.setenv("SPACE_ID", "ada/space")
    with pytest.raises(UserError, match="A Space publishes nothing"):
        teacher = {"token": "t", "admin": page.admin_token}
        published(page, ticked(page, "done"), "crane", False, teacher)
    assert hub.sent_to == []
