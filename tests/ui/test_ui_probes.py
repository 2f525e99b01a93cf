"""The handlers of the three tabs that probe a model, as plain functions over a real shelf."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS, BertConfig
from bert_demo.data.crane_world.probes import SENSES
from bert_demo.data.packing import pack
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.inference.attributions import attribute
from bert_demo.inference.contexts import compare
from bert_demo.inference.models import ModelShelf
from bert_demo.inference.predict import classify, encode, fill_mask
from bert_demo.inference.senses import sense_separation
from bert_demo.model import checkpoint, dropout
from bert_demo.model.bert import BertModel
from bert_demo.ui.parts import figures
from bert_demo.ui.parts.model_menu import offer
from bert_demo.ui.parts.moments import asked_of, moments_of
from bert_demo.ui.parts.view import in_words, sentence, view
from bert_demo.ui.tabs.blank import fill_blanks
from bert_demo.ui.tabs.follow_view import asked_for, follow_view
from bert_demo.ui.tabs.nli_examples import EXAMPLES, SAYINGS, right_label
from bert_demo.ui.tabs.nli_view import checks_view, judge, judgement_view, picked, remember
from bert_demo.ui.tabs.nli_why import Judged, edited, judged, why_view
from bert_demo.ui.tabs.words_contexts import BOOK, contexts_of, read_rows, ready_made
from bert_demo.ui.tabs.words_view import BY_CONTEXT, BY_SENSE, CENTRED, RAW, show_contexts

TEXTS = [t for senses in SENSES.values() for texts in senses.values() for t in texts]
BOOKS = {"he", "just", "left", "driver", "came", "over", "the"}
PAIRS = [(one.premise, one.hypothesis) for kind in EXAMPLES.values() for one in kind]
SEEN = {w for t in [*TEXTS, *(s for pair in PAIRS for s in pair)] for w in t.split()}
WORDS = sorted(SEEN | BOOKS)
TOKENIZER = Tokenizer.from_words([*SPECIAL_TOKENS, *WORDS])
CRANE, DEEP, NLI = "bundled/crane", "bundled/deep", "bundled/nli"
EVIL = "<img src=x onerror=alert(1)> a crane ${alert(2)} {{value}}"


def make(folder: Path, layers: int, task: str, **about: Any) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    dropout.seed_noise(layers)
    config = BertConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=16,
        num_hidden_layers=layers,
        intermediate_size=32,
        initializer_range=0.2,
    )
    checkpoint.save(folder, BertModel(config, task), TOKENIZER, about)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ModelShelf:
    root = tmp_path_factory.mktemp("shelf")
    run = {"run": {"corpus": "crane-world"}, "step": 7}
    make(root / "checkpoints/crane", 2, "pretraining", **run)
    make(root / "checkpoints/deep", 3, "pretraining")
    test = {"test": {"accuracy": 0.8125, "n": 2000}}
    make(root / "checkpoints/nli", 2, "nli", **run, scores=test)
    make(root / "runs/mine/model", 1, "pretraining")
    return ModelShelf(root / "checkpoints", root / "runs")


def blocks(part: Any, kind: str) -> Iterator[dict[str, Any]]:
    """Every block of a kind, however deep."""
    if isinstance(part, dict):
        if part.get("kind") == kind:
            yield part
        for value in part.values():
            yield from blocks(value, kind)
    elif isinstance(part, list):
        for value in part:
            yield from blocks(value, kind)


def words_of(part: Any) -> str:
    return " ".join(block["text"] for kind in ("heading", "text") for block in blocks(part, kind))


def shown(shelf: ModelShelf, models: list[str], name: str = "crane", **kwargs: Any) -> Any:
    word, rows = contexts_of(name)
    return show_contexts(shelf, models, word, rows, **{"layer": 2, **kwargs})


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
