"""The files that people name for a text or a table of their own: files, a folder, the Hub's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bert_demo.common.errors import Text, UserError
from bert_demo.data.locate import CorpusUnavailable, locate, mirrored_files

HUB = "hub:"
MOST_BYTES = 1_000_000_000
_MOST_FILES = 10_000
_ABOUT = ("readme", "license", "dataset_infos", "dataset_info")


@dataclass(frozen=True)
class Sources:
    """Files on this computer, and what they are called together."""

    title: str
    files: tuple[Path, ...]
    detail: str
    """Where they are from, in words: for data sets of the Hub with the commit."""
    names: tuple[str, ...]
    """What the files are called where they are from, without the path to their folder."""


def find_sources(
    given: Sequence[str | Path], endings: Collection[str], *, to_learn_from: bool = False
) -> Sources:
    """The files of paths, folders and `hub:OWNER/NAME`; a folder's own that have an ending.

    `hub:OWNER/NAME@REVISION/FOLDER` names a revision, else the newest is taken, and a folder of
    the repository, which is needed where it has files in several. With `to_learn_from`, of a data
    set of the Hub that is split already there is the part for training alone.

    Raises:
        UserError: for what is not there, cannot be read here or is too much.
        CorpusUnavailable: the Hub cannot be reached.
    """
    if len(given) == 1 and str(given[0]).startswith(HUB):
        return _of_hub(str(given[0]).removeprefix(HUB), endings, to_learn_from)
    files: list[Path] = []
    for one in given:
        path = Path(one).expanduser()
        files += _in_folder(path, endings) if path.is_dir() else [_one_file(path, endings)]
    if len(files) > _MOST_FILES:
        raise UserError(
            "These are {n:,} files; at most {limit:,}.", n=len(files), limit=_MOST_FILES
        )
    _check_bytes(files)
    first = Path(given[0]).expanduser()
    title = first.resolve().name if first.is_dir() else first.stem
    return Sources(title, tuple(files), ", ".join(map(str, given)), tuple(f.name for f in files))


def _one_file(path: Path, endings: Collection[str]) -> Path:
    if not path.is_file():
        raise UserError("There is no file {path}.", path=path)
    if path.suffix.lower() not in endings:
        raise UserError(
            "{path} must end in one of {endings}.", path=path, endings=", ".join(endings)
        )
    return path


def _in_folder(folder: Path, endings: Collection[str]) -> list[Path]:
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in endings
        and path.stem.lower() not in _ABOUT
        and path.is_file()
        and path.stat().st_size
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise UserError(
            "{path} has no file with text that ends in one of {endings}.",
            path=folder,
            endings=", ".join(endings),
        )
    return found


def _check_bytes(files: Sequence[Path]) -> None:
    size = sum(path.stat().st_size for path in files)
    if size > MOST_BYTES:
        raise UserError(
            "These files have {size:.1f} GB; at most {limit:.0f} GB can be read.",
            size=size / 1e9,
            limit=MOST_BYTES / 1e9,
        )


def _of_hub(address: str, endings: Collection[str], to_learn_from: bool) -> Sources:
    owner, _, rest = address.partition("/")
    name, _, folder = rest.partition("/")
    name, _, revision = name.partition("@")
    repo_id = f"{owner}/{name}"
    if not owner or not name:
        raise UserError(
            "{address!r} is no data set of the Hub; it must look like hub:OWNER/NAME.",
            address=HUB + address,
        )
    listed = mirrored_files(repo_id)
    if listed is None:
        commit, listed = _listed(repo_id, revision or None)
    else:
        commit = None
    chosen = _of_one_folder(repo_id, listed, folder.strip("/"), endings)
    if to_learn_from:
        chosen = [one for one in chosen if "train" in Path(one).name.lower()] or chosen
    files = tuple(locate(repo_id, one, revision=commit).path for one in chosen)
    _check_bytes(files)
    detail = HUB + repo_id + (f"@{commit}" if commit else "") + (f"/{folder}" if folder else "")
    return Sources(name, files, detail, tuple(Path(one).name for one in chosen))


def _listed(repo_id: str, revision: str | None) -> tuple[str, list[str]]:
    from bert_demo.data import hub

    try:
        return hub.repository_files(repo_id, revision)
    except hub.HubError as error:
        raise CorpusUnavailable(
            Text("The data set {repo} cannot be had: {reason}.", repo=repo_id, reason=error)
        ) from error


def _of_one_folder(
    repo_id: str, listed: Sequence[str], folder: str, endings: Collection[str]
) -> list[str]:
    """The files with data, all in one folder of the repository; tables before plain text."""
    found = [
        one
        for one in sorted(listed)
        if Path(one).suffix.lower() in endings
        and Path(one).stem.lower() not in _ABOUT
        and not any(part.startswith(".") for part in Path(one).parts)
    ]
    plain = (".txt", ".md", ".markdown")
    found = [one for one in found if Path(one).suffix.lower() not in plain] or found
    found = [one for one in found if not folder or one == folder or one.startswith(f"{folder}/")]
    folders = list(dict.fromkeys(Path(one).parent.as_posix() for one in found))
    if len(folders) > 1:
        raise UserError(
            "{repo} has data in several folders; name one of them, as in {example}: {folders}.",
            repo=repo_id,
            example=f"{HUB}{repo_id}/{folders[0]}",
            folders=", ".join(folders),
        )
    if not found:
        raise UserError(
            "{repo} has no file that ends in one of {endings}.",
            repo=f"{repo_id}/{folder}" if folder else repo_id,
            endings=", ".join(endings),
        )
    return found
