"""Text out of people's own files, plain or in a column of a table.

Nothing is read whole: a file of hundreds of megabytes, or one of a single line, takes a few of
them in memory.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bert_demo.common.errors import UserError
from bert_demo.data import interruption
from bert_demo.data.chunks import SURROGATES
from bert_demo.data.encodings import unreadable
from bert_demo.data.tables import NoColumn

PLAIN = (".txt", ".md", ".markdown")
TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
ENDINGS = (*PLAIN, *TABLES)
COLUMN = "text"
"""The column of a table that is read if none is named."""

_BLOCK = 1 << 20
_LONGEST_LINE = 20_000  # letters; what is longer comes in pieces
_MOST_JSON_BYTES = 50_000_000
_LINE_END = re.compile("\r\n|[\n\r\u2028\u2029\f]")
_MARKDOWN = [
    (
        re.compile(r"!\[[^\]]*\]\([^)]*\)|<[^>\n]{1,200}>|^\s*([-*_=]\s*){3,}$|^\s*\|?[-:| ]+\|?$"),
        "",
    ),
    (re.compile(r"\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"^\s*(?:>\s*)*(?:[-*+]\s+|\d+[.)]\s+)?"), ""),
    (re.compile(r"(\*\*|__|~~|`)(.+?)\1"), r"\2"),
    (re.compile(r"(?<!\w)([*_])(\S(?:.*?\S)?)\1(?!\w)"), r"\2"),
]


def lines_of(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file, however they end; one of more than 20,000 letters in pieces."""
    rest = ""
    try:
        with path.open(encoding=encoding, newline="") as file:
            while block := file.read(_BLOCK):
                interruption.check()
                lines = _LINE_END.split(rest + block)
                if block.endswith("\r"):  # perhaps half of the end of a line
                    lines = [*lines[:-2], lines[-2] + "\r"]
                rest = lines.pop()
                for line in lines:
                    yield from _pieces(line)
                if len(rest) > _LONGEST_LINE:
                    *pieces, rest = _pieces(rest)
                    yield from pieces
            yield from _pieces(rest.rstrip("\r"))
    except (OSError, UnicodeError) as error:
        raise unreadable(path, error) from error


