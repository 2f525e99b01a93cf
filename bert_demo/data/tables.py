"""People's own tables of pairs, one row after the other, in whichever form programs write them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_demo.common.errors import UserError
from bert_demo.data.encodings import encoding_of, unreadable

COLUMNS = ("premise", "hypothesis", "label")
ENDINGS = (".tsv", ".csv", ".txt", ".jsonl", ".json", ".parquet")

# What SNLI's and MultiNLI's authors call them.
_OTHER_NAMES = {"sentence1": "premise", "sentence2": "hypothesis", "gold_label": "label"}

Rows = Iterator[tuple[int, dict[str, Any]]]
"""Line and values by name, `COLUMNS` among them."""


class NoColumn(UserError):  # noqa: N818 (a table may be fine, only its columns are called otherwise)
    """A table has no column of the name that is asked for, but `columns`, which its template says
    as {found}."""

    def __init__(self, template: str, /, columns: Sequence[str] = (), **values: Any) -> None:
        super().__init__(template, found=", ".join(columns), **values)
        self.columns = columns


def rows_of(path: Path, called: Mapping[str, str] | None = None) -> Rows:
    """The rows of a table, in any encoding that `encoding_of` knows.

    A table (.csv, .tsv, .txt) has its names in the first line, and tabs, commas, semicolons or
    vertical bars between its columns. JSON (.json, .jsonl) is an array of objects or has an object
    in each line. Parquet has its columns' names.

    Args:
        called: what the table calls some of `COLUMNS`: {"premise": "context"}.

    Raises:
        NoColumn: one of them is not there.
        UserError: naming the file, the line and what is wrong there.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet(path, called or {})
    text = _text(path)
    read = _json if path.suffix.lower() in (".jsonl", ".json") else _table
    return read(path, text, called or {})


def table_in(folder: Path) -> Path:
    """The table that a folder stands for, such as that of the book's snli_1.0 folder."""
    tables = sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))
    tables = [path for path in tables if path.name.lower() != "readme.txt"]
    tests = [path for path in tables if path.name.endswith("test.txt")]
    for found in (tests, tables):
        if len(found) == 1:
            return found[0]
    raise UserError(
        "{path} is a folder; give one of the files in it, of the kind {endings}.",
        path=folder,
        endings=", ".join(ENDINGS),
    )


def _parquet(path: Path, called: Mapping[str, str]) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = _renamed(path, 1, file.schema_arrow.names, called)
            chosen = [file.schema_arrow.names[names.index(name)] for name in COLUMNS]
            number = 0
            for batch in file.iter_batches(10_000, columns=chosen):
                columns = [batch.column(name).to_pylist() for name in chosen]
                for row in zip(*columns, strict=True):
                    number += 1
                    yield number, dict(zip(COLUMNS, row, strict=True))
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _text(path: Path) -> str:
    encoding, _ = encoding_of(path)
    try:
        return path.read_bytes().decode(encoding)
    except (OSError, UnicodeError) as error:
        raise unreadable(path, error) from error


def _table(path: Path, text: str, called: Mapping[str, str]) -> Rows:
    # All lines but those within quotation marks end alike, as one program wrote them.
    end = "\n" if "\n" in text else "\r"
    head, _, rest = text.lstrip("\r\n").partition(end)
    told = len(head.rstrip()) == 5 and head.lower().startswith("sep=")  # a spreadsheet's own line
    separator = head[4] if told else _between(head)
    if told:
        text = f"{end}{rest}"
    if separator == "\t":
        # Tables of sentences are full of lone quotation marks, which no quoting rule survives.
        lines = (line.removesuffix("\r") for line in text.split(end))
        yield from _columns(
            path, ((i, line.split("\t")) for i, line in enumerate(lines, 1)), called
        )
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        # A quoted field may span lines: the reader knows on which one a row ends.
        yield from _columns(path, ((reader.line_num, row) for row in reader), called)
    except csv.Error as error:
        raise UserError(
            "{path}, line {line}: {error}.", path=path, line=reader.line_num, error=error
        ) from error


