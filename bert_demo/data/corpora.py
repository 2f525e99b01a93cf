"""Where a corpus comes from: a local mirror, the Hub's cache, the Hub, or this project's own code.

The first place that has a whole file wins, the answer always says which one it was, and no
network means a sentence within about two seconds, not a page that hangs.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from bert_demo.common.corpus_names import own_task, own_title
from bert_demo.common.errors import Text, UserError
from bert_demo.data import own
from bert_demo.data.download import is_web_page
from bert_demo.data.files import is_lfs_pointer

REMEDY = Text(
    "choose --corpus crane-world, which needs no download, or set BERT_DEMO_DATA to a folder "
    "laid out like the Hub, or run `python -m bert_demo prepare` while online"
)

SPLITS = ("train", "validation", "test")
_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)


class CorpusUnavailable(UserError):  # noqa: N818 (a state of things, not a fault)
    """A file is nowhere to be had; the message is one sentence that ends with what to do."""


class NotInRepository(CorpusUnavailable):
    """The repository is there and has no file of this name."""


class Origin(Enum):
    """Where a corpus can come from."""

    BUILT_IN = Text("built in")
    MIRROR = Text("local mirror")
    CACHE = Text("hub cache")
    HUB = Text("hub")
    OWN = Text("one's own")


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


@dataclass(frozen=True)
class Located:
    """A file on this computer and how it got here."""

    path: Path
    origin: Origin
    detail: str
    """The origin in words, with the reasons why places asked before it did not serve."""
    revision: str | None
    """The Hub's commit, where it is known."""


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


def is_corpus(name: str | None) -> bool:
    """Whether `corpus_spec` knows it, be it here or not."""
    return name is not None and (name in CORPORA or own_task(name) is not None)


def corpus_spec(name: str) -> CorpusSpec:
    """The corpus of this name; `UserError` with the known names when there is none."""
    if own_task(name) is not None:
        return CorpusSpec(name, own_title(name), "its owner's")
    if name not in CORPORA:
        raise UserError(
            "corpus is {value!r}; it must be one of: {choices}.",
            value=name,
            choices=", ".join(CORPORA),
        )
    return CORPORA[name]


