"""Settings are fields of dataclasses that know their range and a hint in plain words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bert_demo.common.corpus_names import own_task
from bert_demo.common.errors import Text, UserError


def setting(
    default: Any,
    hint: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field that knows its safe range and a hint in plain words."""
    metadata = {"hint": hint, "low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Setting:
    """What a form or a command-line flag needs to know about one field."""

    name: str
    type: type
    default: Any
    hint: str
    low: float | None
    high: float | None
    choices: tuple[str, ...] | None
    optional: bool

    @property
    def flags(self) -> tuple[str, ...]:
        """What the command line calls it, the usual name first."""
        return _FLAGS.get(self.name, ("--" + self.name.replace("_", "-"),))


_FLAGS = {
    "start_from": ("--from",),
    "size": ("--model", "--size"),
    "hidden_act": ("--activation", "--hidden-act"),
}
_TYPES = {"int": int, "float": float, "bool": bool, "str": str}


def settings_of(config: type) -> Iterator[Setting]:
    """The settings of a configuration dataclass, in order."""
    for field in dataclasses.fields(config):
        if "hint" not in field.metadata:
            continue
        words = str(field.type).replace("|", " ").split()
        yield Setting(
            field.name,
            _TYPES[words[0]],
            field.default,
            optional="None" in words or field.default is None,
            **field.metadata,
        )


def check(config: Any) -> None:
    """Validate every setting of a frozen dataclass against its metadata."""
    for item in settings_of(type(config)):
        value = getattr(config, item.name)
        if value is None and item.optional:
            continue
        object.__setattr__(config, item.name, _checked(item, value))


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise `UserError` where the value of `name` is none of the choices."""
    choices = tuple(choices)
    if value not in choices:
        raise UserError(
            "{name} is {value!r}; it must be one of: {choices}.",
            name=name,
            value=value,
            choices=", ".join(choices),
        )


def _checked(item: Setting, value: Any) -> Any:
    """`value` in the setting's type, or `UserError`."""
    if item.choices is not None:
        own = item.name == "corpus" and own_task(value) is not None
        if not own:
            check_choice(item.name, value, item.choices)
        return value
    if item.type is str:
        if not isinstance(value, str):
            raise UserError("{name} is {value!r}; it must be text.", name=item.name, value=value)
        return value
    if item.type is bool:
        if not isinstance(value, bool):
            raise UserError(
                "{name} is {value!r}; it must be true or false.", name=item.name, value=value
            )
        return value
    try:
        number = item.type(value)
        exact = not isinstance(value, bool) and number == float(value) and math.isfinite(number)
    except (TypeError, ValueError, OverflowError):
        exact = False
    if (
        not exact
        or (item.low is not None and number < item.low)
        or (item.high is not None and number > item.high)
    ):
        raise UserError(
            "{name} is {value!r}; it must be {wanted}.",
            name=item.name,
            value=value,
            wanted=_wanted(item),
        )
    return number


def _wanted(item: Setting) -> Text:
    """The numbers that a setting can have, in words."""
    whole = item.type is int
    if item.low is None:
        return Text("a whole number" if whole else "a number")
    if item.high is None:
        return Text(
            "a whole number of at least {low:,}" if whole else "a number of at least {low:,}",
            low=item.low,
        )
    return Text(
        "a whole number from {low:,} to {high:,}" if whole else "a number from {low:,} to {high:,}",
        low=item.low,
        high=item.high,
    )


def from_dict(config: type, values: Mapping[str, Any]) -> Any:
    """Build a configuration from JSON; a name it does not have is an error, not ignored."""
    known = {field.name for field in dataclasses.fields(config)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(
            "{config} has no setting {name!r}.", config=config.__name__, name=unknown[0]
        )
    try:
        return config(**values)
    except TypeError as error:
        missing = sorted(
            f.name
            for f in dataclasses.fields(config)
            if f.name not in values and f.default is dataclasses.MISSING
        )
        raise UserError(
            "{config} needs {missing}.", config=config.__name__, missing=", ".join(missing)
        ) from error
