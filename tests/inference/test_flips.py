"""Each edit worked out by hand, and what a judge is said to make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.config import LABELS
from bert_demo.inference.edits import EDITS, edits, word_lists
from bert_demo.inference.flips import try_edits
from bert_demo.inference.predict import classify_all

FOLLOWS, OPEN, AGAINST = LABELS
JUDGE = Path(__file__).resolve().parents[2] / "checkpoints/bert-small-snli"
P = "a man is playing a guitar"

# name, premise, hypothesis, label before -> premise (None: empty), hypothesis, what may be right
MADE = [
    ("negate", P, "A man is playing.", FOLLOWS, P, "A man is not playing.", {AGAINST}),
    ("negate", P, "a man is not asleep", FOLLOWS, P, "a man is asleep", {AGAINST}),
    ("negate", P, "a man isn't asleep", AGAINST, P, "a man is asleep", {FOLLOWS}),
    ("negate", P, "The cook runs", OPEN, P, "It is not true that the cook runs", {OPEN}),
    ("negate", P, "all men are old", FOLLOWS, P, "it is not true that all men are old", {AGAINST}),
    ("another number", P, "Two dogs run", FOLLOWS, P, "Three dogs run", {AGAINST}),
    ("another number", P, "12 dogs run", OPEN, P, "13 dogs run", {OPEN, AGAINST}),
    ("hypernym", P, "A dog runs", FOLLOWS, P, "An animal runs", {FOLLOWS}),
    ("hypernym", P, "two dogs run", OPEN, P, "two animals run", {FOLLOWS, OPEN}),
    ("hypernym", P, "the women sing", FOLLOWS, P, "the people sing", {FOLLOWS}),
    ("antonym", P, "the man is happy", FOLLOWS, P, "the man is sad", {AGAINST}),
    ("antonym", "he is bad", "he is good", AGAINST, "he is bad", "he is bad", {FOLLOWS}),
    ("some for all", P, "all the men sing", FOLLOWS, P, "some of the men sing", {FOLLOWS}),
    ("some for all", P, "Every man sings", OPEN, P, "Some man sings", {FOLLOWS, OPEN}),
    ("some for all", "all dogs run", P, AGAINST, "some dogs run", P, {OPEN, AGAINST}),
    ("swap roles", P, "The old cook sold a boat", FOLLOWS, P, "A boat sold the old cook",
     {OPEN, AGAINST}),
    ("swap texts", P, "a man plays", FOLLOWS, "a man plays", P, {FOLLOWS, OPEN}),
    ("swap texts", P, "a man sleeps", AGAINST, "a man sleeps", P, {AGAINST}),
    ("drop an adjective", P, "an old man sings", FOLLOWS, P, "a man sings", {FOLLOWS}),
    ("drop an adjective", P, "a red apple", OPEN, P, "an apple", {FOLLOWS, OPEN}),
    ("drop an adjective", "a big dog runs", "it runs", OPEN, "a dog runs", "it runs", {OPEN}),
    ("empty premise", P, "a man sings", FOLLOWS, None, "a man sings", {OPEN}),
]  # fmt: skip
REFUSED = [
    ("another number", P, "one dog runs", "no number above one"),
    ("another number", P, "at least two dogs run", "behind “least”"),
    ("hypernym", P, "no dog runs", "behind “no”"),
    ("hypernym", P, "xyzzy", "list of wider words"),
    ("antonym", P, "he is not happy", "behind “not”"),
    ("antonym", P, "xyzzy", "list of opposites"),
    ("some for all", P, "some men sing", "neither text has “all”"),
    ("some for all", P, "not all men sing", "behind “not”"),
    ("swap roles", P, "a man met a woman", "“met” goes both ways"),
    ("swap roles", P, "dogs chase cats", "no two nouns"),
    ("swap texts", P, P.upper(), "the same"),
    ("drop an adjective", P, "he is old", "neither text has an adjective"),
]


@pytest.mark.parametrize("case", MADE, ids=lambda case: f"{case[0]}: {case[2]}")
def test_an_edit_is_as_worked_out_by_hand(case: tuple[str, ...]) -> None:
    name, premise, hypothesis, before, *expected = case
    found = {edit.name: edit for edit in edits(premise, hypothesis)}[name]
    assert found.applies, str(found.change)
    assert [found.premise, found.hypothesis, set(found.should[before])] == expected


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}: {case[2]}")
def test_an_edit_that_does_not_apply_says_why(case: tuple[str, ...]) -> None:
    name, premise, hypothesis, words = case
    found = {edit.name: edit for edit in edits(premise, hypothesis)}[name]
    assert not found.applies and words in str(found.change)


def test_every_edit_is_listed_for_any_text() -> None:
    for text in ("", " ", "…", "\x00", "İstanbul", "a " * 900, "not not not", "two " * 50, "the"):
        for pair in ((text, P), (P, text), (text, text)):
            assert [edit.name for edit in edits(*pair)] == list(EDITS)
    assert all(word == word.lower().strip() for words in word_lists().values() for word in words)


def test_what_comes_of_edits_is_judged() -> None:
    judge = bert_demo.load(JUDGE)[:2]
    pair = "two dogs are running", "two dogs are running"
    found = {flip.edit.name: flip for flip in try_edits(*judge, *pair, FOLLOWS)}
    asked = [(pair[0], "two dogs are not running"), (pair[0], "three dogs are running")]
    for name, verdict in zip(
        ("negate", "another number"), classify_all(*judge, asked), strict=True
    ):
        flip = found[name]
        assert flip.verdict is not None and flip.verdict.label == verdict.label
        assert flip.verdict.probabilities == pytest.approx(verdict.probabilities, abs=1e-5)
        assert flip.should == (AGAINST,)
        assert flip.as_it_should == (verdict.label == AGAINST)
    assert found["swap texts"].verdict is None and found["swap texts"].as_it_should is None
    # Without a label the model's own verdict is where it starts from.
    assert try_edits(*judge, *pair)[0].should == (AGAINST,)
    with pytest.raises(UserError, match="label is 'yes'"):
        try_edits(*judge, *pair, "yes")
