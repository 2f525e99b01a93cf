"""WikiText-2 read as the book reads it."""

from __future__ import annotations

import collections
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bert_demo.common.errors import UserError
from bert_demo.data.prepare import word_vocabulary
from bert_demo.data.tokenizer import SPECIAL_TOKENS
from bert_demo.data.wikitext import as_paragraphs, read_wikitext

LINES = [
    "",
    " = A heading = \n",
    " One sentence only . \n",
    " The crane flew . It landed . \n",
    " No full stop at all \n",
    " ΟΔΟΣ and CAFÉ . A\ufeffB . The . 5 . \n",
    " odd .  . gap . \n",
]


def _book(lines: list[str]) -> list[list[str]]:
    """D2L 15.9, _read_wiki, without its shuffling."""
    return [line.strip().lower().split(" . ") for line in lines if len(line.split(" . ")) >= 2]


def _lists(path: Path) -> list[list[str]]:
    paragraphs = read_wikitext(path)
    sentences, offsets = paragraphs.sentences.to_pylist(), paragraphs.paragraph_offsets
    assert offsets.dtype == np.int64 and offsets[-1] == len(sentences)
    return [sentences[a:b] for a, b in pairwise(offsets)]


def test_paragraphs_are_the_books(tmp_path: Path) -> None:
    path = tmp_path / "text.parquet"
    pq.write_table(pa.table({"text": LINES}), path)
    book = [[s for s in sentences if s.strip()] for sentences in _book(LINES)]
    assert _lists(path) == book
    assert book[0] == ["one sentence only ."]
    assert [len(sentences) for sentences in book] == [1, 2, 4, 2]


def test_empty_sentences_and_paragraphs_are_dropped() -> None:
    paragraphs = as_paragraphs([["a", "", "b"], ["", " "], [], ["c"]])
    assert paragraphs.sentences.to_pylist() == ["a", "b", "c"]
    assert paragraphs.paragraph_offsets.tolist() == [0, 2, 3]
    assert as_paragraphs([]).paragraph_offsets.tolist() == [0]


def test_a_file_that_is_not_wikitext_gets_a_sentence(tmp_path: Path) -> None:
    page, other = tmp_path / "page.parquet", tmp_path / "other.parquet"
    page.write_text("<html>403</html>", encoding="utf-8")
    pq.write_table(pa.table({"line": ["a"]}), other)
    for path in (page, other, tmp_path / "none.parquet"):
        with pytest.raises(UserError, match="column 'text'"):
            read_wikitext(path)


def test_the_vocabulary_is_ordered_by_frequency() -> None:
    sentences = pa.array(["b a b <unk>", " c a  b <mask>", "d <unk> <unk> <unk> c a"])
    assert word_vocabulary(sentences, 2) == [*SPECIAL_TOKENS, "b", "a", "c"]
    assert word_vocabulary(sentences, 1)[-1] == "d"


def test_the_real_text_has_the_books_figures(real_data: Path) -> None:
    path = real_data / "datasets/Salesforce/wikitext/wikitext-2-v1/train-00000-of-00001.parquet"
    lines = pq.read_table(path)["text"].to_pylist()
    book = _book(lines)
    assert _lists(path) == book

    counts = collections.Counter(w for sentences in book for s in sentences for w in s.split())
    vocabulary = word_vocabulary(read_wikitext(path).sentences, 5)
    assert len(vocabulary) == 20_256
    ordered = [w for w, n in counts.most_common() if n >= 5 and w != "<unk>"]
    assert vocabulary == [*SPECIAL_TOKENS, *ordered]

    # The book draws half of the second sentences, so its 43,631 pairs of at most 64 tokens are
    # one draw of many; they lie within 0.5% of each other.
    lengths = [[len(s.split()) for s in sentences] for sentences in book]
    draw = random.Random(0)
    fitting = 0
    for paragraph in lengths:
        for first, second in pairwise(paragraph):
            if draw.random() >= 0.5:
                second = draw.choice(draw.choice(lengths))
            fitting += first + second + 3 <= 64
    assert fitting == pytest.approx(43_631, rel=0.005)
