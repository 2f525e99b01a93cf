"""SNLI's files and people's own tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bert_demo.config import UserError
from bert_demo.data.prepare import prepare_text, tokenize_nli
from bert_demo.data.snli import pairs, read_pairs_file, read_snli


def _write(path: Path, **columns: list[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_pairs_without_a_label_or_a_text_are_left_out(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "snli.parquet",
        premise=["A man.", "A man.", "A dog.", "", "A cat.", None],
        hypothesis=["A person.", "He runs.", "A cat.", "x", " \t", "y"],
        label=[0, -1, 2, 1, 1, 1],
    )
    texts = read_snli(path)
    assert texts.premises.to_pylist() == ["A man.", "A dog."]
    assert texts.hypotheses.to_pylist() == ["A person.", "A cat."]
    assert texts.labels.tolist() == [0, 2] and texts.labels.dtype == np.int8
    assert texts.left_out == 4 and len(texts) == 2


def test_a_file_that_is_not_snli_gets_a_sentence(tmp_path: Path) -> None:
    page = tmp_path / "page.parquet"
    page.write_text("<html></html>", encoding="utf-8")
    for path in (page, tmp_path / "none.parquet", _write(tmp_path / "a.parquet", premise=["a"])):
        with pytest.raises(UserError, match="columns premise, hypothesis, label"):
            read_snli(path)
    wrong = _write(tmp_path / "b.parquet", premise=["a"], hypothesis=["b"], label=[3])
    with pytest.raises(UserError, match="label 3"):
        read_snli(wrong)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.tsv",
            'id\tlabel\tPremise\thypothesis\n1\tentailment\tHe said "hi\tHe spoke\n'
            '2\t2\t"a ""b"" c"\td\n3\t-\tx\ty\n\n',
        ),
        (
            "a.csv",
            '\ufefflabel,premise,hypothesis\r\nEntailment,"He said ""hi",He spoke\r\n'
            'contradiction,"a ""b"" c",d\r\n-1,x,y\r\n',
        ),
        (
            "a.jsonl",
            '{"premise": "He said \\"hi", "hypothesis": "He spoke", "label": 0}\n\n'
            '{"premise": "a \\"b\\" c", "hypothesis": "d\\ud800", "label": "2"}\n'
            '{"premise": "", "hypothesis": "", "label": -1, "more": []}',
        ),
    ],
)
def test_tables_in_three_formats(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    texts = read_pairs_file(path)
    assert texts.premises.to_pylist() == ['He said "hi', 'a "b" c']
    assert texts.hypotheses.to_pylist() == ["He spoke", "d"]
    assert texts.labels.tolist() == [0, 2]
    assert texts.left_out == 1


@pytest.mark.parametrize(
    ("name", "contents", "sentence"),
    [
        ("a.tsv", b"premise\thypothesis\na\tb\n", "line 1: there is no column 'label'"),
        ("a.tsv", b"premise\thypothesis\tlabel\na\tb\tmaybe\n", "line 2: the label is 'maybe'"),
        ("a.tsv", b"premise\thypothesis\tlabel\na\tb\t3\n", "line 2: the label is '3'"),
        ("a.tsv", b"premise\thypothesis\tlabel\na\tb\n", "line 2: 2 columns; the first line has 3"),
        ("a.tsv", b"premise\thypothesis\tlabel\n\n \tb\t0\n", "line 3: the premise is empty"),
        ("a.csv", b"premise,hypothesis,label\na,b,0\nc,,1\n", "line 3: the hypothesis is empty"),
        ("a.csv", b'premise,hypothesis,label\na,"b"x,0\n', "line 2"),
        ("a.csv", b"premise,hypothesis,label\n", "no labelled pair"),
        ("a.csv", b"", "no labelled pair"),
        (
            "a.csv",
            b"premise,hypothesis,label\na,\xe9,0\n",
            "line 2: the file must be text",
        ),
        ("a.jsonl", b'{"premise": "a"\n', "line 1: it is not JSON"),
        ("a.jsonl", b"[1]\n", "line 1"),
        ("a.jsonl", b'{"premise": "a", "label": 0}', "there is no column 'hypothesis'"),
        ("a.jsonl", b'{"premise": 1, "hypothesis": "b", "label": 0}', "the premise is 1"),
        ("a.jsonl", b'{"premise": "a", "hypothesis": "b", "label": true}', "the label is True"),
        ("a.jsonl", b'{"premise": "a", "hypothesis": "b", "label": null}', "the label is None"),
        ("a.xlsx", b"PK", "must end in one of"),
    ],
)
def test_a_wrong_table_names_file_line_and_value(
    name: str, contents: bytes, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(contents)
    with pytest.raises(UserError, match=name) as caught:
        read_pairs_file(path)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_table_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("none.tsv", "folder.csv"):
        with pytest.raises(UserError, match="cannot be read"):
            read_pairs_file(tmp_path / name)


def test_rows_become_arrays() -> None:
    texts = pairs([("a", "b", 2)], left_out=3)
    assert (texts.premises[0].as_py(), texts.labels.tolist(), texts.left_out) == ("a", [2], 3)
    assert len(pairs([])) == 0


def test_raw_and_tokenised_splits_meet_in_one_vocabulary(real_data: Path) -> None:
    """Train is raw text, validation has spaces between tokens; both must be known alike."""
    _, tokenizer, _ = prepare_text("wikitext-2")
    rates = {}
    for split in ("train", "validation"):
        folder = real_data / "datasets/stanfordnlp/snli/plain_text"
        texts = read_snli(folder / f"{split}-00000-of-00001.parquet")
        nli = tokenize_nli(texts, tokenizer)
        ids = np.concatenate((nli.premise_ids, nli.hypothesis_ids))
        rates[split] = float((ids == tokenizer.unk_id).mean())
        assert not np.isin(ids, tokenizer.special_ids[1:]).any()
    assert rates["train"] == pytest.approx(0.0497, abs=0.001)
    assert rates["validation"] == pytest.approx(rates["train"], abs=0.002)
