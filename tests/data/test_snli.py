"""SNLI's files and people's own tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bert_demo.common.errors import UserError
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
        ("a.csv", b"", "is empty"),
        ("a.csv", b"premise,hypothesis,label\na,\xcd\xe8\xea" + b"\xf2\xee" * 99, "other encoding"),
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


ROWS = [("A man\u2028sleeps", "He; sleeps", 0), ("A dog, \x1eruns", "A cat\x85sits", 2)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("name", "separator"),
    [
        ("a.csv", ","),
        ("a.csv", ";"),
        ("a.csv", "|"),
        ("a.txt", ";"),
        ("a.tsv", ","),
        ("a.csv", "\t"),
    ],
)
def test_a_table_as_programs_write_it(
    tmp_path: Path, name: str, separator: str, encoding: str, end: str
) -> None:
    with (tmp_path / name).open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator=end)
        writer.writerows([("hypothesis", "id", "label", "premise")])
        writer.writerows((hypothesis, 7, label, premise) for premise, hypothesis, label in ROWS)
    texts = read_pairs_file(tmp_path / name)
    assert texts.premises.to_pylist() == [row[0] for row in ROWS]
    assert texts.hypotheses.to_pylist() == [row[1] for row in ROWS]
    assert texts.labels.tolist() == [0, 2] and texts.left_out == 0 and texts.numbered


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-16-be"])
def test_a_table_is_read_in_the_encodings_of_texts(tmp_path: Path, encoding: str) -> None:
    table = "premise,hypothesis,label\nUn café à Paris,“Größe”,neutral\n"
    path = tmp_path / "a.csv"
    path.write_bytes(table.encode(encoding))
    texts = read_pairs_file(path)
    assert texts.premises.to_pylist() == ["Un café à Paris"]
    assert texts.hypotheses.to_pylist() == ["“Größe”"] and texts.labels.tolist() == [1]


def test_a_field_may_have_lines_and_the_separator_may_be_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'sep=;\r\npremise;hypothesis;label\r\n"A man\r\nsleeps";b,c;neutral\r\n;;\r\n'
    )
    texts = read_pairs_file(path)
    assert texts.premises.to_pylist() == ["A man\r\nsleeps"] and texts.labels.tolist() == [1]
    assert not texts.numbered and texts.left_out == 0


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_of_json_is_a_table(tmp_path: Path, indent: int | None) -> None:
    rows = [dict(zip(("premise", "hypothesis", "label"), row, strict=True)) for row in ROWS]
    for name in ("a.json", "a.jsonl"):
        (tmp_path / name).write_text(json.dumps(rows, indent=indent), encoding="utf-8")
        texts = read_pairs_file(tmp_path / name)
        assert texts.premises.to_pylist() == [row[0] for row in ROWS]
    for text, words in {
        "[": "line 1: it is not JSON",
        "[\n3]": "line 2: '3'; it must be an object",
        "[" * 100_000: "it is not JSON",
        '[\n{"premise": "a", "label": 0}\n]': "line 2: there is no column 'hypothesis'",
        '[\n\n{"premise": "a", "hypothesis": "b", "label": 7}]': "line 3: the label is 7",
    }.items():
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError) as caught:
            read_pairs_file(tmp_path / "a.json")
        assert words in str(caught.value)


def snli_rows() -> list[dict[str, Any]]:
    """As SNLI's authors have them: the label that most chose, or - where there is none."""
    return [
        {"gold_label": "neutral", "sentence1": 'A "red" horse.', "sentence2": "It is trained."},
        {"gold_label": "-", "sentence1": "A horse.", "sentence2": "Outdoors."},
        {"gold_label": "contradiction", "sentence1": "A horse.", "sentence2": "It sleeps."},
    ]


def test_snli_as_its_authors_publish_it(tmp_path: Path) -> None:
    rows = [row | {"annotator_labels": [row["gold_label"]]} for row in snli_rows()]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "snli.jsonl").write_text(text, encoding="utf-8")
    book = tmp_path / "snli_1.0"
    book.mkdir()
    (book / "README.txt").write_text("Of SNLI", encoding="utf-8")
    (book / "snli_1.0_train.txt").write_text("gold_label\n", encoding="utf-8")
    lines = ["gold_label\tsentence1_parse\tsentence1\tsentence2\tpairID\tlabel1\tlabel2"]
    lines += [f"{r['gold_label']}\t(A)\t{r['sentence1']}\t{r['sentence2']}\t4\tx" for r in rows]
    (book / "snli_1.0_test.txt").write_text("\n".join(lines), encoding="utf-8")
    for path in (tmp_path / "snli.jsonl", book, book / "snli_1.0_test.txt"):
        texts = read_pairs_file(path)
        assert texts.premises.to_pylist() == ['A "red" horse.', "A horse."]
        assert texts.hypotheses.to_pylist() == ["It is trained.", "It sleeps."]
        assert texts.labels.tolist() == [1, 2] and texts.left_out == 1 and not texts.numbered
    (book / "snli_1.0_b_test.txt").write_text("x", encoding="utf-8")
    (tmp_path / "none").mkdir()
    for folder in (book, tmp_path / "none"):
        with pytest.raises(UserError, match="is a folder; give one of the files"):
            read_pairs_file(folder)


@pytest.mark.parametrize(
    ("label", "meaning"),
    [
        *[(text, 0) for text in ("0", "0.0", "00", " 0 ", "0e0", "Entailment", "-0.0")],
        *[(text, 2) for text in ("2", "2.0", "2.", "CONTRADICTION")],
        *[(text, None) for text in ("", " ", "-", "-1", "-1.0", "nan", "NaN", "None")],
        *[(text, "refused") for text in ("0.5", "3", "3.0", "inf", "1e99", "true", "x" * 10**5)],
        *[
            (number, meaning)
            for number, meaning in ((0.0, 0), (2.0, 2), (-1.0, None), (None, None))
        ],
        *[(number, "refused") for number in (0.5, 3, True, [0], {}, [[[[0]]]])],
        (float("nan"), None),
    ],
)
def test_labels_with_gaps_are_numbers_still(tmp_path: Path, label: Any, meaning: Any) -> None:
    paths = [tmp_path / "a.jsonl"]
    rows = [{"premise": "a", "hypothesis": "b", "label": value} for value in ("neutral", label)]
    paths[0].write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    if isinstance(label, str):
        paths.append(tmp_path / "a.csv")
        paths[1].write_text(
            f"premise,hypothesis,label\na,b,neutral\na,b,{label}\n", encoding="utf-8"
        )
    for path in paths:
        if meaning == "refused":
            with pytest.raises(UserError, match="the label is") as caught:
                read_pairs_file(path)
            assert len(str(caught.value)) < 400
            continue
        texts = read_pairs_file(path)
        assert texts.labels.tolist() == ([1] if meaning is None else [1, meaning])
        assert texts.left_out == (meaning is None)


def test_a_pointer_of_git_lfs_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4\n", encoding="utf-8")
    with pytest.raises(UserError, match="Git LFS pointer"):
        read_pairs_file(path)


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
