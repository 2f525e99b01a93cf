"""One setting of a run the other way. No torch here: the page opens with this module."""

from __future__ import annotations

import dataclasses
from typing import Any

from bert_demo.common.errors import Text, UserError
from bert_demo.common.fields import Setting, settings_of
from bert_demo.common.groups import COMPARED_SETTINGS, NEW_MODEL_SETTINGS
from bert_demo.config import RunConfig, TrainingConfig, run_config


def switch(name: str, task: str) -> Setting:
    """The setting of that name; raises `UserError` for one that cannot be tried against."""
    known = {s.name: s for c in (RunConfig, TrainingConfig) for s in settings_of(c)}
    plain = name.strip().lstrip("-").replace("-", "_")
    by_flag = {flag.lstrip("-").replace("-", "_"): s for s in known.values() for flag in s.flags}
    found = known.get(plain) or by_flag.get(plain)
    may = COMPARED_SETTINGS[task]
    if found is None or found.name not in may:
        raise UserError(
            "{name!r} cannot be tried against; what can be is: {choices}.",
            name=name,
            choices=Text(", ".join(may)),
        )
    return found


def value_of(run: RunConfig, name: str) -> Any:
    """What a run has for a setting."""
    return getattr(run.training if hasattr(run.training, name) else run, name)


def changed(run: RunConfig, name: str, value: Any) -> RunConfig:
    """The same run with one setting the other way.

    Raises `UserError` for a setting that cannot be tried against, or a value that it cannot have.
    """
    item = switch(name, run.task)
    if item.name in NEW_MODEL_SETTINGS and run.start_from is not None:
        raise UserError(
            "{name} is decided when a model is made; this run goes on from one.", name=item.name
        )
    values = run.to_dict()
    if item.name in values["training"]:
        values["training"][item.name] = value
    else:
        values[item.name] = value
    return run_config(values)


def change(run: RunConfig, other: RunConfig, name: str) -> Text:
    """Both ways in words: "norm before instead of after"."""
    item = switch(name, run.task)
    return Text(
        "{name} {other} instead of {own}",
        name=item.name,
        other=_said(value_of(other, item.name)),
        own=_said(value_of(run, item.name)),
    )


def _said(value: Any) -> str | Text:
    if value is None:
        return Text("the recipe's own")
    return f"{value:g}" if isinstance(value, float) else str(value)


def with_value(run: RunConfig, name: str, value: Any) -> RunConfig:
    """The same run with another value of a setting, of the type that it has."""
    if hasattr(run.training, name):
        training = dataclasses.replace(run.training, **{name: value})
        return dataclasses.replace(run, training=training)
    return dataclasses.replace(run, **{name: value})


def with_seed(run: RunConfig, seed: int) -> RunConfig:
    """The same run under another seed."""
    return with_value(run, "seed", seed)
