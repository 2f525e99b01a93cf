"""Events of steps whose losses are still on the device."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bert_demo.training.events import StepEvent
from bert_demo.training.failures import NotFiniteError
from bert_demo.training.losses import mean_losses

_READ_SECONDS = 0.1


@dataclass
class Readings:
    """Steps that are over and not told of yet.

    To read a number makes the host wait for a GPU, so there they are read some at a time.
    """

    at_once: bool
    task: str
    pairs: int
    """Of a batch."""
    next_sentence: bool = True
    """Whether the loss of that question counts."""
    _sums: list[Tensor] = field(default_factory=list)
    _events: list[StepEvent] = field(default_factory=list)
    _read: float = 0.0

    def add(self, event: StepEvent, sums: Tensor) -> None:
        """A step's event without its losses, and the sums (4,) of `batch_losses` over its batch."""
        self._events.append(event)
        self._sums.append(sums)

    def due(self) -> bool:
        """Whether to read now; after the first step too, so that a curve begins at once."""
        return self.at_once or time.perf_counter() - self._read > _READ_SECONDS

    def read(self) -> Iterator[StepEvent]:
        """The events, complete; raises `NotFiniteError` at a loss that is not finite."""
        if not self._events:
            return
        events, self._events = self._events, []
        rows = torch.stack(self._sums).tolist()
        self._sums = []
        self._read = time.perf_counter()
        for event, sums in zip(events, rows, strict=True):
            if not math.isfinite(sums[0] + sums[1]):
                raise NotFiniteError(
                    "The loss is no longer a finite number at step {step}; the learning rate "
                    "is probably too high, so try a tenth of it.",
                    step=event["step"],
                )
            yield {**event, **mean_losses(self.task, sums, self.pairs, self.next_sentence)}
