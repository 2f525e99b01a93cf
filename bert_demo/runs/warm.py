"""What every process that trains for the app does before its first run."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

Answer = Callable[[dict[str, Any]], None]


def own_stdout() -> Answer:
    """Keep stdout for answers, one JSON object a line; whatever else prints goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def answer(values: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # who asked may be gone; stdin will say so
            answers.write(json.dumps(values) + "\n")
            answers.flush()

    return answer


def warm_up() -> str:
    """Do once what only the first run would wait for; returns the device's name.

    One step of a small run imports everything, prepares Crane World, wakes the device and
    measures it.
    """
    from bert_demo.config import RunConfig, TrainingConfig
    from bert_demo.runs.film import film_frame
    from bert_demo.training.loop import train

    device = "cpu"
    events = train(RunConfig(training=TrainingConfig(steps=2, batch_size=64)), probe=film_frame)
    for event in events:
        if event["event"] == "start":
            device = event["device"]
        if event["event"] == "probe":
            break
    events.close()
    return device
