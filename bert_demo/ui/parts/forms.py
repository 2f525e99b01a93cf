"""The form of a run, made from the settings in config.py, and the way from its fields to a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from bert_demo.common.corpus_names import NLI_CORPORA, PRETRAINING_CORPORA
from bert_demo.common.errors import Text, UserError
from bert_demo.common.fields import Setting, settings_of
from bert_demo.common.groups import DESIGN_SETTINGS, VISITOR_SETTINGS
from bert_demo.config import RunConfig, TrainingConfig, run_config
from bert_demo.data.corpora import CORPORA, corpus_spec
from bert_demo.ui.parts.exercises import EXERCISES
from bert_demo.ui.parts.language import later, say
from bert_demo.ui.parts.setting_words import hint_of, label_of, value_words

Values = dict[str, Any]

BUDGETS = {"budget_seconds": later("seconds"), "steps": later("steps"), "epochs": later("passes")}
"""The limits of which the form asks for one, in words."""
OWN = "own"
"""The corpus of a form in which one's own is still to be brought."""
BUDGET_KIND, BUDGET = "budget_kind", "budget"

_RUN = {item.name: item for item in settings_of(RunConfig)}
_TRAINING = {item.name: item for item in settings_of(TrainingConfig)}
_FIRST = {
    "pretraining": ("corpus", "size", "recipe"),
    "nli": ("start_from", "corpus", "recipe"),
}
_HALF_A_MINUTE = later("Start: 30 seconds")
_BOOKS = later("The book's run")
_GOOD = later("5 minutes, as good as it gets")
_BOOK = {"recipe": "d2l", "learning_rate": None, "seed": 0}
PRESETS: dict[str, dict[str, Values]] = {
    "pretraining": {
        _HALF_A_MINUTE: {"corpus": "crane-world", "budget_seconds": 30},
        _BOOKS: {**_BOOK, "corpus": "wikitext-2", "steps": 50},
        _GOOD: {"budget_seconds": 300},
    },
    "nli": {
        _HALF_A_MINUTE: {"corpus": "crane-world", "budget_seconds": 30},
        _BOOKS: {**_BOOK, "corpus": "snli", "epochs": 5, "max_length": 128},
        _GOOD: {"corpus": "snli", "budget_seconds": 300},
    },
}
"""What each preset sets, one limit among it; all else goes back to its default, but the corpus
stays if not named."""


def names(task: str) -> list[str]:
    """The fields of a task's form, in order: the few first, then the budget, then the rest."""
    first, may = _FIRST[task], VISITOR_SETTINGS[task]
    rest = (n for n in (*_RUN, *_TRAINING) if n in may and n not in (*first, *BUDGETS))
    return [*first, BUDGET, BUDGET_KIND, *rest]


def design_names(task: str) -> list[str]:
    """The fields of choices that others made when they designed BERT and its training."""
    return [name for name in names(task) if name in DESIGN_SETTINGS]


def first_names(task: str) -> list[str]:
    """The fields that are shown at once."""
    return [*_FIRST[task], BUDGET, BUDGET_KIND]


def defaults(task: str) -> Values:
    """What a fresh form says: the first preset."""
    return preset(task, next(iter(PRESETS[task])), {})


def preset(task: str, name: str, current: Mapping[str, Any]) -> Values:
    """The values of every field under a preset or an exercise. Raises `UserError` for a name it
    does not know."""
    exercise = EXERCISES[task].get(name)
    chosen = PRESETS[task].get(name) if exercise is None else exercise.values
    if chosen is None:
        raise UserError("There is no preset {name!r}.", name=name)
    values = {
        n: (_RUN | _TRAINING)[n].default for n in names(task) if n not in (BUDGET_KIND, BUDGET)
    }
    kept = {n: current[n] for n in ("corpus", "start_from") if current.get(n)}
    return {**values, **kept, **_with_budget(chosen)}


def _with_budget(settings: Mapping[str, Any]) -> Values:
    """The form's fields for settings, of which one ends the run."""
    kind = next(kind for kind in BUDGETS if kind in settings)
    others = {name: value for name, value in settings.items() if name != kind}
    return {**others, BUDGET_KIND: kind, BUDGET: settings[kind]}


