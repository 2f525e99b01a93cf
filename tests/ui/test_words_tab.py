"""What Its words shows of contexts: senses, shapes, the untrained twin, and of wrong input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_shelf import CRANE, DEEP, EVIL, blocks, make, shown, words_of

from bert_demo.common.errors import UserError
from bert_demo.inference.contexts import compare
from bert_demo.inference.models import ModelShelf
from bert_demo.inference.predict import encode
from bert_demo.inference.senses import sense_separation
from bert_demo.ui.parts.view import in_words
from bert_demo.ui.tabs.words_contexts import BOOK, contexts_of, read_rows, ready_made
from bert_demo.ui.tabs.words_view import BY_CONTEXT, BY_SENSE, CENTRED, RAW, show_contexts


def test_the_books_sentences_are_the_defaults() -> None:
    word, rows = contexts_of(BOOK)
    assert word == "crane"
    assert [row["text"] for row in rows] == [
        "a crane is flying",
        "a crane driver came <sep> he just left",
    ]
    assert ready_made()[0] == (BOOK, BOOK)
    assert len(contexts_of("crane")[1]) == 24
    with pytest.raises(UserError, match="no ready-made contexts"):
        contexts_of("heron")


def test_shapes_and_numbers_are_those_of_the_book_s_functions(shelf: ModelShelf) -> None:
    found = shown(shelf, [CRANE], BOOK, untrained=False)
    table = list(blocks(found, "table"))[-1]
    model, tokenizer, _ = shelf.load(CRANE)
    first = encode(model, tokenizer, "a crane is flying").vectors
    pair = encode(model, tokenizer, "a crane driver came", "he just left").vectors
    assert [row[2] for row in table["rows"]] == ["(1, 6, 16)", "(1, 10, 16)"]
    for row, vectors in zip(table["rows"], (first, pair), strict=True):
        numbers = [float(x) for x in row[3].strip("[]").split(",")]
        assert numbers == pytest.approx(vectors[2, :3].tolist(), abs=1e-4)
    assert "Dropout is off" in words_of(found)


def test_the_heat_map_is_raw_or_centred(shelf: ModelShelf) -> None:
    word, rows = contexts_of("crane")
    model, tokenizer, _ = shelf.load(CRANE)
    expected = compare(model, tokenizer, word, [row["text"] for row in rows], layer=1)
    for likeness, matrix in ((RAW, expected.similarities), (CENTRED, expected.centred)):
        found = shown(shelf, [CRANE], layer=1, likeness=likeness, untrained=False)
        heat = next(c for c in blocks(found, "chart") if c["key"] == "likeness-0")
        assert np.array(heat["figure"]["data"][0]["z"]) == pytest.approx(matrix.numpy(), abs=1e-3)


def test_separation_stands_beside_that_of_the_untrained_twin(shelf: ModelShelf) -> None:
    word, rows = contexts_of("crane")
    texts, senses = [r["text"] for r in rows], [r["sense"] for r in rows]
    for untrained in (True, False):
        found = shown(shelf, [CRANE, DEEP], untrained=untrained)
        table = next(blocks(found, "table"))
        assert [row[0] for row in table["rows"]] == [
            "crane",
            "the same, untrained",
            "deep",
            "the same, untrained",
        ]
        for row, (model, tokenizer, _) in zip(
            table["rows"],
            (shelf.load(CRANE), shelf.twin(CRANE), shelf.load(DEEP), shelf.twin(DEEP)),
            strict=True,
        ):
            vectors = compare(model, tokenizer, word, texts, layer=2).vectors.numpy()
            expected = sense_separation(vectors, senses).difference
            assert float(row[3].replace("\u2212", "-")) == pytest.approx(expected, abs=0.006)
        assert table["rows"][0][3] in found["spoken"] and table["rows"][1][3] in found["spoken"]
        titles = [next(blocks(part, "heading"))["text"] for part in columns_of(found)]
        assert titles == ["crane", *(["crane, untrained"] if untrained else []), "deep"]
        assert ("random weights in this shape" in words_of(found)) == untrained
        for title in ("crane", "deep"):
            assert f"What {title} began with is not known" in words_of(found)


def test_the_twin_is_said_to_be_what_training_began_with_where_that_is_known(
    tmp_path: Path,
) -> None:
    beginning = {"seed": 3, "primed": True, "classifier_seed": None}
    make(tmp_path / "bundled/crane", 2, "pretraining", beginning=beginning)
    found = shown(ModelShelf(tmp_path / "bundled", tmp_path / "runs"), [CRANE])
    assert "the weights that its training began with" in words_of(found)
    assert "random weights" not in words_of(found)


def columns_of(found: Any) -> list[Any]:
    parts: list[Any] = next(blocks(found, "columns"))["parts"]
    return parts


def test_a_model_with_fewer_layers_shows_its_last(shelf: ModelShelf) -> None:
    found = shown(shelf, [DEEP, CRANE], layer=3, untrained=False)
    assert "layer 3 of 3" in words_of(columns_of(found)[0])
    assert "layer 2 of 2" in words_of(columns_of(found)[1])
    assert "before any context" in words_of(shown(shelf, [CRANE], layer=0))


def test_the_map_is_coloured_by_sense_or_context(shelf: ModelShelf) -> None:
    for colour, names in ((BY_SENSE, ["bird", "machine"]), (BY_CONTEXT, ["1", "2"])):
        found = shown(shelf, [CRANE], BOOK, colour=colour, untrained=False)
        traces = next(c for c in blocks(found, "chart") if c["key"] == "map-0")["figure"]["data"]
        assert [trace["name"] for trace in traces] == names


def test_contexts_without_senses_ask_for_them(shelf: ModelShelf) -> None:
    rows = [{"text": "a crane is flying", "sense": ""}, {"text": "the crane came", "sense": ""}]
    found = show_contexts(shelf, [CRANE], "crane", rows, 2)
    assert "Give the contexts senses" in words_of(found)
    # Three contexts, or one sense of many, tell nothing: no number stands above them.
    for senses in ("xxy", "xyz", "xxxxy", "xxxx"):
        few = [{"text": f"{'a ' * i}crane is flying", "sense": s} for i, s in enumerate(senses)]
        found = show_contexts(shelf, [CRANE], "crane", few, 2)
        assert "it cannot be told whether the model keeps the senses apart" in words_of(found)
        assert found["spoken"] == f"'crane' in {len(senses)} contexts"
    # Rows without a sense are left out of the separation, not a sense of their own.
    word, more = contexts_of("crane")
    with_strangers = show_contexts(shelf, [CRANE], word, [*more, *rows], 2)
    table = next(blocks(with_strangers, "table"))
    assert table["rows"][0][1:] == next(blocks(shown(shelf, [CRANE]), "table"))["rows"][0][1:]


def test_the_word_is_counted_in_the_training_text(shelf: ModelShelf) -> None:
    found = words_of(shown(shelf, [CRANE, DEEP]))
    assert "crane met 'crane' " in found and "times among the" in found
    assert "How often deep met 'crane' in training is not known here." in found
    rows = [{"text": t, "sense": ""} for t in ("a zyx is flying", "the zyx came")]
    found = words_of(show_contexts(shelf, [CRANE], "zyx", rows, 2))
    assert "crane does not know 'zyx' and reads <unk>" in found


@pytest.mark.parametrize(
    ("models", "word", "rows", "words"),
    [
        ([], "crane", None, "Choose one to 3 models"),
        (None, "crane", None, "Choose one to 3 models"),
        (["bundled/none"], "crane", None, "no model 'bundled/none'"),
        (["../etc"], "crane", None, "choose one from the list"),
        ([CRANE], "", None, "must be one word"),
        ([CRANE], "heron", None, "does not have the word 'heron'"),
        ([CRANE], "crane", [{"text": "a crane"}, {"text": " "}], "two sentences or more"),
        ([CRANE], "crane", "a crane", "must be a list of rows"),
        ([CRANE], "crane", ["a crane", "the crane"], "must be a list of rows"),
        ([CRANE], "crane", [{"text": "a crane"}] * 101, "at most 100 fit"),
        ([CRANE], "crane", [{"text": "crane " * 900}] * 2, "at most 2,000 letters"),
    ],
)
def test_wrong_input_is_a_sentence_in_place(
    shelf: ModelShelf, models: Any, word: str, rows: Any, words: str
) -> None:
    given = contexts_of("crane")[1] if rows is None else rows
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        show_contexts(shelf, models, word, given, 2)
    found = in_words(show_contexts)(shelf, models, word, given, 2)
    assert words in found["spoken"] and found["blocks"][0]["tone"] == "alert"


def test_an_unexpected_error_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Any:
        raise ValueError("secret path")

    found = in_words(broken)()
    assert "secret" not in json.dumps(found)
    assert "secret path" in caplog.text


def test_typed_text_reaches_figures_letter_for_letter(shelf: ModelShelf) -> None:
    rows = [{"text": EVIL, "sense": "<b>x</b>"}, {"text": "a crane is flying", "sense": "y"}]
    found = show_contexts(shelf, [CRANE], "crane", rows, 2)
    for chart in blocks(found, "chart"):
        drawn = json.dumps(chart["figure"])
        assert "<img" not in drawn and "<b>" not in drawn
    assert list(blocks(found, "table"))[-1]["rows"][0][1] == EVIL


def test_many_contexts_stay_light(shelf: ModelShelf) -> None:
    rows = contexts_of("crane")[1] * 4
    found = show_contexts(shelf, [CRANE, DEEP, "run/mine"], "crane", rows, 2)
    assert len(json.dumps(found)) < 600_000


def test_rows_are_read_with_care() -> None:
    texts, senses = read_rows([{"text": " a b "}, {}, {"text": "c", "sense": " s ", "more": 1}])
    assert (texts, senses) == (["a b", "c"], ["", "s"])
