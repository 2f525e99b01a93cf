"""Folders that are no checkpoint, were changed or are damaged get a sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.checkpoints import CONFIG, TOKENIZER, WORDS, complaint, new_model, saved
from safetensors.torch import load_file, save_file
from torch import Tensor

from bert_demo.data.tokenizer import Tokenizer
from bert_demo.model import checkpoint


def test_a_folder_that_is_no_checkpoint_gets_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    for path, words in [
        (tmp_path / "none", "no folder"),
        (file, "is a file"),
        (tmp_path / "empty", "not a checkpoint"),
    ]:
        for read in (checkpoint.load, checkpoint.read_config):
            assert words in complaint(read, path)
            assert words in complaint(read, str(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"<!doctype html>", "not valid JSON"),
        (b"[]", "not one of bert_demo's"),
        (b'{"model_type": "bert", "hidden_size": 768}', "not one of bert_demo's"),
        (b'{"format": "bert_demo 9"}', "another version"),
        (b'{"format": "bert_demo 1"}', "damaged"),
    ],
)
def test_a_configuration_that_is_not_ours_gets_a_sentence(
    tmp_path: Path, content: bytes, words: str
) -> None:
    saved(tmp_path)
    (tmp_path / "config.json").write_bytes(content)
    for read in (checkpoint.load, checkpoint.read_config):
        assert words in complaint(read, tmp_path)
    # What cannot be read is not replaced either: it may be somebody's.
    complaint(checkpoint.check_writable, tmp_path, overwrite=True)


def edited(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["model"].update(num_attention_heads=4),  # same shapes
        lambda config: config["model"].update(hidden_size=7),
        lambda config: config["model"].update(hidden_size="wide"),
        lambda config: config["model"].update(colour="red"),
        lambda config: config["model"].pop("vocab_size"),
        lambda config: config.update(task="nli"),
        lambda config: config.update(task="poetry"),
        lambda config: config.update(model=3),
        lambda config: config.update(labels=["neutral"]),
        lambda config: config.pop("about"),
        lambda config: config.update(tokenizer_sha256="0" * 64),
    ],
)
def test_a_configuration_that_was_changed_is_noticed(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    saved(tmp_path)
    edited(tmp_path, change)
    complaint(checkpoint.load, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    saved(tmp_path)
    (tmp_path / name).unlink()
    assert f"no {name}" in complaint(checkpoint.load, tmp_path)
    (tmp_path / name).mkdir()
    assert f"no {name}" in complaint(checkpoint.load, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_noticed(tmp_path: Path, name: str, share: float) -> None:
    saved(tmp_path)
    whole = (tmp_path / name).read_bytes()
    # JSON may end with a line break that nobody misses.
    (tmp_path / name).write_bytes(whole[: int(share * (len(whole) - 1))])
    assert name in complaint(checkpoint.load, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_of_another_checkpoint_is_noticed(tmp_path: Path, name: str) -> None:
    saved(tmp_path / "one")
    words = Tokenizer.from_words([*WORDS[:-1], "!"])
    checkpoint.save(tmp_path / "other", new_model(1), words, {})
    shutil.copy(tmp_path / "other" / name, tmp_path / "one" / name)
    message = complaint(checkpoint.load, tmp_path / "one")
    assert "another" in message


def weights_with(change: Callable[[dict[str, Tensor]], Any], folder: Path) -> None:
    """Weights that claim to belong here, changed inside."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    digest = checkpoint._digest(checkpoint.read_config(folder))
    save_file(tensors, path, {"config_sha256": digest})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("pooler.bias"), "misses tensor 'pooler.bias'"),
        (lambda t: t.update(extra=torch.ones(1)), "unknown tensor 'extra'"),
        (lambda t: t.update({"pooler.bias": torch.ones(9)}), "(9,)"),
        (lambda t: t.update({"pooler.bias": torch.ones(8, dtype=torch.int64)}), "int64"),
    ],
)
def test_wrong_tensors_are_named(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], Any], words: str
) -> None:
    saved(tmp_path)
    weights_with(change, tmp_path)
    assert words in complaint(checkpoint.load, tmp_path)


MATRIX, SCALE = "pooler.weight", "pooler.weight.scale"
VECTOR = "pooler.bias"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop(SCALE), f"misses tensor '{SCALE}'"),
        (lambda t: t.pop(MATRIX), f"tensor '{MATRIX}"),
        (lambda t: t.update({MATRIX: torch.ones(8, 8)}), f"unknown tensor '{SCALE}'"),
        (lambda t: t.update({MATRIX: torch.ones(8, 9).char()}), "(8, 9) torch.int8"),
        (lambda t: t.update({MATRIX: torch.ones(8).char()}), "(8,) torch.int8"),
        (lambda t: t.update({MATRIX: torch.ones(8, 8).byte()}), f"'{SCALE}'"),
        (lambda t: t.update({SCALE: torch.ones(9)}), f"'{SCALE}' as (9,)"),
        (lambda t: t.update({SCALE: torch.ones(8, 1)}), f"'{SCALE}' as (8, 1)"),
        (lambda t: t.update({SCALE: torch.tensor(1.0)}), f"'{SCALE}' as ()"),
        (lambda t: t.update({SCALE: torch.ones(8).char()}), f"'{SCALE}' as (8,) torch.int8"),
        (lambda t: t[SCALE].__setitem__(3, float("nan")), f"'{MATRIX}' that are infinite or none"),
        (lambda t: t[SCALE].__setitem__(3, float("inf")), f"'{MATRIX}' that are infinite or none"),
        (lambda t: t[SCALE].fill_(3e38), f"'{MATRIX}' that are infinite or none"),
        (lambda t: t.update({VECTOR: torch.ones(8).char()}), f"'{VECTOR}' as (8,) torch.int8"),
        (
            lambda t: t.update({f"{VECTOR}.scale": torch.ones(8)}),
            f"unknown tensor '{VECTOR}.scale'",
        ),
        (lambda t: t.update({f"{SCALE}.scale": torch.ones(8)}), f"unknown tensor '{SCALE}.scale'"),
        (lambda t: t.update({"extra": torch.ones(2, 2).char()}), "unknown tensor 'extra'"),
    ],
)
def test_wrong_tensors_in_eight_bits_are_named(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], Any], words: str
) -> None:
    checkpoint.save(tmp_path, new_model(), TOKENIZER, {}, storage="int8")
    weights_with(change, tmp_path)
    assert words in complaint(checkpoint.load, tmp_path)


def test_weights_without_our_mark_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file(load_file(path), path)
    assert "does not belong" in complaint(checkpoint.load, tmp_path)
    torch.save({"a": torch.ones(2)}, path)  # a pickle is not even opened
    assert "damaged" in complaint(checkpoint.load, tmp_path)


def test_a_vocabulary_larger_than_the_model_is_refused(tmp_path: Path) -> None:
    model = new_model(config=replace(CONFIG, vocab_size=8))
    checkpoint.save(tmp_path, model, TOKENIZER, {})
    assert "10 tokens" in complaint(checkpoint.load, tmp_path)
