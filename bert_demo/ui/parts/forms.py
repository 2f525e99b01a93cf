"""The form of a run, made from the settings in config.py, and the way from its fields to a run."""

from __future__ import annotations

import hashlib
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
from bert_demo.training.cost import Estimate
from bert_demo.ui.parts.language import later, number, say, translate

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
_ON_OFF = {"on": later("on"), "off": later("off")}
_WORDS = {
    "size": {
        "tiny": later("tiny: 2 layers of 128"),
        "small": later("small: 2 layers of 256"),
        "base": later("base: 12 layers of 768"),
        "large": later("large: 24 layers of 1024"),
    },
    "recipe": {"recommended": later("recommended"), "d2l": later("the book's")},
    "vocabulary": {"word": later("whole words"), "wordpiece": later("pieces of words")},
    "truncation": {
        "longest_first": later("from the longer text"),
        "ratio": later("keeping the ratio"),
    },
    "norm": {"after": later("after each sublayer"), "before": later("before each sublayer")},
    "positions": {
        "learned": later("learnt"),
        "sinusoid": later("sines"),
        "none": later("none"),
    },
    "tied_matrix": _ON_OFF,
    "word_vectors": {"random": later("drawn at random"), "counted": later("counted")},
    "next_sentence": _ON_OFF,
    "keep": {"last": later("the last"), "best": later("the best on held-out text")},
    "schedule": {
        "linear": later("falls in a line"),
        "cosine": later("falls as a cosine"),
        "constant": later("stays"),
    },
}
_LABELS = {
    "corpus": later("Corpus"),
    "recipe": later("Recipe"),
    "vocabulary": later("Vocabulary"),
    "dropout": later("Dropout"),
    "batch_size": later("Batch size"),
    "max_length": later("Longest pair, in tokens"),
    "truncation": later("Truncation"),
    "learning_rate": later("Learning rate"),
    "seed": later("Seed"),
    "device": later("Device"),
    "precision": later("Precision"),
    "size": later("Model"),
    "start_from": later("Start from"),
    "hidden_size": later("Width"),
    "num_hidden_layers": later("Layers"),
    "num_attention_heads": later("Attention heads"),
    "intermediate_size": later("Feed-forward width"),
    "wordpieces": later("Number of pieces"),
    "save_every_seconds": later("Seconds between saves"),
    "validate_every_steps": later("Steps between validations"),
    "stop_at_loss": later("Stop at a loss of"),
    "keep": later("Weights to keep"),
    "gradient_accumulation_steps": later("Parts of a step's batch"),
    "norm": later("LayerNorm"),
    "hidden_act": later("Activation"),
    "positions": later("Positions"),
    "tied_matrix": later("Tied output matrix"),
    "word_vectors": later("Words' first vectors"),
    "mask_share": later("Words to guess"),
    "mask_replaced": later("Shown as <mask>"),
    "mask_random": later("Shown as another word"),
    "next_sentence": later("Next sentence"),
    "optimizer": later("Optimizer"),
    "weight_decay": later("Weight decay"),
    "warmup": later("Warm-up"),
    "schedule": later("Learning rate after that"),
}

_RECIPES_OWN = later("the recipe's own")
_SIZES_OWN = later("the model's own")
_OWN = {
    "hidden_size": _SIZES_OWN,
    "num_hidden_layers": _SIZES_OWN,
    "num_attention_heads": _SIZES_OWN,
    "intermediate_size": _SIZES_OWN,
    "validate_every_steps": later("about twenty in a run"),
    "stop_at_loss": later("no loss: run to the end"),
}
_HALF_A_MINUTE = later("Start: 30 seconds")
_BOOKS = later("The book's run")
_GOOD = later("5 minutes, as good as it gets")
_BOOK = {"recipe": "d2l", "learning_rate": None, "seed": 0}
PRESETS: dict[str, dict[str, Values]] = {
    "pretraining": {
        _HALF_A_MINUTE: {
            "corpus": "crane-world",
            BUDGET_KIND: "budget_seconds",
            BUDGET: 30,
        },
        _BOOKS: {
            **_BOOK,
            "corpus": "wikitext-2",
            BUDGET_KIND: "steps",
            BUDGET: 50,
        },
        _GOOD: {
            BUDGET_KIND: "budget_seconds",
            BUDGET: 300,
        },
    },
    "nli": {
        _HALF_A_MINUTE: {
            "corpus": "crane-world",
            BUDGET_KIND: "budget_seconds",
            BUDGET: 30,
        },
        _BOOKS: {
            **_BOOK,
            "corpus": "snli",
            BUDGET_KIND: "epochs",
            BUDGET: 5,
            "max_length": 128,
        },
        _GOOD: {
            "corpus": "snli",
            BUDGET_KIND: "budget_seconds",
            BUDGET: 300,
        },
    },
}
"""What each preset sets; all else goes back to its default, but the corpus stays if not named."""

