"""The Hugging Face Hub through its own client, made sure to answer or fail soon.

Left to itself the client tries for 23 seconds where there is no network, for minutes where a
server accepts and says nothing, and without end where every transfer of a large file breaks.
"""

from __future__ import annotations

import contextlib
import errno
import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import tqdm

from bert_demo.common.errors import Text, UserError
from bert_demo.data import interruption
from bert_demo.data.download import reachable, remember_silent

ANSWER_SECONDS = 4.0
"""Longest wait for the Hub's first answer about a file."""

_RESTARTS = 2  # transfers that begin again from nothing before the file is given up
_NETWORK_ERRORS = (OSError, httpx2.HTTPError)
_DISK_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC)


# What can come between this computer and the Hub, for which each caller has words of its own.
# HIDDEN is a repository that is not there or private, NOT_FOUND does not say what is missing,
# HUB is an error of the Hub's own.
Trouble = Enum(
    "Trouble",
    "NO_FILE NO_REVISION NO_REPOSITORY HIDDEN GATED NOT_FOUND NO_LOGIN FORBIDDEN CONFLICT "
    "TOO_MANY HUB REFUSED SILENT BROKEN NOT_THE_HUB OTHER",
)
_BY_CLASS = {  # each before those that it is made from
    EntryNotFoundError: Trouble.NO_FILE,
    RevisionNotFoundError: Trouble.NO_REVISION,
    GatedRepoError: Trouble.GATED,
    RepositoryNotFoundError: Trouble.NO_REPOSITORY,
    HfHubHTTPError: Trouble.REFUSED,
    httpx2.TimeoutException: Trouble.SILENT,
    httpx2.HTTPError: Trouble.BROKEN,
    json.JSONDecodeError: Trouble.NOT_THE_HUB,
}
_BY_STATUS = {
    401: Trouble.NO_LOGIN,
    403: Trouble.FORBIDDEN,
    404: Trouble.NOT_FOUND,
    409: Trouble.CONFLICT,
    412: Trouble.CONFLICT,
    429: Trouble.TOO_MANY,
}


def trouble(error: BaseException) -> Trouble:
    """What an exception of the Hub's client means."""
    found = (kind for family, kind in _BY_CLASS.items() if isinstance(error, family))
    kind = next(found, Trouble.OTHER)
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if kind is Trouble.NO_REPOSITORY and status == 401:
            return Trouble.HIDDEN
        if kind is Trouble.REFUSED:
            return Trouble.HUB if status >= 500 else _BY_STATUS.get(status, kind)
    return kind


class HubError(UserError):
    """The Hub did not give the file; the message is a clause, without capital or full stop.

    `again` says whether a second try may help.
    """

    def __init__(
        self,
        template: str,
        /,
        *,
        again: bool = False,
        trouble: Trouble = Trouble.OTHER,
        **values: Any,
    ) -> None:
        super().__init__(template, **values)
        self.again, self.trouble = again, trouble


class _BreakingError(OSError):
    pass


class _Progress(tqdm):
    """The client's progress bar, which also ends a transfer that starts again and again."""

    restarts = 0
    told: Callable[[int, int], None] | None = None
    """Is told the bytes that are here, and of how many."""
    here: int | None = None  # counted here too, for a bar that is not shown counts nothing

    def update(self, n: float | None = 1) -> bool | None:
        interruption.check()
        if n is not None and n < 0:  # the client takes back what a broken transfer had brought
            self.restarts += 1
            if self.restarts > _RESTARTS:
                raise _BreakingError
        self.here = int(self.n or 0 if self.here is None else self.here) + int(n or 0)
        if self.told is not None:
            self.told(self.here, int(self.total or 0))
        shown: bool | None = super().update(n)
        return shown


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    return bool(constants.HF_HUB_OFFLINE)


def cached(repo_id: str, filename: str, *, repo_type: str, revision: str | None) -> Path | None:
    """The file in the Hub's cache on this computer, or None; asks nobody."""
    found = try_to_load_from_cache(repo_id, filename, repo_type=repo_type, revision=revision)
    return Path(found) if isinstance(found, str) else None


