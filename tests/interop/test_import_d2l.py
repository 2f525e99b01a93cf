"""Importing the book's checkpoints: real ones, made-up ones, broken ones and malicious ones."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.intruder import Intruder
from torch import Tensor, nn

from bert_demo.cli import parser
from bert_demo.common.errors import UserError
from bert_demo.data.packing import pack
from bert_demo.inference import predict
from bert_demo.interop import d2l_files, untrusted
from bert_demo.interop.d2l import import_d2l
from bert_demo.model import checkpoint

SPECIALS = ["<unk>", "<pad>", "<mask>", "<cls>", "<sep>"]
WORDS = ["!", "a", "crane", *SPECIALS, "flies"]  # the book sorts: <unk> need not come first


def book_state(
    hidden: int = 8, layers: int = 2, inner: int = 12, words: int = len(WORDS), length: int = 16
) -> dict[str, Tensor]:
    """A state dict with the names and shapes of the book's BERTModel (D2L 15.8)."""
    torch.manual_seed(hidden)
    parts: dict[str, nn.Module] = {
        "encoder.token_embedding": nn.Embedding(words, hidden),
        "encoder.segment_embedding": nn.Embedding(2, hidden),
        "hidden.0": nn.Linear(hidden, hidden),
        "mlm.mlp.0": nn.Linear(hidden, hidden),
        "mlm.mlp.2": nn.LayerNorm(hidden),
        "mlm.mlp.3": nn.Linear(hidden, words),
        "nsp.output": nn.Linear(hidden, 2),
    }
    for number in range(layers):
        block = f"encoder.blks.{number}"
        for letter in "qkvo":
            parts[f"{block}.attention.W_{letter}"] = nn.Linear(hidden, hidden)
        parts[f"{block}.addnorm1.ln"] = nn.LayerNorm(hidden)
        parts[f"{block}.ffn.dense1"] = nn.Linear(hidden, inner)
        parts[f"{block}.ffn.dense2"] = nn.Linear(inner, hidden)
        parts[f"{block}.addnorm2.ln"] = nn.LayerNorm(hidden)
    state = {f"{p}.{n}": v.detach() for p, m in parts.items() for n, v in m.named_parameters()}
    return state | {"encoder.pos_embedding": torch.randn(1, length, hidden)}


def torch_bytes(value: Any, **kwargs: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **kwargs)
    return stream.getvalue()


def book_files(words: Any = WORDS, state: Any = None) -> dict[str, bytes]:
    return {
        "vocab.json": json.dumps(words).encode(),
        "pretrained.params": torch_bytes(book_state() if state is None else state),
    }


