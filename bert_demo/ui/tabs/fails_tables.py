"""What "Where it fails" can judge: test splits that are on this computer, and one's own table."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bert_demo.common.errors import Text, UserError
from bert_demo.config import VERSION
from bert_demo.data.corpora import CORPORA
from bert_demo.data.snli import NliTexts, read_pairs_file
from bert_demo.data.tables import ENDINGS
from bert_demo.data.traps.pairs import trap_pairs
from bert_demo.data.whereabouts import whereabouts
from bert_demo.ui.parts.language import as_it_came, later, say
from bert_demo.ui.serving.judging import Table

OWN = "own"
TABLES: Mapping[str, str] = {
    "snli": later("SNLI, test split"),
    "crane-world": later("Crane World, test split"),
    "traps": later("Trap pairs by kind (3,240)"),
    OWN: later("A table of your own"),
}
"""By what a form sends."""

_SPLIT = "test"
_VISITOR_ROWS, _VISITOR_BYTES, _VISITOR_SECONDS = 10_000, 1_000_000, 120.0
_ROWS, _BYTES = 100_000, 7_000_000  # a request has at most 10 million, and four letters for three
_NO_TABLE = later("Drop a table, or paste one, with the columns premise, hypothesis and label.")


def here() -> list[tuple[str, str]]:
    """The tables that need no download, as a menu has them."""
    return [
        (say(title), name)
        for name, title in TABLES.items()
        if name not in CORPORA or whereabouts(name).has(_SPLIT)
    ]


def table(
    name: Any,
    pasted: Any,
    dropped: Any,
    called: Mapping[str, str] | None = None,
    *,
    visitor: bool,
) -> Table:
    """The table that somebody chose, with the bounds of who chose it.

    Args:
        pasted: the text of one's own.
        dropped: one's own file as the page's script sends it, a JSON object of its name and its
            content in base64; "" for none. It goes before what was pasted.
        called: other names of one's own columns, as `read_pairs_file` takes them.

    Raises:
        NoColumn: one's own table has other columns.
        UserError: for a table that is not here, is too large or cannot be read as pairs.
    """
    rows, seconds = (_VISITOR_ROWS, _VISITOR_SECONDS) if visitor else (_ROWS, None)
    if not isinstance(name, str) or name not in TABLES:
        raise UserError("Choose what is to be judged from the list.")
    if name == OWN:
        file, content = _file(dropped) or _pasted(pasted)
        most = _VISITOR_BYTES if visitor else _BYTES
        if len(content) > most:
            raise UserError(
                "The table has {n:,} bytes; at most {limit:,} are read here.",
                n=len(content),
                limit=most,
            )
        texts = _read(file, content, called)
        names = file if not called else f"{file} {sorted(called.items())}"
        digest = hashlib.sha256(content + names.encode()).hexdigest()
        return Table(Text(file), digest, lambda: texts, rows, seconds)
    if name == "traps":
        return Table(Text("Trap pairs by kind"), VERSION, trap_pairs, rows, seconds)
    return _split(name, rows, seconds)


def _split(name: str, rows: int, seconds: float | None) -> Table:
    from bert_demo.data.readers import nli_source

    title = CORPORA[name].title
    if not whereabouts(name).has(_SPLIT):
        raise UserError("{title} is not on this computer; choose another table.", title=title)
    source = nli_source(name, _SPLIT)
    stamp = json.dumps(source.identity)
    return Table(Text("{title}, test split", title=title), stamp, source.read, rows, seconds)


def _file(dropped: Any) -> tuple[str, bytes] | None:
    """Name and content of a dropped file."""
    if not dropped:
        return None
    try:
        told = json.loads(dropped)
        name, content = Path(str(told["name"])).name, base64.b64decode(told["data"], validate=True)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
        raise UserError("The file did not arrive whole; drop it again.") from error
    name = "".join(letter for letter in name if letter.isprintable())[-80:] or "table.csv"
    if Path(name).suffix.lower() not in ENDINGS:
        raise UserError(
            "{path} must end in one of {endings} to be read as pairs.",
            path=name,
            endings=", ".join(ENDINGS),
        )
    return name, content


def _pasted(text: Any) -> tuple[str, bytes]:
    if not isinstance(text, str) or not text.strip():
        raise UserError(_NO_TABLE)
    ending = ".jsonl" if text.lstrip()[:1] in ("{", "[") else ".csv"
    return f"{say('pasted table')}{ending}", text.encode("utf-8", "ignore")


def _read(name: str, content: bytes, called: Mapping[str, str] | None) -> NliTexts:
    with tempfile.TemporaryDirectory(prefix="bert_demo-table-") as folder:
        path = Path(folder) / f"table{Path(name).suffix}"
        path.write_bytes(content)
        try:
            return read_pairs_file(path, called)
        except UserError as error:
            raise as_it_came(error, name) from error
