"""Which state a run is in: curves made by hand, the runs that came along, and short real ones."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.model.folders import METRICS
from bert_demo.runs.diagnosis import Diagnoses, Diagnosis, diagnose
from bert_demo.runs.events import Events, Tail
from bert_demo.runs.film import film_of
from bert_demo.runs.store import RunStore
from bert_demo.training.loop import train

BUNDLED = Path(__file__).resolve().parents[2] / "checkpoints"
LINES = {"uniform": 8.0, "unigram": 6.0, "unigram_train": 6.0, "coin": math.log(2)}
Curve = Callable[[int], float]


def falling(floor: float, begin: float = 8.0, speed: float = 40) -> Curve:
    return lambda step: floor + (begin - floor) * math.exp(-step / speed)


RUN = RunConfig(training=TrainingConfig(batch_size=64, steps=300))
WITH_SENTENCES = falling(0.3, 0.7)


def curve(
    mlm: Curve,
    nsp: Curve | None = WITH_SENTENCES,
    steps: int = 300,
    noise: float = 0.05,
    held_out: Curve | None = None,
    alike: float = 0.6,
) -> Events:
    """The events of a pretraining with these losses, 64 pairs a step out of 640, with noise."""
    dice = random.Random(0)
    events: Events = [
        {"event": "start", "task": "pretraining", "baselines": LINES, "train_examples": 640}
    ]
    for step in range(1, steps + 1):
        loss = mlm(step) + dice.gauss(0, noise)
        event = {"event": "step", "step": step, "learning_rate": 0.006, "mlm_loss": loss}
        if nsp is not None:
            event["nsp_loss"] = nsp(step) + dice.gauss(0, noise / 5)
        events.append(event | {"loss": loss + event.get("nsp_loss", 0.0)})
        if step % (steps // 20 or 1) == 0:
            seen = (held_out or mlm)(step)
            events.append({"event": "validation", "step": step, "n": 512, "mlm_loss": seen})
            events.append({"event": "probe", "step": step, "alike": alike})
    return events


def name(events: Events) -> str | None:
    found = diagnose(events, RUN)
    return None if found is None else found.name


@pytest.mark.parametrize("noise", [0.02, 0.3])  # of batches of 500 pairs, and of 8
@pytest.mark.parametrize(
    ("expected", "given"),
    [
        ("fine", {"mlm": falling(2)}),
        ("fine", {"mlm": falling(2), "nsp": None}),
        ("fine", {"mlm": falling(2), "held_out": falling(2.5)}),
        ("word_frequency", {"mlm": falling(6)}),
        ("word_frequency", {"mlm": lambda s: 8 - s / 500}),
        ("coin", {"mlm": falling(3), "nsp": lambda _: math.log(2)}),
        ("collapsed", {"mlm": falling(6), "alike": 0.99}),
        ("diverged", {"mlm": lambda s: 8 + s / 100}),
        ("rate_too_high", {"mlm": lambda s: falling(3)(min(s, 200)) + max(0, s - 250) / 30}),
        ("rate_too_high", {"mlm": lambda s: 6.2 if s < 5 or s >= 60 else 7.5, "steps": 100}),
        ("rate_too_high", {"mlm": lambda s: falling(2)(s) + (5 if s in (80, 180, 260) else 0)}),
        ("by_heart", {"mlm": falling(0.2), "held_out": lambda s: 4 + abs(s - 90) / 150}),
    ],
)
def test_a_curve_made_by_hand_has_its_name(
    expected: str, given: dict[str, Any], noise: float
) -> None:
    assert name(curve(**given, noise=noise)) == expected


def test_too_little_to_tell() -> None:
    assert name([]) is None
    assert name(curve(falling(2), steps=9)) is None
    without = curve(falling(2))
    without[0] = without[0] | {"baselines": {}}
    assert name(without) is None


def test_it_says_where_learning_by_heart_began_and_what_to_try() -> None:
    events = curve(falling(0.2), held_out=lambda s: 4 + abs(s - 90) / 150)
    found = diagnose(events, RUN)
    assert found is not None  # the lowest is at step 90: 90 times 64 of 640 pairs
    assert "9.0 passes" in found.seen and "from 4.00 to 5.40" in found.seen
    unknown = diagnose(events)
    assert unknown is not None and "since step 90" in unknown.seen
    taught = [events[0] | {"taught": True}, *events[1:]]
    assert name(taught) != "by_heart"  # the two losses are of different kinds
    padded = [events[0] | {"padded": True}, *curve(falling(2), held_out=falling(6))[1:]]
    assert name(padded) == "word_frequency"  # so it is on held-out text
    risen = diagnose(curve(lambda s: 3 + s / 100, steps=100))
    assert risen is not None and "0.002" in risen.advice


def test_a_run_that_goes_well_is_told_what_leads_further() -> None:
    for held_out, advice in (
        (falling(3), "More steps"),
        (falling(4.5), "surer of what it learns from"),  # nothing has risen yet
        (lambda s: falling(3)(s) + max(0, s - 200) / 1000, "no longer falls"),
    ):
        found = diagnose(curve(falling(3), held_out=held_out), RUN)
        assert found is not None and found.name == "fine" and advice in found.advice


@pytest.mark.parametrize("steps", [202, 230, 300])
def test_where_dropout_began_the_loss_of_a_batch_may_rise(steps: int) -> None:
    def jumps(step: int) -> float:
        return falling(3)(step) + (0.4 if step > 200 else 0)

    events = curve(jumps, steps=steps, held_out=falling(3.5))
    dropout = {"event": "dropout", "step": 200, "seconds": 20.0, "message": "By heart."}
    assert name([*events, dropout]) == "fine"
    if steps > 202:
        assert name(events) == "rate_too_high"
    later = curve(lambda s: jumps(s) + max(0, s - 250) / 30, held_out=falling(3.5))
    assert name([*later, dropout]) == "rate_too_high"


def test_the_last_validation_is_on_other_pairs_and_says_nothing_of_a_rise() -> None:
    events = curve(falling(1), held_out=falling(3))
    events += [{"event": "validation", "step": 300, "n": 6000, "mlm_loss": 4.5}] * 2
    assert name(events) == "fine"


def test_a_judge_is_measured_against_guessing() -> None:
    for loss, expected in ((1.09, "chance"), (0.9, "fine")):
        start = {"event": "start", "task": "nli", "baselines": {"uniform": math.log(3)}}
        step = {"event": "step", "loss": loss, "accuracy": 0.4, "learning_rate": 1e-4}
        assert name([start, *(step | {"step": i} for i in range(1, 40))]) == expected


@pytest.mark.parametrize("model", ["bert-crane-world", "bert-small", "bert-small-snli"])
def test_the_models_that_came_along_were_trained_well(model: str) -> None:
    events, _ = Tail(BUNDLED / model / METRICS).since(0)
    seen = [diagnose(events[:i], RUN) for i in range(0, len(events), 5)]
    assert seen[-1] is not None and seen[-1].name == "fine"
    names = {one.name for one in seen if one is not None}
    assert names <= {"word_frequency", "chance", "coin", "fine"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"steps": 20}, "word_frequency"),
        ({"steps": 20, "recipe": "d2l", "learning_rate": 0.05}, "collapsed"),
        ({"steps": 12, "learning_rate": 1.0}, "diverged"),
    ],
)
def test_a_short_real_run(settings: dict[str, Any], expected: str, tmp_path: Path) -> None:
    run = RunConfig(hidden_size=64, training=TrainingConfig(**settings, batch_size=32))
    list(train(run, tmp_path / "run", probe=film_of(run)))
    assert name(Tail(tmp_path / "run" / METRICS).since(0)[0]) == expected


def test_a_loss_that_is_infinite_is_known_by_what_the_run_said() -> None:
    for said in (
        {"cause": "not_finite"},
        {"message": "The loss is no longer a finite number at …"},
    ):
        assert name([{"event": "end", **said}]) == "diverged"
    assert diagnose([{"event": "end", "message": "Finished."}]) is None


def test_many_watchers_ask_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, asked = RunStore(tmp_path), []
    run = store.create(RunConfig(), "me")
    events = curve(falling(2))

    def counted(events: Events, config: RunConfig | None) -> Diagnosis | None:
        asked.append(config)
        return diagnose(events, config)

    monkeypatch.setattr(store, "events", lambda _: (events, len(events)))
    monkeypatch.setattr("bert_demo.runs.diagnosis.diagnose", counted)
    diagnoses = Diagnoses(store)
    alike = [{"event": "probe", "step": step, "alike": 1.0} for step in (200, 300)]
    found = [diagnoses.of(run.id) for _ in range(5)]
    events = [*events, *alike]
    found.append(diagnoses.of(run.id))
    assert asked == [run.config] and {one.name for one in found if one is not None} == {"fine"}
    events = [*events, {"event": "end", "message": "Finished."}]
    last = diagnoses.of(run.id)
    assert last is not None and last.name == "collapsed" and asked == [run.config] * 2
