"""What the page is started with: every flag of app.py, and the same as environment variables."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_demo.common.errors import UserError
from bert_demo.common.fields import check_choice
from bert_demo.ui.parts import language

_PREFIX = "BERT_DEMO_"
_CHECKPOINTS = Path(__file__).resolve().parents[3] / "checkpoints"
_PATH = re.compile(r"(https?://[\w.:\[\]-]+)?(/[\w.~%+@=-]+)*")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


def _flag(default: Any, hint: str, *, low: float | None = None, high: float | None = None) -> Any:
    return dataclasses.field(default=default, metadata={"hint": hint, "low": low, "high": high})


@dataclass(frozen=True)
class AppSettings:
    """How the page is served. Each is a flag (--max-run-seconds) and BERT_DEMO_MAX_RUN_SECONDS."""

    host: str | None = _flag(None, "address to listen on; left out, only this machine can connect")
    port: int | None = _flag(
        None, "port to listen on; left out, 7860 or the next that is free", low=1, high=65535
    )
    share: bool = _flag(False, "make a public link through Gradio's server, for a class")
    public: bool = _flag(
        False,
        "others can open the page, through a tunnel or a proxy on this machine: what bounds a "
        "public page holds",
    )
    auth_file: Path | None = _flag(  # noqa: RUF009
        None, "file with one name:password a line; others stay out"
    )
    admin_token: str | None = _flag(
        None, "the teacher's secret, which may stop and delete every run; left out, drawn at start"
    )
    data_dir: Path = _flag(  # noqa: RUF009
        Path(), "folder that is to keep the runs and the fetched models, in folders of their own"
    )
    checkpoints_dir: Path = _flag(  # noqa: RUF009
        _CHECKPOINTS, "folder of the models that come along"
    )
    max_run_seconds: float | None = _flag(
        None, "longest run that anybody may start; left out, 300 where the page is public", low=1
    )
    own_text: bool = _flag(
        False, "visitors of a public page may bring texts and pairs of their own, too"
    )
    language: str = _flag(language.SOURCE, "language of the page, such as zh")
    root_path: str | None = _flag(None, "path that a proxy serves the page under, such as /bert")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, _checked(field, value))
        check_choice("language", self.language, language.available())
        object.__setattr__(self, "host", _host(self.host))
        object.__setattr__(self, "root_path", _root_path(self.root_path))
        if self.admin_token is not None and len(self.admin_token) < 8:
            raise UserError("admin_token is too short; it must have at least 8 characters.")

    def logins(self) -> list[tuple[str, str]] | None:
        """Names and passwords of the auth file, or None without one; UserError if it is unfit."""
        if self.auth_file is None:
            return None
        try:
            lines = self.auth_file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                "auth_file {path} cannot be read as text.", path=self.auth_file
            ) from error
        pairs = []
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            name, _, password = line.partition(":")
            if not name.strip() or not password:
                raise UserError(
                    "Line {number} of auth_file {path} is not name:password.",
                    number=number,
                    path=self.auth_file,
                )
            pairs.append((name.strip(), password))
        if not pairs:
            raise UserError("auth_file {path} has no name:password line.", path=self.auth_file)
        return pairs


def from_args(argv: Sequence[str] | None, environ: Mapping[str, str]) -> AppSettings:
    """Settings from flags, else from the environment, else the defaults.

    Raises:
        UserError: a value that cannot be; the sentence names the setting.
        SystemExit: for --help, and for a flag that does not exist.
    """
    parser = argparse.ArgumentParser(
        description="Serve the bert_demo page.",
        epilog="Each flag can be given as an environment variable too: BERT_DEMO_PORT=7870.",
    )
    for field in dataclasses.fields(AppSettings):
        name = "--" + field.name.replace("_", "-")
        help_text = str(field.metadata["hint"])
        if field.default not in (None, False):
            help_text += f" (default: {field.default})"
        if _kind(field) == "bool":
            parser.add_argument(
                name, action=argparse.BooleanOptionalAction, default=None, help=help_text
            )
        else:
            parser.add_argument(name, metavar=_kind(field).upper(), help=help_text)
    given = vars(parser.parse_args(argv))
    values = {name: value for name, value in given.items() if value is not None}
    for field in dataclasses.fields(AppSettings):
        text = environ.get(_PREFIX + field.name.upper(), "").strip()
        if text and field.name not in values:
            values[field.name] = text
    return AppSettings(**values)


def _host(host: str | None) -> str | None:
    """An IPv6 address in brackets, as web addresses have it."""
    bare = host is not None and ":" in host and not host.startswith("[")
    return f"[{host}]" if bare else host


def _root_path(path: str | None) -> str | None:
    """With one slash before it and none behind; "" for "/"; whole addresses keep their beginning.

    Raises `UserError` for what a web address cannot have.
    """
    if path is None:
        return None
    path = path.strip().rstrip("/")
    if not path.startswith(("http://", "https://")):
        path = path.lstrip("/") and "/" + path.lstrip("/")
    if not _PATH.fullmatch(path):
        raise UserError(
            "root_path is {value!r}; it must be a path as in a web address, such as /bert.",
            value=path,
        )
    return path


def _kind(field: dataclasses.Field[Any]) -> str:
    return str(field.type).split(" ")[0]


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """`value` in the field's type; text from flags and the environment is converted."""
    kind, name = _kind(field), field.name
    if value is None:
        return None
    if kind == "Path":
        return Path(value)
    if kind == "bool":
        word = str(value).lower()
        if word not in _TRUE + _FALSE:
            raise UserError(
                "{name} is {value!r}; it must be true or false.", name=name, value=value
            )
        return word in _TRUE
    if kind == "str":
        return str(value)
    number = int if kind == "int" else float
    try:
        result = number(value)
    except (TypeError, ValueError) as error:
        wanted = "a whole number" if kind == "int" else "a number"
        raise UserError(
            "{name} is {value!r}; it must be {wanted}.", name=name, value=value, wanted=wanted
        ) from error
    low, high = field.metadata["low"], field.metadata["high"]
    if not (low is None or result >= low) or not (high is None or result <= high):
        wanted = f"from {low} to {high}" if high is not None else f"at least {low}"
        raise UserError(
            "{name} is {value!r}; it must be {wanted}.", name=name, value=value, wanted=wanted
        )
    return result
