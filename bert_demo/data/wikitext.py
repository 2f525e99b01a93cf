"""WikiText-2 as the book takes it: paragraphs of sentences (D2L 15.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.common.errors import UserError


@dataclass(frozen=True)
class Paragraphs:
    """Sentences in the order of the text, P paragraphs of them."""

    sentences: Any
    """pyarrow string array (S): lower case, tokens separated by spaces."""
    paragraph_offsets: npt.NDArray[np.int64]
    """(P + 1): paragraph p has the sentences paragraph_offsets[p] up to [p + 1]."""
    corpus_offsets: npt.NDArray[np.int64] | None = None
    """(C + 1), in paragraphs, where these are C corpora one after the other; None where one."""


def read_wikitext(path: str | Path) -> Paragraphs:
    """Read one split of WikiText from its parquet file on the Hub (one line of text a row).

    As in the book, a line counts as a paragraph when " . " occurs in it, and that is also what
    separates its sentences. Where the only " . " is the end of the line, the paragraph has one
    sentence, which makes no pair but counts for the vocabulary.

    Raises:
        UserError: the file is not readable or has no column "text".
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        lines = pq.read_table(path, columns=["text"])["text"].to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UserError("{path} is not a parquet file with a column 'text'.", path=path) from error
    return as_paragraphs(
        [line.strip().lower().split(" . ") for line in lines if line and " . " in line]
    )


def read_own(path: str | Path) -> Paragraphs:
    """One split of somebody's own text, as `own_text` keeps it: lists of sentences."""
    import pyarrow.parquet as pq

    column = pq.read_table(path, columns=["sentences"])["sentences"].combine_chunks()
    offsets = column.offsets.to_numpy().astype(np.int64)
    return Paragraphs(column.flatten(), offsets - offsets[0])


def joined(first: Paragraphs, second: Paragraphs) -> Paragraphs:
    """One corpus after the other."""
    import pyarrow as pa

    offsets = second.paragraph_offsets[1:] + len(first.sentences)
    paragraphs = [len(part.paragraph_offsets) - 1 for part in (first, second)]
    return Paragraphs(
        pa.concat_arrays([first.sentences, second.sentences]),
        np.concatenate((first.paragraph_offsets, offsets)),
        np.cumsum([0, *paragraphs]),
    )


def as_paragraphs(paragraphs: Sequence[Sequence[str]]) -> Paragraphs:
    """The same text from lists of sentences; sentences with no word in them are dropped."""
    import pyarrow as pa

    kept = [[s for s in sentences if s and not s.isspace()] for sentences in paragraphs]
    kept = [sentences for sentences in kept if sentences]
    flat = [sentence for sentences in kept for sentence in sentences]
    counts = np.fromiter(map(len, kept), np.int64, len(kept))
    return Paragraphs(pa.array(flat, pa.string()), np.concatenate(([0], np.cumsum(counts))))
