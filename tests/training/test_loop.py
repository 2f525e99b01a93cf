"""The loop: it learns, stops, resumes to the same numbers, and says what went wrong."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.data.interruption import Interrupted, interruptible
from bert_demo.data.prepare import prepare_nli
from bert_demo.inference.evaluation import evaluate
from bert_demo.model.beginning import log_frequencies
from bert_demo.model.checkpoint import read_config
from bert_demo.model.compiled import library
from bert_demo.training import losses, readings, recorder, schedule, scoring, setup, step
from bert_demo.training.distributed import World
from bert_demo.training.loop import resumable, train
from bert_demo.training.optimizers import recipe
from bert_demo.training.optimizers import schedule as share_of_rate
from bert_demo.training.recorder import read_metrics
from bert_demo.training.schedule import Clock
from bert_demo.training.validation import validate

SMALL: dict[str, Any] = {
    "corpus": "crane-world",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
}


def a_run(task: str = "pretraining", start_from: Path | None = None, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {"steps": 6, "batch_size": 16, "device": "cpu", "precision": "fp32"}
    start = None if start_from is None else str(start_from)
    return RunConfig(
        task=task, start_from=start, **SMALL, training=TrainingConfig(**(settings | changes))
    )


def test_preparing_and_training_together_have_a_limit() -> None:
    events = list(train(a_run(steps=None, budget_seconds=600), most_seconds=4))
    assert events[0]["budget_seconds"] < 4 and events[-1]["reason"] == "completed"
    clock = Clock(TrainingConfig(budget_seconds=600), None)
    assert clock.limit(700) == 600 and clock.limit(4) == 4
    clock.agree(2)
    assert clock.spent() == 0.5  # so the learning rate falls in time
    assert Clock(TrainingConfig(steps=9), 9).limit(-3) > 0, "a step or two, whatever it took"
    assert list(train(a_run(steps=2), most_seconds=100))[-1]["step"] == 2


def test_a_preparation_can_be_interrupted() -> None:
    with interruptible(lambda: True), pytest.raises(Interrupted):
        next(train(a_run()))
    assert next(train(a_run()))["event"] == "start"


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained") / "model"
    list(train(a_run(), folder))
    return folder


def losses_of(events: list[dict[str, Any]]) -> list[float]:
    return [event["loss"] for event in events if event["event"] == "step"]


def test_a_run_tells_its_story_and_leaves_a_checkpoint(pretrained: Path) -> None:
    events = read_metrics(pretrained)
    kinds = [event["event"] for event in events]
    assert kinds[0] == "start" and kinds[-1] == "end" and kinds.count("step") == 6
    start, end = events[0], events[-1]
    assert end["reason"] == "completed" and end["scores"]["mlm_loss"] > 0
    assert start["baselines"]["uniform"] == pytest.approx(math.log(start["vocab_size"]))
    assert start["baselines"]["unigram"] < start["baselines"]["uniform"]
    model, tokenizer, config = bert_demo.load(pretrained)
    assert config.vocab_size == tokenizer.vocab_size
    assert start["parameters"] == sum(p.numel() for p in model.parameters())
    with pytest.raises(UserError, match="nothing to resume"):
        resumable(pretrained)


@pytest.mark.parametrize(("recipe", "knows"), [("d2l", "uniform"), ("recommended", "unigram")])
def test_a_new_model_guesses(recipe: str, knows: str) -> None:
    run = replace(a_run(recipe=recipe), word_vectors="random")
    ready = setup.prepare_run(run, World())
    scores = validate(ready.model, ready.validation, 512)
    # PyTorch's own initialisation, the book's, is a little further from equal guesses.
    assert scores["mlm_loss"] == pytest.approx(ready.facts["baselines"][knows], abs=0.2)
    assert scores["nsp_loss"] == pytest.approx(math.log(2), abs=0.1)


def test_counted_word_vectors_are_what_recommended_begins_with_and_learn_faster() -> None:
    ready = setup.prepare_run(a_run(), World())
    counted = ready.model.embeddings.word_embeddings.weight
    assert counted[10:].norm(dim=1).detach().numpy() == pytest.approx(1, abs=0.05)
    book = setup.prepare_run(a_run(recipe="d2l"), World())
    assert book.statistics is None
    chosen = setup.prepare_run(replace(a_run(recipe="d2l"), word_vectors="counted"), World())
    for matrix in (chosen.model.embeddings.word_embeddings.weight, chosen.model.mlm.decoder_weight):
        assert torch.equal(matrix[10:], counted[10:])
    ends = {}
    for way in ("random", "counted"):
        run = replace(a_run(steps=40), word_vectors=way)
        ends[way] = [*train(run)][-1]["scores"]["mlm_loss"]
    assert ends["counted"] < ends["random"]


def test_positions_begin_as_waves_whose_products_tell_how_far_apart_they_are() -> None:
    ready = setup.prepare_run(a_run(recipe="recommended"), World())
    places = ready.model.embeddings.position_embeddings.weight.detach()
    products = places @ places.T
    for distance in (0, 1, 7):
        line = products.diagonal(distance)
        torch.testing.assert_close(line, line[:1].expand_as(line), rtol=1e-3, atol=1e-5)
    assert products[5, 5] > products[5, 6] > products[5, 8]
    book = setup.prepare_run(a_run(recipe="d2l"), World()).model.embeddings
    line = (book.position_embeddings.weight @ book.position_embeddings.weight.T).diagonal(1)
    assert line.std() > 0.1 * line.abs().mean()  # as PyTorch draws them


@pytest.mark.parametrize("recipe", ["d2l", "recommended"])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, recipe: str) -> None:
    run = replace(a_run(steps=8, recipe=recipe), dropout=0.1)
    whole = list(train(run, tmp_path / "whole"))
    asked = iter([False] * 5 + [True])
    first = list(train(run, tmp_path / "parts", should_stop=lambda: next(asked)))
    assert first[-1]["reason"] == "stopped" and first[-1]["step"] == 5
    bert_demo.load(tmp_path / "parts")
    assert resumable(tmp_path / "parts") == run
    second = list(train(run, tmp_path / "parts", resume=True))
    assert losses_of(first) + losses_of(second) == losses_of(whole)
    one, two = (bert_demo.load(tmp_path / name)[0].state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    steps = [e["step"] for e in read_metrics(tmp_path / "parts") if e["event"] == "step"]
    assert steps == list(range(1, 9))


def test_who_stops_a_run_while_it_is_scored_waits_for_a_sample_only() -> None:
    asked = itertools.chain([False] * 3, itertools.repeat(True))
    end = list(train(a_run(steps=2), should_stop=lambda: next(asked)))[-1]
    assert end["reason"] == "completed" and end["scores"]["n"] == 512
    assert list(train(a_run(steps=2)))[-1]["scores"]["n"] > 512


def test_a_run_ends_at_the_loss_that_was_asked_for() -> None:
    events = list(train(a_run(steps=40, validate_every_steps=2, stop_at_loss=7.0)))
    losses = [e["mlm_loss"] for e in events if e["event"] == "validation"]
    end = events[-1]
    assert end["reason"] == "completed" and end["step"] < 40 and "loss of 7 after" in end["message"]
    # The last is of the whole split.
    assert losses[-2] <= 7 and all(loss > 7 for loss in losses[:-2])
    with pytest.raises(UserError, match="stop_at_loss is -1"):
        a_run(stop_at_loss=-1.0)


def test_a_final_score_that_misses_the_loss_changes_nothing_of_the_farewell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = scoring.validate

    def other_in_the_end(model: Any, held_out: Any, limit: int | None) -> Any:
        return plain(model, held_out, 8) | {"mlm_loss": 6.0 if limit else 8.0}

    monkeypatch.setattr(scoring, "validate", other_in_the_end)
    *_, validation, end = train(a_run(steps=40, validate_every_steps=2, stop_at_loss=7.0))
    assert validation["mlm_loss"] == 8 and end["step"] == 2
    assert "Reached a held-out loss of 7 after 2 steps" in end["message"]


def test_a_listener_that_leaves_loses_nothing(tmp_path: Path) -> None:
    run = a_run(steps=8)
    events = train(run, tmp_path / "run")
    seen = [next(events) for _ in range(4)]
    events.close()
    rest = list(train(run, tmp_path / "run", resume=True))
    assert losses_of(seen) + losses_of(rest) == losses_of(list(train(run)))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_threads_and_accumulation_give_the_same_curve(
    monkeypatch: pytest.MonkeyPatch, dropout: float, compiled: bool
) -> None:
    if not compiled:
        monkeypatch.setattr(library, "serves", lambda _: False)
    # Adam, since Muon orthogonalises in bf16, which makes visible in which order sums were made.
    run = replace(a_run(recipe="d2l", batch_size=17), dropout=dropout)
    threads = torch.get_num_threads()
    curves = []
    for threads, parts in ((1, 1), (3, 1), (1, 4), (2, 2)):
        torch.set_num_threads(threads)
        split = replace(run.training, gradient_accumulation_steps=parts)
        curves.append(losses_of(list(train(replace(run, training=split)))))
    torch.set_num_threads(threads)
    for curve in curves[1:]:
        assert curve == pytest.approx(curves[0], abs=1e-5)


def test_a_batch_with_no_masks_has_no_masked_lm_loss() -> None:
    steps = [e for e in train(a_run(steps=40, batch_size=1)) if e["event"] == "step"]
    assert 0.0 in [step["mlm_loss"] for step in steps]
    assert all(math.isfinite(step["loss"]) and step["nsp_loss"] > 0 for step in steps)


def test_one_batch_overfits(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = setup.PretrainingBatches.plan
    monkeypatch.setattr(setup.PretrainingBatches, "plan", lambda self, step: plan(self, 0))
    run = replace(a_run(steps=150, batch_size=8, recipe="d2l", learning_rate=0.01), dropout=0.0)
    curve = losses_of(list(train(run)))
    assert curve[-1] < 0.3 < 5 < curve[0]


def test_fine_tuning(pretrained: Path, tmp_path: Path) -> None:
    events = list(train(a_run("nli", pretrained, steps=5, epochs=1), tmp_path / "nli"))
    assert events[0]["baselines"]["uniform"] == pytest.approx(math.log(3))
    assert losses_of(events)[0] == pytest.approx(math.log(3), abs=0.4)
    final = [event for event in events if event["event"] == "validation"][-1]
    assert 0 <= final["accuracy"] <= 1 and final["n"] == events[0]["validation_examples"]
    model, tokenizer, _ = bert_demo.load(tmp_path / "nli")
    assert model.task == "nli"
    test = events[-1]["scores"]["test"]
    pairs, _ = prepare_nli("crane-world", "test", tokenizer)
    assert test["n"] == len(pairs.labels) == sum(map(sum, test["confusion"]))
    assert evaluate(model, tokenizer, pairs)["confusion"] == test["confusion"]
    # Fine-tuning again goes on from the classifier; pretraining from it cannot.
    with pytest.raises(UserError, match="fine-tuned"):
        list(train(replace(a_run(), start_from=str(tmp_path / "nli"))))


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    run = a_run(steps=50, recipe="d2l", learning_rate=1.0)
    events = list(_poisoned(run, tmp_path / "run"))
    assert (events[-1]["reason"], events[-1]["cause"]) == ("failed", "not_finite")
    assert "no longer a finite number at step" in events[-1]["message"]
    bert_demo.load(tmp_path / "run")


def _poisoned(run: RunConfig, out: Path) -> Iterator[dict[str, Any]]:
    """Events of a run whose losses become NaN at its third step."""
    original, calls = losses.batch_losses, []

    def poisoned(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        return original(*arguments) * (float("nan") if len(calls) > 2 else 1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "batch_losses", poisoned)
        yield from train(run, out)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"
        ),
    ],
)
def test_running_out_of_memory_says_what_to_lower(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def exhausted(*_: Any) -> torch.Tensor:
        raise error

    monkeypatch.setattr(step, "batch_losses", exhausted)
    end = list(train(a_run()))[-1]
    assert end["reason"] == "failed"
    assert "batch_size 16" in end["message"] and "max_length 64" in end["message"]


def test_losses_read_some_at_a_time_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where reading a number makes the host wait."""

    def events() -> list[dict[str, Any]]:
        times = ("seconds", "seconds_left", "examples_per_second", "peak_memory_bytes", "message")
        found = train(a_run(steps=7, validate_every_steps=3))
        return [{k: v for k, v in e.items() if k not in times} for e in found]

    at_once = events()
    monkeypatch.setattr(readings.Readings, "due", lambda _: False)
    assert events() == at_once
    assert [e["step"] for e in at_once if e["event"] == "step"] == list(range(1, 8))


