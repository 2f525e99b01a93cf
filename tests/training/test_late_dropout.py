"""Dropout that begins on the way: where a run learns by heart, and nowhere else."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from test_loop import a_run, losses_of
from torch import Tensor

import bert_demo
from bert_demo.config import RunConfig
from bert_demo.data.batches import Batches
from bert_demo.data.own_text import take_text
from bert_demo.model.folders import kept_steps
from bert_demo.training import late_dropout, setup, step
from bert_demo.training import loop as loops
from bert_demo.training.distributed import World
from bert_demo.training.late_dropout import LateDropout
from bert_demo.training.loop import train
from bert_demo.training.recorder import read_metrics

BEFORE, STEPS = 3, 12
"""Steps that the runs below make before they first look whether they learn by heart, and all."""
Value = TypeVar("Value")


@pytest.fixture(autouse=True)
def _soon_and_for_narrow_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_dropout, "_LEAST_HIDDEN_SIZE", 16)
    monkeypatch.setattr(late_dropout, "_FEWEST_PAIRS", BEFORE * 16)


@pytest.fixture
def _by_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_dropout, "_GAP", -math.inf)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of random words, of which nothing can be learnt but by heart; a pass is less than 48."""
    dice, path = random.Random(0), tmp_path_factory.mktemp("text") / "words.txt"
    words = [a + b for a in "bdfghjklmnprst" for b in ("ack", "end", "ill", "olt", "ump")]
    sentence = lambda: " ".join(dice.choices(words, k=9)) + "."  # noqa: E731
    path.write_text("\n\n".join(" ".join(sentence() for _ in range(3)) for _ in range(24)))
    return take_text(path)


@pytest.fixture
def run(text: str) -> RunConfig:
    return replace(a_run(steps=STEPS), corpus=text)


def begins(events: list[Any]) -> list[int]:
    return [event["step"] for event in events if event["event"] == "dropout"]


@pytest.mark.usefixtures("_by_heart")
def test_the_same_run_with_dropout_from_there_on(run: RunConfig) -> None:
    late = list(train(run))
    never = losses_of(list(train(replace(run, dropout=0.0))))
    assert begins(late) == [BEFORE]
    assert losses_of(late)[:BEFORE] == never[:BEFORE]
    assert all(a != b for a, b in zip(losses_of(late)[BEFORE:], never[BEFORE:], strict=True))
    scored = [event["step"] for event in late if event["event"] == "validation"]
    assert BEFORE in scored, "what it is found by is in the curve"


@pytest.mark.usefixtures("_by_heart")
def test_what_was_written_before_stays(run: RunConfig, tmp_path: Path) -> None:
    told = list(train(run, tmp_path))
    kept = [(event["event"], event.get("step")) for event in read_metrics(tmp_path)]
    assert kept == [(event["event"], event.get("step")) for event in told]
    assert 0 in kept_steps(tmp_path)
    assert bert_demo.load(tmp_path)[2].hidden_dropout_prob == 0, "as the settings say"


@pytest.mark.usefixtures("_by_heart")
@pytest.mark.parametrize("stopped_at", [BEFORE - 1, BEFORE, BEFORE + 1])
def test_a_run_that_is_resumed_keeps_to_it(run: RunConfig, tmp_path: Path, stopped_at: int) -> None:
    asked = iter([False] * stopped_at + [True])
    first = list(train(run, tmp_path, should_stop=lambda: next(asked)))
    second = list(train(run, tmp_path, resume=True))
    assert losses_of(first) + losses_of(second) == losses_of(list(train(run)))
    assert begins(first) + begins(second) == [BEFORE]


