"""A run that keeps the weights with the lowest held-out loss, whatever happens to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.data.files import read_tensors
from bert_demo.model.checkpoint import RESUME, read_config
from bert_demo.training.cost import estimate
from bert_demo.training.loop import train
from bert_demo.training.recorder import read_metrics

_RUN = RunConfig(
    corpus="crane-world",
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=1,
    word_vectors="random",  # with counted ones this rate does not jump
    training=TrainingConfig(
        steps=12,
        batch_size=16,
        device="cpu",
        precision="fp32",
        # A rate at which the loss jumps up and down; it does not go by the budget.
        optimizer="adamw",
        learning_rate=0.5,
        warmup=0.0,
        schedule="constant",
        validate_every_steps=2,
        keep="best",
    ),
)


def _but(**changes: Any) -> RunConfig:
    return replace(_RUN, training=replace(_RUN.training, **changes))


def _weights(folder: Path) -> dict[str, Tensor]:
    return bert_demo.load(folder)[0].state_dict()


def _same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def _numbers(end: Any) -> tuple[Any, ...]:
    """A judge's scores, without how long they took."""
    scores = end["scores"]
    return *(scores[n] for n in ("loss", "calibration_factor")), scores["test"]["confusion"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("best") / "whole"
    list(train(_RUN, folder))
    return folder


def test_the_best_weights_are_those_of_a_run_that_ended_there(whole: Path, tmp_path: Path) -> None:
    events = read_metrics(whole)
    held_out = {e["step"]: e["mlm_loss"] for e in events if e["event"] == "validation"}
    end = events[-1]
    step = end["kept_step"]
    assert 2 < step < 12 and held_out[step] == min(held_out.values()), "of the middle"
    shorter = list(train(_but(steps=step, keep="last"), tmp_path / "shorter"))
    assert _same(_weights(whole), _weights(tmp_path / "shorter"))
    assert end["scores"] == shorter[-1]["scores"] and "kept_step" not in shorter[-1]
    # Said as measured on all that is held out, and the curve ends where training did.
    best, last = end["scores"]["mlm_loss"], held_out[12]
    words = f"Kept the weights of step {step}: held-out loss {best:.2f}, at the end {last:.2f}."
    assert end["message"].endswith(words)
    about = read_config(whole)["about"]
    assert about["step"] == step and about["scores"] == end["scores"]


def test_where_none_were_better_the_last_are_kept() -> None:
    for run in (_but(steps=2), _but(steps=6, learning_rate=0.001), _but(stop_at_loss=50)):
        end = list(train(run))[-1]
        assert end["kept_step"] == end["step"] and "Kept the last weights" in end["message"]
    with pytest.raises(UserError, match="keep is 'first'"):
        _but(keep="first")


@pytest.mark.parametrize("left_after", ["stopped", "closed", "scored"])
def test_a_run_that_was_left_keeps_what_an_uninterrupted_one_does(
    whole: Path, tmp_path: Path, left_after: str
) -> None:
    folder = tmp_path / "left"
    asked = iter([False] * 9 + [True] * 9)
    stop = (lambda: next(asked)) if left_after == "stopped" else None
    events = train(_RUN, folder, should_stop=stop)
    for event in events:
        kind, step = event["event"], event.get("step")
        if (left_after, kind, step) in (("closed", "step", 9), ("scored", "validation", 12)):
            events.close()
        elif kind == "end":
            assert event["kept_step"] == 6 and read_config(folder)["about"]["step"] == 6
    names = list(read_tensors(folder / RESUME, {})[0])
    assert sum(n.startswith("best.") for n in names) == sum(n.startswith("model.") for n in names)
    assert list(train(_RUN, folder, resume=True))[-1]["scores"] == read_metrics(whole)[-1]["scores"]
    assert _same(_weights(folder), _weights(whole)) and not (folder / RESUME).exists()


def test_a_tied_matrix_is_copied_once_and_stays_tied(tmp_path: Path) -> None:
    events = train(_but(steps=9), tmp_path / "run")
    for event in events:
        if event["event"] == "step" and event["step"] == 7:
            events.close()
    names = read_tensors(tmp_path / "run" / RESUME, {})[0]
    assert ("best.mlm.decoder_weight" in names) != (
        "best.embeddings.word_embeddings.weight" in names
    )
    list(train(_but(steps=9), tmp_path / "run", resume=True))
    model = bert_demo.load(tmp_path / "run")[0]
    assert model.mlm.decoder_weight is model.embeddings.word_embeddings.weight


def test_a_judge_is_made_as_sure_as_it_is_right_after_the_choice(
    whole: Path, tmp_path: Path
) -> None:
    training = replace(_RUN.training, steps=4, learning_rate=0.001)
    run = RunConfig(task="nli", corpus="crane-world", start_from=str(whole), training=training)
    list(train(run, tmp_path / "teacher"))
    training = replace(training, steps=8, learning_rate=0.3)
    run = replace(run, teacher=str(tmp_path / "teacher"), training=training)
    end = list(train(run, tmp_path / "judge"))[-1]
    step = end["kept_step"]
    assert step < 8 and end["scores"]["calibration_factor"] != 1
    shorter = replace(run, training=replace(training, steps=step, keep="last"))
    assert _numbers(end) == _numbers(list(train(shorter, tmp_path / "shorter"))[-1])
    assert _same(_weights(tmp_path / "judge"), _weights(tmp_path / "shorter"))
    # Stopped and gone on with, it has not been made surer twice.
    asked = iter([False] * 7 + [True] * 9)
    list(train(run, tmp_path / "left", should_stop=lambda: next(asked)))
    assert _numbers(list(train(run, tmp_path / "left", resume=True))[-1]) == _numbers(end)


def test_the_copy_is_in_the_estimate_of_memory() -> None:
    best, last = (estimate(_but(keep=which), None) for which in ("best", "last"))
    assert best.memory_bytes - last.memory_bytes == 4 * best.parameters
