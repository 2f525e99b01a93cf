"""How the folders of models and runs are called, and which files are in them.

A checkpoint's folder, which `model/checkpoint.py` writes:

    config.json            what it is
    tokenizer.json         the vocabulary
    model.safetensors      the weights
    resume.safetensors     what an unfinished run needs to go on
    metrics.jsonl          the events of the run that made it
    moments/STEP/          checkpoints of that run on its way

A run's folder, which `runs/record.py` writes:

    run.json               what was asked for
    status.json            how far it is
    control.json           what its owner asked the worker for
    model/                 its checkpoint
    lock                   held by the worker while it trains
    error.log              what went wrong, for who has to find out why

No torch here: the page opens with this module.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bert_demo.model.plain_json import one_line, read_value

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
RESUME, METRICS, MOMENTS = "resume.safetensors", "metrics.jsonl", "moments"
RUN, STATUS, CONTROL = "run.json", "status.json", "control.json"
MODEL, LOCK, ERRORS = "model", "lock", "error.log"

LONGEST_TITLE, LONGEST_NOTE = 80, 200

_STEP = re.compile(r"0|[1-9][0-9]{0,11}")
_NAME = re.compile(r"\w[\w .-]*")


def is_name(name: object, longest: int) -> bool:
    """Whether a person may ask for a folder of this name: never a path, nor a hidden folder."""
    return isinstance(name, str) and len(name) <= longest and _NAME.fullmatch(name) is not None


def is_file(path: Path) -> bool:
    """Whether there is a file; not where this process may not look, which `Path.is_file` raises."""
    try:
        return path.is_file()
    except OSError:
        return False


def checkpoint_folder(folder: Path) -> Path:
    """Where the checkpoint is: in a run's folder `model/`, else the folder itself is it."""
    inner = folder / MODEL
    return inner if is_file(inner / CONFIG) else folder


def moment_folder(folder: Path, step: int) -> Path:
    """The checkpoint of a run after `step`, on the way to the one in `folder`."""
    return folder / MOMENTS / str(step)


def is_step(name: str) -> bool:
    """Whether a folder of moments may be called so: a number, as `moment_folder` writes it."""
    return _STEP.fullmatch(name) is not None


def kept_steps(folder: Path) -> list[int]:
    """The steps after which the run of a checkpoint's folder kept its weights, in their order."""
    try:
        names = [path.name for path in (folder / MOMENTS).iterdir()]
    except OSError:  # none, or this process may not look
        return []
    return sorted(int(name) for name in names if is_step(name))


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, its values in bounds (`plain_json`); None where there is none."""
    try:
        values = read_value(path)
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def run_title(folder: Path) -> str | None:
    """What the run in this folder is called; None where it is none, or has no name but that."""
    return one_line((read_json(folder / RUN) or {}).get("title"), LONGEST_TITLE) or None
