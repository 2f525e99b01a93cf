"""Somebody's own text becomes a corpus: read once, cut into sentences, parts held out.

    name = take_text(["faust.txt"])
    RunConfig(corpus=name, ...)

What is held out is decided by paragraphs and by what they say: equal paragraphs are all in one
part.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.common.errors import UserError
from bert_demo.data import interruption, own
from bert_demo.data.corpora import SPLITS
from bert_demo.data.encodings import encoding_of
from bert_demo.data.plain_text import ENDINGS, PLAIN, rows_of_text, text_lines
from bert_demo.data.sentences import Sentences, even_paragraphs, paragraphs, split_sentences
from bert_demo.data.sources import Sources, find_sources
from bert_demo.data.words import Speller

_RULES = 1
"""Part of every name: raise it when the same files become another text."""

_HELD_OUT = 0.05
_LEAST_HELD_OUT, _MOST_HELD_OUT = 10, 4000  # paragraphs; WikiText-2 holds out as many
_TOGETHER = 2000
_BLOCK = 1 << 20
_LONGEST_WORD = 50
_PARTS = ("train", "validation", "test")


def take_text(
    given: str | Path | Sequence[str | Path], column: str | None = None, title: str | None = None
) -> str:
    """Take in a text, and return the name of the corpus that it is from then on.

    Args:
        given: a file, several, a folder, or "hub:OWNER/NAME"; .txt and .md, or .csv, .tsv, .jsonl,
            .json and .parquet with a column of texts.
        column: its name; left out, "text" or the only one.
        title: what the text is called; left out, as its first file.

    Raises:
        NoColumn: a table has no such column.
        UserError: for what cannot be read, is no text, or has too little of it.
    """
    files = [given] if isinstance(given, str | Path) else given
    # What is held out is made here, also of what was split already.
    sources = find_sources(files, ENDINGS, to_learn_from=True)
    encodings: dict[Path, str] = {}
    digest = hashlib.sha256(repr((_RULES, column)).encode())
    for path in sources.files:
        encodings[path], one = _looked_at(path)
        digest.update(f"{path.suffix.lower()} {one}".encode())
    name = own.name_of("pretraining", title or sources.title, digest.hexdigest())
    if not own.is_here(name):
        found = _paragraphs(encodings, column)
        own.keep(name, lambda folder: _write(folder, found, title or sources.title, sources))
    return name


def _looked_at(path: Path) -> tuple[str, str]:
    if path.suffix.lower() != ".parquet":
        return encoding_of(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return "utf-8", digest.hexdigest()


def _paragraphs(encodings: dict[Path, str], column: str | None) -> Iterator[Sentences]:
    """The whole text in WikiText's spelling."""
    spell = Speller(_LONGEST_WORD)

    def cut(lines: Iterator[str]) -> Iterator[Sentences]:
        return map(split_sentences, paragraphs(lines))

    def of_file(path: Path, encoding: str) -> Iterator[Sentences]:
        if path.suffix.lower() in PLAIN:
            return cut(text_lines(path, encoding))
        rows = rows_of_text(path, encoding, column)
        return itertools.chain.from_iterable(cut(iter(row.splitlines())) for row in rows)

    whole = itertools.chain.from_iterable(itertools.starmap(of_file, encodings.items()))
    for sentences in even_paragraphs(whole):
        if spelt := [s for sentence in sentences if (s := spell(sentence))]:
            yield spelt


def _write(
    folder: Path, found: Iterator[Sentences], title: str, sources: Sources
) -> dict[str, Any]:
    """Write the parts of a text into `folder`, and say what is in them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("sentences", pa.list_(pa.string()))])
    everything = folder / "all.parquet"
    digests, pairs, sentences = array("Q"), array("B"), 0
    with pq.ParquetWriter(everything, schema) as writer:
        while some := [*itertools.islice(found, _TOGETHER)]:
            interruption.check()
            for one in some:
                digests.append(_digest(one))
                pairs.append(len(one) > 1)
                sentences += len(one)
            writer.write_batch(pa.record_batch([pa.array(some, schema[0].type)], schema))
    numbers = np.frombuffer(digests, np.uint64)
    parts = _parts(numbers, np.frombuffer(pairs, np.uint8) > 0, title)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(pq.ParquetWriter(folder / f"{part}.parquet", schema))
            for part in _PARTS
        ]
        begin = 0
        with pq.ParquetFile(everything) as file:
            for batch in file.iter_batches(_TOGETHER):
                interruption.check()
                where = parts[begin : begin + len(batch)]
                begin += len(batch)
                for number, writer in enumerate(writers):
                    chosen = batch.filter(pa.array(where == number))
                    if len(chosen):
                        writer.write_batch(chosen)
    everything.unlink()
    return {
        "kind": "text",
        "title": title,
        "source": sources.detail,
        "bytes": sum(path.stat().st_size for path in sources.files),
        "paragraphs": len(numbers),
        "sentences": sentences,
        "repeated": len(numbers) - len(np.unique(numbers)),
    }


def _digest(paragraph: Sentences) -> int:
    digest = hashlib.blake2b("\n".join(paragraph).encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def _parts(
    digests: npt.NDArray[np.uint64], pairs: npt.NDArray[np.bool_], title: str
) -> npt.NDArray[np.int8]:
    """(P): 0, 1 or 2 for each of P paragraphs, by their digests: equal ones get the same.

    pairs: (P), which have two sentences and more, so that something follows something.
    """
    # Digests are as good as random numbers, so the smallest are a fair sample.
    second = held_out_below(digests[pairs], title, parts=2)
    first = held_out_below(digests[pairs], title, parts=1)
    parts = np.zeros(len(digests), np.int8)
    parts[digests <= second] = 2
    parts[digests <= first] = 1
    return parts


def held_out_below(digests: npt.NDArray[np.uint64], title: str, parts: int) -> np.uint64:
    """The largest digest that is held out, where `parts` parts are to be; the smallest are."""
    different = np.unique(digests)
    if len(different) < len(SPLITS):
        raise UserError(
            "The text {title} has too little text: {n:,} different paragraphs of two sentences, or "
            "premises, and it takes {least} to hold some out.",
            title=title,
            n=len(different),
            least=len(SPLITS),
        )
    count = max(round(_HELD_OUT * len(different)), min(_LEAST_HELD_OUT, len(different) // 10), 1)
    last: np.uint64 = different[parts * min(count, _MOST_HELD_OUT) - 1]
    return last
