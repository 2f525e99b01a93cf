"""Premise and hypothesis with a label: SNLI's parquet files and people's own tables."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.config import LABELS, UserError
from bert_demo.data.words import SPLIT_NOT, split_words

_COLUMNS = ("premise", "hypothesis", "label")
_NO_AGREEMENT = ("-", "-1")
_LABELS_BY_TEXT = {name: i for i, name in enumerate(LABELS)} | {
    str(i): i for i in range(len(LABELS))
}


@dataclass(frozen=True)
class NliTexts:
    """N labelled pairs as people wrote them."""

    premises: Any
    """pyarrow string array (N)."""
    hypotheses: Any
    """pyarrow string array (N)."""
    labels: npt.NDArray[np.int8]
    """(N): 0 entailment, 1 neutral, 2 contradiction."""
    left_out: int
    """Pairs of the source that are not here: no label that people agreed on, or an empty text."""

    def __len__(self) -> int:
        return len(self.labels)


def read_snli(path: str | Path) -> NliTexts:
    """Read one split of SNLI (Bowman et al. 2015) from its parquet file on the Hub.

    Raises:
        UserError: the file is not readable or has not SNLI's columns and labels.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=list(_COLUMNS)).combine_chunks()
        premises, hypotheses = (table[name].cast(pa.string()) for name in _COLUMNS[:2])
        labels = table["label"].cast(pa.int8()).fill_null(-1)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(
            "{path} is not a parquet file with the columns {columns}.",
            path=path,
            columns=", ".join(_COLUMNS),
        ) from error
    wrong = pc.filter(labels, pc.or_(pc.less(labels, -1), pc.greater(labels, 2)))
    if len(wrong):
        raise UserError(
            "{path} has the label {label}; labels are -1, 0, 1 and 2.", path=path, label=wrong[0]
        )
    keep = pc.greater_equal(labels, 0)
    for texts in (premises, hypotheses):
        keep = pc.and_(keep, pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0))
    keep = keep.fill_null(False)
    chosen = [_one_array(column.filter(keep)) for column in (premises, hypotheses, labels)]
    numbers = chosen[2].to_numpy(zero_copy_only=False)
    return NliTexts(chosen[0], chosen[1], numbers, len(table) - len(numbers))


def _one_array(column: Any) -> Any:
    import pyarrow as pa

    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def pairs(rows: list[tuple[str, str, int]], left_out: int = 0) -> NliTexts:
    """The same from (premise, hypothesis, label) rows."""
    import pyarrow as pa

    return NliTexts(
        pa.array([premise for premise, _, _ in rows], pa.string()),
        pa.array([hypothesis for _, hypothesis, _ in rows], pa.string()),
        np.fromiter((label for _, _, label in rows), np.int8, len(rows)),
        left_out,
    )


def concatenated(parts: Sequence[NliTexts]) -> NliTexts:
    """The pairs of all parts, one part after the other."""
    import pyarrow as pa

    return NliTexts(
        pa.concat_arrays([part.premises for part in parts]),
        pa.concat_arrays([part.hypotheses for part in parts]),
        np.concatenate([part.labels for part in parts]),
        sum(part.left_out for part in parts),
    )


def read_pairs_file(path: str | Path) -> NliTexts:
    """Read somebody's own pairs: .tsv, .csv or JSON lines (.jsonl, .json), in UTF-8.

    Columns premise, hypothesis and label, in any order, others ignored. A label is a name
    (entailment, neutral, contradiction) or a number (0, 1, 2); "-" and -1 mean that there is
    none: such pairs are left out and counted.

    Raises:
        UserError: naming the file, the line and the value that is wrong.
    """
    path = Path(path)
    kind = path.suffix.lower()
    readers = {".tsv": _tsv, ".csv": _csv, ".jsonl": _json_lines, ".json": _json_lines}
    if kind not in readers:
        raise UserError(
            "{path} must end in one of {endings} to be read as pairs.",
            path=path,
            endings=", ".join(readers),
        )
    try:
        # Spreadsheets put a byte order mark before UTF-8.
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            "{path} cannot be read: {reason}.", path=path, reason=error.strerror
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(
            "{path}, line {line}: the file must be text in UTF-8.", path=path, line=line
        ) from error
    rows, left_out = [], 0
    for line, row in readers[kind](path, text):
        label = _label(path, line, row["label"])
        if label is None:
            left_out += 1
            continue
        premise, hypothesis = (_words(path, line, name, row[name]) for name in _COLUMNS[:2])
        rows.append((premise, hypothesis, label))
    if not rows:
        raise UserError(
            "{path} has no labelled pair; it needs at least one line of data.", path=path
        )
    return pairs(rows, left_out)


