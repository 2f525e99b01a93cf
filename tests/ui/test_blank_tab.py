"""What Fill in the blank shows, a token followed, the menu of models, moments, plain data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.small_shelf import CRANE, DEEP, NLI, blocks, words_of

from bert_demo.common.errors import UserError
from bert_demo.inference.models import ModelShelf
from bert_demo.inference.predict import fill_mask
from bert_demo.ui.parts import figures
from bert_demo.ui.parts.model_menu import offer
from bert_demo.ui.parts.moments import asked_of, moments_of
from bert_demo.ui.parts.view import sentence, view
from bert_demo.ui.tabs.blank import fill_blanks
from bert_demo.ui.tabs.follow_view import asked_for, follow_view


def test_every_blank_has_its_words(shelf: ModelShelf) -> None:
    text = "a [MASK] is flying over the <mask>"
    found = fill_blanks(shelf, CRANE, text, 4)
    model, tokenizer, _ = shelf.load(CRANE)
    expected = fill_mask(model, tokenizer, text, 4)
    bars = list(blocks(found, "bars"))
    assert [b["title"] for b in bars] == ["Blank 1", "Blank 2"]
    for bar, blank in zip(bars, expected, strict=True):
        assert [(row["label"], row["share"]) for row in bar["rows"]] == blank
    assert found["spoken"] == f"a {expected[0][0][0]} is flying over the {expected[1][0][0]}"


@pytest.mark.parametrize(
    ("model", "text", "top", "words"),
    [
        (None, "a <mask>", 5, "Choose a pretrained model"),
        (CRANE, "", 5, "text is empty"),
        (CRANE, "a crane", 5, "no blank"),
        (CRANE, "a <mask>", 0, "1 to 20"),
        (CRANE, "a <mask>", float("nan"), "1 to 20"),
        (CRANE, "<mask> " * 500, 5, "too long"),
        (NLI, "a <mask>", 5, "cannot fill blanks"),
    ],
)
def test_a_wrong_blank_is_refused(
    shelf: ModelShelf, model: Any, text: str, top: float, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        fill_blanks(shelf, model, text, top)


def test_a_token_is_followed_where_somebody_clicks(shelf: ModelShelf) -> None:
    texts = ["a crane is flying", "the crane came <sep> he just left", "a <mask> is flying"]
    summary = "Follow"
    for which, place, token in ((0, None, "crane"), (1, 6, "just"), (2, None, "<mask>")):
        found = follow_view(shelf, DEEP, texts, which, place, word="crane", summary=summary)
        (chips,), (where,) = blocks(found, "followed"), blocks(found, "attention")
        for heads, whole in zip(where["layers"], where["whole"], strict=True):
            for row, rows in zip(heads, whole, strict=True):
                assert rows[where["place"]] == pytest.approx([100 * w for w in row], abs=0.6)
        assert chips["tokens"][chips["place"]] == token and chips["texts"] == texts
        assert (chips["first"] < len(chips["tokens"])) == (which == 1)
        layers = np.array(where["layers"])
        assert layers.shape == (3, 2, len(chips["tokens"]))
        assert layers.sum(-1) == pytest.approx(1, abs=0.02)
        (table,) = blocks(found, "table")
        assert len(table["rows"]) == 4 and json.loads(json.dumps(found)) == found
    model, tokenizer, _ = shelf.load(DEEP)
    first = fill_mask(model, tokenizer, texts[2], 5)[0][0]
    assert table["rows"][-1][1].startswith(f"{first.token} ")
    assert "no masked-LM head" in words_of(follow_view(shelf, NLI, texts, summary=summary))
    for model_id, said in ((CRANE, "Crane World"), (DEEP, "cannot be told")):
        found = follow_view(shelf, model_id, texts, word="crane", summary=summary)
        assert said in words_of(list(blocks(found, "details"))[1])
    assert "does not have the word" in words_of(
        follow_view(shelf, CRANE, texts, word="heron", summary=summary)
    )
    assert follow_view(shelf, None, texts, summary=summary) == view()
    assert follow_view(shelf, CRANE, [" "], summary=summary) == view()
    for which, place in ((3, 1), (-1, 1), (True, 1), (None, None), (0, 99), (0, "1"), (0, True)):
        with pytest.raises(UserError):
            follow_view(shelf, CRANE, texts, which, place, summary=summary)
    with pytest.raises(UserError, match="at most 128"):
        follow_view(shelf, CRANE, ["a " * 200], summary=summary)
    assert asked_for(SimpleNamespace(cell=[1, 2])) == (1, 2)
    for row in (None, 3, [1], "12", [1, 2, 3]):
        assert asked_for(SimpleNamespace(cell=row)) == (None, None)


def test_the_menu_keeps_a_choice_and_takes_up_a_new_run(shelf: ModelShelf) -> None:
    entries, selected = offer(shelf, None, None, "", "")
    assert entries[-1].task == "nli" and selected == [entries[0].id]
    assert offer(shelf, "pretraining", [DEEP, "bundled/gone"], "", "")[1] == [DEEP]
    assert offer(shelf, "pretraining", [DEEP], "run/mine", "")[1] == ["run/mine"]
    assert offer(shelf, "pretraining", [DEEP], "run/mine", "run/mine")[1] == [DEEP]
    assert offer(shelf, "nli", None, "run/mine", "")[1] == [NLI]
    assert offer(shelf, "nli", NLI, "../x", "")[1] == [NLI]


def test_no_model_is_no_choice(tmp_path: Path) -> None:
    assert offer(ModelShelf(tmp_path, tmp_path), None, None, "", "") == ([], [])


def test_figures_show_markup_as_letters() -> None:
    assert figures.plain("<b>&amp;") == "&lt;b&gt;&amp;amp;"
    assert figures.plain("x" * 100).endswith("...")
    assert len(figures.plain("x" * 100)) == 60


def test_views_are_plain_data() -> None:
    assert view() == {"blocks": [], "spoken": ""}
    assert json.loads(json.dumps(sentence("No."))) == sentence("No.")


def test_the_slider_shows_moments_that_its_run_has_kept(shelf: ModelShelf, tmp_path: Path) -> None:
    run = "run/mine"
    assert moments_of(shelf, run, {}) == {"model": run, "steps": [], "at": None}
    kept = shelf.folder(run) / "moments"
    for step in (0, 12):
        shutil.copytree(shelf.folder(CRANE), kept / str(step))
    slider = moments_of(shelf, run, None)
    assert slider == {"model": run, "steps": [0, 12], "at": None}
    assert asked_of(shelf, run, slider | {"at": 12}) == "run/mine@12"
    assert moments_of(shelf, run, slider | {"at": 12}) == slider | {"at": 12}
    # Of another model, or what no browser can have meant.
    assert asked_of(shelf, CRANE, slider | {"at": 12}) == CRANE
    for at in (13, True, "12", [12], {}, 1e300, None):
        assert asked_of(shelf, run, slider | {"at": at}) == run
    assert moments_of(shelf, None, slider)["steps"] == moments_of(shelf, "run/no", 3)["steps"] == []
    then = fill_blanks(shelf, "run/mine@12", "a <mask> is flying", 3)
    as_now = fill_blanks(shelf, CRANE, "a <mask> is flying", 3)
    assert then["blocks"][1] == as_now["blocks"][1] and "@12" in words_of(then)

    # What moved is told since the moment before; before the first there is none.
    def folds(model: str) -> list[str]:
        found = follow_view(shelf, model, ["a <mask>"], summary="Follow")
        return [fold["summary"] for fold in blocks(found, "details")]

    shutil.rmtree(kept)
    for step in (3, 7):
        own = shutil.ignore_patterns("moments")
        shutil.copytree(shelf.folder(run), kept / str(step), ignore=own)
    assert folds("run/mine@3") == ["Follow"]
    told = follow_view(shelf, run, ["a <mask>"], summary="Follow")
    (table,) = (one for one in blocks(told, "table") if "since step 7" in one["caption"])
    assert {row[1] for row in table["rows"]} == {"0.0%"}
    shutil.rmtree(kept)