def commit_of(path: Path) -> str | None:
    """The commit that a cached file belongs to: the folder's name below `snapshots`."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts else None


def fetch(
    repo_id: str,
    filename: str,
    *,
    repo_type: str,
    revision: str | None,
    damaged: Path | None,
    max_bytes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Bring a file from the Hub into its cache, in the place of a damaged copy if there is one.

    A file of more than `max_bytes` is not begun. `progress` is told the bytes that are here, and of
    how many.

    Raises:
        HubError: with the reason.
    """
    url = hf_hub_url(repo_id, filename, repo_type=repo_type, revision=revision)
    host = urlsplit(url).hostname
    if not reachable(url):
        raise HubError("the Hub ({host}) cannot be reached", host=host)
    size = _ask(url, repo_id, filename, revision)
    if max_bytes is not None and size > max_bytes:
        raise HubError("it is larger than {limit:,} bytes ({size:,})", limit=max_bytes, size=size)
    told = {"told": None if progress is None else staticmethod(progress)}
    try:
        if damaged is not None:
            # The client alone would write the new file and leave the old link to the damaged one.
            damaged.unlink(missing_ok=True)
        path = hf_hub_download(
            repo_id,
            filename,
            repo_type=repo_type,
            revision=revision,
            etag_timeout=ANSWER_SECONDS,
            force_download=damaged is not None,
            tqdm_class=type("_ToldProgress", (_Progress,), told),
        )
    except _BreakingError:
        raise HubError("the connection to the Hub broke again and again") from None
    except (*_NETWORK_ERRORS, ValueError) as error:
        number = getattr(error, "errno", None)
        if number in _DISK_ERRORS:
            words = str(getattr(error, "strerror", error)).lower()
            raise HubError(
                "the Hub's cache {folder} cannot be written ({reason})",
                folder=constants.HF_HUB_CACHE,
                reason=words,
            ) from error
        line = (str(error) or type(error).__name__).splitlines()[0]
        # The client's check of the size, the one failure that a second try often cures.
        again = type(error) is OSError and number is None
        raise HubError(
            "the download from the Hub failed ({line})", line=line, again=again
        ) from error
    return Path(path)


def _ask(url: str, repo_id: str, filename: str, revision: str | None) -> int:
    """The file's size in bytes, asked for once, without the client's long retries."""
    host = urlsplit(url).hostname
    try:
        metadata: Any = get_hf_file_metadata(url, timeout=ANSWER_SECONDS)
    except (EntryNotFoundError, *_NETWORK_ERRORS) as error:
        kind = trouble(error)
        match kind:
            case Trouble.NO_FILE:
                words = Text(
                    "{repo} on the Hub has no file {filename}", repo=repo_id, filename=filename
                )
            case Trouble.NO_REVISION:
                words = Text(
                    "{repo} on the Hub has no revision {revision}", repo=repo_id, revision=revision
                )
            case Trouble.GATED:
                words = Text("{repo} on the Hub asks for its owner's permission", repo=repo_id)
            case Trouble.NO_REPOSITORY | Trouble.HIDDEN:
                words = Text("the Hub has no {repo}, or it is private", repo=repo_id)
            case Trouble.SILENT | Trouble.BROKEN | Trouble.OTHER:
                remember_silent(url)
                words = Text("the Hub ({host}) does not answer", host=host)
            case _:
                assert isinstance(error, HfHubHTTPError)
                words = Text("the Hub answered {status}", status=error.response.status_code)
        raise HubError(words, trouble=kind) from None
    if metadata.commit_hash is None or metadata.etag is None:
        raise HubError(
            "what answered at {host} is not the Hub (perhaps the network's login page)", host=host
        )
    return int(metadata.size or 0)


def repository_files(repo_id: str, revision: str | None) -> tuple[str, list[str]]:
    """The commit that a data set's revision is now, and the paths of its files there.

    Where the Hub does not answer, those of the copy in its cache on this computer.

    Raises:
        HubError: with the reason.
    """
    from huggingface_hub import HfApi

    failure: Exception | None = None
    if not is_offline():
        try:
            info = HfApi().dataset_info(repo_id, revision=revision, timeout=ANSWER_SECONDS)
            return str(info.sha), [one.rfilename for one in info.siblings or ()]
        except (*_NETWORK_ERRORS, ValueError) as error:
            failure = error
    kind = Trouble.OTHER if failure is None else trouble(failure)
    if failure is None or kind in (Trouble.SILENT, Trouble.BROKEN, Trouble.OTHER):
        folder = _kept_snapshot(repo_id, revision)
        if folder is not None:
            names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
            return folder.name, names
        if failure is None:
            raise HubError("HF_HUB_OFFLINE is set")
        raise HubError("the Hub does not answer", trouble=kind) from failure
    if kind is Trouble.NO_REVISION:
        raise HubError(
            "{repo} on the Hub has no revision {revision}", repo=repo_id, revision=revision
        ) from failure
    if kind is Trouble.GATED:
        raise HubError(
            "{repo} on the Hub asks for its owner's permission", repo=repo_id
        ) from failure
    raise HubError("the Hub has no {repo}, or it is private", repo=repo_id) from failure


def _kept_snapshot(repo_id: str, revision: str | None) -> Path | None:
    """The folder of a data set's revision in the cache; without one of the commit that came last,
    since files that are asked for by a commit leave no note of "main"."""
    from huggingface_hub import snapshot_download

    with contextlib.suppress(OSError, ValueError):
        return Path(
            snapshot_download(
                repo_id, repo_type="dataset", revision=revision, local_files_only=True
            )
        )
    folder = Path(constants.HF_HUB_CACHE) / f"datasets--{repo_id.replace('/', '--')}" / "snapshots"
    found = folder.iterdir() if revision is None and folder.is_dir() else ()
    return max(found, key=lambda path: path.stat().st_mtime, default=None)
