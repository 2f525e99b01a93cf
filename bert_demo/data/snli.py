"""Premise and hypothesis with a label: SNLI's parquet files and people's own tables."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS
from bert_demo.data.tables import COLUMNS, ENDINGS, rows_of, table_in
from bert_demo.data.words import Speller

_LONGEST_KIND = 60
_NO_LABEL = ("", "-", "-1", "nan", "none")
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
    numbered: bool = False
    """Whether a label of the source was a number."""
    kinds: list[str] | None = None
    """(N): what the source calls pairs of this sort, where it does."""

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
        table = pq.read_table(path, columns=list(COLUMNS)).combine_chunks()
        premises, hypotheses = (table[name].cast(pa.string()) for name in COLUMNS[:2])
        labels = table["label"].cast(pa.int8()).fill_null(-1)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(
            "{path} is not a parquet file with the columns {columns}.",
            path=path,
            columns=", ".join(COLUMNS),
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


def pairs(
    rows: Sequence[tuple[str, str, int]],
    left_out: int = 0,
    *,
    numbered: bool = False,
    kinds: list[str] | None = None,
) -> NliTexts:
    """The same from (premise, hypothesis, label) rows."""
    import pyarrow as pa

    return NliTexts(
        pa.array([premise for premise, _, _ in rows], pa.string()),
        pa.array([hypothesis for _, hypothesis, _ in rows], pa.string()),
        np.fromiter((label for _, _, label in rows), np.int8, len(rows)),
        left_out,
        numbered,
        kinds,
    )


def concatenated(parts: Sequence[NliTexts]) -> NliTexts:
    """The pairs of all parts, one part after the other."""
    import pyarrow as pa

    return NliTexts(
        pa.concat_arrays([part.premises for part in parts]),
        pa.concat_arrays([part.hypotheses for part in parts]),
        np.concatenate([part.labels for part in parts]),
        sum(part.left_out for part in parts),
        any(part.numbered for part in parts),
    )


def read_pairs_file(path: str | Path, called: Mapping[str, str] | None = None) -> NliTexts:
    """Read somebody's own pairs, in a file as `data.tables` reads it.

    A folder stands for the one table in it, or for the one whose name ends in "test.txt".

    Columns premise, hypothesis and label, in any order; SNLI's authors call them sentence1,
    sentence2 and gold_label. A column kind may say of what sort a pair is; others are ignored. A
    label is a name (entailment, neutral, contradiction) or a number (0, 1, 2); "-", -1 and an
    empty label mean that there is none: such pairs are left out and counted.

    Args:
        called: other names of these columns: {"premise": "context", "hypothesis": "claim"}.

    Raises:
        NoColumn: one of them is not there.
        UserError: naming the file, the line and the value that is wrong.
    """
    path = Path(path)
    if path.is_dir() and path.suffix.lower() not in ENDINGS:
        path = table_in(path)
    if path.suffix.lower() not in ENDINGS:
        raise UserError(
            "{path} must end in one of {endings} to be read as pairs.",
            path=path,
            endings=", ".join(ENDINGS),
        )
    rows, left_out, numbered, first_without = [], 0, False, None
    kinds: list[str] = []
    for line, row in rows_of(path, called):
        label = _label(path, line, row["label"])
        if label is None:
            left_out += 1
            first_without = first_without or (line, row["label"])
            continue
        premise, hypothesis = (_words(path, line, name, row[name]) for name in COLUMNS[:2])
        rows.append((premise, hypothesis, label))
        kinds.append(str(row.get("kind") or "").strip()[:_LONGEST_KIND])
        numbered = numbered or str(row["label"]).strip().lower() not in LABELS
    if not rows and first_without is not None:
        raise UserError(
            "{path} has no labelled pair: in line {line} the label is {value!r}.",
            path=path,
            line=first_without[0],
            value=first_without[1],
        )
    if not rows:
        raise UserError(
            "{path} has no labelled pair; it needs at least one line of data.", path=path
        )
    return pairs(rows, left_out, numbered=numbered, kinds=kinds if any(kinds) else None)


def as_paragraphs(texts: NliTexts) -> list[list[str]]:
    """The pairs' sentences as text to pretrain on: a premise and the hypotheses about it.

    People wrote several hypotheses for a premise, in neighbouring rows; together they make one
    paragraph, so that "next sentence" asks whether two sentences are about the same scene. They
    come out in WikiText's spelling: lower case, tokens separated by spaces. No label is used.
    """
    spell = Speller()
    paragraphs: list[list[str]] = []
    last = None
    rows = zip(texts.premises.to_pylist(), texts.hypotheses.to_pylist(), strict=True)
    for premise, hypothesis in rows:
        if premise != last:
            paragraphs.append([premise])
            last = premise
        paragraphs[-1].append(hypothesis)
    return [[spell(sentence) for sentence in paragraph] for paragraph in paragraphs]


def _label(path: Path, line: int, value: Any) -> int | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        text = str(value).strip().lower()
        with contextlib.suppress(ValueError):
            # A table with gaps in a column of numbers has 0.0 for 0.
            text = str(int(text)) if text.isdecimal() else f"{float(text) + 0:g}"  # + 0: -0.0 is 0
        if text in _NO_LABEL:
            return None
        if text in _LABELS_BY_TEXT:
            return _LABELS_BY_TEXT[text]
    names = ", ".join(f"{name} ({i})" for i, name in enumerate(LABELS))
    raise UserError(
        "{path}, line {line}: the label is {value!r}; it must be {labels} or -.",
        path=path,
        line=line,
        value=value,
        labels=names,
    )


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
