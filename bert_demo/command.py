"""The shell command that does the same as a run."""

from __future__ import annotations

import shlex
from typing import Any

from bert_demo.config import RunConfig, settings_of

_FLAGS = {"start_from": "from", "size": "model"}


def command_line(run: RunConfig, out: str) -> str:
    """`python -m bert_demo ...` with every setting that is not its default, and the corpus."""
    words = ["python", "-m", "bert_demo", "pretrain" if run.task == "pretraining" else "finetune"]
    for config in (run, run.training):
        for item in settings_of(type(config)):
            value = getattr(config, item.name)
            if item.name == "task" or value is None:
                continue
            if value == item.default and item.name != "corpus":
                continue
            words += [f"--{_FLAGS.get(item.name, item.name.replace('_', '-'))}", _number(value)]
    return shlex.join([*words, "--out", out])


def _number(value: Any) -> str:
    """Without the ".0" of a whole number."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