def book_zip(path: Path, files: dict[str, bytes] | None = None, folder: str = "my.torch/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (files or book_files()).items():
            archive.writestr(folder + name, content)
    return path


def complaint(source: Path | str, out: Path, **kwargs: Any) -> str:
    """The one sentence that importing answers with; nothing may be left in `out`."""
    with pytest.raises(UserError) as caught:
        import_d2l(source, out, **kwargs)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    assert not out.exists()
    return text


def test_sizes_are_read_from_the_file(tmp_path: Path) -> None:
    state = book_state(hidden=24, layers=3, inner=20, length=40)
    source = book_zip(tmp_path / "mine.zip", book_files(state=state))
    report = import_d2l(source, tmp_path / "out", num_attention_heads=4)
    sizes = {
        "vocab_size": len(WORDS),
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 20,
        "max_position_embeddings": 40,
        "type_vocab_size": 2,
        "parameters": sum(value.numel() for value in state.values()),
    }
    assert report.items() >= sizes.items()
    assert json.loads(json.dumps(dict(report))) == report
    model, tokenizer, config = checkpoint.load(tmp_path / "out")
    assert {name: getattr(config, name, None) for name in sizes if name != "parameters"} == {
        name: size for name, size in sizes.items() if name != "parameters"
    }
    assert config.hidden_act == "relu" and not config.embedding_layer_norm
    assert tokenizer.tokens(range(len(WORDS))) == WORDS
    assert torch.equal(model.layers[2].output.weight, state["encoder.blks.2.ffn.dense2.weight"])
    assert checkpoint.read_config(tmp_path / "out")["about"]["imported"] == "D2L"


def test_zip_folder_and_parallel_models_give_the_same(tmp_path: Path) -> None:
    source = book_zip(tmp_path / "mine.zip")
    with zipfile.ZipFile(source) as archive:
        archive.extractall(tmp_path / "unpacked")
    parallel = {f"module.{name}": value for name, value in book_state().items()}
    loose = book_zip(tmp_path / "loose.zip", book_files(state=parallel), folder="")
    old = book_files() | {
        "pretrained.params": torch_bytes(book_state(), _use_new_zipfile_serialization=False)
    }
    extra = {"__MACOSX/vocab.json": b"\0", "readme.txt": b"hello"}
    busy = book_zip(tmp_path / "busy.zip", book_files() | extra, folder="")
    sources = [
        source,
        tmp_path / "unpacked",
        tmp_path / "unpacked" / "my.torch",
        loose,
        book_zip(tmp_path / "old.zip", old),
        busy,
    ]
    states = []
    for number, one in enumerate(sources):
        import_d2l(one, tmp_path / str(number))
        states.append(checkpoint.load(tmp_path / str(number)).model.state_dict())
    for state in states[1:]:
        assert all(torch.equal(state[name], value) for name, value in states[0].items())


@pytest.mark.parametrize(
    ("name", "hidden", "asked", "heads", "reason"),
    [
        ("bert.small.torch.zip", 256, None, 4, "bert.small"),
        ("bert.base.torch.zip", 768, None, 12, "bert.base"),
        ("bert.small.torch.zip", 128, None, 2, "hidden_size / 64"),
        ("mine.zip", 256, None, 4, "hidden_size / 64"),
        ("mine.zip", 8, None, 1, "hidden_size / 64"),
        ("bert.small.torch.zip", 256, 8, 8, "as asked for"),
    ],
)
def test_heads_are_known_asked_for_or_derived_and_said(
    tmp_path: Path, name: str, hidden: int, asked: int | None, heads: int, reason: str
) -> None:
    state = book_state(hidden, layers=1)
    source = book_zip(tmp_path / name, book_files(state=state))
    report = import_d2l(source, tmp_path / "out", num_attention_heads=asked)
    assert report["num_attention_heads"] == heads and reason in report["heads_from"]
    assert checkpoint.load(tmp_path / "out").config.num_attention_heads == heads


def test_a_renamed_zip_is_known_by_its_folder(tmp_path: Path) -> None:
    state = book_state(768, layers=1)
    source = book_zip(tmp_path / "download.zip", book_files(state=state), "bert.base.torch/")
    assert "bert.base" in import_d2l(source, tmp_path / "out")["heads_from"]


def test_heads_that_do_not_divide_are_refused(tmp_path: Path) -> None:
    source = book_zip(tmp_path / "mine.zip")
    for heads in (3, 0, -1, 99):
        message = complaint(source, tmp_path / "out", num_attention_heads=heads)
        assert "num_attention_heads" in message and str(heads) in message


def test_by_name_the_books_address_and_digest_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(url: str, destination: Path, *, sha1: str) -> Path:
        asked.append((url, sha1))
        destination.parent.mkdir(parents=True, exist_ok=True)
        return book_zip(destination, book_files(state=book_state(256, layers=1)))

    monkeypatch.setattr(d2l_files, "download", download)
    report = import_d2l("bert.small", tmp_path / "out")
    assert report["num_attention_heads"] == 4 and "bert.small" in report["heads_from"]
    ((url, sha1),) = asked
    assert url.endswith("/bert.small.torch.zip")
    assert sha1 == "c72329e68a732bef0452e4b96a1c341c8910f81f"


def test_the_output_folder_is_checked_before_anything_else(tmp_path: Path) -> None:
    source = book_zip(tmp_path / "mine.zip")
    import_d2l(source, tmp_path / "out")
    with pytest.raises(UserError, match="holds a checkpoint already"):
        import_d2l(tmp_path / "none.zip", tmp_path / "out")
    import_d2l(source, tmp_path / "out", overwrite=True)


def test_a_source_that_is_not_there_names_the_choices(tmp_path: Path) -> None:
    message = complaint("bert.huge", tmp_path / "out")
    assert "bert.small" in message and "bert.base" in message


def test_a_web_page_saved_as_a_zip_is_recognised(tmp_path: Path) -> None:
    source = tmp_path / "bert.small.torch.zip"
    source.write_text("<!DOCTYPE html><html>403 Forbidden</html>", encoding="utf-8")
    assert "web page" in complaint(source, tmp_path / "out")


def test_a_damaged_zip_gets_a_sentence(tmp_path: Path) -> None:
    whole = book_zip(tmp_path / "whole.zip").read_bytes()
    source = tmp_path / "mine.zip"
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 50])
    for content in (
        b"",
        b"PK",
        b"text",
        whole[:-40],
        whole[:middle],
        flipped + whole[middle + 50 :],
    ):
        source.write_bytes(content)
        assert "zip" in complaint(source, tmp_path / "out")


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "/evil",
        "C:/evil",
        "C:\\evil",
        "..\\evil",
        "a\\..\\evil",
        "\\evil",
    ],
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    source = book_zip(tmp_path / "mine.zip", book_files() | {name: b"x"}, folder="")
    message = complaint(source, tmp_path / "out")
    assert "dangerous" in message and "leads out" in message
    assert [path.name for path in tmp_path.iterdir()] == ["mine.zip"]


