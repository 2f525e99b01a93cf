"""The frames of the probe film, against the functions that answer one question at a time."""

from __future__ import annotations

import json
import statistics

import pytest
import torch

import bert_demo
from bert_demo.config import model_config
from bert_demo.data.crane_world.probes import PROBES
from bert_demo.data.prepare import prepare_text
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.model.bert import BertModel
from bert_demo.runs.events import COLLAPSED
from bert_demo.runs.film import film_frame


@pytest.mark.parametrize("vocabulary", ["word", "wordpiece"])
def test_a_frame_says_what_the_model_would(vocabulary: str) -> None:
    _, tokenizer, _ = prepare_text("crane-world", vocabulary=vocabulary, vocab_size=1000)
    torch.manual_seed(0)
    model = BertModel(model_config("tiny", "recommended", tokenizer.vocab_size, hidden_size=32))
    model.train()
    frame = film_frame(model, tokenizer)
    assert model.training
    assert json.loads(json.dumps(frame)) == frame
    assert len(frame["blanks"]) == 8
    assert {blank["text"] for blank in frame["blanks"]} <= {text for text, _ in PROBES}
    for blank in frame["blanks"]:
        (expected,) = bert_demo.fill_mask(model, tokenizer, blank["text"])
        assert [word for word, _ in blank["words"]] == [word for word, _ in expected]
        assert [p for _, p in blank["words"]] == pytest.approx([p for _, p in expected], abs=6e-4)
    found = frame["similarities"]
    compared = bert_demo.compare(model, tokenizer, found["word"], found["labels"])
    matrix = torch.tensor(found["matrix"])
    torch.testing.assert_close(matrix, compared.centred, atol=6e-3, rtol=0)
    assert found["word"] == "crane"
    assert [found["senses"].count(s) for s in ("bird", "machine", "neck", "surname")] == [6] * 4
    pairs: dict[bool, list[float]] = {True: [], False: []}
    for i, one in enumerate(found["senses"]):
        for j, other in enumerate(found["senses"]):
            if i != j:
                pairs[one == other].append(float(compared.centred[i, j]))
    gap = statistics.mean(pairs[True]) - statistics.mean(pairs[False])
    assert frame["separation"] == pytest.approx(gap, abs=1e-3)


def test_a_model_that_tells_no_words_apart_is_known_by_its_frame() -> None:
    _, tokenizer, _ = prepare_text("crane-world")
    model = BertModel(model_config("tiny", "d2l", tokenizer.vocab_size, hidden_size=32))
    assert film_frame(model, tokenizer)["alike"] < COLLAPSED
    with torch.no_grad():
        for table in (model.embeddings.word_embeddings, model.embeddings.position_embeddings):
            table.weight.zero_()
    assert film_frame(model, tokenizer)["alike"] == pytest.approx(1, abs=1e-3)


def test_a_vocabulary_of_other_text_gets_sentences_it_can_read() -> None:
    text = "the second world ended in 1945 bank of was muddy river lent him ten dollars"
    tokenizer = Tokenizer.from_words([*SPECIAL_TOKENS, *text.split()])
    model = BertModel(model_config("tiny", "d2l", tokenizer.vocab_size, hidden_size=8))
    frame = film_frame(model, tokenizer)
    assert frame["blanks"][0]["text"] == "the second world <mask> ended in 1945"
    assert frame["similarities"]["word"] == "bank"


def test_a_frame_is_one_pass_over_a_few_sentences() -> None:
    """A frame is drawn every few steps, so it has to cost next to nothing beside them."""
    _, tokenizer, _ = prepare_text("crane-world")
    model = BertModel(model_config("tiny", "recommended", tokenizer.vocab_size))
    passes: list[int] = []
    model.register_forward_hook(lambda _, given, __: passes.append(len(given[0].input_ids)))
    scored: list[int] = []
    model.mlm.register_forward_hook(lambda _, given, __: scored.append(len(given[0])))
    for _ in range(2):
        film_frame(model, tokenizer)
    assert len(passes) == 2 and passes[0] == passes[1] < 450  # tokens
    assert scored == [8, 8], "only the blanks are asked about all words"
