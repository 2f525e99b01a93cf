"""Which corpora there are, whose they are, and what files they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bert_demo.common.corpus_names import own_task, own_title
from bert_demo.common.fields import check_choice

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class CorpusSpec:
    """A corpus by its name on the command line.

    It has a `repo_id`, or `parts`, or neither: then it is generated in code.
    """

    name: str
    title: str
    licence: str
    repo_id: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """Split ("train", "validation", "test") to the file's path in the repository."""
    revision: str | None = None
    parts: tuple[str, ...] = ()
    """Names of the corpora that make up this one."""


def _parquet(folder: str) -> dict[str, str]:
    return {split: f"{folder}/{split}-00000-of-00001.parquet" for split in SPLITS}


CORPORA: Mapping[str, CorpusSpec] = {
    spec.name: spec
    for spec in (
        CorpusSpec(
            "wikitext-2",
            "WikiText-2",
            "CC BY-SA 3.0",
            "Salesforce/wikitext",
            _parquet("wikitext-2-v1"),
        ),
        CorpusSpec("snli", "SNLI", "CC BY-SA 4.0", "stanfordnlp/snli", _parquet("plain_text")),
        CorpusSpec(
            "wikitext-2-snli",
            "WikiText-2 + SNLI",
            "CC BY-SA 3.0 and 4.0",
            parts=("wikitext-2", "snli"),
        ),
        CorpusSpec("crane-world", "Crane World", "the project's own"),
    )
}


def is_corpus(name: str | None) -> bool:
    """Whether `corpus_spec` knows it, be it here or not."""
    return name is not None and (name in CORPORA or own_task(name) is not None)


def corpus_spec(name: str) -> CorpusSpec:
    """The corpus of this name; `UserError` with the known names when there is none."""
    if own_task(name) is not None:
        return CorpusSpec(name, own_title(name), "its owner's")
    check_choice("corpus", name, CORPORA)
    return CORPORA[name]
