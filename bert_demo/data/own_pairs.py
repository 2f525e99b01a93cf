"""Somebody's own pairs of premise and hypothesis become a corpus to fine-tune on.

    name = take_pairs("judged.csv")
    RunConfig("nli", name, start_from=...)

A premise is in one part alone, with all that is said about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.common.errors import Text, UserError
from bert_demo.config import LABELS
from bert_demo.data import interruption, own
from bert_demo.data.own_text import held_out_below
from bert_demo.data.snli import NliTexts, concatenated, read_pairs_file
from bert_demo.data.sources import Sources, find_sources
from bert_demo.data.tables import ENDINGS

_RULES = 1
"""Part of every name: raise it when the same files become other pairs."""

_PARTS = ("train", "validation", "test")
_SPLIT_NAMES = {"test": ("test",), "validation": ("valid", "dev"), "train": ("train",)}
_BLOCK = 1 << 20


def take_pairs(
    given: str | Path | Sequence[str | Path],
    title: str | None = None,
    called: Mapping[str, str] | None = None,
) -> str:
    """Take in labelled pairs, and return the name of the corpus that they are from then on.

    Args:
        given: a table as `data.tables` reads it, several, a folder, or "hub:OWNER/NAME". Files
            whose names have "train", "valid" or "dev", and "test" in them are these parts; what is
            missing is made of the training pairs. Where two files are for validation, as those of
            MultiNLI, which has no labels for its test, the second is the test.
        title: what they are called; left out, as the first file.
        called: what the tables call their columns, where it is not premise, hypothesis and label:
            {"premise": "context", "hypothesis": "claim"}.

    Raises:
        NoColumn: one of these columns is not there.
        UserError: naming the file, the line and what is wrong there, or that there are too few.
    """
    sources = find_sources([given] if isinstance(given, str | Path) else given, ENDINGS)
    digest = hashlib.sha256(repr((_RULES, sorted(called.items())) if called else _RULES).encode())
    for path, name in zip(sources.files, sources.names, strict=True):
        digest.update(f"{name.lower()} ".encode() if len(sources.files) > 1 else b"")
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    name = own.name_of("nli", title or sources.title, digest.hexdigest())
    if not own.is_here(name):
        own.keep(name, lambda folder: _write(folder, title or sources.title, sources, called))
    return name


def pairs_report(corpus: str) -> tuple[list[tuple[Text, str]], list[Text]]:
    """What there is to know of such pairs, line by line, and what one should know before a run.

    Raises:
        TextGone: they are not here any more.
    """
    own.file_of(corpus, "train")
    noted = own.meta_of(corpus) or {}
    names = {"train": Text("Train"), "validation": Text("Validation"), "test": Text("Test")}
    lines: list[tuple[Text, str]] = []
    for part, counts in noted["counts"].items():
        each = ", ".join(f"{n:,} {label}" for label, n in zip(LABELS, counts, strict=True))
        lines.append((names[part], Text("{n:,} pairs: {each}", n=sum(counts), each=each)))
    remarks = []
    if noted["numbered"]:
        numbers = ", ".join(f"{i} {label}" for i, label in enumerate(LABELS))
        remarks.append(Text("Numbers were read as labels: {numbers}.", numbers=numbers))
    if n := noted["left_out"]:
        remarks.append(Text("{n:,} pairs without a label are left out.", n=n))
    if n := noted["shared"]:
        remarks.append(Text("{n:,} pairs are not learnt from, as their premise is held out.", n=n))
    return lines, remarks


def _write(
    folder: Path, title: str, sources: Sources, called: Mapping[str, str] | None
) -> dict[str, Any]:
    """Write the parts of the pairs into `folder`, and say what is in them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    given = _read(sources, called)
    texts = concatenated([texts for _, texts in given])
    parts = np.repeat(
        [_PARTS.index(part) for part, _ in given], [len(texts.labels) for _, texts in given]
    )
    parts, shared = _divided(texts, parts, title)
    counts = {}
    for number, part in enumerate(_PARTS):
        chosen = pa.array(parts == number)
        labels = texts.labels[parts == number]
        columns = {
            "premise": texts.premises.filter(chosen),
            "hypothesis": texts.hypotheses.filter(chosen),
            "label": pa.array(labels),
        }
        pq.write_table(pa.table(columns), folder / f"{part}.parquet")
        counts[part] = np.bincount(labels, minlength=len(LABELS)).tolist()
    return {
        "kind": "pairs",
        "title": title,
        "source": sources.detail,
        "counts": counts,
        "left_out": texts.left_out,
        "shared": shared,
        "numbered": texts.numbered,
    }


def _read(sources: Sources, called: Mapping[str, str] | None) -> list[tuple[str, NliTexts]]:
    """The tables, each with the part that it is; files without labels, as MultiNLI's test, not."""
    found = []
    for path, name in zip(sources.files, sources.names, strict=True):
        interruption.check()
        part = _part_of(name) if len(sources.files) > 1 else "train"
        if len(sources.files) > 1 and part == "test" and not _has_labels(path, called):
            continue
        found.append((part, read_pairs_file(path, called)))
    validations = [i for i, (part, _) in enumerate(found) if part == "validation"]
    if len(validations) == 2 and all(part != "test" for part, _ in found):
        found[validations[1]] = "test", found[validations[1]][1]
    if all(part != "train" for part, _ in found):
        found = [("train", texts) for _, texts in found]
    return found


def _has_labels(path: Path, called: Mapping[str, str] | None) -> bool:
    try:
        read_pairs_file(path, called)
    except UserError as error:
        if "no labelled pair" in error.text.template:
            return False
        raise
    return True


def _part_of(name: str) -> str:
    plain = name.lower()
    found = (part for part, words in _SPLIT_NAMES.items() if any(word in plain for word in words))
    return next(found, "train")


def _divided(
    texts: NliTexts, parts: npt.NDArray[np.int64], title: str
) -> tuple[npt.NDArray[np.int64], int]:
    """(N): the part of each pair, -1 for none, and how many of these have a held-out premise."""
    digests = np.array([_digest(premise) for premise in texts.premises.to_pylist()], np.uint64)
    parts = parts.copy()
    for number in (2, 1):  # the test comes first: a premise of it is nowhere else
        if not (parts == number).any():
            learnt = parts == 0
            most = held_out_below(digests[learnt], title, parts=1)
            parts[learnt & (digests <= most)] = number
    shared = np.zeros(len(parts), bool)
    for number in (2, 1):
        held_out = np.unique(digests[parts == number])
        shared |= (parts < number) & (parts >= 0) & np.isin(digests, held_out)
        parts[shared] = -1
    if not all((parts == number).any() for number in range(len(_PARTS))):
        raise UserError(
            "The pairs {title} share their premises, so that none are left to learn from.",
            title=title,
        )
    return parts, int(shared.sum())


def _digest(premise: str) -> int:
    plain = " ".join(premise.lower().split())
    digest = hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")