def _between(head: str) -> str:
    """What stands between the columns: whatever divides the names of the first line best."""

    def known(separator: str) -> int:
        names = {_name(field.strip().strip('"')) for field in head.split(separator)}
        return len(names & set(COLUMNS))

    return max("\t,;|", key=lambda separator: (known(separator), head.count(separator)))


def _name(field: str) -> str:
    """A column's name as it is called here."""
    plain = field.strip().lower()
    return _OTHER_NAMES.get(plain, plain)


def _columns(path: Path, lines: Iterator[tuple[int, list[str]]], called: Mapping[str, str]) -> Rows:
    header: list[str] | None = None
    for number, fields in lines:
        if not any(field.strip() for field in fields):
            continue
        if header is None:
            header = _renamed(path, number, [_unquoted(field) for field in fields], called)
            least = max(map(header.index, COLUMNS)) + 1
            continue
        if not least <= len(fields) <= len(header):
            raise UserError(
                "{path}, line {number}: {found} columns; the first line has {expected}.",
                path=path,
                number=number,
                found=len(fields),
                expected=len(header),
            )
        # What is missing at the end, as in rows with fewer opinions, is not read.
        yield number, dict(zip(header, map(_unquoted, fields), strict=False))


def _renamed(path: Path, line: int, names: Sequence[str], called: Mapping[str, str]) -> list[str]:
    """Columns by our names: the one that is `called` so; else the one of our name, else of the
    authors'. Raises `NoColumn` where one of ours is not there."""
    plain = [name.strip().lower() for name in names]
    chosen = {theirs.strip().lower(): ours for ours, theirs in called.items()}

    def ours(name: str) -> str:
        usual = name if _name(name) in plain else _name(name)
        return chosen.get(name) or (f"other {usual}" if usual in called else usual)

    found = [ours(name) for name in plain]
    for name in COLUMNS:
        if name not in found:
            raise NoColumn(
                "{path}, line {line}: there is no column {name!r} among {found}; there must be "
                "{wanted}.",
                [name.strip() for name in names],
                path=path,
                line=line,
                name=called.get(name, name),
                wanted=", ".join(called.get(name, name) for name in COLUMNS),
            )
    return found


def _unquoted(field: str) -> str:
    """A field that a spreadsheet has put in quotation marks whole, without them."""
    inner = field[1:-1]
    if len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return field


def _json(path: Path, text: str, called: Mapping[str, str]) -> Rows:
    if text.lstrip()[:1] == "[":
        yield from _json_array(path, text, called)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _object(path, number, _parsed(path, number, line), line, called)


def _json_array(path: Path, text: str, called: Mapping[str, str]) -> Rows:
    """The objects of one array, each with the line on which it begins."""
    decoder, at, line = json.JSONDecoder(), text.index("[") + 1, 1
    done = 0
    while True:
        while text[at : at + 1] in tuple(" \t\r\n,"):
            at += 1
        line += text.count("\n", done, at)
        done = at
        if text[at : at + 1] == "]":
            return
        try:
            row, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise _not_json(path, line, text[at : at + 80]) from error
        yield line, _object(path, line, row, text[at:end], called)
        at = end


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _not_json(path, number, line) from error


def _not_json(path: Path, number: int, text: str) -> UserError:
    return UserError(
        "{path}, line {number}: it is not JSON: {text!r}.",
        path=path,
        number=number,
        text=text[:40],
    )


def _object(
    path: Path, number: int, row: Any, text: str, called: Mapping[str, str]
) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise UserError(
            "{path}, line {number}: {text!r}; it must be an object with the names {columns}.",
            path=path,
            number=number,
            text=text[:40],
            columns=", ".join(COLUMNS),
        )
    names = _renamed(path, number, list(row), called)
    return dict(zip(names, row.values(), strict=True))
