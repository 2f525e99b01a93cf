"""Hugging Face's BERT read as it is: the numbers and ids of `transformers`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.hf_models import (
    NEAR,
    PIECES,
    TEXTS,
    assert_same_numbers,
    complaint,
    hf_model,
    saved,
    transformers,
    write_vocabulary,
)
from safetensors.torch import load_file, save_file
from torch import Tensor

from bert_demo.cli import parser
from bert_demo.common.errors import UserError
from bert_demo.config import LABELS, RunConfig, TrainingConfig
from bert_demo.data.packing import pack
from bert_demo.inference import predict
from bert_demo.interop.hugging_face import import_hf
from bert_demo.model import checkpoint
from bert_demo.training.loop import train


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_hidden_layers": 1, "num_attention_heads": 1, "layer_norm_eps": 1e-5},
        {"hidden_act": "relu", "intermediate_size": 51},
        {"hidden_size": 36, "num_attention_heads": 12, "num_hidden_layers": 4},
        {"tie_word_embeddings": False},
        {"type_vocab_size": 1, "max_position_embeddings": 64},
        {"layer_norm_eps": 0.05, "num_attention_heads": 24},
        {"vocab_size": len(PIECES) + 7},
    ],
)
@pytest.mark.parametrize("kind", ["BertForPreTraining", "BertForMaskedLM", "BertModel"])
def test_every_shape_gives_their_numbers(
    tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    theirs = hf_model(kind, **changes)
    report = import_hf(saved(tmp_path / "theirs", theirs), tmp_path / "out")
    model, tokenizer, config = checkpoint.load(tmp_path / "out")
    assert model.task == ("encoder" if kind == "BertModel" else "pretraining")
    assert tokenizer.vocab_size == len(PIECES) and config.vocab_size == theirs.config.vocab_size
    assert config.tie_word_embeddings is changes.get("tie_word_embeddings", True)
    missing = {"BertForPreTraining": [], "BertModel": [], "BertForMaskedLM": ["pooler", "nsp"]}
    assert report["untrained_heads"] == missing[kind] and report["left_out"] == []
    assert json.loads(json.dumps(dict(report))) == report
    about = checkpoint.read_config(tmp_path / "out")["about"]
    assert about["imported"] == "Hugging Face" and about["source"] == "theirs"
    assert about["untrained_heads"] == missing[kind]
    assert_same_numbers(model, theirs)


def renamed(theirs: Any, change: Callable[[str], str | None]) -> dict[str, Tensor]:
    state = {change(name): value.clone() for name, value in theirs.state_dict().items()}
    return {name: value for name, value in state.items() if name is not None}


def old_name(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
        "LayerNorm.bias", "LayerNorm.beta"
    )


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize(
    "form", ["as it is", "old names", "no prefix", "parallel", "half", "positions", "no decoder"]
)
def test_every_form_of_a_file_gives_the_same(tmp_path: Path, form: str, modern: bool) -> None:
    theirs = hf_model()
    source = saved(tmp_path / "theirs", theirs)
    (source / "model.safetensors").unlink()
    state = renamed(theirs, lambda name: name)
    if form == "old names":
        state = renamed(theirs, old_name)
    if form == "no prefix":
        state = renamed(theirs, lambda name: name.removeprefix("bert."))
    if form == "parallel":
        state = renamed(theirs, lambda name: f"module.{name}")
    if form == "positions":
        state["bert.embeddings.position_ids"] = torch.arange(40)[None]
    if form == "no decoder":
        state = renamed(theirs, lambda name: None if ".decoder." in name else name)
    if form == "half":
        theirs = theirs.half().float()
        state = {name: value.half() for name, value in theirs.state_dict().items()}
    torch.save(state, source / "pytorch_model.bin", _use_new_zipfile_serialization=modern)
    import_hf(source, tmp_path / "out")
    model = checkpoint.load(tmp_path / "out").model
    assert_same_numbers(model, theirs)
    assert model.config.tie_word_embeddings
    assert all(value.dtype == torch.float32 for value in model.parameters())


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_weights_in_several_files_are_put_together(tmp_path: Path, suffix: str) -> None:
    theirs = hf_model()
    source = saved(tmp_path / "theirs", theirs)
    state = load_file(source / "model.safetensors")
    (source / "model.safetensors").unlink()
    base = "model" if suffix == "safetensors" else "pytorch_model"
    where = {}
    for number in (1, 2):
        part = {n: v for i, (n, v) in enumerate(state.items()) if i % 2 + 1 == number}
        name = f"{base}-0000{number}-of-00002.{suffix}"
        where |= dict.fromkeys(part, name)
        (save_file if suffix == "safetensors" else torch.save)(part, source / name)
    index = source / f"{base}.{suffix}.index.json"
    index.write_text(json.dumps({"weight_map": where}), encoding="utf-8")
    import_hf(source, tmp_path / "out")
    assert_same_numbers(checkpoint.load(tmp_path / "out").model, theirs)
    for bad in ({"a": "../x.safetensors"}, {"a": "/etc/passwd"}, {"a": 3}, {}, {"a": "none.bin"}):
        index.write_text(json.dumps({"weight_map": bad}), encoding="utf-8")
        assert "none.bin" in complaint(source, tmp_path) or "index.json" in complaint(
            source, tmp_path
        )


def test_a_decoder_of_its_own_is_kept_whatever_the_settings_say(tmp_path: Path) -> None:
    theirs = hf_model(tie_word_embeddings=False)
    source = saved(tmp_path / "theirs", theirs)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config["tie_word_embeddings"] = True
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    import_hf(source, tmp_path / "out")
    model = checkpoint.load(tmp_path / "out").model
    assert not model.config.tie_word_embeddings
    assert_same_numbers(model, theirs)


def test_a_classifier_of_inference_comes_in_our_order(tmp_path: Path) -> None:
    names = ["CONTRADICTION", "Entailment", "neutral"]
    labels = {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    theirs = hf_model("BertForSequenceClassification", num_labels=3, **labels)
    import_hf(saved(tmp_path / "theirs", theirs), tmp_path / "out")
    model, tokenizer, _ = checkpoint.load(tmp_path / "out")
    assert model.task == "nli"
    verdict = predict.classify(model, tokenizer, "a crane", "flying")
    encoded = tokenizer.encode_pair("a crane", "flying", max_length=40)
    with torch.no_grad():
        logits = theirs(
            input_ids=torch.tensor([encoded.input_ids]),
            token_type_ids=torch.tensor([encoded.token_type_ids]),
        ).logits[0]
    for name, probability in zip(names, logits.softmax(-1).tolist(), strict=True):
        assert verdict.probabilities[name.lower()] == pytest.approx(probability, abs=1e-5)


@pytest.mark.parametrize("kind", ["BertForSequenceClassification", "BertForTokenClassification"])
def test_other_heads_are_left_out_and_said(tmp_path: Path, kind: str) -> None:
    theirs = hf_model(kind, num_labels=3)
    report = import_hf(saved(tmp_path / "theirs", theirs), tmp_path / "out")
    assert report["task"] == "encoder" and report["left_out"] == ["classifier"]
    new = [] if kind == "BertForSequenceClassification" else ["pooler"]
    assert report["untrained_heads"] == new


def test_new_parts_are_the_same_every_time(tmp_path: Path) -> None:
    source = saved(tmp_path / "theirs", hf_model("BertForMaskedLM"))
    for number in (1, 2):
        import_hf(source, tmp_path / str(number))
        torch.rand(3)
    one, two = (checkpoint.load(tmp_path / str(n)).model for n in (1, 2))
    assert torch.equal(one.nsp.weight, two.nsp.weight) and one.nsp.weight.any()
    assert torch.equal(one.pooler.weight, two.pooler.weight)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"do_lower_case": True},
        {"do_lower_case": False},
        {"do_lower_case": False, "strip_accents": True},
        {"do_lower_case": True, "strip_accents": False},
        {"tokenize_chinese_chars": False},
    ],
)
def test_hard_text_gets_their_ids(tmp_path: Path, rules: dict[str, Any], fast: bool) -> None:
    source = tmp_path / "theirs"
    hf_model().save_pretrained(source)
    theirs = write_vocabulary(source, fast=fast, **rules)
    import_hf(source, tmp_path / "out")
    tokenizer = checkpoint.load(tmp_path / "out").tokenizer
    for text in TEXTS:
        # Theirs takes a typed "[CLS]" for the token itself; here nobody can type one.
        expected = theirs(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert tokenizer.encode(text) == expected, text
    both = tokenizer.encode_pair(TEXTS[0], TEXTS[1], max_length=200)
    wanted = theirs(TEXTS[0], TEXTS[1])
    assert both.input_ids == wanted["input_ids"]
    assert both.token_type_ids == wanted["token_type_ids"]


def test_a_small_old_repository_needs_no_more_than_three_files(tmp_path: Path) -> None:
    theirs = hf_model()
    source = saved(tmp_path / "theirs", theirs)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    for name in ("model_type", "architectures", "layer_norm_eps", "transformers_version"):
        config.pop(name, None)
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (source / "tokenizer_config.json").unlink()
    (source / "vocab.txt").write_bytes("\r\n".join(PIECES).encode())  # written on Windows
    import_hf(source, tmp_path / "out")
    model, tokenizer, loaded = checkpoint.load(tmp_path / "out")
    assert loaded.layer_norm_eps == 1e-12
    assert tokenizer.tokens(tokenizer.encode("A Crane")) == ["a", "crane"]
    assert_same_numbers(model, theirs)


def test_an_encoder_is_refused_what_it_has_no_head_for(tmp_path: Path) -> None:
    import_hf(saved(tmp_path / "theirs", hf_model("BertModel")), tmp_path / "out")
    model, tokenizer, _ = checkpoint.load(tmp_path / "out")
    with pytest.raises(UserError, match="no masked-LM head"):
        predict.fill_mask(model, tokenizer, "a [MASK]")
    with pytest.raises(UserError, match="fine-tune it first"):
        predict.classify(model, tokenizer, "a", "b")
    assert predict.encode(model, tokenizer, "a crane").vectors.shape == (4, 24)


@pytest.mark.parametrize("task", ["pretraining", "nli"])
def test_an_encoder_is_trained_further_with_new_heads(tmp_path: Path, task: str) -> None:
    import_hf(saved(tmp_path / "theirs", hf_model("BertModel")), tmp_path / "out")
    few = TrainingConfig(steps=1, batch_size=4, max_length=16, learning_rate=0, device="cpu")
    run = RunConfig(task=task, start_from=str(tmp_path / "out"), training=few)
    list(train(run, tmp_path / "trained"))
    before, after = (checkpoint.load(tmp_path / name).model for name in ("out", "trained"))
    assert after.task == task
    state = after.state_dict()
    for name, value in before.state_dict().items():
        assert torch.equal(state[name], value), name


def test_a_repository_is_read_from_the_local_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = hf_model()
    mirror = tmp_path / "mirror"
    (mirror / "models/some").mkdir(parents=True)
    saved(mirror / "models/some/bert", theirs)
    monkeypatch.setenv("BERT_DEMO_DATA", str(mirror))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out = tmp_path / "out"
    assert parser.main(["import-hf", "some/bert", "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["source"] == "some/bert" and report["task"] == "pretraining"
    assert_same_numbers(checkpoint.load(out).model, theirs)
    assert parser.main(["import-hf", str(mirror / "models/some/bert"), "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_real_minilm_is_met(tmp_path: Path) -> None:
    value = os.environ.get("BERT_DEMO_MINILM")
    if not value:
        pytest.skip("BERT_DEMO_MINILM names no folder with all-MiniLM-L6-v2")
    theirs = transformers.AutoModel.from_pretrained(value).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(value)
    report = import_hf(value, tmp_path / "out")
    assert report["task"] == "encoder" and report["parameters"] == 22_713_216
    model, tokenizer, _ = checkpoint.load(tmp_path / "out")
    for text in TEXTS:
        expected = tokens(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert tokenizer.encode(text) == expected, text
        encoded = tokenizer.encode_pair(text, "A second text.", max_length=512)
        ids, types = torch.tensor([encoded.input_ids]), torch.tensor([encoded.token_type_ids])
        with torch.no_grad():
            wanted = theirs(input_ids=ids, token_type_ids=types, output_hidden_states=True)
            found = model.look_inside(pack([(encoded.input_ids, encoded.token_type_ids)]))
        for ours, other in zip(found.hidden_states, wanted.hidden_states, strict=True):
            torch.testing.assert_close(ours, other[0], **NEAR)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "0.auto_model.", "module._orig_mod.", "_orig_mod.module.bert."],
)
def test_the_names_of_wrappers_are_taken_off(tmp_path: Path, prefix: str, suffix: str) -> None:
    theirs = hf_model("BertModel")
    source = saved(tmp_path / "theirs", theirs)
    state = renamed(theirs, lambda name: prefix + name)
    (source / "model.safetensors").unlink()
    if suffix == "bin":
        torch.save(state, source / "pytorch_model.bin")
    else:
        save_file(state, source / "model.safetensors")
    import_hf(source, tmp_path / "out")
    assert_same_numbers(checkpoint.load(tmp_path / "out").model, theirs)
    doubled = state | {"pooler.dense.bias": torch.zeros(24)}
    torch.save(doubled, source / "pytorch_model.bin")
    (source / "model.safetensors").unlink(missing_ok=True)
    assert "pooler.dense.bias twice" in complaint(source, tmp_path)


@pytest.mark.parametrize("act", ["gelu_python", "gelu_new", "gelu_pytorch_tanh", "silu"])
def test_an_activation_is_computed_or_refused_by_name(tmp_path: Path, act: str) -> None:
    theirs = hf_model("BertModel", hidden_act=act)
    source = saved(tmp_path / "theirs", theirs)
    if act != "gelu_python":
        assert act in complaint(source, tmp_path)
        return
    import_hf(source, tmp_path / "out")
    assert_same_numbers(checkpoint.load(tmp_path / "out").model, theirs)


@pytest.mark.parametrize("positions", [2048, 4096, 4097])
def test_long_tables_of_positions_are_read(tmp_path: Path, positions: int) -> None:
    theirs = hf_model("BertModel", max_position_embeddings=positions)
    source = saved(tmp_path / "theirs", theirs)
    if positions > 4096:
        assert "4,096" in complaint(source, tmp_path)
        return
    import_hf(source, tmp_path / "out")
    assert_same_numbers(checkpoint.load(tmp_path / "out").model, theirs)


@pytest.mark.parametrize("given", ["top", "snapshots", "one"])
def test_a_folder_of_the_hubs_cache_is_a_model(tmp_path: Path, given: str) -> None:
    cache = tmp_path / "models--some--bert"
    for name in ("0" * 40, "1" * 40):
        (cache / "snapshots" / name).mkdir(parents=True)
    saved(cache / "snapshots" / ("1" * 40), hf_model("BertModel"))
    where = {
        "top": cache,
        "snapshots": cache / "snapshots",
        "one": cache / "snapshots" / ("1" * 40),
    }[given]
    if given != "one":
        assert "snapshots" in complaint(where, tmp_path)
    (cache / "refs").mkdir()
    (cache / "refs/main").write_text("1" * 40, encoding="utf-8")
    report = import_hf(where, tmp_path / "out")
    assert report["source"] == "some/bert" and report["revision"] == "1" * 40


@pytest.mark.parametrize(
    "typed",
    [
        "https://huggingface.co/some/bert",
        "https://huggingface.co/some/bert/tree/main",
        "https://huggingface.co/some/bert/resolve/main/model.safetensors?download=true",
        "http://www.huggingface.co/some/bert/",
        "hf.co/some/bert",
        "huggingface.co/some/bert/blob/main/config.json#L3",
    ],
)
def test_the_address_of_a_page_is_its_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    (tmp_path / "mirror/models/some").mkdir(parents=True)
    saved(tmp_path / "mirror/models/some/bert", hf_model("BertModel"))
    monkeypatch.setenv("BERT_DEMO_DATA", str(tmp_path / "mirror"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert parser.main(["import-hf", typed, "--out", str(tmp_path / "out")]) == 0
    assert checkpoint.read_config(tmp_path / "out")["about"]["source"] == "some/bert"


def test_labels_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = hf_model("BertForSequenceClassification", num_labels=3)
    source, out = saved(tmp_path / "theirs", theirs), tmp_path / "out"
    assert parser.main(["import-hf", str(source), "--out", str(out)]) == 0
    assert "classifier is left out" in capsys.readouterr().out
    names = "Contradiction, entailment,neutral"
    flags = ["--out", str(out), "--overwrite", "--labels", names]
    assert parser.main(["import-hf", str(source), *flags]) == 0
    assert "labels: contradiction, entailment, neutral" in capsys.readouterr().out
    model = checkpoint.load(out).model
    assert model.task == "nli"
    assert torch.equal(model.classifier.weight, theirs.classifier.weight[[1, 2, 0]])
    (tmp_path / "pairs.csv").write_text("premise;hypothesis;label\na;b;1.0\n", encoding="utf-8")
    asked = ["evaluate", "--model", str(out), "--data", str(tmp_path / "pairs.csv")]
    assert parser.main(asked) == 0
    assert "0 is entailment, 1 is neutral, 2 is contradiction" in capsys.readouterr().out
    assert parser.main(["evaluate", "--help"]) == 0
    assert "is entailment" in capsys.readouterr().out
    for wrong in ("entailment", "entailment,neutral,neutral", "a,b,c", ""):
        with pytest.raises(UserError, match="entailment, neutral and contradiction"):
            import_hf(source, tmp_path / "other", labels=wrong)
    two = saved(tmp_path / "two", hf_model("BertForSequenceClassification", num_labels=2))
    for none in (two, saved(tmp_path / "none", hf_model())):
        with pytest.raises(UserError, match="no classifier with three labels"):
            import_hf(none, tmp_path / "other", labels=LABELS)
