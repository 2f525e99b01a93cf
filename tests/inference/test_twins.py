"""The untrained twin of a model is, weight by weight, what its training began with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import bert_demo
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.inference.models import ModelShelf
from bert_demo.interop.bundle import bundle
from bert_demo.model import checkpoint
from bert_demo.model.about import Beginning
from bert_demo.training.loop import train

SHAPE: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
Weights = dict[str, Tensor]


def a_run(recipe: str = "recommended", seed: int = 0, **changes: Any) -> RunConfig:
    training = TrainingConfig(recipe=recipe, seed=seed, steps=2, batch_size=16)
    return RunConfig(**{"corpus": "crane-world", "training": training, **SHAPE, **changes})


def weights(folder: Path) -> Weights:
    return bert_demo.load(folder)[0].state_dict()


def trained(run: RunConfig, out: Path, **options: bool) -> Weights:
    """Train to the end; what the checkpoint held before the first step."""
    events = train(run, out, **options)
    assert next(events)["event"] == "start"
    first = weights(out)
    assert [event["event"] for event in events][-1] == "end"
    return first


def same(one: Weights, two: Weights) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def shelf(folder: Path) -> ModelShelf:
    return ModelShelf(folder / "none", folder)


@pytest.mark.parametrize(
    ("recipe", "seed", "vocabulary"),
    [("d2l", 0, "word"), ("recommended", 0, "word"), ("recommended", 7, "wordpiece")],
)
def test_of_a_run_it_is_step_0(
    shelf: ModelShelf, folder: Path, recipe: str, seed: int, vocabulary: str
) -> None:
    name = f"{recipe}-{seed}-{vocabulary}"
    run = a_run(recipe, seed, vocabulary=vocabulary, wordpieces=400, dropout=0.1)
    first = trained(run, folder / name)
    assert not same(weights(folder / name), first)
    random = torch.random.get_rng_state()
    twin = shelf.twin(f"run/{name}").model
    assert torch.equal(torch.random.get_rng_state(), random) and not twin.training
    assert same(twin.state_dict(), first)
    assert shelf.entry(f"run/{name}").about.beginning == Beginning(seed, recipe == "recommended")


def test_of_a_stopped_and_resumed_run_it_is_step_0_all_the_while(
    shelf: ModelShelf, folder: Path
) -> None:
    asked = iter([False, True])
    events = train(a_run(seed=3), folder / "parts", should_stop=lambda: next(asked))
    next(events)
    first = weights(folder / "parts")
    list(events)
    assert same(shelf.twin("run/parts").model.state_dict(), first)
    list(train(a_run(seed=3), folder / "parts", resume=True))
    assert same(shelf.twin("run/parts").model.state_dict(), first)


@pytest.mark.parametrize("recipe", ["d2l", "recommended"])
def test_of_what_follows_a_run_it_is_where_the_first_one_began(
    shelf: ModelShelf, folder: Path, recipe: str
) -> None:
    names = [f"{recipe}-{name}" for name in ("first", "more", "judge", "again")]
    began = trained(a_run(recipe, 5), folder / names[0])
    further = a_run("recommended", 6, start_from=str(folder / names[0]))
    assert same(trained(further, folder / names[1]), weights(folder / names[0]))
    assert same(shelf.twin(f"run/{names[1]}").model.state_dict(), began)

    judge = a_run(recipe, 8, task="nli", start_from=str(folder / names[1]))
    drawn = trained(judge, folder / names[2])["classifier.weight"]
    again = a_run(recipe, 9, task="nli", start_from=str(folder / names[2]))
    trained(again, folder / names[3])
    for name in names[2:]:
        twin = shelf.twin(f"run/{name}").model.state_dict()
        assert torch.equal(twin.pop("classifier.weight"), drawn)
        assert twin.pop("classifier.bias").shape == (3,)
        assert all(torch.equal(value, began[part]) for part, value in twin.items())


def test_a_bundled_copy_keeps_it(shelf: ModelShelf, folder: Path, tmp_path: Path) -> None:
    first = trained(a_run(seed=11), tmp_path / "whole")
    bundle(tmp_path / "whole", folder / "small")
    assert same(shelf.twin("run/small").model.state_dict(), first)


def test_where_it_is_not_known_the_weights_are_random_and_always_the_same(
    shelf: ModelShelf, folder: Path
) -> None:
    trained(a_run(seed=12), folder / "old")
    path = folder / "old/config.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    right = stored["about"].pop("beginning")
    wrong = [
        {"beginning": value}
        for value in (None, [], "?", {}, right | {"seed": -1}, right | {"primed": 1})
    ]
    twins = []
    for about in ({}, *wrong, {"beginning": right | {"classifier_seed": 0}}):
        path.write_text(json.dumps(stored | {"about": about}), encoding="utf-8")
        assert shelf.entry("run/old").about.beginning is None
        twins.append(shelf.twin("run/old").model.state_dict())
    assert all(same(twin, twins[0]) for twin in twins)
    position = "embeddings.position_embeddings.weight"
    assert twins[0][position].std() == pytest.approx(0.02, rel=0.1)  # no waves
    judge = a_run(task="nli", start_from=str(folder / "old"))
    trained(judge, folder / "judge-of-old")
    assert shelf.entry("run/judge-of-old").about.beginning is None


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("token_counts", lambda right: right[:3]),
        ("token_counts", lambda right: right.float()),
        ("token_counts", lambda right: -right),
        ("word_vectors", lambda right: right[:, :3]),
        ("word_vectors", lambda right: right.float()),
    ],
)
def test_damaged_statistics_are_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, wrong: Callable[[Tensor], Tensor]
) -> None:
    trained(a_run(), tmp_path / "model")
    read = checkpoint.read_tensors

    def damaged(*arguments: object) -> tuple[dict[str, Tensor], dict[str, str]]:
        tensors, metadata = read(*arguments)  # type: ignore[arg-type]
        stored = f"beginning.{name}"
        return tensors | {stored: wrong(tensors[stored])}, metadata

    monkeypatch.setattr(checkpoint, "read_tensors", damaged)
    with pytest.raises(checkpoint.CheckpointError, match=f"damaged: 'beginning.{name}'"):
        checkpoint.statistics(tmp_path / "model")


def test_a_run_that_an_earlier_version_began_keeps_what_that_began_with(
    shelf: ModelShelf, folder: Path
) -> None:
    """It went on without counted vectors; the unfinished checkpoint knows of none."""
    asked = iter([False, True])
    run = a_run(seed=4, word_vectors="random")
    events = train(run, folder / "earlier", should_stop=lambda: next(asked))
    next(events)
    first = weights(folder / "earlier")
    list(events)
    list(train(a_run(seed=4), folder / "earlier", resume=True))
    assert same(shelf.twin("run/earlier").model.state_dict(), first)
