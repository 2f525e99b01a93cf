"""Choices of design: defaults give the numbers of before, and each other way is what it says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.common.fields import settings_of
from bert_demo.common.groups import DESIGN_SETTINGS
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.data.masking import Masking, mask_tokens, uniform
from bert_demo.interop.export import export_hf
from bert_demo.model.checkpoint import read_config
from bert_demo.model.size import count_parameters
from bert_demo.training import setup
from bert_demo.training.distributed import World
from bert_demo.training.loop import train
from bert_demo.training.optimizers import Recipe, recipe, recipe_of
from bert_demo.training.optimizers import schedule as share_of_rate

IN_TRAINING = {item.name for item in settings_of(TrainingConfig)}


def a_run(recipe: str = "recommended", **changes: Any) -> RunConfig:
    training = {n: v for n, v in changes.items() if n in IN_TRAINING}
    others = {n: v for n, v in changes.items() if n not in IN_TRAINING}
    settings = {"steps": 7, "batch_size": 32, "seed": 3, "device": "cpu", "precision": "fp32"}
    run = TrainingConfig(recipe=recipe, **(settings | training))
    return RunConfig(hidden_size=32, intermediate_size=64, **others, training=run)


def losses_of(run: RunConfig, out: Path | None = None, steps: int = 6) -> list[float]:
    asked = iter([False] * steps + [True])  # a stopped run is scored on less
    events = train(run, out, should_stop=lambda: next(asked))
    return [e["loss"] for e in events if e["event"] == "step"]


# What these six steps were before anything could be chosen, and all words' vectors were drawn.
BEFORE = {
    "d2l": [8.7599836, 8.5239699, 8.2702731, 7.9451547, 7.7556670, 7.7305326],
    "recommended": [6.5050446, 6.5556477, 6.3816526, 6.5387924, 6.3628050, 6.7391406],
}
SAID = {
    "d2l": {"hidden_act": "relu", "tied_matrix": "off", "optimizer": "adamw", "weight_decay": 0.0}
    | {"warmup": 0.0, "schedule": "constant", "word_vectors": "random"},
    "recommended": {"hidden_act": "gelu", "tied_matrix": "on", "optimizer": "muon"}
    | {"weight_decay": 0.01, "warmup": 0.05, "schedule": "linear", "word_vectors": "counted"},
}


@pytest.mark.parametrize("recipe", ["d2l", "recommended"])
def test_defaults_give_the_numbers_of_before(recipe: str) -> None:
    drawn = losses_of(a_run(recipe, word_vectors="random"))
    assert drawn == pytest.approx(BEFORE[recipe], rel=1e-5)
    found = losses_of(a_run(recipe))
    assert (found == drawn) == (recipe == "d2l")
    assert losses_of(a_run(recipe, **SAID[recipe])) == found, "to say the defaults changes nothing"


def test_each_choice_changes_the_numbers_and_comes_back_from_its_folder(tmp_path: Path) -> None:
    plain = losses_of(a_run())
    others = {
        "norm": "before",
        "hidden_act": "relu",
        "positions": "sinusoid",
        "tied_matrix": "off",
        "word_vectors": "random",
        "mask_share": 0.4,
        "mask_replaced": 1.0,
        "mask_random": 0.2,
        "masking": "static",
        "padding_in_loss": "on",
        "next_sentence": "off",
        "optimizer": "adamw",
        "weight_decay": 1.0,
        "warmup": 0.5,
        "schedule": "constant",
    }
    changes: dict[str, Any] = {"mask_replaced": {"mask_random": 0.0}}
    assert set(others) == set(DESIGN_SETTINGS)
    for name, value in others.items():
        run = a_run(**{name: value}, **changes.get(name, {}))
        out = tmp_path / name
        assert losses_of(run, out, 3) != plain[:3], name
        model, _, config = bert_demo.load(out)
        learnt = sum(p.numel() for p in model.parameters())
        assert learnt == count_parameters(config)
        stored = read_config(out)
        assert stored["about"]["run"] == run.to_dict()
        # So that runs of earlier versions go on in their folders.
        assert ("norm" in stored["model"]) == (name == "norm")
        assert ("positions" in stored["model"]) == (name == "positions")


def test_a_run_with_other_choices_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    run = a_run(
        norm="before", positions="sinusoid", next_sentence="off", mask_share=0.3, masking="static"
    )
    whole, asked = losses_of(run), iter([False] * 3 + [True])
    events = list(train(run, tmp_path / "run", should_stop=lambda: next(asked)))
    first = [e["loss"] for e in events if e["event"] == "step"]
    asked = iter([False] * 3 + [True])
    again = list(train(run, tmp_path / "run", resume=True, should_stop=lambda: next(asked)))
    assert first + [e["loss"] for e in again if e["event"] == "step"] == whole


def test_positions_that_are_not_learnt_stay_what_they_are(tmp_path: Path) -> None:
    for kind in ("sinusoid", "none"):
        losses_of(a_run(positions=kind), tmp_path / kind, 2)
        table = bert_demo.load(tmp_path / kind)[0].state_dict()[
            "embeddings.position_embeddings.weight"
        ]
        if kind == "none":
            assert not table.any()
            continue
        place, scale = np.arange(512)[:, None], 0.08 * math.sqrt(2)
        angle = place / 10_000 ** (np.arange(0, 32, 2) / 32)  # Vaswani et al. 2017, 3.5
        expected = np.stack([np.sin(angle), np.cos(angle)], 2).reshape(512, 32) * scale
        np.testing.assert_allclose(table.numpy(), expected, atol=1e-5)


def test_without_positions_word_order_means_nothing(tmp_path: Path) -> None:
    losses_of(a_run(positions="none"), tmp_path / "model", 2)
    model, tokenizer, _ = bert_demo.load(tmp_path / "model")
    one, other = (
        bert_demo.encode(model, tokenizer, text).vectors[0]
        for text in ("the crane is old", "old the is crane")
    )
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_question_that_is_left_out_is_no_part_of_the_loss() -> None:
    for answer in ("on", "off"):
        step = next(e for e in train(a_run(next_sentence=answer)) if e["event"] == "step")
        total = step["mlm_loss"] + (step["nsp_loss"] if answer == "on" else 0)
        assert step["loss"] == pytest.approx(total)


def test_a_left_out_head_keeps_its_first_weights(tmp_path: Path) -> None:
    run = a_run(next_sentence="off")
    first = setup.prepare_run(run, World()).model.nsp.weight.detach().clone()
    losses_of(run, tmp_path / "run", 2)
    torch.testing.assert_close(bert_demo.load(tmp_path / "run")[0].nsp.weight, first)
    notes = " ".join(export_hf(tmp_path / "run", tmp_path / "exported").notes)
    assert "next-sentence head was not trained" in notes


def test_shares_of_masks_are_those_asked_for() -> None:
    tokens, vocabulary, mask = 200_000, 1000, 2
    ids = np.random.default_rng(0).integers(5, vocabulary, tokens)
    draw = uniform(np.arange(tokens), 7)
    everything = np.ones(tokens, bool)
    _, berts = mask_tokens(ids, everything, vocabulary, mask, draw)
    for replaced, drawn in ((0.5, 0.3), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)):
        masking = Masking(0.4, replaced, drawn)
        masked, labels = mask_tokens(ids, everything, vocabulary, mask, draw, masking)
        chosen = labels >= 0
        assert abs(chosen.mean() - 0.4) < 0.006
        assert chosen[berts >= 0].all(), "a larger share has the smaller one's words too"
        assert abs((masked == mask)[chosen].mean() - replaced) < 0.01
        assert abs((masked == ids)[chosen].mean() - (1 - replaced - drawn)) < 0.01
    with pytest.raises(UserError, match=r"mask_replaced is 0\.95 and mask_random 0.1; together"):
        RunConfig(mask_replaced=0.95)


def test_held_out_text_is_masked_alike_whatever_a_run_trains_with() -> None:
    one, other = (setup.prepare_run(a_run(mask_share=share), World()) for share in (0.15, 0.4))
    first, second = (next(iter(r.validation.all_in_order(64))) for r in (one, other))
    assert first.mlm_positions is not None and second.mlm_positions is not None
    assert torch.equal(first.mlm_positions, second.mlm_positions)
    assert len(other.batches.draw(0).mlm_positions) > 2 * len(one.batches.draw(0).mlm_positions)  # type: ignore[arg-type]


def test_the_rates_way_has_the_shape_asked_for() -> None:
    for shape, half in (("linear", 0.5), ("cosine", 0.5), ("constant", 1.0)):
        assert share_of_rate(0.2, 0.1, shape) == pytest.approx(0.5)
        assert share_of_rate(0.2, 0.6, shape) == pytest.approx(half)
    # A quarter of the way down: 3/4, and (1 + cos 45°) / 2.
    assert share_of_rate(0.0, 0.25) == pytest.approx(0.75)
    assert share_of_rate(0.0, 0.25, "cosine") == pytest.approx((1 + math.sqrt(0.5)) / 2)


def test_what_is_chosen_takes_the_place_of_the_recipes_own() -> None:
    own = recipe("recommended", "pretraining", 32, None)
    assert recipe_of(a_run(), 32) == own
    assert recipe_of(a_run(weight_decay=0.0, schedule="cosine"), 32) == replace(
        own, weight_decay=0.0, shape="cosine"
    )
    assert recipe_of(a_run(optimizer="adamw"), 32).muon_learning_rate is None
    assert recipe_of(a_run(optimizer="adamw", learning_rate=0.5), 768).learning_rate == 0.5
    book = recipe_of(a_run("d2l", optimizer="muon", schedule="linear"), 32)
    assert book == Recipe(0.01, muon_learning_rate=0.05, warmup=0.0, shape="linear")


def test_what_transformers_cannot_express_is_said(tmp_path: Path) -> None:
    losses_of(a_run(norm="before"), tmp_path / "run", 1)
    with pytest.raises(UserError, match="norm 'before'"):
        export_hf(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()
