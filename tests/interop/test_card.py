"""The model card says what the checkpoint and its metrics say, and nothing of this computer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.interop.card import model_card
from bert_demo.model import checkpoint
from bert_demo.training.loop import train
from bert_demo.training.recorder import read_metrics


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned checkpoint with its run's metrics; its parent has the pretrained one."""
    folder = tmp_path_factory.mktemp("models")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}
    few = TrainingConfig(steps=30, batch_size=8, validate_every_steps=1, device="cpu")
    list(train(RunConfig(training=few, **small), folder / "words"))
    run = RunConfig(task="nli", start_from=str(folder / "words"), training=few)
    list(train(run, folder / "judge"))
    return folder / "judge"


def test_a_card_has_data_settings_curve_and_scores(judge: Path) -> None:
    text = model_card(judge)
    header, body = text.split("---\n", 2)[1:]
    assert "pipeline_tag: text-classification" in header and "library_name" not in header
    scores = checkpoint.read_config(judge)["about"]["scores"]
    assert f"| test | accuracy | {scores['test']['accuracy']:.4f} | 2,000 |" in body
    assert f"| validation | loss | {scores['loss']:.4f} | 2,000 |" in body
    guessed = scores["test"]["hypothesis_only_accuracy"]
    assert f"| test | accuracy, every premise empty | {guessed:.4f} | 2,000 |" in body
    assert "for comparison: chance | 0.3333" in body
    found = scores["test"]
    row = f"accuracy | {found['accuracy']:.4f} | 2,000 | {found['standard_error']:.4f} |"
    assert row in body
    assert f"| test | expected calibration error (ECE) | {found['ece']:.4f} |" in body
    assert f"always the same answer | {found['constant_accuracy']:.4f} | 2,000 |" in body
    assert "logits are multiplied" not in body
    for label, row in zip(("entailment", "neutral"), scores["test"]["confusion"], strict=False):
        assert f"| {label} | {' | '.join(map(str, row))} |" in body
    assert "| batch size | 8 |" in body and "| wordpieces |" not in body
    assert "Crane World, licence: the project's own" in body
    assert "finetune --corpus crane-world --from words --steps 30" in body

    curve = body.split("## Curve\n\n")[1].splitlines()
    validations = [e for e in read_metrics(judge) if e["event"] == "validation"]
    assert len(validations) > 20 and len(curve) == 2 + 12
    for line, event in ((curve[2], validations[0]), (curve[-1], validations[-1])):
        assert line.startswith(f"| {event['step']} |") and f"{event['accuracy']:.4f}" in line


def test_a_card_names_no_folder_of_this_computer(judge: Path) -> None:
    assert str(judge.parent) in (judge / "config.json").read_text(encoding="utf-8")
    assert str(judge.parent) not in model_card(judge)


def test_a_card_of_a_pretrained_model_names_what_it_learnt_from(judge: Path) -> None:
    text = model_card(judge.parent / "words")
    assert "pipeline_tag: fill-mask" in text and "pretrained on Crane World" in text
    assert "masked-LM loss" in text and "| validation | for comparison: unigram |" in text
    assert "| train | for comparison: unigram_train |" in text
    scores = checkpoint.read_config(judge.parent / "words")["about"]["scores"]
    error = scores["standard_errors"]["mlm_loss"]
    assert f"loss | {scores['mlm_loss']:.4f} | 1,554 | {error:.4f} |" in text
    assert f"always the same answer | {scores['constant_accuracy']:.4f} | 1,554 |" in text
    assert "whole words" in text and "python -m bert_demo pretrain" in text


def test_a_card_takes_any_facts(judge: Path, tmp_path: Path) -> None:
    model, tokenizer, _ = checkpoint.load(judge)
    odd = [{}, {"run": 3, "facts": [], "scores": {"test": "good"}}, {"run": {"colour": "red"}}]
    odd += [{"scores": {"accuracy": "high", "test": {"confusion": [1]}}}, {"source": "x|y"}]
    odd += [{"scores": {"accuracy": 0.5, "standard_errors": 3, "n": "few"}}]
    odd += [{"scores": {"accuracy": 0.5, "standard_errors": {"accuracy": []}}}]
    for about in odd:
        checkpoint.save(tmp_path / "out", model, tokenizer, about)
        assert "## Shape" in model_card(tmp_path / "out", notes=["One thing."])
    checkpoint.save(
        tmp_path / "out",
        model,
        tokenizer,
        {"imported": "D2L", "source": "a.zip", "left_out": ["x"]},
    )
    assert "Imported from D2L: a.zip" in model_card(tmp_path / "out")
    assert "Left out: x" in model_card(tmp_path / "out")


def test_what_is_no_checkpoint_gets_a_sentence(judge: Path, tmp_path: Path) -> None:
    with pytest.raises(checkpoint.CheckpointError, match="no folder"):
        model_card(tmp_path / "none")
    for name in ("config.json", "tokenizer.json"):
        config = json.loads((judge / "config.json").read_text(encoding="utf-8"))
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
        (tmp_path / name).write_text("[" if name == "config.json" else "[]", encoding="utf-8")
        with pytest.raises(checkpoint.CheckpointError, match=name):
            model_card(tmp_path)


def test_a_card_says_how_the_weights_are_stored(judge: Path, tmp_path: Path) -> None:
    assert "| Weights stored in | 32 bits (fp32) |" in model_card(judge)
    shutil.copytree(judge, tmp_path / "copy")
    weights = tmp_path / "copy/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(checkpoint.CheckpointError, match=r"model\.safetensors is damaged"):
        model_card(tmp_path / "copy")
    weights.unlink()
    with pytest.raises(checkpoint.CheckpointError, match=r"has no model\.safetensors"):
        model_card(tmp_path / "copy")
