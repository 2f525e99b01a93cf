"""How fast this computer trains: measured once, by a few steps of the real loop.

`python -m bert_demo.training.speed` measures and prints.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig, model_config
from bert_demo.model.device import usable_cores
from bert_demo.model.process import prepare_process
from bert_demo.training.cost import Speed, work
from bert_demo.training.text_facts import text_facts

_METHOD = 7  # raised when the way of measuring changes, so that old numbers are not taken for new
_KEPT_SECONDS = 30 * 86400
_STEPS = 12
_PATIENCE_SECONDS = 2.0
"""A setting is measured for so many steps, and where they are slow for no longer than this."""
_GPU_SECONDS = 1.0
_FIT_STEPS = 20_000
_SETTINGS = (
    # width, layers, words beside Crane World's, batch size, recipe
    (128, 2, 0, 1, "recommended"),
    (128, 2, 0, 256, "recommended"),
    (128, 2, 17_500, 256, "recommended"),
    (128, 6, 0, 64, "d2l"),
    (256, 2, 17_500, 64, "recommended"),
    (512, 2, 0, 64, "recommended"),
    (768, 2, 0, 16, "d2l"),
    (768, 2, 0, 64, "d2l"),
)
"""What is measured: every kind of work is a good part of a step in one of these at least."""


def kept_speed() -> Speed | None:
    """This computer's speed as it was measured before; None where that is too long ago."""
    try:
        kept = json.loads(_path().read_text(encoding="utf-8"))
        if 0 <= time.time() - kept.pop("when") < _KEPT_SECONDS:
            return _speed(kept)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    return None


def _path() -> Path:
    from bert_demo.data.files import cache_dir

    facts = f"{_METHOD}-{metadata.version('torch')}-{usable_cores()}-cores"
    return cache_dir() / f"speed-{facts}.json"


def measured_speed() -> Speed:
    """This computer's speed: kept from an earlier time, or measured now in some seconds.

    Raises `UserError` if it cannot be measured.
    """
    kept = kept_speed()
    if kept is not None:
        return kept
    try:
        # A process of its own: nothing of it stays in the page's memory or on its GPU.
        done = subprocess.run(
            [sys.executable, "-m", "bert_demo.training.speed"],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        speed = _speed(json.loads(done.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, LookupError) as error:
        raise UserError("The speed of this machine could not be measured.") from error
    with contextlib.suppress(OSError):  # it is measured again next time
        keep(speed)
    return speed


def keep(speed: Speed) -> None:
    """Write down this computer's speed for the next month; raises `OSError` if that cannot be."""
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    found = dataclasses.asdict(speed) | {"when": time.time()}
    path.write_text(json.dumps(found), encoding="utf-8")


def _speed(told: dict[str, Any]) -> Speed:
    """What was written down as JSON."""
    return Speed(**told | {"prices": tuple(map(float, told["prices"]))})


def _measure() -> Speed:
    """Measure by some steps of the real loop on Crane World."""
    from bert_demo.data.prepare import prepare_text
    from bert_demo.data.tokenizer import Tokenizer
    from bert_demo.model import checkpoint
    from bert_demo.model.bert import BertModel
    from bert_demo.model.compiled import library
    from bert_demo.model.device import fast_bf16, memory_bytes
    from bert_demo.training.proof import proved_device

    device = proved_device("auto")
    on_cpu = device.type == "cpu"
    _, tokenizer, _ = prepare_text("crane-world", "train")
    words = tokenizer.tokens(range(tokenizer.vocab_size))
    asked_by = os.getppid()
    amounts, seconds = [], []
    for width, layers, more, batch_size, recipe in _SETTINGS:
        if os.getppid() != asked_by:
            sys.exit("The page that wanted to know is gone.")
        tokenizer = Tokenizer([*words, *(f"word{number}" for number in range(more))])
        config = model_config(
            "small",
            recipe,
            tokenizer.vocab_size,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            intermediate_size=2 * width,
        )
        with tempfile.TemporaryDirectory() as folder:
            checkpoint.save(folder, BertModel(config), tokenizer, {})
            training = TrainingConfig(
                recipe=recipe,
                batch_size=batch_size,
                steps=_STEPS + 1 if on_cpu else None,
                budget_seconds=None if on_cpu else _GPU_SECONDS,
                validate_every_steps=10**6,
            )
            run = RunConfig(start_from=folder, training=training)
            amounts.append(work(run, config, text_facts(run)))
            seconds.append(_step_seconds_of(run, on_cpu))
    return Speed(
        device=device.type,
        memory_bytes=memory_bytes(device)[1],
        precision="bf16" if fast_bf16(device) else "fp32",
        compiled=on_cpu and library.load() is None,
        prices=_prices(amounts, seconds),
    )


def _prices(amounts: list[tuple[float, ...]], seconds: list[float]) -> tuple[float, ...]:
    """Prices whose sums come nearest to the measured times, by the squares of the ratios.

    None is negative: the steps go in turn by the factor of Lee and Seung (2001).
    """
    import numpy as np

    shares = np.array(amounts) / np.array(seconds)[:, None]
    scale = shares.max(0)
    shares /= scale
    prices = np.ones(shares.shape[1])
    for _ in range(_FIT_STEPS):
        prices *= shares.sum(0) / (shares.T @ (shares @ prices))
    return tuple(map(float, prices / scale))


def _step_seconds_of(run: RunConfig, on_cpu: bool) -> float:
    """Usual time of a step of `run` in the loop, in seconds."""
    from bert_demo.training.loop import train

    ends: list[float] = []
    for event in train(run):
        if event["event"] == "step":
            ends.append(event["seconds"])
            late = len(ends) > 1 and ends[-1] > _PATIENCE_SECONDS
            if on_cpu and (len(ends) == _STEPS or late):
                break
    return _usual(ends) if on_cpu else _mean(ends)


def _usual(ends: list[float]) -> float:
    """The median of the times between steps that ended then."""
    return median(end - begin for begin, end in itertools.pairwise(ends))


def _mean(ends: list[float]) -> float:
    """Mean time between the later of these steps.

    A step is told of when the host has asked for it, and a GPU may be a tenth of a second behind.
    """
    later = ends[len(ends) // 2 :]
    return (later[-1] - later[0]) / max(1, len(later) - 1) or ends[-1]


if __name__ == "__main__":
    prepare_process()
    print(json.dumps(dataclasses.asdict(_measure())))
