"""The frames of the probe film, against the functions that answer one question at a time."""

from __future__ import annotations

import json
import statistics
import time

import pytest
import torch

import bert_demo
from bert_demo.config import model_config
from bert_demo.data.crane_world.probes import PROBES
from bert_demo.data.prepare import prepare_text
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.model.bert import BertModel
from bert_demo.runs.film import film_frame, separation


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
        assert [p for _, p in blank["words"]] == pytest.approx([p for _, p in expected], abs=1e-4)
    found = frame["similarities"]
    compared = bert_demo.compare(model, tokenizer, found["word"], found["labels"])
    matrix = torch.tensor(found["matrix"])
    torch.testing.assert_close(matrix, compared.centred, atol=1e-3, rtol=0)
    assert found["word"] == "crane"
    assert [found["senses"].count(s) for s in ("bird", "machine", "neck", "surname")] == [3] * 4
    pairs: dict[bool, list[float]] = {True: [], False: []}
    for i, one in enumerate(found["senses"]):
        for j, other in enumerate(found["senses"]):
            if i != j:
                pairs[one == other].append(float(compared.centred[i, j]))
    gap = statistics.mean(pairs[True]) - statistics.mean(pairs[False])
    assert frame["separation"] == pytest.approx(gap, abs=1e-3)


def test_senses_kept_apart_have_separation() -> None:
    senses = ["bird", "machine", "bird", "machine"]
    apart = torch.tensor([[1 if a == b else -1 for b in senses] for a in senses]).float()
    assert separation(apart, senses) == 2
    assert separation(torch.ones(4, 4), senses) == 0


def test_a_vocabulary_of_other_text_gets_sentences_it_can_read() -> None:

    text = "the second world ended in 1945 bank of was muddy river lent him ten dollars"
    tokenizer = Tokenizer.from_words([*SPECIAL_TOKENS, *text.split()])
    model = BertModel(model_config("tiny", "d2l", tokenizer.vocab_size, hidden_size=8))
    frame = film_frame(model, tokenizer)
    assert frame["blanks"][0]["text"] == "the second world <mask> ended in 1945"
    assert frame["similarities"]["word"] == "bank"


def test_a_frame_takes_next_to_no_time() -> None:
    _, tokenizer, _ = prepare_text("crane-world")
    model = BertModel(model_config("tiny", "recommended", tokenizer.vocab_size))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that a busy computer does not count
    try:
        film_frame(model, tokenizer)
        times = []
        for _ in range(10):
            begin = time.thread_time()
            film_frame(model, tokenizer)
            times.append(time.thread_time() - begin)
    finally:
        torch.set_num_threads(threads)
    assert min(times) < 0.025, "a few dozen milliseconds would be felt in every run"
