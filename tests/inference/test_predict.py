"""Vectors, contexts, blanks and verdicts, each against the model called by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS, BertConfig
from bert_demo.data.packing import pack
from bert_demo.data.prepare import tokenize_nli
from bert_demo.data.snli import pairs as nli_pairs
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.inference import contexts, evaluation, predict, words
from bert_demo.inference.calibration import calibration_error
from bert_demo.model.bert import BertModel

TEXT = """
a an the crane bird is was flying driver came he just left lifts steel cr ##ane river in
man woman outside inside sleeping . , 's nobody cranes
"""
WORDS = TEXT.split()
STRANGE = (
    "🐦 🏗️ 👩‍🔬",
    "İstanbul'da bir vinç ığüşöç",
    "起重机在飞",
    "두루미가 난다",
    "a\x00crane\x1b[31m is\x07 flying",
    "crane \ud83d crane",
    "krane",
    "<cls> <sep> <pad> <unk>",
    "\u202eenarc a",
)


class Trained(NamedTuple):
    model: BertModel
    tokenizer: Tokenizer


def make(task: str, **overrides: Any) -> Trained:
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_words([*SPECIAL_TOKENS, *WORDS])
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=24,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=32,
        **overrides,
    )
    return Trained(BertModel(config, task), tokenizer)


@pytest.fixture
def pretrained() -> Trained:
    return make("pretraining")


@pytest.fixture
def classifier() -> Trained:
    return make("nli")


def ids_of(tokenizer: Tokenizer, tokens: str) -> list[int]:
    order = [*SPECIAL_TOKENS, *WORDS]
    return [order.index(token) for token in tokens.split()]


def test_encode_gives_the_shapes_of_the_book(pretrained: Trained) -> None:
    one = predict.encode(*pretrained, "a crane is flying")
    assert one.tokens == ["<cls>", "a", "crane", "is", "flying", "<sep>"]
    assert one.vectors.shape == (6, 24)
    assert one.hidden_states.shape == (3, 6, 24)
    assert [layer.shape for layer in one.attentions] == [(3, 6, 6)] * 2
    assert one.truncated == 0
    assert torch.equal(one.vectors, one.hidden_states[-1])
    torch.testing.assert_close(one.attentions[0].sum(-1), torch.ones(3, 6))
    pair = predict.encode(*pretrained, "a crane driver came", "he just left")
    assert pair.tokens[5] == pair.tokens[9] == "<sep>"
    assert pair.vectors.shape == (10, 24)


def test_encode_agrees_with_the_model_called_by_hand(pretrained: Trained) -> None:
    model, tokenizer = pretrained
    ids = ids_of(tokenizer, "<cls> a crane driver came <sep> he just left <sep>")
    model.eval()
    with torch.no_grad():
        wanted = model(pack([(ids, [0] * 6 + [1] * 4)]))
    found = predict.encode(model, tokenizer, "a crane driver came", "he just left")
    torch.testing.assert_close(found.vectors, wanted, rtol=1e-4, atol=1e-5)


def test_texts_encoded_together_are_as_if_alone(
    pretrained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [("a crane driver came", "he just left"), ("crane", None), ("the man is in", None)] * 3
    for limit in (8_192, 12):
        monkeypatch.setattr(predict, "BATCH_TOKENS", limit)
        for (text, pair), found in zip(texts, predict.encode_all(*pretrained, texts), strict=True):
            alone = predict.encode(*pretrained, text, pair)
            assert found.tokens == alone.tokens
            torch.testing.assert_close(found.hidden_states, alone.hidden_states)
            torch.testing.assert_close(found.attentions, alone.attentions)
    assert predict.encode_all(*pretrained, []) == []


def test_dropout_is_off_and_the_mode_comes_back(pretrained: Trained) -> None:
    model, _ = pretrained
    model.train()
    first = predict.encode(*pretrained, "a crane is flying")
    second = predict.encode(*pretrained, "a crane is flying")
    assert torch.equal(first.hidden_states, second.hidden_states)
    assert model.training
    first.vectors.mul_(2)  # a student's own tensor
    model.eval()
    with pytest.raises(UserError, match="empty"):
        predict.encode(*pretrained, " ")
    assert not model.training


def test_ten_thousand_words_are_cut_and_counted(pretrained: Trained, classifier: Trained) -> None:
    text = "crane " * 10_000
    assert predict.encode(*pretrained, text).truncated == 10_000 - 30
    assert predict.fill_mask(*pretrained, f"<mask> {text}").truncated == 10_001 - 30
    verdict = predict.classify(*classifier, text, "a man is sleeping")
    assert verdict.truncated == 10_004 - 29
    assert contexts.compare(*pretrained, "crane", [text, "a crane"]).vectors.shape == (2, 24)


@pytest.mark.parametrize("text", STRANGE)
def test_any_text_can_be_read(text: str, pretrained: Trained, classifier: Trained) -> None:
    encoding = predict.encode(*pretrained, text, text)
    assert torch.isfinite(encoding.hidden_states).all()
    assert encoding.tokens.count("<cls>") == 1
    assert sum(predict.classify(*classifier, text, text).probabilities.values()) == pytest.approx(1)
    assert len(predict.fill_mask(*pretrained, f"{text} <mask>")[0]) == 5
    words.unknown_words(pretrained.tokenizer, text)


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u3000", "\x00\x07"])
def test_a_text_without_a_word_is_refused(
    text: str, pretrained: Trained, classifier: Trained
) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: predict.encode(*pretrained, text),
        lambda: predict.encode(*pretrained, "a crane", text),
        lambda: predict.fill_mask(*pretrained, text),
        lambda: predict.classify(*classifier, text, "a man"),
        lambda: predict.classify(*classifier, "a man", text),
    ]
    for call in calls:
        with pytest.raises(UserError, match="is empty"):
            call()


def test_a_model_of_one_segment_reads_no_pair() -> None:
    trained = make("pretraining", type_vocab_size=1)
    assert predict.encode(*trained, "a crane").vectors.shape == (4, 24)
    with pytest.raises(UserError, match="one segment"):
        predict.encode(*trained, "a crane", "he left")


def test_compare_finds_the_word_and_measures_cosines(pretrained: Trained) -> None:
    texts = [
        "The CRANE's driver came",
        "cranes, a crane.",
        "a bird is flying <sep> the crane lifts steel",
        "crane",
    ]
    found = contexts.compare(*pretrained, "crane", texts)
    places = [2, 4, 7, 1]
    parts = [text.partition("<sep>") for text in texts]
    encodings = predict.encode_all(*pretrained, [(a, b or None) for a, _, b in parts])
    vectors = torch.stack([e.vectors[at] for e, at in zip(encodings, places, strict=True)])
    torch.testing.assert_close(found.vectors, vectors, rtol=1e-4, atol=1e-5)
    assert found.layer == 2
    table = vectors.double().numpy()
    for similarities, rows in (
        (found.similarities, table),
        (found.centred, table - table.mean(0)),
    ):
        lengths = np.linalg.norm(rows, axis=1)
        wanted = rows @ rows.T / np.outer(lengths, lengths)
        np.testing.assert_allclose(similarities.numpy(), wanted, atol=1e-4)


def test_compare_looks_into_any_layer(pretrained: Trained) -> None:
    # Layer 0 knows nothing of the neighbours: the same place gives the same vector.
    texts = ["a crane is flying", "the crane lifts steel", "a crane came"]
    found = contexts.compare(*pretrained, "crane", texts, layer=0)
    assert found.layer == 0
    torch.testing.assert_close(found.similarities, torch.ones(3, 3))
    assert found.centred.abs().max() == 0
    last = contexts.compare(*pretrained, "crane", texts, layer=2)
    assert torch.equal(last.vectors, contexts.compare(*pretrained, "crane", texts).vectors)
    assert last.similarities.min() < 0.9999
    for layer in (3, -4):
        with pytest.raises(UserError, match=f"layer is {layer}; it must be from 0"):
            contexts.compare(*pretrained, "crane", texts, layer=layer)


def test_compare_of_a_word_that_the_model_does_not_know(pretrained: Trained) -> None:
    # "xyzzy" is <unk> as well, so the word has to be found by its letters.
    found = contexts.compare(*pretrained, "krane", ["xyzzy kranes a krane", "Krane is flying"])
    encodings = [
        predict.encode(*pretrained, "xyzzy kranes a krane").vectors[4],
        predict.encode(*pretrained, "krane is flying").vectors[1],
    ]
    torch.testing.assert_close(found.vectors, torch.stack(encodings))


def test_compare_takes_the_mean_of_a_word_in_pieces() -> None:
    texts = ["the crane lifts the crate", "cranes and a crane", "a craning acrane"] * 20
    tokenizer = Tokenizer.train_wordpiece(texts, 100)
    torch.manual_seed(0)
    model = BertModel(BertConfig(tokenizer.vocab_size, 24, 2, 3, 40, 32))
    word = "cratecrane"
    pieces = tokenizer.encode(word)
    assert len(pieces) > 1
    found = contexts.compare(model, tokenizer, word, [f"the {word} lifts", f"cranes {word}"])
    for row, text in zip(found.vectors, (f"the {word} lifts", f"cranes {word}"), strict=True):
        begin = 1 + len(tokenizer.encode(text.split()[0]))
        vectors = predict.encode(model, tokenizer, text).vectors
        torch.testing.assert_close(row, vectors[begin : begin + len(pieces)].mean(0))
    with pytest.raises(UserError, match="does not have the word 'crane'"):
        contexts.compare(model, tokenizer, "crane", ["cranes", "a crane"])


@pytest.mark.parametrize(
    ("word", "texts", "sentence"),
    [
        ("crane", ["a crane"], "Comparing takes two or more texts, not 1."),
        ("crane", ["a crane", "a bird"], "The text 'a bird' does not have the word 'crane'."),
        ("crane", ["a crane", "two cranes"], "'two cranes' does not have the word 'crane'"),
        ("crane", ["a crane", ""], "is empty"),
        ("crane", ["a crane", "a <sep> crane <sep> b"], "more than one <sep>"),
        ("crane", ["a crane", "a " * 100 + "crane"], "'crane' lies beyond the 32 tokens"),
        ("crane", ["a crane", "a " * 99 + "<sep> b " + "a " * 50 + "crane"], "lies beyond"),
        (" ", ["a crane", "a crane"], "The word is ' '; it must be one word."),
        ("a crane", ["a crane", "a crane"], "it must be one word"),
        ("(", ["a crane", "a ("], "'a crane' does not have the word"),
    ],
)
def test_compare_refuses_with_a_sentence(
    word: str, texts: list[str], sentence: str, pretrained: Trained
) -> None:
    with pytest.raises(UserError) as error:
        contexts.compare(*pretrained, word, texts)
    assert sentence in str(error.value)


def test_fill_mask_agrees_with_the_head_called_by_hand(pretrained: Trained) -> None:
    model, tokenizer = pretrained
    ids = ids_of(tokenizer, "<cls> a <mask> is <mask> <sep>")
    model.eval()
    with torch.no_grad():
        vectors = model(pack([(ids, [0] * 6)]), torch.tensor([2, 4]))
        wanted = model.mlm(vectors).softmax(-1)
    found = predict.fill_mask(model, tokenizer, "A <mask> is [MASK]", top=3)
    for typed in ("A ___ is __", "a [mask] is ______"):
        assert predict.fill_mask(model, tokenizer, typed, top=3) == found
    with pytest.raises(UserError, match="no blank"):
        predict.fill_mask(model, tokenizer, "a snake__case is _")
    order = [*SPECIAL_TOKENS, *WORDS]
    for row, guesses in zip(wanted, found, strict=True):
        ranked = [i for i in row.argsort(descending=True).tolist() if i >= len(SPECIAL_TOKENS)]
        assert [token for token, _ in guesses] == [order[i] for i in ranked[:3]]
        assert [p for _, p in guesses] == pytest.approx(row[ranked[:3]].tolist(), rel=1e-4)


def test_fill_mask_never_guesses_a_special_token(pretrained: Trained) -> None:
    everything = predict.fill_mask(*pretrained, "a <mask>", top=1000)[0]
    assert sorted(token for token, _ in everything) == sorted(WORDS)


def test_rows_beyond_the_vocabulary_are_no_guess(pretrained: Trained) -> None:
    _, tokenizer = pretrained
    torch.manual_seed(0)
    model = BertModel(BertConfig(tokenizer.vocab_size + 30, 24, 1, 3, 40, 32))
    with torch.no_grad():
        model.mlm.decoder_bias[tokenizer.vocab_size :] = 5
    guesses = predict.fill_mask(model, tokenizer, "a <mask>", top=1000)[0]
    assert sorted(token for token, _ in guesses) == sorted(WORDS)
    assert sum(probability for _, probability in guesses) < 0.1


def test_fill_mask_refuses_with_a_sentence(pretrained: Trained, classifier: Trained) -> None:
    with pytest.raises(UserError, match="no blank; write <mask>"):
        predict.fill_mask(*pretrained, "a crane")
    with pytest.raises(UserError, match="no blank within the 30 tokens"):
        predict.fill_mask(*pretrained, "a " * 40 + "<mask>")
    with pytest.raises(UserError, match="cannot fill blanks"):
        predict.fill_mask(*classifier, "a <mask>")
    for top in (0, -1, 1.5, "5", True):
        with pytest.raises(UserError, match="top is"):
            predict.fill_mask(*pretrained, "a <mask>", top)  # type: ignore[arg-type]


def test_classify_agrees_with_the_head_called_by_hand(classifier: Trained) -> None:
    model, tokenizer = classifier
    ids = ids_of(tokenizer, "<cls> a man is sleeping <sep> nobody is sleeping <sep>")
    model.eval()
    with torch.no_grad():
        cls = model(pack([(ids, [0] * 6 + [1] * 4)]), torch.tensor([0]))
        wanted = model.nli_logits(cls).softmax(-1)[0]
    found = predict.classify(model, tokenizer, "A man is sleeping", "Nobody is sleeping")
    assert tuple(found.probabilities) == LABELS
    assert list(found.probabilities.values()) == pytest.approx(wanted.tolist(), abs=1e-5)
    assert found.label == LABELS[int(wanted.argmax())]


def test_pairs_classified_together_are_as_if_alone(
    classifier: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "BATCH_TOKENS", 30)
    pairs = [(" ".join(WORDS[i : 2 * i + 1]), " ".join(WORDS[: 9 - i])) for i in range(1, 9)]
    pairs = [*pairs, *reversed(pairs)]
    for pair, found in zip(pairs, predict.classify_all(*classifier, pairs), strict=True):
        alone = predict.classify(*classifier, *pair)
        assert found.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_a_hypothesis_can_be_judged_without_its_premise(classifier: Trained) -> None:
    model, tokenizer = classifier
    ids = ids_of(tokenizer, "<cls> <sep> nobody is sleeping <sep>")
    batch = pack([(ids, [0, 0, 1, 1, 1, 1])])
    with torch.no_grad():
        wanted = model.nli_logits(model.eval()(batch, batch.cls_positions)).softmax(-1)[0]
    pairs = [("a man is sleeping", "nobody is sleeping"), (None, "nobody is sleeping")]
    both = predict.classify_all(model, tokenizer, pairs)
    assert list(both[1].probabilities.values()) == pytest.approx(wanted.tolist(), abs=1e-5)
    together = predict.classify(model, tokenizer, "a man is sleeping", "nobody is sleeping")
    assert both[0].probabilities == pytest.approx(together.probabilities, abs=1e-5)
    assert predict.classify_all(model, tokenizer, [(None, "crane " * 29)])[0].truncated == 0
    assert predict.classify_all(model, tokenizer, [(None, "crane " * 33)])[0].truncated == 4
    for pair in ((None, " "), ("", "a man"), ("a man", "")):
        with pytest.raises(UserError, match="is empty"):
            predict.classify_all(model, tokenizer, [pair])


def test_a_pretrained_model_has_no_verdict(pretrained: Trained) -> None:
    with pytest.raises(UserError, match="fine-tune it first"):
        predict.classify(*pretrained, "a man", "a woman")


@pytest.mark.parametrize("limit", [8_192, 40])
def test_evaluate_counts_what_classify_says(
    limit: int, classifier: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    rows = []
    for i in range(50):
        lengths = generator.integers(1, 12, 2) if i else (60, 3)
        premise, hypothesis = (" ".join(generator.choice(WORDS, n)) for n in lengths)
        rows.append((premise, hypothesis, int(generator.integers(0, 2))))  # never label 2
    verdicts = predict.classify_all(*classifier, [row[:2] for row in rows])
    wanted = [[0] * 3 for _ in range(3)]
    for (_, _, true), verdict in zip(rows, verdicts, strict=True):
        wanted[true][LABELS.index(verdict.label)] += 1
    monkeypatch.setattr(predict, "BATCH_TOKENS", limit)
    data = tokenize_nli(nli_pairs(rows, left_out=7), classifier.tokenizer)
    found = evaluation.evaluate(*classifier, data)
    assert found["confusion"] == found.confusion == wanted
    assert list(found.items()) == list(dict(found).items()) and "seconds" in found
    with pytest.raises(KeyError):
        found["colour"]
    assert (found["n"], found["left_out"], found["truncated"]) == (50, 7, 1)
    assert found["accuracy"] == pytest.approx((wanted[0][0] + wanted[1][1]) / 50)
    share = found["accuracy"]
    assert found["standard_error"] == pytest.approx((share * (1 - share) / 50) ** 0.5)
    assert found["constant_accuracy"] == max(map(sum, wanted)) / 50
    logits = np.log([list(verdict.probabilities.values()) for verdict in verdicts])
    labels = np.array([true for *_, true in rows])
    assert found["ece"] == pytest.approx(calibration_error(logits, labels), abs=1e-3)
    assert found["examples_per_second"] == pytest.approx(50 / found["seconds"])
    alone = predict.classify_all(*classifier, [(None, hypothesis) for _, hypothesis, _ in rows])
    right = [v.label == LABELS[true] for v, (*_, true) in zip(alone, rows, strict=True)]
    assert found["hypothesis_only_accuracy"] == pytest.approx(sum(right) / 50)
    for i, label in enumerate(LABELS):
        scores = found["per_label"][label]
        said = sum(row[i] for row in wanted)
        assert scores["n"] == sum(wanted[i])
        assert scores["precision"] == pytest.approx(wanted[i][i] / said if said else 0)
        assert scores["recall"] == pytest.approx(wanted[i][i] / max(1, sum(wanted[i])))


def test_evaluate_refuses_with_a_sentence(pretrained: Trained, classifier: Trained) -> None:
    data = tokenize_nli(nli_pairs([("a man", "a woman", 2)]), classifier.tokenizer)
    with pytest.raises(UserError, match="fine-tune it first"):
        evaluation.evaluate(*pretrained, data)
    with pytest.raises(UserError, match="no labelled pairs"):
        evaluation.evaluate(*classifier, tokenize_nli(nli_pairs([]), classifier.tokenizer))


def test_unknown_words_are_named_once_and_bare(pretrained: Trained) -> None:
    tokenizer = pretrained.tokenizer
    assert words.unknown_words(tokenizer, "A Krane, a crane: krane.", "krane") == [
        "Krane",
        ":",
        "krane",
    ]
    assert words.unknown_words(tokenizer, "a <mask> is flying, the crane's bird.") == []
    assert words.unknown_words(tokenizer, "", " ") == []