def locate(
    repo_id: str,
    filename: str,
    *,
    revision: str | None = None,
    repo_type: str = "dataset",
    offline: bool | None = None,
    max_bytes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Located:
    """Find one file of a Hub repository: mirror, then the Hub's cache, then the Hub.

    Args:
        repo_id: "owner/name".
        filename: path inside the repository, with forward slashes.
        revision: branch, tag or commit; None is the main branch. A mirror has no revisions.
        repo_type: "dataset" or "model".
        offline: True never touches the network; None lets HF_HUB_OFFLINE decide.
        max_bytes: a larger file is not downloaded.
        progress: told the bytes that are here, and of how many, while one is downloaded.

    Raises:
        UserError: a name that no repository or file can have.
        NotInRepository: the repository has no such file.
        CorpusUnavailable: none of the places has a whole file.
    """
    _check_names(repo_id, filename, repo_type)
    notes: list[Text] = []  # why the places asked so far did not serve
    file = _in_mirror(repo_id, filename, repo_type, notes)
    if file is not None:
        return Located(file, Origin.MIRROR, f"from the local mirror, {file}", None)

    # Imported here because whoever has a mirror never needs it.
    from bert_demo.data import hub

    file = hub.cached(repo_id, filename, repo_type=repo_type, revision=revision)
    fault = None if file is None else file_fault(file)
    if file is not None and fault is None:
        detail = _with_notes(f"from the Hub's cache on this computer, {file}", notes)
        return Located(file, Origin.CACHE, detail, hub.commit_of(file))
    if fault is not None:
        notes.append(
            Text("the copy in the Hub's cache, {path}, {fault}", path=str(file), fault=fault)
        )

    if offline or hub.is_offline():
        why = Text("offline was asked for" if offline else "HF_HUB_OFFLINE is set")
        raise CorpusUnavailable(_why_not(repo_id, filename, repo_type, [*notes, why]))
    for attempt in (1, 2):
        try:
            file = hub.fetch(
                repo_id,
                filename,
                repo_type=repo_type,
                revision=revision,
                damaged=file if fault is not None else None,
                max_bytes=max_bytes,
                progress=progress,
            )
        except hub.HubError as failure:
            if failure.again and attempt == 1:
                continue
            missing = failure.trouble is hub.Trouble.NO_FILE
            kind = NotInRepository if missing else CorpusUnavailable
            reasons = [*notes, failure.text]
            raise kind(_why_not(repo_id, filename, repo_type, reasons)) from failure
        fault = file_fault(file)
        if fault is None:
            detail = _with_notes(f"downloaded from {repo_id} on the Hub", notes)
            return Located(file, Origin.HUB, detail, hub.commit_of(file))
    notes.append(Text("what the Hub sent, twice, {fault}", fault=fault))
    raise CorpusUnavailable(_why_not(repo_id, filename, repo_type, notes))


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
        return _with_notes(", ".join(told), self.notes)


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
    _mirror_folder(notes)
    return Whereabouts(splits, tuple(notes))


def file_fault(path: Path) -> Text | None:
    """What is wrong with a downloaded file, as the end of a sentence, or None.

    Parquet files must have a readable footer, which a file cut short never has.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
        if not start:
            return Text("is empty")
        if is_lfs_pointer(start):
            return Text(
                "is a Git LFS pointer; `git lfs pull` in its folder fetches the file itself"
            )
        if is_web_page(start):
            return Text("is a web page, perhaps an error message, instead of the data")
        if path.suffix == ".parquet":
            if not start.startswith(b"PAR1"):
                return Text("is not a parquet file")
            import pyarrow.parquet

            with pyarrow.parquet.ParquetFile(path) as parquet:
                if parquet.metadata.num_rows == 0:
                    return Text("has no rows")
    except (OSError, ValueError) as error:  # pyarrow's errors derive from these two
        if isinstance(error, OSError) and error.strerror and error.errno is not None:
            return Text("cannot be read ({reason})", reason=error.strerror.lower())
        return Text("is not a whole parquet file (cut short or damaged)")
    return None


def _check_names(repo_id: str, filename: str, repo_type: str) -> None:
    if repo_type not in ("dataset", "model"):
        raise UserError(
            "repo_type is {value!r}; it must be one of: dataset, model.", value=repo_type
        )
    if not _NAME.fullmatch(repo_id) or ".." in repo_id or "--" in repo_id or len(repo_id) > 96:
        raise UserError(
            "{name!r} is not a repository's name; it must look like owner/name.", name=repo_id
        )
    if not filename or any(part in ("", ".", "..") for part in re.split(r"[/\\]", filename)):
        raise UserError(
            "{filename!r} is not a path inside a repository, such as a/b.parquet.",
            filename=filename,
        )


def _mirror_folder(notes: list[Text]) -> Path | None:
    """The folder BERT_DEMO_DATA names, or None with a note when it is of no use."""
    value = os.environ.get("BERT_DEMO_DATA")
    if not value:
        return None
    folder = Path(value).expanduser()
    try:
        if not folder.is_dir():
            notes.append(Text("BERT_DEMO_DATA is {value!r}, which is not a folder", value=value))
        elif not any((folder / kind).is_dir() for kind in ("datasets", "models")):
            notes.append(
                Text("BERT_DEMO_DATA is {value!r}, which has no folder named datasets", value=value)
            )
        else:
            return folder.resolve()
    except (OSError, ValueError):
        notes.append(Text("BERT_DEMO_DATA is {value!r}, which cannot be read", value=value))
    return None


def mirrored_files(repo_id: str) -> list[str] | None:
    """The files of a data set in the local mirror, by their paths in it; None where it has none."""
    _check_names(repo_id, "any", "dataset")
    mirror = _mirror_folder([])
    folder = None if mirror is None else mirror / "datasets" / repo_id
    if folder is None or not folder.is_dir():
        return None
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def _in_mirror(repo_id: str, filename: str, repo_type: str, notes: list[Text]) -> Path | None:
    folder = _mirror_folder(notes)
    if folder is None:
        return None
    inside = f"{repo_type}s/{repo_id}/{filename}"
    file = folder / inside
    if not file.is_file():
        notes.append(
            Text("the local mirror {folder} has no {file}", folder=str(folder), file=inside)
        )
        return None
    fault = file_fault(file)
    if fault is not None:
        notes.append(Text("the local mirror's {path} {fault}", path=str(file), fault=fault))
        return None
    return file


def _why_not(repo_id: str, filename: str, repo_type: str, reasons: list[Text]) -> Text:
    titles = {spec.repo_id: spec.title for spec in CORPORA.values()}
    what = f"{titles[repo_id]} ({repo_id})" if repo_id in titles else repo_id
    remedy = REMEDY
    if repo_type == "model":
        remedy = Text(
            "try again while online, or set BERT_DEMO_DATA to a folder laid out like the Hub"
        )
    return Text(
        "The file {file} of {what} cannot be had: {reasons}; {remedy}.",
        file=filename,
        what=what,
        reasons=functools.reduce(lambda a, b: Text("{a}, and {b}", a=a, b=b), reasons),
        remedy=remedy,
    )


def _with_notes(text: str, notes: Sequence[str]) -> str:
    return f"{text} ({'; '.join(notes)})" if notes else text
