"""One file of a repository of the Hub: in a local mirror, in the Hub's cache, or on the Hub.

The first place that has a whole file wins, the answer always says which one it was, and no
network means a sentence within about two seconds, not a page that hangs.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bert_demo.common.errors import Text, UserError
from bert_demo.data.corpora import CORPORA
from bert_demo.data.download import is_web_page
from bert_demo.data.files import is_lfs_pointer

REMEDY = Text(
    "choose --corpus crane-world, which needs no download, or set BERT_DEMO_DATA to a folder "
    "laid out like the Hub, or run `python -m bert_demo prepare` while online"
)

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
class Located:
    """A file on this computer and how it got here."""

    path: Path
    origin: Origin
    detail: str
    """The origin in words, with the reasons why places asked before it did not serve."""
    revision: str | None
    """The Hub's commit, where it is known."""


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
        detail = with_notes(f"from the Hub's cache on this computer, {file}", notes)
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
            detail = with_notes(f"downloaded from {repo_id} on the Hub", notes)
            return Located(file, Origin.HUB, detail, hub.commit_of(file))
    notes.append(Text("what the Hub sent, twice, {fault}", fault=fault))
    raise CorpusUnavailable(_why_not(repo_id, filename, repo_type, notes))


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


def mirror_folder(notes: list[Text]) -> Path | None:
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
    mirror = mirror_folder([])
    folder = None if mirror is None else mirror / "datasets" / repo_id
    if folder is None or not folder.is_dir():
        return None
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def _in_mirror(repo_id: str, filename: str, repo_type: str, notes: list[Text]) -> Path | None:
    folder = mirror_folder(notes)
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


def with_notes(text: str, notes: Sequence[str]) -> str:
    """A place, and why others did not serve."""
    return f"{text} ({'; '.join(notes)})" if notes else text