def read(task: str, values: Mapping[str, Any]) -> RunConfig:
    """The run that the form's fields describe; raises `UserError` with a sentence."""
    given = {name: _plain(values.get(name)) for name in names(task)}
    kind, budget = given.pop(BUDGET_KIND), given.pop(BUDGET)
    if given["corpus"] == OWN:
        raise UserError("Paste your own text and read it first, or choose another corpus.")
    if kind not in tuple(BUDGETS):
        raise UserError("Choose what ends the run: seconds, steps or passes.")
    if budget is None:
        raise UserError("Say after how many {units} the run ends.", units=Text(BUDGETS[kind]))
    if task == "nli" and given["start_from"] is None:
        raise UserError("Choose a pretrained model to start from, or pretrain one first.")
    training = {n: v for n, v in given.items() if n in _TRAINING} | {kind: budget}
    return run_config(
        {"task": task, **{n: v for n, v in given.items() if n in _RUN}, "training": training}
    )


def field(task: str, name: str, value: Any) -> gr.components.Component:
    """The component that asks for one setting."""
    if name == BUDGET_KIND:
        units = [(say(words), key) for key, words in BUDGETS.items()]
        return gr.Dropdown(units, value=value, label=say("Unit"), filterable=False, min_width=120)
    if name == BUDGET:
        return gr.Number(value, label=say("Stop after"), minimum=0, min_width=90)
    item = (_RUN | _TRAINING)[name]
    label, hint = label_of(name), hint_of(item)
    choices = _choices(task, item)
    if name == "start_from":
        info = say("A pretrained model from the shelf.")
        return gr.Dropdown([], value=value, label=label, info=info)
    if choices is not None:
        shown = "" if value is None else value
        return gr.Dropdown(choices, value=shown, label=label, info=hint, filterable=False)
    if item.type is bool:
        return gr.Checkbox(value, label=label, info=hint)
    if item.optional or item.default is None:
        # A number field shows an empty value as 0, which would be another setting.
        return gr.Textbox(value or "", label=label, info=hint, placeholder=value_words(name, None))
    return gr.Number(value, label=label, info=hint, step=1 if item.type is int else 0.001)


def choices_of(task: str, name: str) -> list[tuple[str, str]]:
    """The values that a setting can have, in words, if they are a few."""
    return _choices(task, (_RUN | _TRAINING)[name]) or []


def restored(task: str, stored: Any) -> Values:
    """The form as a browser kept it; what is no value of a field is the field's default."""
    kept, values = stored if isinstance(stored, dict) else {}, defaults(task)
    for name, default in values.items():
        given = kept.get(name)
        if not isinstance(given, str | int | float):  # a bool is an int
            fits = False
        elif name == BUDGET_KIND:
            fits = given in BUDGETS
        elif name == BUDGET:
            fits = isinstance(given, int | float) and 0 < given < 1e9
        elif (choices := _choices(task, (_RUN | _TRAINING)[name])) is not None:
            fits = given in [value for _, value in choices]
        elif isinstance(default, bool):
            fits = isinstance(given, bool)
        else:
            fits = isinstance(given, int | float | str) and len(str(given)) <= 40
        if fits:
            values[name] = given
    return values


def corpus_choices(
    task: str, *, own: bool = False, name: str | None = None
) -> list[tuple[str, str]]:
    """The corpora of a form; with `own` a place for one's own, and the one called `name`."""
    found = _choices(task, _RUN["corpus"]) or []
    if name is not None:
        found.append((corpus_spec(name).title, name))
    return [*found, (say("Your own text"), OWN)] if own else found


def _choices(task: str, item: Setting) -> list[tuple[str, str]] | None:
    if item.name == "corpus":
        corpora: Sequence[str] = PRETRAINING_CORPORA if task == "pretraining" else NLI_CORPORA
        fetched = {name for name, spec in CORPORA.items() if spec.repo_id or spec.parts}
        titles = {name: corpus_spec(name).title for name in corpora}
        return [
            (title if name in fetched else say("{corpus}, built in", corpus=title), name)
            for name, title in titles.items()
        ]
    if item.choices is None:
        return None
    own = [(value_words(item.name, None), "")] if item.optional else []
    return own + [(value_words(item.name, choice), choice) for choice in item.choices]


def _plain(value: Any) -> Any:
    """What an empty field says is None."""
    if isinstance(value, str):
        value = re.sub(r"\s+", " ", value).strip()
        return value or None
    return value