def test_links_are_refused(tmp_path: Path) -> None:
    source = book_zip(tmp_path / "mine.zip")
    link = zipfile.ZipInfo("passwords")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "is a link" in complaint(source, tmp_path / "out")


def test_bombs_are_refused_without_unpacking(tmp_path: Path) -> None:
    zeros = book_files() | {"pretrained.params": bytes(20 << 20)}
    assert "would unpack" in complaint(book_zip(tmp_path / "a.zip", zeros), tmp_path / "out")
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(20 << 20))
    nested = book_files() | {"pretrained.params": inside.getvalue()}
    assert "would unpack" in complaint(book_zip(tmp_path / "b.zip", nested), tmp_path / "out")
    many = book_files() | {f"{number}.txt": b"" for number in range(1001)}
    assert "1,003 files" in complaint(book_zip(tmp_path / "c.zip", many), tmp_path / "out")


def test_a_zip_that_claims_to_be_huge_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = book_zip(tmp_path / "mine.zip")
    monkeypatch.setattr(untrusted, "MAX_BYTES", 1000)
    assert "1,000 are allowed" in complaint(source, tmp_path / "out")
    with zipfile.ZipFile(source) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert "larger than" in complaint(tmp_path / "unpacked", tmp_path / "out")


def test_a_tensor_larger_than_its_memory_is_refused(tmp_path: Path) -> None:
    state = book_state()
    state["mlm.mlp.3.weight"] = torch.zeros(1).expand(1 << 20, 1 << 12)
    source = book_zip(tmp_path / "mine.zip", book_files(state=state))
    assert "larger than 2 GB" in complaint(source, tmp_path / "out")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    source = book_zip(tmp_path / "mine.zip")
    content = bytearray(source.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1  # the flag of the first member in the list of contents
    source.write_bytes(content)
    assert "encrypted" in complaint(source, tmp_path / "out")


@pytest.mark.parametrize("modern", [True, False])
def test_pickled_code_is_never_run(tmp_path: Path, modern: bool) -> None:
    trace = tmp_path / "trace"
    state: dict[str, Any] = {**book_state(), "extra": Intruder(trace)}
    content = torch_bytes(state, _use_new_zipfile_serialization=modern)
    source = book_zip(tmp_path / "mine.zip", book_files() | {"pretrained.params": content})
    assert "not a PyTorch file of weights" in complaint(source, tmp_path / "out")
    assert not trace.exists()


@pytest.mark.parametrize("name", ["vocab.json", "pretrained.params"])
def test_a_missing_or_doubled_file_is_named(tmp_path: Path, name: str) -> None:
    files = book_files()
    double = files | {f"again/{name}": files[name]}
    less = {other: content for other, content in files.items() if other != name}
    for number, (content, words) in enumerate([(less, f"no {name}"), (double, "more than one")]):
        source = book_zip(tmp_path / f"{number}.zip", content)
        assert words in complaint(source, tmp_path / "out")
        with zipfile.ZipFile(source) as archive:
            archive.extractall(tmp_path / f"folder{number}")
        assert words in complaint(tmp_path / f"folder{number}", tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"a": 1}, "list of words"),
        ([1, 2], "list of words"),
        (WORDS[:-1], "8 words"),
        ([*WORDS[:-1], "a"], "more than once"),
        ([w.strip("<>") for w in WORDS], "special tokens"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(tmp_path: Path, words: Any, reason: str) -> None:
    source = book_zip(tmp_path / "mine.zip", book_files(words))
    assert reason in complaint(source, tmp_path / "out")


def test_a_vocabulary_that_is_not_json_is_refused(tmp_path: Path) -> None:
    for content in (b"[", b"\xff\xfe", b"[" * 100_000):
        source = book_zip(tmp_path / "mine.zip", book_files() | {"vocab.json": content})
        assert "not valid JSON" in complaint(source, tmp_path / "out")


# What torch says from 2.14 on as it reads a sparse tensor.
@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants:UserWarning")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s.pop("encoder.pos_embedding"), "pos_embedding is missing"),
        (lambda s: s.pop("nsp.output.bias"), "nsp.output.bias is missing"),
        (lambda s: s.pop("encoder.blks.1.attention.W_q.bias"), "W_q.bias is missing"),
        (lambda s: s.update(extra=torch.ones(1)), "unknown extra"),
        (lambda s: s.update({"encoder.pos_embedding": torch.ones(16, 8)}), "shape (16, 8)"),
        (lambda s: s.update({"encoder.pos_embedding": torch.ones(3, 16, 8)}), "would fit"),
        (lambda s: s.update({"encoder.pos_embedding": torch.ones(1, 5000, 8)}), "5000"),
        (lambda s: s.update({"hidden.0.weight": torch.ones(9, 8)}), "would fit"),
        (lambda s: s.update({"encoder.blks.0.attention.W_k.weight": torch.ones(9, 8)}), "odd"),
        (lambda s: s.update({"encoder.blks.0.attention.W_k.bias": torch.tensor(1.0)}), "odd"),
        (lambda s: s.update(extra="text"), "tensors by name"),
        (lambda s: s.update(extra=torch.eye(2).to_sparse()), "tensors by name"),
        (lambda s: s.clear(), "is missing"),
    ],
)
def test_weights_that_are_no_bert_of_the_book_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    state = book_state()
    change(state)
    files = book_files() | {"pretrained.params": torch_bytes(state)}
    assert reason in complaint(book_zip(tmp_path / "mine.zip", files), tmp_path / "out")