def test_wider_models_take_smaller_steps_unless_told_otherwise() -> None:
    rates = [recipe("recommended", "pretraining", w, None) for w in (64, 128, 256, 768)]
    assert [r.learning_rate for r in rates] == [0.006, 0.006, 0.004, 0.00092]
    muon = [r.muon_learning_rate for r in rates]
    assert muon == pytest.approx([0.03, 0.03, 0.012, 0.00275], rel=0.02)
    given = recipe("recommended", "pretraining", 768, 0.00184)  # twice its own
    assert given.learning_rate == 0.00184
    assert given.muon_learning_rate == pytest.approx(2 * 0.00275, rel=0.02)
    for task, rate in (("pretraining", 0.01), ("nli", 1e-4)):  # D2L 15.10 and 16.7
        assert recipe("d2l", task, 768, None).learning_rate == rate


def test_a_budget_in_seconds_is_kept() -> None:
    events = list(train(a_run(steps=None, budget_seconds=1.5)))
    steps = [event for event in events if event["event"] == "step"]
    assert steps and events[-1]["seconds"] >= 1.5
    assert all(step["seconds"] < 1.5 for step in steps[:-1])
    assert steps[0]["seconds_left"] < 1.5


def test_time_left_counts_what_is_scored_after_the_last_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(schedule, "time", SimpleNamespace(perf_counter=lambda: now))
    training = TrainingConfig(steps=10, batch_size=8)
    clock = schedule.Clock(training, 10, final_pairs=240)
    clock.start()
    left = []
    for _ in range(10):
        now += 2.0
        left.append(clock.advance()["seconds_left"])
        if clock.step == 5:
            with clock.validating(20):
                now += 1.0
    # Before anything is scored, a pair costs a third of what it costs to learn from it.
    assert left[1:5] == [16 + 20, 14 + 20, 12 + 20, 10 + 20]
    assert left[-1] == 240 / 20 and left[0] == 18


