"""Where the files of a corpus are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bert_demo.common.corpus_names import own_task
from bert_demo.common.errors import Text, UserError
from bert_demo.data import own
from bert_demo.data.corpora import CORPORA, SPLITS, corpus_spec
from bert_demo.data.locate import (
    CorpusUnavailable,
    Located,
    Origin,
    locate,
    mirror_folder,
    with_notes,
)


def corpus_file(name: str, split: str) -> Located:
    """One split of a corpus from the Hub as a readable parquet file on this computer.

    Raises:
        UserError: no such corpus or split, or a corpus that has no files.
        CorpusUnavailable: the file is nowhere to be had.
    """
    spec = corpus_spec(name)
    if spec.parts:
        raise UserError(
            "{title} has no files of its own; ask for {parts}.",
            title=spec.title,
            parts=", ".join(spec.parts),
        )
    if spec.repo_id is None:
        raise UserError("{title} is generated, so it has no files to look for.", title=spec.title)
    if split not in spec.files:
        raise UserError(
            "{title} has no split {split!r}; it must be one of: {choices}.",
            title=spec.title,
            split=split,
            choices=", ".join(spec.files),
        )
    return locate(spec.repo_id, spec.files[split], revision=spec.revision)


@dataclass(frozen=True)
class Whereabouts:
    """Where a corpus would come from; as text, one line of words."""

    splits: Mapping[str, Origin] = field(default_factory=dict)
    """Split to its place: the Hub for what this computer does not have."""
    notes: tuple[Text, ...] = ()
    """Why the local mirror is of no use."""
    parts: Mapping[str, Whereabouts] = field(default_factory=dict)
    """Title to whereabouts, of the corpora that make up this one."""

    def has(self, split: str) -> bool:
        """Whether this split need not be downloaded."""
        if self.parts:
            return all(part.has(split) for part in self.parts.values())
        return self.splits[split] is not Origin.HUB

    @property
    def here(self) -> bool:
        """Whether nothing has to be downloaded."""
        return all(map(self.has, SPLITS))

    def __str__(self) -> str:
        each = {title: str(part) for title, part in self.parts.items()}
        if len(set(each.values())) == 1:
            return each.popitem()[1]
        if each:
            return "; ".join(f"{title}: {words}" for title, words in each.items())
        told = []
        for place, words in _PLACES.items():
            splits = [split for split, found in self.splits.items() if found is place]
            if len(splits) == len(self.splits):
                told.append(f"{words} (not here yet)" if place is Origin.HUB else words)
            elif splits:
                told.append(f"{words} ({', '.join(splits)})")
        return with_notes(", ".join(told), self.notes)


_PLACES = {
    Origin.BUILT_IN: "built in, generated when it is needed",
    Origin.MIRROR: "the local mirror",
    Origin.CACHE: "the Hub's cache",
    Origin.HUB: "the Hub",
    Origin.OWN: "this computer's cache",
}


def whereabouts(corpus: str) -> Whereabouts:
    """Where a corpus would come from; never touches the network.

    Raises `TextGone` for one's own that is not here any more.
    """
    spec = corpus_spec(corpus)
    if spec.parts:
        return Whereabouts(parts={CORPORA[part].title: whereabouts(part) for part in spec.parts})
    if own_task(corpus) is not None:
        for split in SPLITS:
            own.file_of(corpus, split)
        return Whereabouts(dict.fromkeys(SPLITS, Origin.OWN))
    if spec.repo_id is None:
        return Whereabouts(dict.fromkeys(SPLITS, Origin.BUILT_IN))
    splits: dict[str, Origin] = {}
    for split, filename in spec.files.items():
        try:
            found = locate(spec.repo_id, filename, revision=spec.revision, offline=True)
            splits[split] = found.origin
        except CorpusUnavailable:
            splits[split] = Origin.HUB
    notes: list[Text] = []
    mirror_folder(notes)
    return Whereabouts(splits, tuple(notes))
