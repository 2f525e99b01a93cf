"""What is exported, `transformers` loads without a word and computes the same with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bert_demo.cli import parser
from bert_demo.common.errors import UserError
from bert_demo.config import LABELS, BertConfig
from bert_demo.data.packing import pack
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.inference import predict
from bert_demo.interop.export import export_hf
from bert_demo.interop.hugging_face import import_hf
from bert_demo.model import checkpoint, dropout
from bert_demo.model.bert import BertModel
from bert_demo.model.checkpoint import CheckpointError

transformers = pytest.importorskip("transformers")

NEAR = {"atol": 2e-5, "rtol": 0.0}  # asked for: 1e-4
SENTENCES = ["a crane is flying .", "the crane driver came , he just left", "cranes eat fish"]
TEXTS = ["A crane IS flying!", "naïve Café, isn't it?", "東京 🙂 x" + "x" * 150, "a <mask> flies"]
CLASSES = {
    "pretraining": "AutoModelForPreTraining",
    "nli": "AutoModelForSequenceClassification",
    "encoder": "AutoModel",
}


@pytest.fixture(autouse=True)
def _transformers_is_heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever `transformers` has to say reaches `caplog`."""
    logging = transformers.utils.logging
    logging.enable_propagation()
    yield
    logging.disable_propagation()


@pytest.fixture(scope="module")
def pieces() -> Tokenizer:
    return Tokenizer.train_wordpiece(SENTENCES, 100)


def saved(folder: Path, tokenizer: Tokenizer, task: str = "pretraining", **changes: Any) -> Path:
    """A checkpoint with random weights, biases and norms included."""
    values = {
        "vocab_size": tokenizer.vocab_size,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 20,
        "max_position_embeddings": 40,
        "hidden_act": "gelu",
        "embedding_layer_norm": True,
        "tie_word_embeddings": True,
        "initializer_range": 0.5,
    }
    dropout.seed_noise(3)
    model = BertModel(BertConfig(**values | changes), task).eval()
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() == 1:
                value.add_(torch.randn_like(value) * 0.2)
    checkpoint.save(folder, model, tokenizer, {})
    return folder