@pytest.mark.parametrize("task", ["pretraining", "nli"])
def test_standard_errors_are_those_of_samples(task: str, pretrained: Path) -> None:
    start = pretrained if task == "nli" else None
    ready = setup.prepare_run(a_run(task, start), World())
    scores = validate(ready.model, ready.validation, 600)
    with torch.no_grad():
        batches = list(ready.validation.all_in_order(600))
        sums = torch.cat([losses.sums_of_pairs(ready.model, batch) for batch in batches]).double()
        whole = sum(losses.batch_losses(ready.model, batch).double() for batch in batches)
    assert torch.testing.assert_close(sums.sum(0), whole, rtol=1e-4, atol=1e-3) is None
    drawn = sums[torch.randint(600, (3000, 600), generator=torch.Generator().manual_seed(0))]
    masked, pair, right, masks = drawn.sum(1).T
    spread = {"nsp_loss": pair / 600, "nsp_accuracy": right / 600, "mlm_loss": masked / masks}
    if task == "nli":
        spread = {"loss": pair / 600, "accuracy": right / 600}
    errors = scores["standard_errors"]
    assert errors.keys() == spread.keys()
    for name, values in spread.items():
        assert scores[name] == pytest.approx(float(values.mean()), abs=4 * errors[name] / 50)
        assert errors[name] == pytest.approx(float(values.std()), rel=0.08)
    share = scores["nsp_accuracy" if task == "pretraining" else "accuracy"]
    of_right = errors["nsp_accuracy" if task == "pretraining" else "accuracy"]
    assert of_right == pytest.approx((share * (1 - share) / 600) ** 0.5)
    labels = torch.cat([batch.labels for batch in batches])
    assert scores["constant_accuracy"] == max(labels.bincount().tolist()) / 600


