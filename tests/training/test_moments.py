"""What a run keeps of its way: where in its budget, how much of it, and that it is what it was."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import bert_demo
from bert_demo.config import RunConfig, TrainingConfig, model_config
from bert_demo.data.files import folder_bytes
from bert_demo.inference.models import ModelShelf
from bert_demo.model.folders import kept_steps, moment_folder
from bert_demo.runs.film import film_frame
from bert_demo.training import moments, schedule
from bert_demo.training.loop import train
from bert_demo.training.recorder import read_metrics
from bert_demo.training.schedule import Clock

RUN = RunConfig(
    hidden_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    training=TrainingConfig(steps=8, batch_size=16, device="cpu", precision="fp32"),
)
# The cubes of 0/20, 1/20, ... of 8 steps, rounded up; the end is the checkpoint itself.
PLACES = [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.fixture(autouse=True)
def _whatever_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small runs on a busy computer would leave some out."""
    monkeypatch.setattr(schedule, "_MOMENT_SHARE", 1000.0)


def steps_kept(monkeypatch: pytest.MonkeyPatch, steps: int, one: float) -> tuple[list[int], float]:
    """The steps at which a clock has moments kept that take `one` steps' time, and that share."""
    now = 0.0
    monkeypatch.setattr(schedule.time, "perf_counter", lambda: now)
    clock, found = Clock(TrainingConfig(steps=steps), steps, moments=20), []
    while True:
        if clock.moment_due():
            found.append(clock.step)
            with clock.keeping():
                now += one
        if clock.spent() >= 1:
            return found, one * len(found) / now
        now += 1
        clock.advance()


def test_moments_lie_dense_in_the_beginning_and_take_a_hundredth_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "_MOMENT_SHARE", 0.01)
    found, share = steps_kept(monkeypatch, 8000, 1)
    assert found == [k**3 for k in range(20)] and share < 0.01
    for one in (0.5, 3, 30):
        found, share = steps_kept(monkeypatch, 200, one)
        assert found[0] == 0 and share < max(0.013, 1.1 * one / 200), "one at least"
    assert len(steps_kept(monkeypatch, 200, 0.5)[0]) in range(3, 6), "as many as fit"


def test_a_moment_is_the_model_as_it_was(tmp_path: Path) -> None:
    events = list(train(RUN, tmp_path / "run", probe=film_frame))
    assert kept_steps(tmp_path / "run") == PLACES
    for event in events:
        if event["event"] != "probe" or event["step"] not in PLACES:
            continue
        moment = bert_demo.load(moment_folder(tmp_path / "run", event["step"]))
        frame = film_frame(moment.model, moment.tokenizer)
        then = [dict(blank["words"]) for blank in event["blanks"]]
        now = [dict(blank["words"]) for blank in frame["blanks"]]
        for a, b in zip(then, now, strict=True):
            assert all(a[word] == pytest.approx(b[word], abs=2e-3) for word in a.keys() & b.keys())
            assert len(a.keys() & b.keys()) >= 4
    shelf = ModelShelf(tmp_path / "none", tmp_path)
    beginning, twin = (
        bert_demo.load(moment_folder(tmp_path / "run", 0)).model,
        shelf.twin("run/run").model,
    )
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(beginning.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_a_run_that_goes_on_keeps_what_it_has_and_forgets_what_comes_again(tmp_path: Path) -> None:
    asked = iter([False] * 4 + [True])
    list(train(RUN, tmp_path / "a", should_stop=lambda: next(asked)))
    assert kept_steps(tmp_path / "a") == [0, 1, 2, 3, 4]
    # As after a run that was killed later than it was saved.
    shutil.copytree(moment_folder(tmp_path / "a", 4), moment_folder(tmp_path / "a", 6))
    stamp = (moment_folder(tmp_path / "a", 2) / "config.json").stat().st_mtime_ns
    events = train(RUN, tmp_path / "a", resume=True)
    next(events)
    assert kept_steps(tmp_path / "a") == [0, 1, 2, 3, 4]
    list(events)
    assert kept_steps(tmp_path / "a") == PLACES
    assert (moment_folder(tmp_path / "a", 2) / "config.json").stat().st_mtime_ns == stamp
    list(
        train(replace(RUN, training=replace(RUN.training, steps=1)), tmp_path / "a", overwrite=True)
    )
    assert kept_steps(tmp_path / "a") == [0], "nothing is left of the run that it replaces"


@pytest.mark.parametrize("how", ["little is free", "a write fails"])
def test_a_full_disk_gets_one_sentence_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    events = train(RUN, tmp_path / "run")
    told = [next(events)]
    if how == "little is free":
        free: Any = SimpleNamespace(free=400_000_000)
        monkeypatch.setattr(moments.shutil, "disk_usage", lambda _: free)
    else:
        (tmp_path / "run/moments").touch()  # a file where the folder would be
    told += events
    said = [event["message"] for event in told if event["event"] == "moment"]
    assert len(said) == 1 and "the run goes on" in said[0]
    assert said[0].endswith(".") and told[-1]["reason"] == "completed"
    assert kept_steps(tmp_path / "run") == []
    assert [e["step"] for e in read_metrics(tmp_path / "run") if e["event"] == "moment"] == [0]


@pytest.mark.parametrize("size", ["tiny", "base", "large"])
def test_what_all_moments_take_is_bounded(size: str) -> None:
    config = model_config(size, "recommended", 20256)
    kept = moments.most_moments(config, "pretraining")
    assert kept == {"tiny": 20, "base": 4, "large": 0}[size]
    assert kept * moments.moment_bytes(config, "pretraining") <= moments.MOST_BYTES


def test_a_moment_takes_what_was_foretold(tmp_path: Path) -> None:
    list(train(RUN, tmp_path / "run"))
    config = bert_demo.load(tmp_path / "run").config
    size = folder_bytes(moment_folder(tmp_path / "run", 4))
    assert moments.moment_bytes(config, "pretraining") == pytest.approx(size, rel=0.15)
