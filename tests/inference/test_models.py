"""The shelf lists, loads and reloads models, and lets nobody out of its folders."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from bert_demo.common.errors import UserError
from bert_demo.config import BertConfig
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.inference.models import ModelShelf
from bert_demo.inference.predict import encode
from bert_demo.inference.results import Result
from bert_demo.model import checkpoint, dropout
from bert_demo.model.bert import BertModel

TOKENIZER = Tokenizer.from_words([*SPECIAL_TOKENS, "a", "crane", "is", "flying"])
CONFIG = BertConfig(
    vocab_size=9, hidden_size=8, num_hidden_layers=2, intermediate_size=16, initializer_range=0.02
)


def make(folder: Path, seed: int, task: str = "pretraining", **about: Any) -> BertModel:
    folder.parent.mkdir(parents=True, exist_ok=True)
    dropout.seed_noise(seed)
    model = BertModel(CONFIG, task).eval()
    checkpoint.save(folder, model, TOKENIZER, about)
    return model


def facts(corpus: str, **scores: Any) -> dict[str, Any]:
    return {"run": {"corpus": corpus}, "scores": scores, "step": 1200}


@pytest.fixture
def shelf(tmp_path: Path) -> ModelShelf:
    make(tmp_path / "checkpoints/crane-tiny", 1, **facts("crane-world", mlm_loss=1.25))
    test = {"accuracy": 0.875, "n": 2000}
    make(tmp_path / "checkpoints/nli", 2, "nli", **facts("snli", accuracy=0.5, n=9, test=test))
    make(tmp_path / "runs/1203-k7qm/model", 3, imported="D2L")
    (tmp_path / "runs/1203-k7qm/run.json").write_text('{"title": "Ada\'s run"}', encoding="utf-8")
    (tmp_path / "runs/empty").mkdir()
    (tmp_path / "runs/broken").mkdir()
    (tmp_path / "runs/broken/config.json").write_text("{", encoding="utf-8")
    make(tmp_path / "outside", 4)
    return ModelShelf(tmp_path / "checkpoints", tmp_path / "runs")


def test_models_are_listed_by_kind_in_words(shelf: ModelShelf) -> None:
    assert [e.id for e in shelf.entries("pretraining")] == ["bundled/crane-tiny", "run/1203-k7qm"]
    assert {e.id for e in shelf.entries()} == {
        "bundled/crane-tiny",
        "bundled/nli",
        "run/1203-k7qm",
    }
    crane = shelf.entry("bundled/crane-tiny")
    assert crane.corpus == "crane-world"
    assert crane.origin == "pretrained on Crane World, 1,200 steps"
    assert crane.facts == ["pretrained", "Crane World", "loss 1.25", "0.0 M"]
    assert crane.size.startswith("2 layers of 8, ")
    assert crane.parameters == sum(p.numel() for p in shelf.load(crane.id).model.parameters())
    assert crane.score == "Validation masked-LM loss 1.25."
    nli = shelf.entry("bundled/nli")
    assert nli.facts == ["fine-tuned", "SNLI", "87.5%", "0.0 M"]
    assert nli.result == Result(0.875, "test", 2000, is_loss=False)
    assert nli.score == "Test accuracy 87.5% on 2,000 pairs."
    run = shelf.entry("run/1203-k7qm")
    assert (run.title, run.corpus, run.score) == ("Ada's run", None, "")
    assert run.origin == "pretrained, imported from D2L"


def test_a_model_is_where_its_id_says(shelf: ModelShelf, tmp_path: Path) -> None:
    assert shelf.folder("run/1203-k7qm") == tmp_path / "runs/1203-k7qm/model"
    assert shelf.folder("bundled/nli") == tmp_path / "checkpoints/nli"


def test_no_folders_are_an_empty_shelf(tmp_path: Path) -> None:
    assert ModelShelf(tmp_path / "no", tmp_path / "none").entries() == []


def test_the_newest_of_a_kind_comes_first(shelf: ModelShelf, tmp_path: Path) -> None:
    make(tmp_path / "runs/later", 5)
    os.utime(tmp_path / "runs/later/config.json", (time.time() + 60, time.time() + 60))
    assert [e.id for e in shelf.entries()][-2:] == ["run/later", "run/1203-k7qm"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "crane-tiny",
        "bundled/",
        "bundled/..",
        "bundled/../outside",
        "bundled/.hidden",
        "run/1203-k7qm/model",
        "other/crane-tiny",
        "/etc/passwd",
        "bundled/crane-tiny\n",
        "bundled/cr\u00e4ne",
        "bundled/missing",
        "run/empty",
        "run/broken",
        "run/" + "x" * 200,
        None,
        3,
        ["bundled/crane-tiny"],
    ],
)
def test_other_names_are_refused_in_words(shelf: ModelShelf, name: Any) -> None:
    for ask in (shelf.entry, shelf.folder, shelf.load, shelf.twin):
        with pytest.raises(UserError, match="choose one from the list"):
            ask(name)


def test_a_model_stays_loaded_until_its_files_change(shelf: ModelShelf, tmp_path: Path) -> None:
    first = shelf.load("run/1203-k7qm")
    assert shelf.load("run/1203-k7qm") is first
    grown = make(tmp_path / "runs/1203-k7qm/model", 99, **facts("crane-world"))
    second = shelf.load("run/1203-k7qm")
    assert second is not first
    assert torch.equal(second.model.pooler.weight, grown.pooler.weight)
    assert shelf.entry("run/1203-k7qm").origin == "pretrained on Crane World, 1,200 steps"


def test_a_damaged_model_is_a_sentence(shelf: ModelShelf, tmp_path: Path) -> None:
    weights = tmp_path / "checkpoints/nli/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(checkpoint.CheckpointError):
        shelf.load("bundled/nli")


def test_a_deleted_model_is_gone(shelf: ModelShelf, tmp_path: Path) -> None:
    shelf.load("run/1203-k7qm")
    shutil.rmtree(tmp_path / "runs/1203-k7qm")
    assert "run/1203-k7qm" not in [e.id for e in shelf.entries()]
    with pytest.raises(UserError, match="choose one from the list"):
        shelf.load("run/1203-k7qm")


def test_a_twin_has_the_shape_but_other_weights_always_the_same(
    shelf: ModelShelf, tmp_path: Path
) -> None:
    trained, tokenizer, config = shelf.load("bundled/crane-tiny")
    before = torch.random.get_rng_state()
    twin, its_tokenizer, its_config = shelf.twin("bundled/crane-tiny")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert its_config == config and its_tokenizer is tokenizer and not twin.training
    assert not torch.equal(twin.pooler.weight, trained.pooler.weight)
    torch.rand(3)
    again = ModelShelf(tmp_path / "checkpoints", tmp_path / "runs").twin("bundled/crane-tiny").model
    text = "a crane is flying"
    assert torch.equal(
        encode(twin, tokenizer, text).vectors, encode(again, tokenizer, text).vectors
    )


def test_few_models_stay_in_memory(shelf: ModelShelf, tmp_path: Path) -> None:
    few = ModelShelf(tmp_path / "checkpoints", tmp_path / "runs", most_models=2)
    crane, nli = few.load("bundled/crane-tiny"), few.load("bundled/nli")
    assert few.load("bundled/crane-tiny") is crane
    run = few.load("run/1203-k7qm")  # in place of the one that was not asked for longest
    assert few.load("bundled/crane-tiny") is crane and few.load("run/1203-k7qm") is run
    assert few.load("bundled/nli") is not nli
    small = ModelShelf(tmp_path / "checkpoints", tmp_path / "runs", most_bytes=1)
    crane, nli = small.load("bundled/crane-tiny"), small.load("bundled/nli")
    assert small.load("bundled/nli") is nli, "the last one stays, however large it is"
    assert small.load("bundled/crane-tiny") is not crane


def test_a_run_is_asked_about_its_past(shelf: ModelShelf, tmp_path: Path) -> None:
    run = "run/1203-k7qm"
    assert shelf.moments(run) == shelf.moments("bundled/nli") == []
    then = {step: make(tmp_path / f"runs/1203-k7qm/model/moments/{step}", step) for step in (40, 7)}
    (tmp_path / "runs/1203-k7qm/model/moments/.bert_demo-part-x").mkdir()
    assert shelf.moments(run) == [7, 40] and shelf.moments(f"{run}@7") == []
    entry = shelf.entry(f"{run}@40")
    assert (entry.id, entry.latest, entry.title, entry.moment) == (
        f"{run}@40",
        run,
        "Ada's run @40",
        40,
    )
    assert f"{run}@40" not in {e.id for e in shelf.entries()}
    for step, model in then.items():
        loaded = shelf.load(f"{run}@{step}").model.state_dict()
        assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())
    whole = shelf.load(run)
    assert shelf.twin(f"{run}@7").model is shelf.twin(run).model
    for step in range(100, 120):
        make(tmp_path / f"runs/1203-k7qm/model/moments/{step}", step)
        shelf.load(f"{run}@{step}")
    assert shelf.load(run) is whole, "moments leave room for the models"
    for wrong in ("8", "07", "-1", "7/../40", ".", "", "7@7"):
        with pytest.raises(UserError):
            shelf.load(f"{run}@{wrong}")


def test_many_threads_load_a_model_once(shelf: ModelShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []
    load, together = checkpoint.load, threading.Barrier(12)

    def counted(folder: Path) -> checkpoint.Checkpoint:
        calls.append(folder)
        return load(folder)

    def ask() -> None:
        together.wait()
        found.append(shelf.load("bundled/nli"))

    monkeypatch.setattr(checkpoint, "load", counted)
    found: list[object] = []
    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(found) == 12 and all(item is found[0] for item in found)


def test_a_strange_description_does_not_hide_the_others(shelf: ModelShelf, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints/nli/config.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["about"] = {"run": "?", "scores": [1], "step": "many"}
    path.write_text(json.dumps(stored), encoding="utf-8")
    entry = shelf.entry("bundled/nli")
    assert (entry.corpus, entry.result, entry.score) == (None, None, "")
    assert len(shelf.entries()) == 3