def test_weights_that_are_no_state_dict_are_refused(tmp_path: Path) -> None:
    good = book_files()["pretrained.params"]
    for content in (b"", b"text", b"\x12\x01" + bytes(100), good[:-30], torch_bytes([1, 2])):
        files = book_files() | {"pretrained.params": content}
        message = complaint(book_zip(tmp_path / "mine.zip", files), tmp_path / "out")
        assert "pretrained.params" in message


def test_the_real_checkpoint_is_imported(d2l_checkpoint: Path, tmp_path: Path) -> None:
    report = import_d2l(d2l_checkpoint / "bert.small.torch.zip", tmp_path / "out")
    about = json.loads((d2l_checkpoint / "bert.small.expected.json").read_text(encoding="utf-8"))
    for name, value in about.items():
        if name in report:
            assert report[name] == value
    model, tokenizer, _ = checkpoint.load(tmp_path / "out")
    encoded = tokenizer.encode_pair("a crane driver came", "he just left", max_length=64)
    with torch.no_grad():
        vectors = model(pack([(encoded.input_ids, encoded.token_type_ids)]))
    assert tuple(vectors.shape) == (10, 256)


def judge_state() -> dict[str, torch.Tensor]:
    """The state dict of the book's BERTClassifier (16.7.3)."""
    state = {n: v for n, v in book_state().items() if not n.startswith(("mlm.", "nsp."))}
    torch.manual_seed(3)
    return state | {"output.weight": torch.randn(3, 8), "output.bias": torch.randn(3)}