def test_a_checkpoint_in_eight_bits_is_exported_in_full(tmp_path: Path, pieces: Tokenizer) -> None:
    model = checkpoint.load(saved(tmp_path / "whole", pieces, "nli")).model
    checkpoint.save(tmp_path / "eight", model, pieces, {}, storage="int8")
    rounded = checkpoint.load(tmp_path / "eight").model
    export_hf(tmp_path / "eight", tmp_path / "out")
    weights = load_file(tmp_path / "out/model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert "| Weights stored in | 32 bits" in (tmp_path / "out/README.md").read_text("utf-8")
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    pair = pieces.encode_pair("a crane is flying", "cranes eat fish", max_length=40)
    batch = pack([(pair.input_ids, pair.token_type_ids)])
    ids, types = torch.tensor([pair.input_ids]), torch.tensor([pair.token_type_ids])
    with torch.no_grad():
        mine, unrounded = (m.nli_logits(m(batch)[:1]) for m in (rounded, model))
        torch.testing.assert_close(theirs(ids, token_type_ids=types).logits, mine, **NEAR)
        assert not torch.allclose(unrounded, mine, **NEAR)


@pytest.mark.parametrize("task", ["pretraining", "nli", "encoder"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden_act": "relu", "layer_norm_eps": 0.01},
        {"tie_word_embeddings": False, "num_hidden_layers": 1, "num_attention_heads": 12},
        {"type_vocab_size": 3, "initializer_range": 0.0},
        {"positions": "sinusoid"},
        {"positions": "none"},
    ],
)
def test_transformers_loads_it_and_gives_the_same_numbers(
    tmp_path: Path,
    pieces: Tokenizer,
    task: str,
    changes: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = saved(tmp_path / "ours", pieces, task, **changes)
    report = export_hf(source, tmp_path / "out")
    theirs, info = getattr(transformers, CLASSES[task]).from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(info.values()) and not caplog.records
    assert type(theirs).__name__ == report["architecture"]
    model = checkpoint.load(source).model
    assert sum(value.numel() for value in model.parameters()) == report["parameters"]
    assert ("not learnt" in " ".join(report["notes"])) == ("positions" in changes)
    draw = torch.Generator().manual_seed(1)
    for length in (2, 40, 11):
        ids = torch.randint(pieces.vocab_size, (length,), generator=draw)
        types = (torch.arange(length) > length // 2).long()
        with torch.no_grad():
            expected = theirs(
                input_ids=ids[None], token_type_ids=types[None], output_hidden_states=True
            )
            found = model.look_inside(pack([(ids.tolist(), types.tolist())])).hidden_states
            last = found[-1]
            for ours, other in zip(found, expected.hidden_states, strict=True):
                torch.testing.assert_close(ours, other[0], **NEAR)
            if task == "pretraining":
                torch.testing.assert_close(model.mlm(last), expected.prediction_logits[0], **NEAR)
                nsp = model.nsp_logits(last[:1]).flip(1)  # there class 0 is "is next"
                torch.testing.assert_close(nsp, expected.seq_relationship_logits, **NEAR)
            elif task == "nli":
                torch.testing.assert_close(model.nli_logits(last[:1]), expected.logits, **NEAR)
            else:
                torch.testing.assert_close(model.pooled(last[:1]), expected.pooler_output, **NEAR)


def test_the_silence_is_not_deafness(
    tmp_path: Path, pieces: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    export_hf(saved(tmp_path / "ours", pieces), tmp_path / "out")
    transformers.BertModel.from_pretrained(tmp_path / "out")  # which has no heads
    assert "cls.seq_relationship.weight" in caplog.text


@pytest.mark.parametrize("task", ["pretraining", "nli", "encoder"])
@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": False, "hidden_act": "relu"}])
def test_there_and_back_changes_no_weight(
    tmp_path: Path, pieces: Tokenizer, task: str, changes: dict[str, Any]
) -> None:
    before = checkpoint.load(saved(tmp_path / "ours", pieces, task, **changes))
    export_hf(tmp_path / "ours", tmp_path / "there")
    report = import_hf(tmp_path / "there", tmp_path / "back")
    after = checkpoint.load(tmp_path / "back")
    assert report["task"] == task and not report["untrained_heads"] and not report["left_out"]
    assert after.config == before.config
    assert after.tokenizer.fingerprint == before.tokenizer.fingerprint
    state = after.model.state_dict()
    assert state.keys() == before.model.state_dict().keys()
    for name, value in before.model.state_dict().items():
        assert torch.equal(state[name], value), name


def test_its_tokenizer_gives_our_ids(
    tmp_path: Path, pieces: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    report = export_hf(saved(tmp_path / "ours", pieces), tmp_path / "out")
    assert report["notes"] == []
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    for text in TEXTS + SENTENCES:
        ours = pieces.encode_pair(text, "a crane", max_length=500)
        found = theirs(text, "a crane")
        assert found["input_ids"] == ours.input_ids, text
        assert found["token_type_ids"] == ours.token_type_ids
    assert (theirs.mask_token_id, theirs.pad_token_id) == (pieces.mask_id, pieces.pad_id)
    assert theirs.model_max_length == 40
    assert not caplog.records


@pytest.mark.parametrize("loader", ["BertTokenizer", "BertTokenizerFast", "AutoTokenizer"])
@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"do_lower_case": False},
        {"do_lower_case": False, "strip_accents": True},
        {"strip_accents": False, "tokenize_chinese_chars": False},
        {"cls_token": "crane", "mask_token": "fish", "additional_special_tokens": ["<e1>"]},
    ],
)
def test_every_loader_reads_a_model_of_theirs_again(
    tmp_path: Path, loader: str, rules: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    words = (
        "[PAD] [UNK] [CLS] [SEP] [MASK] crane Crane fish <e1> café cafe Café 東 ##京 京 a A IS is !"
    )
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/vocab.txt").write_text("\n".join(words.split()), encoding="utf-8")
    (tmp_path / "theirs/tokenizer_config.json").write_text(json.dumps(rules), encoding="utf-8")
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=20, intermediate_size=8, **shape)
    transformers.BertModel(config).save_pretrained(tmp_path / "theirs")
    import_hf(tmp_path / "theirs", tmp_path / "ours")
    export_hf(tmp_path / "ours", tmp_path / "out")
    caplog.clear()
    before = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    after = getattr(transformers, loader).from_pretrained(tmp_path / "out")
    ours = checkpoint.load(tmp_path / "ours").tokenizer
    for text in [*TEXTS, "A Crane <e1> caf\u00e9 CAF\u00c9 \u6771\u4eac", "a fish"]:
        assert after(text, "A fish")["input_ids"] == before(text, "A fish")["input_ids"], text
        assert after(text, "A")["token_type_ids"] == before(text, "A")["token_type_ids"]
        if "<mask>" not in text and "fish" not in text:
            assert ours.encode(text) == after(text, add_special_tokens=False)["input_ids"]
    for name in ("cls_token", "mask_token"):
        assert after.special_tokens_map[name] == before.special_tokens_map[name]
    assert (tmp_path / "out/vocab.txt").read_text(encoding="utf-8").split() == words.split()


@pytest.mark.parametrize("loader", ["BertTokenizer", "BertTokenizerFast", "AutoTokenizer"])
def test_every_loader_reads_pieces_of_our_own(
    tmp_path: Path, pieces: Tokenizer, loader: str
) -> None:
    export_hf(saved(tmp_path / "ours", pieces), tmp_path / "out")
    theirs = getattr(transformers, loader).from_pretrained(tmp_path / "out")
    for text in TEXTS + SENTENCES:
        assert theirs(text)["input_ids"] == pieces.encode_pair(text, max_length=500).input_ids


def test_its_pipelines_say_what_ours_say(tmp_path: Path, pieces: Tokenizer) -> None:
    export_hf(saved(tmp_path / "ours", pieces), tmp_path / "fill")
    model, tokenizer, _ = checkpoint.load(tmp_path / "ours")
    (ours,) = predict.fill_mask(model, tokenizer, "a <mask> is flying", 50)
    fill = transformers.pipeline("fill-mask", str(tmp_path / "fill"))
    for guess in fill("a <mask> is flying", top_k=5):
        if guess["token_str"] not in SPECIAL_TOKENS:
            assert dict(ours)[tokenizer.tokens([guess["token"]])[0]] == pytest.approx(
                guess["score"], abs=1e-4
            )

    export_hf(saved(tmp_path / "judge", pieces, "nli"), tmp_path / "verdicts")
    model, tokenizer, _ = checkpoint.load(tmp_path / "judge")
    verdict = predict.classify(model, tokenizer, "a crane", "the driver left")
    judge = transformers.pipeline("text-classification", str(tmp_path / "verdicts"))
    said = judge({"text": "a crane", "text_pair": "the driver left"}, top_k=None)
    assert {one["label"] for one in said} == set(LABELS)
    for one in said:
        assert verdict.probabilities[one["label"]] == pytest.approx(one["score"], abs=1e-4)


def test_whole_words_come_with_a_warning(tmp_path: Path) -> None:
    words = Tokenizer.from_words([*SPECIAL_TOKENS, *" ".join(SENTENCES).split()[:5]])
    report = export_hf(saved(tmp_path / "ours", words), tmp_path / "out")
    assert len(report["notes"]) == 1 and "white space" in report["notes"][0]
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert report["notes"][0] in card
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    for text in ("a crane is flying .", "A CRANE flies"):
        assert theirs(text, add_special_tokens=False)["input_ids"] == words.encode_tokenized(text)


def test_the_card_is_theirs_and_says_what_is_new(tmp_path: Path, pieces: Tokenizer) -> None:
    source = saved(tmp_path / "ours", pieces)
    model, tokenizer, _ = checkpoint.load(source)
    checkpoint.save(source, model, tokenizer, {"untrained_heads": ["pooler", "nsp"]})
    export_hf(source, tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "library_name: transformers" in card and "pipeline(" in card
    assert "Not trained, because it was imported without them: pooler, nsp." in card


def test_the_books_architecture_is_refused(tmp_path: Path, pieces: Tokenizer) -> None:
    source = saved(tmp_path / "ours", pieces, embedding_layer_norm=False)
    with pytest.raises(UserError, match="the book's architecture") as caught:
        export_hf(source, tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_only_an_export_is_replaced(tmp_path: Path, pieces: Tokenizer) -> None:
    source, out = saved(tmp_path / "ours", pieces), tmp_path / "out"
    out.mkdir()
    export_hf(source, out)
    with pytest.raises(CheckpointError, match="holds an export already"):
        export_hf(source, out)
    export_hf(source, out, overwrite=True)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("x", encoding="utf-8")
    for other in (source, tmp_path / "full", tmp_path / "file"):
        with pytest.raises(CheckpointError, match=r"file|not an export"):
            export_hf(source, other, overwrite=True)
    (tmp_path / "full/config.json").write_text("3", encoding="utf-8")
    with pytest.raises(CheckpointError, match="not an export"):
        export_hf(source, tmp_path / "full", overwrite=True)
    assert checkpoint.load(source)
    with pytest.raises(CheckpointError, match="no folder"):
        export_hf(tmp_path / "none", tmp_path / "new")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"ours", "out", "file", "full"}


def test_the_command_says_what_it_wrote(
    tmp_path: Path, pieces: Tokenizer, capsys: pytest.CaptureFixture[str]
) -> None:
    source = saved(tmp_path / "ours", pieces, "nli")
    flags = ["export-hf", str(source), "--out", str(tmp_path / "out")]
    assert parser.main(flags) == 0
    assert "BertForSequenceClassification" in capsys.readouterr().out
    assert parser.main(flags) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert parser.main([*flags, "--overwrite", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["files"]) == {path.name for path in (tmp_path / "out").iterdir()}
    stored = json.loads((tmp_path / "out/config.json").read_text(encoding="utf-8"))
    assert stored["id2label"] == {"0": "entailment", "1": "neutral", "2": "contradiction"}
