"""The list of contexts in the tab "Words in context": ready-made ones, and what a browser sends."""

from __future__ import annotations

from typing import Any

from bert_demo.common.errors import UserError
from bert_demo.data.crane_world.probes import SENSES
from bert_demo.ui.parts.language import later, say, translate

Row = dict[str, str]

BOOK = later("The book's two")
CRANES = "crane"
"""The word whose senses Crane World is named after."""
_BOOK_ROWS = (
    ("a crane is flying", "bird"),
    ("a crane driver came <sep> he just left", "machine"),
)
_MOST_CONTEXTS, _MOST_LETTERS = 100, 2000


def ready_made() -> list[tuple[str, str]]:
    """The lists of contexts to begin with: what each is called, and its name."""
    return [(say(BOOK), BOOK), *((word, word) for word in SENSES)]


def contexts_of(name: str) -> tuple[str, list[Row]]:
    """A word and its contexts, by a name from `ready_made`."""
    if name == BOOK:
        return "crane", [_row_of(words, sense) for words, sense in _BOOK_ROWS]
    if name not in SENSES:
        raise UserError("There are no ready-made contexts named {name!r}.", name=name)
    return name, [_row_of(words, s) for s, texts in SENSES[name].items() for words in texts]


def _row_of(words: str, sense: str) -> Row:
    return {"text": words, "sense": translate(sense)}


def read_rows(rows: Any) -> tuple[list[str], list[str]]:
    """Texts and senses of the rows that have a text; ValueError for what the page cannot send."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError("The contexts must be a list of rows, each with a text and a sense.")
    pairs = [(str(row.get("text", "")).strip(), str(row.get("sense", "")).strip()) for row in rows]
    pairs = [pair for pair in pairs if pair[0]]
    if len(pairs) < 2:
        raise UserError("Write the word in two sentences or more, so that there is a comparison.")
    if len(pairs) > _MOST_CONTEXTS:
        raise UserError(
            "There are {n} contexts; at most {limit} fit here.", n=len(pairs), limit=_MOST_CONTEXTS
        )
    if any(len(words) > _MOST_LETTERS or len(sense) > _MOST_LETTERS for words, sense in pairs):
        raise UserError(
            "A context is too long; at most {limit:,} letters fit.", limit=_MOST_LETTERS
        )
    return [words for words, _ in pairs], [sense for _, sense in pairs]