def text_lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a .txt or, without its marks, of a .md file."""
    lines = lines_of(path, encoding)
    return lines if path.suffix.lower() == ".txt" else _without_marks(lines)


def rows_of_text(path: Path, encoding: str, column: str | None) -> Iterator[str]:
    """The texts in one column of a table.

    Raises:
        UserError: naming the columns that there are where this one is not among them.
    """
    read = {".parquet": _parquet, ".jsonl": _json_lines, ".json": _json}
    ending = path.suffix.lower()
    for row in (
        read[ending](path, encoding, column) if ending in read else _table(path, encoding, column)
    ):
        if row is not None:
            yield SURROGATES.sub("", str(row))


def _without_marks(lines: Iterator[str]) -> Iterator[str]:
    """Markdown as plain lines: no code, pictures or marks; a heading is a paragraph."""
    code = head = False
    for number, line in enumerate(lines):
        bare = line.strip()
        if bare.startswith(("```", "~~~")):
            code = not code
        elif bare == "---" and (number == 0 or head):  # settings before the text
            head = not head
        elif not code and not head:
            title = bare.startswith("#")
            text = bare.lstrip("#").rstrip("#") if title else line
            for pattern, plain in _MARKDOWN:
                text = pattern.sub(plain, text)
            starts = title or bool(re.match(r"\s*([-*+]|\d+[.)])\s", line))
            yield from ["", text, ""] if title else ["", text] if starts else [text]


def _pieces(line: str) -> Iterator[str]:
    while len(line) > _LONGEST_LINE:
        for mark in (". ", " "):
            at = line.rfind(mark, _LONGEST_LINE // 2, _LONGEST_LINE)
            if at > 0:
                break
        at = at + 1 if at > 0 else _LONGEST_LINE
        yield line[:at]
        line = line[at:]
    yield line


def _table(path: Path, encoding: str, column: str | None) -> Iterator[str | None]:
    import pyarrow as pa
    import pyarrow.csv as pc

    head = next((line for line in lines_of(path, encoding) if line.strip()), "").lstrip("\ufeff")
    separator = max("\t,;|", key=head.count)
    tabs = separator == "\t"  # tables of sentences are full of lone quotation marks
    names = head.split("\t") if tabs else next(csv.reader([head], delimiter=separator))
    chosen = _chosen(path, [name.strip() for name in names], column)
    name = names[[name.strip() for name in names].index(chosen)]
    try:
        batches = pc.open_csv(
            path,
            pc.ReadOptions(block_size=16 * _BLOCK, encoding=encoding.removesuffix("-sig")),
            pc.ParseOptions(
                delimiter=separator,
                quote_char=False if tabs else '"',
                newlines_in_values=not tabs,
            ),
            pc.ConvertOptions(
                include_columns=[name],
                column_types={name: pa.string()},
                strings_can_be_null=False,
            ),
        )
        for batch in batches:
            interruption.check()
            yield from batch.column(0).to_pylist()
    except (OSError, pa.ArrowException, UnicodeError) as error:
        raise unreadable(path, error) from error


def _parquet(path: Path, encoding: str, column: str | None) -> Iterator[str | None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            chosen = _chosen(path, file.schema_arrow.names, column)
            for batch in file.iter_batches(1000, columns=[chosen]):
                interruption.check()
                yield from batch.column(0).cast(pa.string()).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _json_lines(path: Path, encoding: str, column: str | None) -> Iterator[str | None]:
    try:
        with path.open(encoding=encoding) as file:
            lines = iter(lambda: file.readline(_MOST_JSON_BYTES), "")
            for number, line in enumerate(lines, 1):
                if len(line) == _MOST_JSON_BYTES:
                    raise UserError(
                        "{path}, line {number}: it has more than {limit} MB; put each text into a "
                        "line of its own.",
                        path=path,
                        number=number,
                        limit=_MOST_JSON_BYTES // 10**6,
                    )
                if line.strip():
                    yield _of_object(path, number, line, column)
    except (OSError, UnicodeError) as error:
        raise unreadable(path, error) from error


def _json(path: Path, encoding: str, column: str | None) -> Iterator[str | None]:
    if path.stat().st_size > _MOST_JSON_BYTES:
        raise UserError(
            "{path} has more than {limit} MB; save it as .jsonl, with one object in each line.",
            path=path,
            limit=_MOST_JSON_BYTES // 10**6,
        )
    text = path.read_text(encoding)
    if not text.lstrip().startswith("["):
        yield from _json_lines(path, encoding, column)
        return
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable(path, error) from error
    for number, row in enumerate(rows, 1):
        yield _cell(path, number, row, column)


def _of_object(path: Path, number: int, line: str, column: str | None) -> str | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(
            "{path}, line {number}: it is not JSON: {text!r}.",
            path=path,
            number=number,
            text=line[:40],
        ) from error
    return _cell(path, number, row, column)


def _cell(path: Path, number: int, row: Any, column: str | None) -> str | None:
    if isinstance(row, str):
        return row
    if not isinstance(row, dict):
        raise UserError(
            "{path}, row {number}: {text!r}; it must be an object or a text.",
            path=path,
            number=number,
            text=str(row)[:40],
        )
    value = row[_chosen(path, list(row), column)]
    return None if value is None else str(value)


def _chosen(path: Path, names: list[str], column: str | None) -> str:
    """The column to read: the one that is named, else "text", else the only one."""
    wanted = column or COLUMN
    for name in names:
        if name.lower() == wanted.lower():
            return name
    if column is None and len(names) == 1:
        return names[0]
    raise NoColumn(
        "{path} has no column {name!r}; name one of these as the column with the text: {found}.",
        names,
        path=path,
        name=wanted,
    )