def test_a_pair_without_masks_has_no_masked_loss() -> None:
    ready = setup.prepare_run(a_run(), World())
    plan = ready.validation.plan_of(np.arange(600), 0)
    parts = [ready.validation.lay_out(plan.shard(i, 600)) for i in range(600)]
    without = [part for part in parts if not part.count_masks()]
    assert without
    for part in without:
        found = losses.sums_of_pairs(ready.model, part)
        assert found[0, 0] == found[0, 3] == 0 < found[0, 1]


def test_final_scores_are_of_the_whole_split(real_data: Path) -> None:
    run = replace(a_run(steps=1, max_length=16), corpus="wikitext-2")
    events = list(train(run))
    assert events[0]["validation_examples"] > 4000
    assert events[-1]["scores"]["n"] == events[0]["validation_examples"]
    baselines = events[0]["baselines"]
    # Held-out text has fewer rare words than the training text, for all of them are <unk> there.
    assert baselines["unigram"] == pytest.approx(6.672, abs=0.001)
    assert baselines["unigram_train"] == pytest.approx(6.870, abs=0.001)


def test_word_frequency_has_a_loss_on_each_text() -> None:
    text = SimpleNamespace(token_ids=np.repeat([0, 1, 2], [4997, 2499, 2498]))
    held_out = SimpleNamespace(token_ids=np.array([1, 1, 2, 0]))
    frequencies = log_frequencies(np.bincount(text.token_ids, minlength=6))
    found = setup.pretraining_baselines(frequencies, text, held_out)
    # One half, two quarters: 1.5 bits; on held-out text one half and three quarters of two bits.
    assert found["unigram_train"] == pytest.approx(1.5 * math.log(2), abs=0.01)
    assert found["unigram"] == pytest.approx(1.75 * math.log(2), abs=0.01)
    assert found["uniform"] == pytest.approx(math.log(6))


