"""What `import-hf` refuses, each with a sentence: other models, damaged and foreign files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.hf_models import PIECES, complaint, hf_model, saved
from helpers.intruder import Intruder
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from bert_demo.cli import parser
from bert_demo.common.errors import UserError
from bert_demo.interop import untrusted
from bert_demo.interop.hugging_face import import_hf
from bert_demo.model import checkpoint

DEEP: Any = json.loads("[" * 400 + "]" * 400)


def drop(*names: str) -> Callable[[dict[str, Tensor]], Any]:
    return lambda state: [state.pop(name) for name in names]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "roberta"}, "RoBERTa"),
        ({"model_type": "distilbert"}, "DistilBERT"),
        ({"model_type": "t5"}, "t5"),
        ({"model_type": None, "architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel"),
        ({"model_type": None, "architectures": ["BertGenerationEncoder"]}, "BertGeneration"),
        ({"is_decoder": True}, "decoder"),
        ({"add_cross_attention": True}, "decoder"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"hidden_act": "silu"}, "silu"),
        ({"hidden_size": "wide"}, "wide"),
        ({"hidden_size": None}, "hidden_size"),
        ({"num_attention_heads": 5}, "does not divide"),
        ({"num_hidden_layers": 3}, "encoder.layer.2"),
        ({"num_hidden_layers": 1}, "unknown encoder.layer.1"),
        ({"vocab_size": 99}, "word_embeddings"),
        ({"max_position_embeddings": 100_000}, "max_position_embeddings"),
        ({"format": "bert_demo 1"}, "already"),
    ],
)
def test_what_is_not_a_bert_is_named(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    source = saved(tmp_path / "theirs", hf_model())
    path = source / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | change
    path.write_text(json.dumps(config), encoding="utf-8")
    assert reason in complaint(source, tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop("bert.embeddings.LayerNorm.weight"), "embeddings.LayerNorm.weight is missing"),
        (drop("bert.embeddings.word_embeddings.weight"), "word_embeddings.weight is missing"),
        (drop("bert.encoder.layer.1.attention.self.key.bias"), "self.key.bias is missing"),
        (drop("cls.predictions.transform.dense.weight"), "transform.dense.weight is missing"),
        (drop("cls.seq_relationship.bias"), "seq_relationship.bias is missing"),
        (lambda s: s.update({"bert.encoder.layer.0.adapter.weight": torch.ones(2)}), "adapter"),
        (lambda s: s.update({"bert.pooler.dense.weight": torch.ones(3, 24)}), "does not fit"),
        (lambda s: s.update({"cls.seq_relationship.bias": torch.ones(())}), "does not fit"),
        (
            lambda s: s.update({"bert.encoder.layer.0.attention.self.query.bias": torch.ones(())}),
            "odd shape",
        ),
        (
            lambda s: s.update({"bert.pooler.dense.weight": torch.ones(24, 24, dtype=torch.int8)}),
            "quantised",
        ),
        (lambda s: s.clear(), "is missing"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], Any], reason: str
) -> None:
    source = saved(tmp_path / "theirs", hf_model())
    state = load_file(source / "model.safetensors")
    change(state)
    save_file(state, source / "model.safetensors")
    assert reason in complaint(source, tmp_path)


def test_missing_damaged_and_foreign_files_get_a_sentence(tmp_path: Path) -> None:
    source = saved(tmp_path / "theirs", hf_model())
    weights = (source / "model.safetensors").read_bytes()
    cases = {
        "config.json": [None, b"", b"[", b"[" * 100_000, b"[]", b"\xff\xfe"],
        "vocab.txt": [None, b"", b"\xff\xfe", b"a\nb\n", "\n".join([*PIECES, "a"]).encode()],
        "tokenizer_config.json": [b"[", b"[]"],
        "model.safetensors": [
            None,
            b"",
            b"text",
            weights[:-10],
            weights[:100],
            bytes(8),
            b"\xff" * 64,
        ],
    }
    for name, contents in cases.items():
        path = source / name
        whole = path.read_bytes()
        for content in contents:
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_bytes(content)
            assert name in complaint(source, tmp_path), (name, content)
        path.write_bytes(whole)
    import_hf(source, tmp_path / "out")
    with pytest.raises(UserError, match="holds a checkpoint already"):
        import_hf(source, tmp_path / "out")
    import_hf(source, tmp_path / "out", overwrite=True)
    assert "already" in complaint(tmp_path / "out", tmp_path)
    bpe = {"model": {"type": "BPE", "vocab": {}, "merges": []}}
    for text in (json.dumps(bpe), "{}", "text"):
        (source / "tokenizer.json").write_text(text, encoding="utf-8")
        assert "tokenizer.json" in complaint(source, tmp_path)


def test_a_source_that_is_no_model_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    assert "is a file" in complaint(tmp_path / "file", tmp_path)
    assert "config.json" in complaint(tmp_path / "empty", tmp_path)
    for name in ("./nothing", "a/b/c", "", "a\0b", "~nobody/x"):
        assert "repository's name" in complaint(name or "!", tmp_path)


@pytest.mark.parametrize("modern", [True, False])
def test_pickled_code_is_never_run(tmp_path: Path, modern: bool) -> None:
    theirs = hf_model()
    source = saved(tmp_path / "theirs", theirs)
    (source / "model.safetensors").unlink()
    state: dict[str, Any] = {**theirs.state_dict(), "extra": Intruder(tmp_path / "trace")}
    torch.save(state, source / "pytorch_model.bin", _use_new_zipfile_serialization=modern)
    assert "pytorch_model.bin" in complaint(source, tmp_path)
    assert not (tmp_path / "trace").exists()


def test_a_model_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = saved(tmp_path / "theirs", hf_model())
    monkeypatch.setattr(untrusted, "MAX_BYTES", 1000)
    assert "larger than" in complaint(source, tmp_path)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("https://huggingface.co/datasets/stanfordnlp/snli", "data set"),
        ("https://huggingface.co/spaces/some/space", "Space"),
        ("https://huggingface.co/some/bert/tree/v2", "'v2'"),
        ("https://huggingface.co/", "repository's name"),
        ("https://[", "repository's name"),
    ],
)
def test_other_addresses_are_refused(tmp_path: Path, typed: str, words: str) -> None:
    assert words in complaint(typed, tmp_path)


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4" * 64 + b"\nsize 440449768\n"
)


@pytest.mark.parametrize(
    "name", ["config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors"]
)
def test_a_pointer_of_git_lfs_is_no_file(tmp_path: Path, name: str) -> None:
    source = saved(tmp_path / "theirs", hf_model())
    (source / name).write_bytes(POINTER)
    message = complaint(source, tmp_path)
    assert "Git LFS pointer" in message and name in message and "git lfs pull" in message


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_checkpoint_of_pointers_is_refused(tmp_path: Path, name: str) -> None:
    import_hf(saved(tmp_path / "theirs", hf_model()), tmp_path / "out")
    (tmp_path / "out" / name).write_bytes(POINTER)
    with pytest.raises(checkpoint.CheckpointError, match=f"{name} is a Git LFS pointer"):
        checkpoint.load(tmp_path / "out")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["bert.pooler.dense.bias", "bert.embeddings.LayerNorm.weight"])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, name: str, bad: float) -> None:
    theirs = hf_model()
    source = saved(tmp_path / "theirs", theirs)
    import_hf(source, tmp_path / "kept")
    theirs.state_dict()[name][-1] = bad
    theirs.save_pretrained(source)
    assert name.removeprefix("bert.") in complaint(source, tmp_path)
    state = load_file(tmp_path / "kept/model.safetensors")
    with safe_open(tmp_path / "kept/model.safetensors", "pt") as file:
        metadata = file.metadata()
    state["pooler.bias"][3] = bad
    save_file(state, tmp_path / "kept/model.safetensors", metadata)
    with pytest.raises(checkpoint.CheckpointError, match=r"pooler\.bias"):
        checkpoint.load(tmp_path / "kept")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", {"model_type": "\ud800"}),
        ("config.json", {"model_type": "x" * 5_000_000}),
        ("config.json", {"hidden_size": "x" * 5_000_000}),
        ("config.json", {"hidden_size": 10**4000}),
        ("config.json", {"position_embedding_type": ["x" * 99] * 99_999}),
        ("config.json", {"hidden_act": DEEP}),
        ("config.json", {"id2label": {"0": DEEP}}),
        ("tokenizer_config.json", {"do_lower_case": "\ud800"}),
        ("tokenizer_config.json", {"strip_accents": "x" * 5_000_000}),
        ("tokenizer_config.json", {"tokenizer_class": "\udfff" * 999_999}),
        ("tokenizer_config.json", {"never_split": DEEP}),
        ("tokenizer_config.json", {"cls_token": "\ud800"}),
        ("tokenizer_config.json", {"additional_special_tokens": [" x" * 999_999]}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"a": {"content": "x"}}}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"5": "x"}}),
        ("tokenizer_config.json", {"extra_special_tokens": 5}),
    ],
)
def test_odd_values_get_a_short_sentence(
    tmp_path: Path, name: str, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(tmp_path / "theirs", hf_model())
    values = json.loads((source / name).read_text(encoding="utf-8")) | change
    (source / name).write_text(json.dumps(values), encoding="utf-8")
    assert len(complaint(source, tmp_path)) < 400
    assert parser.main(["import-hf", str(source), "--out", str(tmp_path / "out")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs"]