@pytest.mark.parametrize("name", ["pretrained.params", "my.torch/judge.pt"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_a_classifier_of_the_book_becomes_a_judge(tmp_path: Path, name: str, prefix: str) -> None:
    state = judge_state()
    wrapped = {f"{prefix}{key}": value for key, value in state.items()}
    files = {"vocab.json": json.dumps(WORDS).encode(), name: torch_bytes(wrapped)}
    report = import_d2l(book_zip(tmp_path / "mine.zip", files), tmp_path / "out")
    assert report["task"] == "nli"
    assert report["labels"] == ["entailment", "contradiction", "neutral"]
    model, tokenizer, _ = checkpoint.load(tmp_path / "out")
    assert model.task == "nli"
    said = predict.classify(model, tokenizer, "a", "a a").probabilities
    encoded = tokenizer.encode_pair("a", "a a", max_length=16)
    with torch.no_grad():
        # The book's own way: the classifier upon the tanh layer of the first token.
        first = model(pack([(encoded.input_ids, encoded.token_type_ids)]))[0]
        hidden = torch.tanh(first @ state["hidden.0.weight"].T + state["hidden.0.bias"])
        book = (hidden @ state["output.weight"].T + state["output.bias"]).softmax(-1).tolist()
    for label, probability in zip(report["labels"], book, strict=True):
        assert said[label] == pytest.approx(probability, abs=1e-5)


def test_a_classifier_of_other_labels_is_refused(tmp_path: Path) -> None:
    state = judge_state() | {"output.weight": torch.ones(2, 8), "output.bias": torch.ones(2)}
    files = book_files(state=state)
    assert "(2, 8)" in complaint(book_zip(tmp_path / "mine.zip", files), tmp_path / "out")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4\nsize 9\n"


@pytest.mark.parametrize("name", ["vocab.json", "pretrained.params", None])
def test_pointers_of_git_lfs_are_named(tmp_path: Path, name: str | None) -> None:
    source = tmp_path / "mine.zip"
    if name is None:
        source.write_bytes(POINTER)
    else:
        book_zip(source, book_files() | {name: POINTER})
        with zipfile.ZipFile(source) as archive:
            archive.extractall(tmp_path / "unpacked")
        assert "Git LFS pointer" in complaint(tmp_path / "unpacked", tmp_path / "out")
    message = complaint(source, tmp_path / "out")
    assert "Git LFS pointer" in message and (name or "mine.zip") in message


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    state = book_state()
    state["encoder.blks.1.ffn.dense2.bias"][2] = bad
    message = complaint(book_zip(tmp_path / "mine.zip", book_files(state=state)), tmp_path / "out")
    assert "encoder.blks.1.ffn.dense2.bias" in message


@pytest.mark.parametrize(
    "words",
    [
        [*WORDS[:-1], "\ud800"],
        [*WORDS[:-1], "x" * 5_000_000, "x" * 5_000_000],
        [*WORDS[:-1], json.loads("[" * 400 + "]" * 400)],
    ],
)
def test_odd_words_get_a_short_sentence(
    tmp_path: Path, words: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    source = book_zip(tmp_path / "mine.zip", book_files(words))
    complaint(source, tmp_path / "out")
    assert parser.main(["import-d2l", str(source), "--out", str(tmp_path / "out")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.zip"]


def test_a_name_that_is_no_text_is_said_somehow(tmp_path: Path) -> None:
    source = book_zip(tmp_path / "m\udcff.zip")
    assert import_d2l(source, tmp_path / "out")["source"] == "m?.zip"
