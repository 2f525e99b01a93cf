"""How many steps a second Python allows on the way of a GPU, tried without one.

    BERT_DEMO_DATA=/path/to/hub python -m bench.host

The book's pretraining as it runs on a GPU (plans, random seeds, the optimizer's calls, events). The
forward and backward pass, there one graph, is left out, and the model is so narrow that updating it
costs little besides the calls. Prints milliseconds a step, median of some rounds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from statistics import median
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from bench import machine
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.training import loop
from bert_demo.training.gpu_batches import Resident
from bert_demo.training.step import Gradients

_STEPS, _WARM_UP, _ROUNDS = 2000, 500, 5


class _HostAlone(Gradients):
    """The way of a GPU on the CPU's device; the work that a graph would do gives ones."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self._resident = Resident(self._setup.batches, self._setup.device)
        answer = (torch.ones(4), *map(torch.ones_like, self.parameters))

        def captured(*_: Any) -> tuple[Tensor, ...]:
            return answer

        self._captured = captured  # type: ignore[assignment]


def milliseconds_a_step() -> float:
    """Of one round."""
    settings = TrainingConfig(
        recipe="d2l",
        steps=10**6,
        batch_size=512,
        truncation="drop",
        validate_every_steps=10**6,
        device="cpu",
    )
    run = RunConfig(
        corpus="wikitext-2",
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=16,
        training=settings,
    )
    with mock.patch.object(loop, "Gradients", _HostAlone):
        steps = (event for event in loop.train(run) if event["event"] == "step")
        for _ in itertools.islice(steps, _WARM_UP):
            pass
        begin = time.perf_counter()
        for event in itertools.islice(steps, _STEPS):
            json.dumps(event)
    return (time.perf_counter() - begin) / _STEPS * 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what Python costs a GPU's step.")
    machine.real_data(parser)
    torch.set_num_threads(1)
    found = [milliseconds_a_step() for _ in range(_ROUNDS)]
    print(f"{machine.figures(found)} ms a step, {512e3 / median(found):,.0f} pairs/s at most")


if __name__ == "__main__":
    main()
