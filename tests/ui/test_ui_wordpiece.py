"""The probing tabs with a WordPiece model, and with models that have one title."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("gradio")

from bert_demo.config import BertConfig
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference import predict
from bert_demo.inference.models import ModelShelf
from bert_demo.model import checkpoint, dropout
from bert_demo.model.bert import BertModel
from bert_demo.ui.parts.model_menu import choices
from bert_demo.ui.tabs.blank import fill_blanks
from bert_demo.ui.tabs.words_view import show_contexts

TOKENIZER = Tokenizer.train_wordpiece(["a crane is flying", "the cranes came", "a cab"] * 3, 100)
ROWS = [{"text": "a craning man", "sense": ""}, {"text": "the craning came", "sense": ""}]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ModelShelf:
    root = tmp_path_factory.mktemp("shelf")
    config = BertConfig(
        vocab_size=TOKENIZER.vocab_size, hidden_size=16, num_hidden_layers=1, intermediate_size=32
    )
    about = {"run": {"corpus": "crane-world"}, "step": 7}
    for name in ("one", "two"):
        dropout.seed_noise(1)
        folder = root / "runs" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"title": "tiny"}))
        model = BertModel(config, "pretraining")
        checkpoint.save(folder / "model", model, TOKENIZER, about)
    return ModelShelf(root / "none", root / "runs")


def words_of(part: Any) -> str:
    return " ".join(b["text"] for b in part["blocks"] if b["kind"] in ("text", "heading"))


def test_a_word_in_pieces_says_so(shelf: ModelShelf) -> None:
    pieces = TOKENIZER.tokens(TOKENIZER.encode("craning"))
    assert len(pieces) > 1
    found = words_of(show_contexts(shelf, ["run/one"], "craning", ROWS, 1))
    assert f"reads the word in {len(pieces)} pieces, {' '.join(pieces)};" in found
    assert "pieces of words of its training text" in found
    rows = [{"text": f"{word} crane's cab", "sense": ""} for word in ("a", "the")]
    found = words_of(show_contexts(shelf, ["run/one"], "crane's", rows, 1))
    assert "crane <unk>" in found and "does not know" not in found
    rows = [{"text": "a crane came", "sense": ""}, {"text": "the crane is a cab", "sense": ""}]
    assert "pieces," not in words_of(show_contexts(shelf, ["run/one"], "crane", rows, 1))


def test_an_unknown_word_is_named_once(shelf: ModelShelf) -> None:
    rows = [{"text": "a \u4e2dx came", "sense": ""}, {"text": "the \u4e2dX came", "sense": ""}]
    found = words_of(show_contexts(shelf, ["run/one"], "\u4e2dx", rows, 1))
    assert "Unknown to it" not in found


def test_a_piece_joins_the_word_before_it(
    shelf: ModelShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [[("##s", 0.5), ("the", 0.1)], [("a", 0.5), ("##c", 0.1)]]
    monkeypatch.setattr(predict, "fill_mask", lambda *_: found)
    shown = fill_blanks(shelf, "run/one", "the crane <mask> saw [MASK] cab", 2)
    assert shown["spoken"] == "the cranes saw a cab"
    assert "goes on the word before it" in words_of(shown)
    monkeypatch.setattr(predict, "fill_mask", lambda *_: [[("the", 0.5)]])
    assert "##" not in words_of(fill_blanks(shelf, "run/one", "a <mask>", 1))


def test_models_of_one_title_are_told_apart(shelf: ModelShelf) -> None:
    lines = choices(shelf.entries())
    assert sorted(lines) == [
        ("tiny (pretrained, Crane World, 0.0 M) one", "run/one"),
        ("tiny (pretrained, Crane World, 0.0 M) two", "run/two"),
    ]
    assert choices(shelf.entries()[:1])[0][0] == "tiny (pretrained, Crane World, 0.0 M)"
    shown = show_contexts(shelf, ["run/one", "run/two"], "craning", ROWS, 1, untrained=False)
    columns = next(block for block in shown["blocks"] if block["kind"] == "columns")
    assert [part[0]["text"] for part in columns["parts"]] == ["tiny one", "tiny two"]
