"""What goes wrong between here and the Hugging Face Hub, in one sentence and without the token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub import constants, get_session, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OIDCError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from bert_demo.common.errors import Text, UserError
from bert_demo.data.download import reachable
from bert_demo.data.hub import Trouble, is_offline, trouble

LOG_IN = Text("run `hf auth login` with a token that may write, and try again")

SILENCE_SECONDS = 30.0
"""Longest wait for a server that has accepted and says nothing; the client has no limit itself."""


class HubFailure(UserError):  # noqa: N818 (said to people, who know no other word)
    """Nothing was published or fetched; the message is one sentence with the reason."""


def check_name(repo_id: str) -> None:
    """Raise `HubFailure` for what cannot be the name of a repository."""
    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        raise HubFailure(
            "{name!r} is not a repository's name; it must look like owner/name, of letters and "
            "digits, with -, _ or . between them.",
            name=repo_id,
        ) from None


def login() -> str | None:
    """The token of whoever is logged in here (HF_TOKEN or `hf auth login`), for the Hub alone."""
    try:
        return get_token()
    except (OIDCError, OSError, ValueError, httpx2.HTTPError):
        return None


@contextmanager
def in_words(repo_id: str, token: str | None, *, reading: bool = False) -> Iterator[None]:
    """Turn what the Hub or its client raises into a `HubFailure`; errors of the disk pass."""
    nothing = _nothing(reading)
    if is_offline():
        raise HubFailure(
            "HF_HUB_OFFLINE is set, so {nothing}; unset it and try again.", nothing=nothing
        )
    if not reachable(constants.ENDPOINT):
        raise HubFailure(
            "The Hub cannot be reached, so {nothing}; try again when this computer is online.",
            nothing=nothing,
        )
    session = get_session()
    before, session.timeout = session.timeout, httpx2.Timeout(SILENCE_SECONDS)
    try:
        yield
    except UserError:
        raise
    except (HfHubHTTPError, httpx2.HTTPError, RuntimeError, ValueError) as error:
        # The client wraps what befalls a large file.
        cause = error.__cause__ if type(error) is RuntimeError and error.__cause__ else error
        raise HubFailure(_sentence(cause, repo_id, token, reading)) from None
    finally:
        session.timeout = before


def _sentence(error: BaseException, repo_id: str, token: str | None, reading: bool) -> Text:
    """What it means for who reads, or for who publishes."""
    answer = error if isinstance(error, HfHubHTTPError) else None
    said = str(error) if answer is None else answer.server_message or "no reason given"
    values = {
        "repo": repo_id,
        "owner": repo_id.partition("/")[0],
        "status": answer and answer.response.status_code,
        "nothing": _nothing(reading),
        "private": Text("your login may not see it" if token else "you are not logged in"),
        "log_in": LOG_IN,
        "reason": _safe(said, token),
    }
    match trouble(error):
        case Trouble.SILENT:
            return Text("The Hub does not answer, so {nothing}; try again later.", **values)
        case Trouble.BROKEN:
            return Text("The connection to the Hub broke, so {nothing}; try again.", **values)
        case Trouble.NOT_THE_HUB:
            return Text(
                "What answers is not the Hub (perhaps the network's login page), so {nothing}.",
                **values,
            )
        case Trouble.OTHER:
            return Text("The Hub's client failed ({reason}), so {nothing}.", **values)
        case Trouble.FORBIDDEN | Trouble.GATED if reading:
            return Text("The Hub does not let you read {repo}; ask its owner.", **values)
        case Trouble.FORBIDDEN | Trouble.GATED:
            return Text(
                "Your login may not write to {repo}, so {nothing}; it needs a token that may "
                "write, and {owner!r} must be you or an organisation of yours.",
                **values,
            )
        case Trouble.CONFLICT:
            return Text(
                "{repo} is being changed by somebody else, so {nothing}; try again.", **values
            )
        case Trouble.TOO_MANY:
            return Text(
                "The Hub asks for a pause, so {nothing}; try again in some minutes.", **values
            )
        case Trouble.HUB:
            return Text(
                "The Hub has trouble of its own (it answered {status}), so {nothing}; try later.",
                **values,
            )
        case Trouble.REFUSED:
            return Text("The Hub refuses with {status} ({reason}), so {nothing}.", **values)
        case _ if reading:
            return Text("The Hub has no {repo}, or it is private and {private}.", **values)
        case Trouble.NO_LOGIN | Trouble.HIDDEN:
            return Text(
                "The Hub does not accept your login, so {nothing}; {log_in} (where HF_TOKEN is "
                "set, it comes first).",
                **values,
            )
    return Text("The Hub knows no {repo} that you could write to, so {nothing}.", **values)


def _nothing(reading: bool) -> Text:
    return Text("nothing was fetched" if reading else "nothing was published")


def _safe(text: str, token: str | None) -> str:
    """The first line of what a server or library said, short, and never with the token."""
    line = next(iter(text.strip().splitlines()), "") or "no reason given"
    if token:
        line = line.replace(token, "(hidden)")
    return line[:200].rstrip(".")
