"""A teacher's verdicts in place of labels, and the new pairs that it judges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F

from bert_demo.common.errors import UserError
from bert_demo.config import BertConfig, RunConfig, TrainingConfig
from bert_demo.data.new_pairs import pair_anew
from bert_demo.data.prepare import prepare_nli
from bert_demo.data.readers import nli_source
from bert_demo.data.snli import NliTexts
from bert_demo.inference import predict
from bert_demo.inference.evaluation import nli_logits, whole_pairs
from bert_demo.model import checkpoint
from bert_demo.model.bert import BertModel
from bert_demo.training.distillation import taught_pairs
from bert_demo.training.loop import train
from bert_demo.training.losses import batch_losses

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that is very sure of itself, for no reason."""
    from bert_demo.data.prepare import prepare_text

    _, tokenizer, _ = prepare_text("crane-world")
    torch.manual_seed(0)
    shape = BertConfig(tokenizer.vocab_size, 32, 1, 2, 32, initializer_range=0.5)
    folder = tmp_path_factory.mktemp("teacher") / "model"
    checkpoint.save(folder, BertModel(shape, "nli"), tokenizer, {})
    return folder


def test_new_pairs_are_new_and_made_of_known_sentences() -> None:
    whole = nli_source("crane-world", "train").read()
    texts = NliTexts(whole.premises[:2000], whole.hypotheses[:2000], whole.labels[:2000], 0)
    new = pair_anew(texts, 5000, seed=1)
    assert len(new) == 5000 and (new.labels == -1).all()
    pairs = list(zip(new.premises.to_pylist(), new.hypotheses.to_pylist(), strict=True))
    labelled = set(zip(texts.premises.to_pylist(), texts.hypotheses.to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert not labelled & set(pairs)
    sentences = {sentence for pair in labelled for sentence in pair}
    assert {sentence for pair in pairs for sentence in pair} <= sentences
    assert pair_anew(texts, 5000, seed=1).premises.equals(new.premises)


def test_hypotheses_meet_premises_like_their_own() -> None:
    scenes = ("a red dog runs in grass", "men cook hot soup")
    premises = [f"{scenes[i % 2]} {i}" for i in range(40)]
    hypotheses = [f"{'dog' if i % 2 == 0 else 'soup'} {i}" for i in range(40)]
    texts = NliTexts(pa.array(premises), pa.array(hypotheses), np.zeros(40, np.int8), 0)
    new = pair_anew(texts, 200)
    assert len(new) > 150
    for premise, hypothesis in zip(
        new.premises.to_pylist(), new.hypotheses.to_pylist(), strict=True
    ):
        assert ("dog" in premise) == ("dog" in hypothesis)


def test_the_targets_are_the_teachers_softened_probabilities(teacher: Path) -> None:
    model, tokenizer, _ = checkpoint.load(teacher)
    data, report = taught_pairs("crane-world", tokenizer, teacher, 300, CPU)
    labelled, _ = prepare_nli("crane-world", "train", tokenizer)
    known = len(labelled)
    assert known + 290 < len(data) <= known + 300 and report.counts["pairs"] == len(data)
    new = f"{len(data):,} pairs, {len(data) - known} of them recombined from its sentences, "
    assert new in report.sentence()
    assert (data.labels[:known] == labelled.labels).all()
    assert data.targets is not None
    texts = nli_source("crane-world", "train").read()
    for row in (0, 17, known - 1):
        premise, hypothesis = texts.premises[row].as_py(), texts.hypotheses[row].as_py()
        verdict = predict.classify(model, tokenizer, premise, hypothesis)
        softened = torch.tensor(list(verdict.probabilities.values())).sqrt()
        # The verdicts may be computed in bf16.
        assert data.targets[row] == pytest.approx((softened / softened.sum()).numpy(), abs=0.03)
    assert (data.labels[known:] == data.targets[known:].argmax(-1)).all()


def test_a_students_loss_is_the_cross_entropy_with_the_teacher(teacher: Path) -> None:
    from bert_demo.data.nli_batches import NliBatches

    model, tokenizer, _ = checkpoint.load(teacher)
    data, _ = taught_pairs("crane-world", tokenizer, teacher, 300, CPU)
    settings = {"max_length": 64, "truncation": "longest_first", "seed": 0}
    batches = NliBatches(data, tokenizer, batch_size=12, **settings)
    plan, batch = batches.plan(0), batches.draw(0)
    with torch.no_grad():
        whole = batch_losses(model, batch)[1]
        shards = (batches.lay_out(plan.shard(i, 3)) for i in range(3))
        parts = sum(batch_losses(model, shard)[1] for shard in shards)
        logits = model.nli_logits(model(batch.packed, batch.packed.cls_positions))
    assert batch.targets is not None
    by_hand = -(batch.targets * F.log_softmax(logits, -1)).sum()
    assert torch.testing.assert_close(whole, by_hand) is None
    assert torch.testing.assert_close(parts, whole) is None


def test_a_student_comes_to_agree_with_its_teacher(teacher: Path) -> None:
    run = RunConfig(
        task="nli",
        corpus="crane-world",
        start_from=str(teacher),
        teacher=str(teacher),
        new_pairs=300,
        logic_pairs=60,
        training=TrainingConfig(steps=3, batch_size=32),
    )
    events = list(train(run))
    start = next(event for event in events if event["event"] == "start")
    assert start["train_examples"] > 20_000 + 290 + 59 and start["taught"] is True
    assert "60 of them of logic" in start["source"]
    assert events[-1]["reason"] == "completed"


def a_student(teacher: Path, **changes: Any) -> RunConfig:
    training = {"steps": 6, "batch_size": 32, "device": "cpu", "precision": "fp32"} | changes
    return RunConfig(
        task="nli",
        corpus="crane-world",
        start_from=str(teacher),
        teacher=str(teacher),
        training=TrainingConfig(**training),
    )


def test_a_student_is_made_as_sure_as_it_is_right(teacher: Path, tmp_path: Path) -> None:
    events = list(train(a_student(teacher), tmp_path / "student"))
    scores = checkpoint.read_config(tmp_path / "student")["about"]["scores"]
    assert events[-1]["scores"] == scores
    factor = scores["calibration_factor"]
    model, tokenizer, _ = checkpoint.load(tmp_path / "student")
    held_out, _ = prepare_nli("crane-world", "validation", tokenizer)
    batches = whole_pairs(model, tokenizer, held_out)
    logits = torch.from_numpy(nli_logits(model, batches))
    labels = torch.from_numpy(held_out.labels.astype(np.int64))

    def loss(more: float) -> float:
        return float(F.cross_entropy(logits * more, labels))

    # No other factor from 0.05 to 20 would do better; the last validation is of what is kept.
    others = [more for more in (0.9, 1.1) if 0.05 < factor * more < 20]
    assert others and all(loss(1) < loss(more) for more in others) and factor != 1
    final = [event for event in events if event["event"] == "validation"][-1]
    assert final["loss"] == pytest.approx(loss(1), abs=1e-4)
    # The verdicts are those of the last step's weights.
    scale = {n: p / factor for n, p in model.state_dict().items() if n.startswith("classifier")}
    model.load_state_dict(scale, strict=False)
    before = nli_logits(model, batches)
    assert (before.argmax(-1) == logits.numpy().argmax(-1)).mean() > 0.999
    assert np.allclose(before * factor, logits.numpy(), atol=1e-4)


def test_a_student_that_was_stopped_goes_on_from_what_it_learnt(
    teacher: Path, tmp_path: Path
) -> None:
    def losses(events: Iterable[Any]) -> list[float]:
        return [event["loss"] for event in events if event["event"] == "step"]

    run = a_student(teacher)
    whole = losses(train(run))
    asked = iter([False] * 3)
    first = train(run, tmp_path / "halves", should_stop=lambda: next(asked, True))
    halves = losses(first)
    assert checkpoint.read_config(tmp_path / "halves")["about"]["scores"]["calibration_factor"] > 0
    assert halves + losses(train(run, tmp_path / "halves", resume=True)) == whole


def test_a_student_that_was_left_while_it_was_scored_is_scored_again(
    teacher: Path, tmp_path: Path
) -> None:
    run = a_student(teacher)
    whole = list(train(run))[-1]["scores"]
    events = train(run, tmp_path / "left")
    for event in events:
        if event["event"] == "validation" and event["step"] == 6:
            events.close()
    again = list(train(run, tmp_path / "left", resume=True))[-1]["scores"]
    assert again["calibration_factor"] == whole["calibration_factor"]
    assert again["test"]["confusion"] == whole["test"]["confusion"]


def test_who_learns_from_labels_is_left_as_it_is(teacher: Path) -> None:
    run = replace(a_student(teacher), teacher=None)
    start, *_, end = train(run)
    assert start["taught"] is False and "calibration_factor" not in end["scores"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"new_pairs": 5}, "new_pairs is 5; without a teacher"),
        ({"teacher": "x", "task": "pretraining"}, "Only fine-tuning has a teacher"),
    ],
)
def test_a_teacher_is_for_fine_tuning(settings: dict[str, object], words: str) -> None:
    given = {"task": "nli", "start_from": "x", "corpus": "crane-world"} | settings
    with pytest.raises(UserError, match=words):
        RunConfig(**given)  # type: ignore[arg-type]


def test_a_teacher_must_be_fine_tuned(teacher: Path, tmp_path: Path) -> None:
    _, tokenizer, config = checkpoint.load(teacher)
    checkpoint.save(tmp_path / "plain", BertModel(config), tokenizer, {})
    with pytest.raises(UserError, match="judges no pairs"):
        taught_pairs("crane-world", tokenizer, tmp_path / "plain", 0, CPU)
