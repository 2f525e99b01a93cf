"""How large a step may be: the learning-rate range test of Smith 2017 (Cyclical Learning Rates for
Training Neural Networks, section 3.3), on a run's own settings.

The rate grows from step to step and the loss of each batch is noted. The loss falls once steps are
large enough, and rises where they are too large. Two things are other than in the paper. The rate
grows by factors rather than by sums, so that every power of ten gets as many steps. And of every
batch's loss that of the untouched model on the same batch is subtracted: in ten seconds batches
differ by more than is learnt.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig
from bert_demo.data import interruption
from bert_demo.inference.report import Report
from bert_demo.training.distributed import World
from bert_demo.training.losses import mean_losses
from bert_demo.training.optimizers import Optimizers, recipe_of
from bert_demo.training.proof import proved_device
from bert_demo.training.setup import prepare_run
from bert_demo.training.step import Gradients

LOWEST, HIGHEST = 1e-5, 1.0
"""The rates from the first step to the last, if the sweep does not end before."""
_FEWEST_STEPS = 30
"""However long they take."""
_MOST_SECONDS = 3600.0
_RISEN = 1.0
"""The sweep ends where the loss is so many nats above its least: medians of three steps."""
_WINDOW = 15
"""A loss is smoothed over one in so many of the steps, and over three at least."""
_BELOW_FALLING, _BELOW_CONSTANT = 4, 10
"""The suggestion is this part of the rate with the least loss. Rates that fall after a warm-up
begin higher: for a tiny model by "recommended" a quarter is about what searches found (0.006)."""


@dataclass(frozen=True, eq=False)
class RangeTest(Report):
    """A sweep of learning rates, and what it suggests."""

    rates: list[float]
    """Of each step, growing."""
    losses: list[float]
    """Of each step's batch, in nats, before it was learnt from, less the untouched model's loss on
    it: 0 where nothing is learnt. What is infinite is left out."""
    smoothed: list[float]
    """Means over the steps around each."""
    least: float
    """The rate at which the smoothed loss is least: from there on steps are too large."""
    rises: bool
    """Whether the sweep went beyond it: False where the loss still fell at the last rate."""
    falls: bool
    """Whether there is a fall before it, larger than the noise of single batches."""
    suggested: float | None
    """None where the loss does not fall and rise."""
    own: float
    """The rate that the run would take."""


def find_rate(run: RunConfig, seconds: float = 10.0) -> RangeTest:
    """Try growing learning rates for so many seconds, on what `run` learns from and starts with.

    Nothing is kept of what is learnt. Muon's rate grows along, as many times as large as in the
    run. The first step, which does much that no other does, is not counted. Each step is computed
    twice, by the untouched model too, and there are thirty at least, however long they take.

    Raises `UserError` for a run that cannot start.
    """
    if not 0 < seconds <= _MOST_SECONDS:
        raise UserError(
            "seconds is {value!r}; it must be above 0 and at most {most:g}.",
            value=seconds,
            most=_MOST_SECONDS,
        )
    proved_device(run.training.device, alone=True)
    setup = prepare_run(run, World())
    numbers = recipe_of(run, setup.model.config.hidden_size)
    optimizers = Optimizers(setup.model, replace(numbers, warmup=None))
    gradients = Gradients(run, setup, World())
    untouched = Gradients(run, replace(setup, model=copy.deepcopy(setup.model)), World())
    own_rates = [part.rate for part in optimizers.parts]
    pairs, counts = run.training.batch_size, run.next_sentence == "on"
    steps = itertools.count()

    def step(rate: float) -> float:
        interruption.check()
        for part, own in zip(optimizers.parts, own_rates, strict=True):
            part.rate = own * rate / numbers.learning_rate
        number = next(steps)
        sums, found = gradients.of_step(number)
        before, _ = untouched.of_step(number)
        for parameter, grad in zip(gradients.parameters, found, strict=True):
            parameter.grad = grad
        optimizers.step(0.0)
        now, then = (
            mean_losses(setup.task, found.tolist(), pairs, counts)["loss"]
            for found in (sums, before)
        )
        return now - then

    with gradients.threads, untouched.threads:
        step(LOWEST)
        began = time.perf_counter()
        rates, losses = sweep(step, lambda: (time.perf_counter() - began) / seconds)
    below = _BELOW_CONSTANT if numbers.warmup is None else _BELOW_FALLING
    return read(rates, losses, below, numbers.learning_rate)


def sweep(
    step: Callable[[float], float], spent: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """The rates that were tried and the losses that `step(rate)` gave.

    spent: which part of the time is over; the rate is between `LOWEST` and `HIGHEST` by it, or by
    the part of the fewest steps that are done.
    """
    rates: list[float] = []
    losses: list[float] = []
    least = math.inf
    while (share := min(spent(), len(rates) / _FEWEST_STEPS)) < 1:
        rate = LOWEST * (HIGHEST / LOWEST) ** share
        loss = step(rate)
        if not math.isfinite(loss):
            break
        rates.append(rate)
        losses.append(loss)
        if len(losses) >= 3:
            latest = median(losses[-3:])
            least = min(least, latest)
            if latest > least + _RISEN:
                break
    return rates, losses


def read(rates: list[float], losses: list[float], below: float, own: float) -> RangeTest:
    """What a sweep says; the suggestion is the rate of the least loss divided by `below`."""
    smoothed = _smoothed(losses, max(1, len(losses) // (2 * _WINDOW)))
    place = min(range(len(smoothed)), key=smoothed.__getitem__)
    noise = median(abs(a - b) for a, b in zip(losses, smoothed, strict=True))
    start, end, low = max(smoothed[: place + 1]), smoothed[-1], smoothed[place]
    falls, rises = start - low > 3 * noise, end - low > 3 * noise
    suggested = rates[place] / below if falls and rises else None
    return RangeTest(rates, losses, smoothed, rates[place], rises, falls, suggested, own)


def _smoothed(values: Sequence[float], reach: int) -> list[float]:
    """The mean over each value and `reach` others on either side, fewer at the ends."""
    found = []
    for place in range(len(values)):
        around = min(reach, place, len(values) - 1 - place)
        part = values[place - around : place + around + 1]
        found.append(sum(part) / len(part))
    return found