def test_probe_is_asked_along_the_way() -> None:
    events = list(train(a_run(steps=8), probe=lambda model, tokenizer: {"n": model.training}))
    probes = [event for event in events if event["event"] == "probe"]
    assert len(probes) >= 2 and probes[-1]["step"] == 8
    assert all(event["n"] is False for event in probes)


def test_a_short_run_can_be_looked_into_while_it_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of which every step takes a second."""
    now = 0.0
    monkeypatch.setattr(recorder, "time", SimpleNamespace(monotonic=lambda: now))
    saved = []
    for event in train(a_run(steps=75), str(tmp_path / "run")):
        now += event["event"] == "step"
        if event["event"] == "saved":
            saved.append((event["step"], read_config(tmp_path / "run")["about"]["step"]))
    assert saved == [(5, 5), (10, 10), (20, 20), (40, 40), (70, 70)]


def test_what_cannot_start_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gradient_accumulation_steps is 5"):
        a_run(batch_size=4, gradient_accumulation_steps=5)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="not a checkpoint"):
        next(train(a_run(), tmp_path / "mine"))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_metrics_survive_a_half_written_line(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"event": "step"}) + '\n{"event": "st')
    assert read_metrics(tmp_path) == [{"event": "step"}]


def test_schedule_rises_then_falls() -> None:
    factors = [share_of_rate(0.1, i / 100) for i in range(101)]
    assert max(factors) == pytest.approx(1.0, abs=0.02) and factors.index(max(factors)) == 10
    assert factors[0] > 0 and factors[-1] <= 0.01
    assert share_of_rate(None, 0.7) == 1.0