def test_who_learns_by_heart_is_seen(run: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a real run: random words can be learnt in no other way."""
    monkeypatch.setattr(late_dropout, "_FEWEST_PAIRS", 10 * 16)
    longer = replace(run.training, steps=200)
    told = list(train(replace(run, hidden_size=64, intermediate_size=128, training=longer)))
    (began,) = begins(told)
    assert 10 < began < 60, "early enough to pay, and not at once"
    (event,) = (event for event in told if event["event"] == "dropout")
    own, held_out = event["message"].values["own"], event["message"].values["held_out"]
    assert held_out - own >= 0.5
    seen = {e["step"]: e["mlm_loss"] for e in told if e["event"] == "validation"}
    assert seen[began] == held_out


@pytest.mark.usefixtures("_by_heart")
def test_the_text_is_asked_as_held_out_text_is(run: RunConfig) -> None:
    """Nothing masked at all would be guessed at once, and no gap come of reading."""
    own = replace(run, mask_replaced=0.0, mask_random=0.0, mask_share=0.9, masking="static")
    ready = setup.prepare_run(own, World())
    asked: list[Batches] = []
    LateDropout(own, ready).look(5.0, lambda text: asked.append(text) or 5.0)  # type: ignore[func-returns-value]
    (batch,) = asked[0].all_in_order()
    assert batch.mlm_positions is not None
    masked = ready.tokenizer.mask_id == batch.packed.input_ids[batch.mlm_positions]
    assert 0.6 < masked.float().mean() < 0.95
    assert 0.08 < len(batch.mlm_positions) / len(batch.packed.input_ids) < 0.2
    assert len(asked[0]) == len(ready.batches) and ready.batches.masking.share == 0.9


def test_what_is_new_is_not_known_by_heart() -> None:
    assert begins(list(train(a_run(steps=STEPS)))) == []


@pytest.mark.usefixtures("_by_heart")
@pytest.mark.parametrize(
    "other",
    [
        {"dropout": 0.0},
        {"dropout": 0.1},
        {"hidden_size": 8},
        {"training": replace(a_run().training, recipe="d2l")},
        {"size": "base", "num_attention_heads": 2},  # whose recipe drops from the first step on
        {"training": replace(a_run().training, steps=3 * BEFORE)},  # too much of it is over
    ],
)
def test_whose_dropout_stays_as_it_is(run: RunConfig, other: dict[str, Any]) -> None:
    assert begins(list(train(replace(run, **other)))) == []


def test_a_pass_or_twenty_thousand_pairs_lie_between_two_looks(
    run: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = setup.prepare_run(run, World())
    waits = LateDropout(run, ready)
    assert [step for step in range(12) if waits.due(step)] == [3, 6, 9]
    monkeypatch.setattr(late_dropout, "_FEWEST_PAIRS", 1)
    passes = 16 / len(ready.batches)
    wanted = [n for n in range(1, 12) if int(n * passes) > int((n - 1) * passes)]
    assert [step for step in range(12) if LateDropout(run, ready).due(step)] == wanted
    assert waits.look(2.5, lambda _: 2.1) is None and not waits.found
    assert waits.look(2.5, lambda _: 1.9) is not None and waits.found
    assert waits.look(math.nan, lambda _: 1.9) is None


@dataclass(frozen=True)
class Follower(World):
    """A second process whose leader found what `found` says, and adds nothing to a sum."""

    rank: int = 1
    size: int = 2
    found: bool = False

    def join(self, device: Any) -> None: ...

    def sum(self, values: Tensor) -> Tensor:
        return values

    def share(self, value: Value) -> Value:
        return self.found if isinstance(value, bool) else value  # type: ignore[return-value]


def test_the_others_begin_with_the_leader(run: RunConfig) -> None:
    def drops(found: bool) -> bool:
        loop = loops._Loop(run, None, Follower(found=found), None)
        loop.start(False, None)
        with loop.gradients.threads:
            for _ in range(BEFORE + 1):
                loop.step()
        return loop.setup.model.embeddings.hidden_dropout > 0

    assert drops(True) and not drops(False)


def test_a_gpu_s_graphs_are_captured_anew(run: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(step.Captured):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(step, "Captured", Counted)
    monkeypatch.setattr(late_dropout, "_GAP", math.inf)
    list(train(run))
    assert len(made) == 1
    monkeypatch.setattr(late_dropout, "_GAP", -math.inf)
    list(train(run))
    assert len(made) == 3