def as_paragraphs(texts: NliTexts) -> list[list[str]]:
    """The pairs' sentences as text to pretrain on: a premise and the hypotheses about it.

    People wrote several hypotheses for a premise, in neighbouring rows; together they make one
    paragraph, so that "next sentence" asks whether two sentences are about the same scene. They
    come out in WikiText's spelling: lower case, tokens separated by spaces. No label is used.
    """
    spelt: dict[str, str] = {}

    def spell(chunk: str) -> str:
        if chunk not in spelt:
            spelt[chunk] = " ".join(split_words(chunk))
        return spelt[chunk]

    paragraphs: list[list[str]] = []
    last = None
    rows = zip(texts.premises.to_pylist(), texts.hypotheses.to_pylist(), strict=True)
    for premise, hypothesis in rows:
        if premise != last:
            paragraphs.append([premise])
            last = premise
        paragraphs[-1].append(hypothesis)
    return [
        [" ".join(spell(chunk) for chunk in _joined(sentence).split()) for sentence in paragraph]
        for paragraph in paragraphs
    ]


def _joined(sentence: str) -> str:
    return re.sub(SPLIT_NOT, r"\1\2", sentence)


def _label(path: Path, line: int, value: Any) -> int | None:
    text = str(value).strip().lower()
    if text in _NO_AGREEMENT:
        return None
    if text not in _LABELS_BY_TEXT or isinstance(value, (bool, float)):
        names = ", ".join(f"{name} ({i})" for i, name in enumerate(LABELS))
        raise UserError(
            "{path}, line {line}: the label is {value!r}; it must be {labels} or -.",
            path=path,
            line=line,
            value=value,
            labels=names,
        )
    return _LABELS_BY_TEXT[text]


def _words(path: Path, line: int, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UserError(
            "{path}, line {line}: the {name} is {value!r}; it must be text.",
            path=path,
            line=line,
            name=name,
            value=value,
        )
    # JSON can spell half of a surrogate pair, which is no character.
    words = str(value).encode("utf-8", "ignore").decode("utf-8")
    if not words.strip():
        raise UserError(
            "{path}, line {line}: the {name} is empty; write at least one word.",
            path=path,
            line=line,
            name=name,
        )
    return words


Rows = Iterator[tuple[int, dict[str, Any]]]


def _csv(path: Path, text: str) -> Rows:
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        # A quoted field may span lines: the reader knows on which one a row ends.
        yield from _columns(path, ((reader.line_num, row) for row in reader))
    except csv.Error as error:
        raise UserError(
            "{path}, line {line}: {error}.", path=path, line=reader.line_num, error=error
        ) from error


def _tsv(path: Path, text: str) -> Rows:
    # Tables of sentences are full of lone quotation marks, which no quoting rule survives.
    lines = text.replace("\r\n", "\n").split("\n")
    yield from _columns(path, ((i, line.split("\t")) for i, line in enumerate(lines, 1)))


def _columns(path: Path, lines: Iterator[tuple[int, list[str]]]) -> Rows:
    header: list[str] | None = None
    for number, fields in lines:
        if not any(field.strip() for field in fields):
            continue
        if header is None:
            header = [field.strip().lower() for field in fields]
            _need(path, number, header)
            continue
        if len(fields) != len(header):
            raise UserError(
                "{path}, line {number}: {found} columns; the first line has {expected}.",
                path=path,
                number=number,
                found=len(fields),
                expected=len(header),
            )
        yield number, dict(zip(header, map(_unquoted, fields), strict=True))


def _unquoted(field: str) -> str:
    """A field that a spreadsheet has put in quotation marks whole, without them."""
    inner = field[1:-1]
    if len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return field


def _json_lines(path: Path, text: str) -> Rows:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                "{path}, line {number}: it is not JSON: {text!r}.",
                path=path,
                number=number,
                text=line[:40],
            ) from error
        if not isinstance(row, dict):
            raise UserError(
                "{path}, line {number}: {text!r}; it must be an object with the names {columns}.",
                path=path,
                number=number,
                text=line[:40],
                columns=", ".join(_COLUMNS),
            )
        _need(path, number, list(row))
        yield number, row


def _need(path: Path, line: int, names: list[str]) -> None:
    for name in _COLUMNS:
        if name not in names:
            raise UserError(
                "{path}, line {line}: there is no column {name!r}; there must be {columns}.",
                path=path,
                line=line,
                name=name,
                columns=", ".join(_COLUMNS),
            )