_AT_SPEED = {**_BOOK, "corpus": "crane-world", BUDGET_KIND: "steps", BUDGET: 50}
MISTAKES: dict[str, tuple[Values, str]] = {
    later("Rate 0.01, the book's"): (
        {**_AT_SPEED, "learning_rate": 0.01},
        later(
            "The book trains with steps of 0.01. After its 50 steps any two words have a cosine of "
            "0.998. Watch the guesses: here they are the same for every sentence after 12 steps."
        ),
    ),
    later("A tenth of it, 0.001"): (
        {**_AT_SPEED, "learning_rate": 0.001},
        later(
            "The same run mended. Its vectors come near each other too while it learns word "
            "frequency, to 0.98 at step 31, but part again: 0.94 at step 50, and falling."
        ),
    ),
}
"""The book's mistakes that settings can express, as runs: what each sets, what the book does and
what to look for."""


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
    """The values of every field under a preset. Raises `UserError` for a name it does not know."""
    mistake = MISTAKES.get(name) if task == "pretraining" else None
    chosen = PRESETS[task].get(name) if mistake is None else mistake[0]
    if chosen is None:
        raise UserError("There is no preset {name!r}.", name=name)
    values = {
        n: (_RUN | _TRAINING)[n].default for n in names(task) if n not in (BUDGET_KIND, BUDGET)
    }
    kept = {n: current[n] for n in ("corpus", "start_from") if current.get(n)}
    return {**values, **kept, **chosen}


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
    label, hint = say(_LABELS[name]), _hint(item)
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
        return gr.Textbox(
            value or "", label=label, info=hint, placeholder=say(_OWN.get(name, _RECIPES_OWN))
        )
    return gr.Number(value, label=label, info=hint, step=1 if item.type is int else 0.001)


def label(name: str) -> str:
    """What a setting is called on the page."""
    return say(_LABELS[name])


def choices_of(task: str, name: str) -> list[tuple[str, str]]:
    """The values that a setting can have, in words, if they are a few."""
    return _choices(task, (_RUN | _TRAINING)[name]) or []


def value_words(name: str, value: Any) -> str:
    """A setting's value in words."""
    if value is None:
        return say(_OWN.get(name, _RECIPES_OWN))
    words = _WORDS.get(name, {}).get(value)
    if words is not None:
        return say(words)
    return f"{value:g}" if isinstance(value, float) else str(value)


BIRDS = (
    later("heron"), later("swift"), later("wren"), later("robin"), later("lark"), later("finch"),
    later("owl"), later("kite"), later("plover"), later("curlew"), later("egret"), later("stork"),
    later("ibis"), later("avocet"), later("dunlin"), later("siskin"), later("dipper"),
    later("grebe"), later("martin"), later("rook"),
)  # fmt: skip
"""What runs are called until their owners name them."""


def suggested_name(token: str) -> str:
    """A name for the runs of the browser with this token, the same every time."""
    return say(BIRDS[int(hashlib.sha256(token.encode()).hexdigest(), 16) % len(BIRDS)])


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
    words = _WORDS.get(item.name, {})
    own = [(say(_RECIPES_OWN), "")] if item.optional else []
    return own + [(say(words.get(choice, choice)), choice) for choice in item.choices]


def _hint(item: Setting) -> str:
    hint = translate(item.hint)
    if item.type is bool or item.low is None or item.high is None:
        return say("{hint}.", hint=hint)
    low, high = (number(end) if isinstance(end, int) else end for end in (item.low, item.high))
    return say("{hint}. From {low} to {high}.", hint=hint, low=low, high=high)


def _plain(value: Any) -> Any:
    """What an empty field says is None."""
    if isinstance(value, str):
        value = re.sub(r"\s+", " ", value).strip()
        return value or None
    return value


_UNITS = (
    (86400, later("about {n} days")),
    (3600, later("about {n} hours")),
    (60, later("about {n} minutes")),
)


def facts(expected: Estimate) -> list[list[str]]:
    """An estimate in words, line by line."""
    lines = [[say("Parameters"), number(expected.parameters)]]
    needed, there = _bytes(expected.memory_bytes), _bytes(expected.machine_bytes)
    lines.append([say("Memory"), say("about {needed} of {there} here", needed=needed, there=there)])
    if expected.seconds is None:
        lines.append([say("Time"), say("not known until this machine is measured")])
    else:
        lines.append([say("Time"), _duration(expected.seconds)])
    if expected.steps is not None and expected.passes is not None:
        steps = _rounded(expected.steps)
        if expected.passes < 10:
            passes = f"{expected.passes:.2g}"
            work = say("about {n} steps, {passes} passes over the text", n=steps, passes=passes)
        else:
            work = say("about {n} steps, many passes over the text", n=steps)
        lines.append([say("Work"), work])
    if expected.pairs_per_second is not None:
        speed = say("about {n} pairs a second", n=_rounded(expected.pairs_per_second))
        lines.append([say("Speed"), speed])
    if expected.moments:
        size = _bytes(expected.moments_bytes)
        kept = say(
            "its weights at up to {n} moments, {size} of disk", n=expected.moments, size=size
        )
        lines.append([say("Kept on its way"), kept])
    return lines


def short_facts(run: RunConfig, expected: Estimate) -> str:
    """An estimate in half a line."""
    corpus = corpus_spec(run.corpus).title
    if expected.steps is None or expected.seconds is None:
        return corpus
    if expected.steps == 1:
        return say("one step here takes the whole time")
    steps, memory = _rounded(expected.steps), _bytes(expected.memory_bytes)
    if run.training.budget_seconds is not None:
        return say("about {steps} steps here, {memory}", steps=steps, memory=memory)
    time = _duration(expected.seconds)
    return say("{steps} steps, {corpus}, {time}", steps=steps, corpus=corpus, time=time)


def _bytes(count: float) -> str:
    if count < 1e8:
        return f"{number(count / 1e6, ',.0f')} MB"
    return f"{number(count / 1e9, '.1f' if count < 1e10 else ',.0f')} GB"


def _duration(seconds: float) -> str:
    for size, words in _UNITS:
        if seconds >= 2 * size:
            return say(words, n=number(round(seconds / size)))
    return say("about {n} seconds", n=max(1, round(seconds)))


def _rounded(value: float) -> str:
    """Two digits that can be relied on."""
    value = max(1, round(value))
    digits = 10 ** max(0, len(str(value)) - 2)
    return number(round(value / digits) * digits)
