"""The book's mistake in Its words: what its button answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from bert_demo.common.errors import UserError
from bert_demo.inference.contexts import compare
from bert_demo.inference.entries import moment_id
from bert_demo.inference.models import ModelShelf
from bert_demo.inference.noisy import compare_with_dropout
from bert_demo.model.folders import moment_folder
from bert_demo.ui.tabs.words_contexts import BOOK, CRANES, contexts_of
from bert_demo.ui.tabs.words_dropout import dropout_view

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
MODEL, JUDGE = "bundled/bert-crane-world", "bundled/bert-small-snli"


@pytest.fixture
def shelf(tmp_path: Path) -> ModelShelf:
    return ModelShelf(CHECKPOINTS, tmp_path, tmp_path)


def shown(shelf: ModelShelf, model: str, name: str = CRANES, layer: float = 2) -> Any:
    return dropout_view(shelf, model, *contexts_of(name), layer)


def test_cosines_stand_beside_those_without_dropout(shelf: ModelShelf) -> None:
    finding, numbers, how = shown(shelf, MODEL)["blocks"]
    word, rows = contexts_of(CRANES)
    texts, senses = [row["text"] for row in rows], [row["sense"] for row in rows]
    model, tokenizer, _ = shelf.load(MODEL)
    off = compare(model, tokenizer, word, texts).similarities
    on = compare_with_dropout(model, tokenizer, word, texts).similarities
    n = range(len(texts))
    of_one = [(i, j) for i in n for j in n if i != j and senses[i] == senses[j]]
    of_two = [(i, j) for i in n for j in n if senses[i] != senses[j]]
    again = float(sum(on[i, i] for i in n) / len(n))
    expected = [["1.000", f"{again:.3f}"]] + [
        [f"{sum(float(cosines[at]) for at in pairs) / len(pairs):.3f}" for cosines in (off, on)]
        for pairs in (of_one, of_two)
    ]
    assert [row[1:] for row in numbers["rows"]] == expected
    assert f"by {1 - again:.3f} (1 less the cosine)" in finding["text"]
    assert "Two of different senses differ by 0." in finding["text"]
    assert "layer 2. It has no dropout of its own, so on is the book's: 20%" in how["text"]


def test_of_two_contexts_any_two_are_compared(shelf: ModelShelf) -> None:
    finding, numbers, how = shown(shelf, JUDGE, BOOK, layer=4)["blocks"]
    assert [row[0] for row in numbers["rows"]][1:] == ["Two different contexts"]
    assert "its own dropout: 5% of the activations and 5%" in how["text"]
    *_, off, on = numbers["rows"][1]
    again = float(numbers["rows"][0][2])
    assert float(on) < min(again, float(off))
    assert ("which is no more" in finding["text"]) == (float(off) >= again)


def test_it_is_asked_of_a_moment_too_and_of_nothing_else(tmp_path: Path) -> None:
    run = tmp_path / "mine"
    shutil.copytree(CHECKPOINTS / "bert-crane-world", run / "model")
    shutil.copytree(CHECKPOINTS / "bert-crane-world", moment_folder(run / "model", 40))
    shelf = ModelShelf(tmp_path / "none", tmp_path)
    assert "@40, layer 1." in shown(shelf, moment_id("run/mine", 40), layer=1)["blocks"][-1]["text"]
    assert dropout_view(shelf, None, *contexts_of(BOOK), 2)["blocks"] == []
    with pytest.raises(UserError, match="no model"):
        shown(shelf, "run/other")
    with pytest.raises(UserError, match="list of rows"):
        dropout_view(shelf, "run/mine", "crane", "crane", 2)
