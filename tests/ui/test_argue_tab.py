"""What Argue shows: a verdict, why, what flips it, the history, and of wrong pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.small_shelf import CRANE, EVIL, NLI, PAIRS, TOKENIZER, blocks, make, words_of

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS
from bert_demo.data.packing import pack
from bert_demo.inference.attributions import attribute
from bert_demo.inference.models import ModelShelf
from bert_demo.inference.predict import classify
from bert_demo.ui.parts.view import view
from bert_demo.ui.tabs.nli_examples import EXAMPLES, SAYINGS, right_label
from bert_demo.ui.tabs.nli_view import checks_view, judge, judgement_view, picked, remember
from bert_demo.ui.tabs.nli_why import Judged, edited, judged, why_view


def test_a_verdict_in_words_bars_and_both_directions(shelf: ModelShelf) -> None:
    premise, hypothesis = PAIRS[0]
    model, tokenizer, _ = shelf.load(NLI)
    found = judge(shelf, NLI, f" {premise} ", hypothesis)
    expected = classify(model, tokenizer, premise, hypothesis)
    assert found.verdict.label == expected.label
    assert list(found.verdict.probabilities) == list(LABELS)
    assert found.verdict.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
    swapped = classify(model, tokenizer, hypothesis, premise)
    assert found.swapped.probabilities == pytest.approx(swapped.probabilities, abs=1e-5)
    ids = [TOKENIZER.cls_id, TOKENIZER.sep_id, *TOKENIZER.encode(hypothesis), TOKENIZER.sep_id]
    batch = pack([(ids, [0, 0] + [1] * (len(ids) - 2))])
    with torch.no_grad():
        alone = model.nli_logits(model(batch, batch.cls_positions)).softmax(-1)[0]
    assert list(found.alone.probabilities.values()) == pytest.approx(alone.tolist(), abs=1e-5)
    drawn = judgement_view(found, remember(found, []))
    bars = [*blocks(drawn, "bars"), *blocks(checks_view(found, []), "bars")]
    assert len(bars) == 3
    assert all([row["label"] for row in bar["rows"]] == list(SAYINGS.values()) for bar in bars)
    assert "With no premise the model " in words_of(drawn)
    assert "premise left empty, " not in words_of(drawn)  # nobody measured it
    assert "Test accuracy 81.2% on 2,000 pairs." in words_of(drawn)
    assert drawn["spoken"] == next(blocks(drawn, "text"))["text"]


def test_guesses_without_a_premise_are_as_often_right_as_was_measured(tmp_path: Path) -> None:
    test = {"accuracy": 0.8125, "n": 2000, "hypothesis_only_accuracy": 0.4567}
    make(tmp_path / "bundled/nli", 2, "nli", run={"corpus": "snli"}, scores={"test": test})
    measured = ModelShelf(tmp_path / "bundled", tmp_path / "runs")
    found = words_of(judgement_view(judge(measured, NLI, *PAIRS[0]), []))
    assert (
        "On 2,000 test pairs with the premise left empty, 45.7% of this model's verdicts are right"
        in found
    )


def test_history_keeps_the_latest_first_and_each_once(shelf: ModelShelf) -> None:
    history: list[list[str]] = []
    for premise, hypothesis in [PAIRS[0], PAIRS[1], PAIRS[0]]:
        history = remember(judge(shelf, NLI, premise, hypothesis), history)
    assert [row[0] for row in history] == [PAIRS[0][0], PAIRS[1][0]]
    assert picked(history, 1) == PAIRS[1]
    for row in (2, -1, None, "0", True, 0.0):
        with pytest.raises(UserError, match="no longer there"):
            picked(history, row)
    (shown,) = blocks(checks_view(None, history), "table")
    assert shown["picks"] and [row[:2] for row in shown["rows"]] == [row[:2] for row in history]
    for number in range(60):
        found = judge(shelf, NLI, "a man " * (number + 1), "a dog")
        history = remember(found, history)
    assert len(history) == 50


def test_the_model_says_and_the_learner_has_said_before(shelf: ModelShelf) -> None:
    premise, hypothesis = PAIRS[0]
    plain = judge(shelf, NLI, premise, hypothesis)
    its, right = plain.verdict.label, right_label(premise, hypothesis)
    sure = f"{plain.verdict.probabilities[its]:.0%}"
    words = judgement_view(plain, [])["spoken"]
    assert words.startswith(f"The model says: {SAYINGS[its]} ({sure} sure)")
    assert right == "entailment" and ("and that is right" in words) == (its == right)
    for said in LABELS:
        found = judge(shelf, NLI, premise, hypothesis, said)
        drawn = judgement_view(found, remember(found, []))
        assert ("You agree. " in drawn["spoken"]) == (said == its)
        yours = int(said == right)
        assert f"Plain pairs: you {yours}, it {int(its == right)} of 1" in words_of(drawn)
    for said in (None, "", "maybe", 3, ["entailment"]):
        assert judge(shelf, NLI, premise, "a man is out", said).said is None


def test_why_and_what_flips_stand_beside_each_other(shelf: ModelShelf) -> None:
    pair = "a man is playing a guitar", "two men are sleeping"
    of = judged(judge(shelf, NLI, *pair, "contradiction"))
    assert of == Judged(NLI, *pair, "contradiction", "said")
    assert judged(judge(shelf, NLI, *PAIRS[0], "contradiction"))[3:] == (LABELS[0], "known")
    assert judged(judge(shelf, NLI, *pair)).source == "model"
    found = why_view(shelf, of)
    model, tokenizer, _ = shelf.load(NLI)
    expected = attribute(model, tokenizer, *pair)
    (drawn,) = blocks(found, "effects")
    words = [word for line in drawn["lines"] for word in line["words"]]
    assert [word[0] for word in words] == " ".join(pair).split()
    for word, effect in zip(words, expected.words, strict=True):
        assert word[1:] == pytest.approx([100 * effect.gradient, 100 * effect.left_out], abs=0.06)
    assert f"{expected.steps} steps" in words_of(found)
    (table,) = blocks(found, "table")
    # What does not apply is greyed, below, with its reason, and no click asks for it.
    assert table["tones"].index("muted") + table["tones"].count("muted") == len(table["rows"]) == 9
    none = [i for i, tone in enumerate(table["tones"]) if tone == "muted"]
    assert "Some for all: neither text has" in " ".join(table["rows"][i][0] for i in none)
    assert set(none) < set(table["fixed"])
    assert edited(of, 0) == (pair[0], "two men are not sleeping")
    for row in (-1, 9, True, "0", None, *table["fixed"]):
        with pytest.raises(UserError, match=r"no longer there|leaves no pair"):
            edited(of, row)
    assert why_view(shelf, None) == view() and json.loads(json.dumps(found)) == found
    many = why_view(shelf, Judged(NLI, "a man " * 90, "a dog", LABELS[0], "model"))
    assert "for at most 100" in words_of(many) and next(blocks(many, "table"))["rows"]


def test_of_nonsense_the_model_is_said_to_know_nothing(shelf: ModelShelf) -> None:
    drawn = judgement_view(judge(shelf, NLI, "qwz xyzzy", "frob qwz"), [])
    assert "what it says means nothing" in words_of(drawn)


def test_every_example_has_a_label_and_stands_once() -> None:
    assert len(PAIRS) == len(set(PAIRS)) >= 15
    assert {one.right for kind in EXAMPLES.values() for one in kind} == set(LABELS)
    assert right_label("He is good ", "he is bad") == "contradiction", "the book's own"
    assert right_label("he is bad", "he is good") is None


@pytest.mark.parametrize(
    ("model", "premise", "hypothesis", "words"),
    [
        (None, "a", "b", "Choose a fine-tuned model"),
        (CRANE, "a dog", "a man", "no classifier yet"),
        (NLI, " ", "b", "premise is empty"),
        (NLI, "a", "", "hypothesis is empty"),
        (NLI, "a" * 3000, "b", "premise is too long"),
        (NLI, 3, "b", "premise is empty"),
    ],
)
def test_a_wrong_pair_is_refused(
    shelf: ModelShelf, model: Any, premise: Any, hypothesis: str, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        judge(shelf, model, premise, hypothesis)


def test_unknown_words_are_named(shelf: ModelShelf) -> None:
    found = judge(shelf, NLI, "a zyx is sleeping", EVIL)
    assert "zyx" in found.unknown
    assert "<unk> instead: zyx" in words_of(judgement_view(found, []))
