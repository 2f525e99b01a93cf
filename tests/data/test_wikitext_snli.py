"""WikiText-2 with SNLI's sentences: one corpus made of two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bert_demo.common.errors import UserError
from bert_demo.data.prepare import prepare_text
from bert_demo.data.snli import NliTexts, as_paragraphs, read_snli
from bert_demo.data.whereabouts import corpus_file, whereabouts


def test_a_premise_and_its_hypotheses_are_a_paragraph() -> None:
    rows = [
        ("A man isn't asleep.", "He's awake.", 0),
        ("A man isn't asleep.", "The man does n't sleep", 0),
        ("Two dogs play.", "Cats.", 2),
    ]
    premises, hypotheses, labels = zip(*rows, strict=True)
    texts = NliTexts(pa.array(premises), pa.array(hypotheses), np.array(labels, np.int8), 0)
    assert as_paragraphs(texts) == [
        ["a man isn 't asleep .", "he 's awake .", "the man doesn 't sleep"],
        ["two dogs play .", "cats ."],
    ]


def test_the_parts_are_whole(real_data: Path) -> None:
    together, tokenizer, report = prepare_text("wikitext-2-snli", "validation")
    wikitext, _, _ = prepare_text("wikitext-2", "validation", tokenizer=tokenizer)
    tokens = len(wikitext.token_ids)
    assert (together.token_ids[:tokens] == wikitext.token_ids).all()
    assert len(together.paragraph_offsets) > len(wikitext.paragraph_offsets)
    assert together.paragraph_offsets[-1] == len(together.sentence_offsets) - 1
    assert together.sentence_offsets[-1] == len(together.token_ids)
    first = len(wikitext.sentence_offsets) - 1
    begin, end = together.sentence_offsets[first : first + 2]
    premise = read_snli(corpus_file("snli", "validation").path).premises[0].as_py()
    assert together.token_ids[begin:end].tolist() == tokenizer.encode(premise)
    paragraphs = [len(text.paragraph_offsets) - 1 for text in (wikitext, together)]
    assert together.corpus_offsets is not None and wikitext.corpus_offsets is None
    assert together.corpus_offsets.tolist() == [0, *paragraphs]
    assert "local mirror" in report.sentence()
    place = whereabouts("wikitext-2-snli")
    assert str(place) == "the local mirror" and place.here


def test_it_has_no_files_of_its_own() -> None:
    with pytest.raises(UserError, match="ask for wikitext-2, snli"):
        corpus_file("wikitext-2-snli", "train")
