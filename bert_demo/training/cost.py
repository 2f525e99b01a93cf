"""What a run would take on this computer, before it starts: time, memory, and whether it fits.

A step is a few kinds of work, counted by `work`; its time is their amounts times what each costs
here. Those prices are measured once on this computer (speed.py), and corrected by the runs that it
has done since.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bert_demo.common.errors import Text, UserError
from bert_demo.common.fields import from_dict
from bert_demo.config import MODEL_SIZES, BertConfig, RunConfig
from bert_demo.model.device import (
    available_memory_bytes,
    memory_held,
    pick_device,
    total_memory_bytes,
)
from bert_demo.model.size import count_parameters, training_memory_bytes
from bert_demo.training.moments import moment_bytes, most_moments
from bert_demo.training.schedule import budget_steps
from bert_demo.training.text_facts import TextFacts, text_facts

_NEWTON_SCHULZ_STEPS = 5
_ATTENTION = 1.5
"""What an operation of attention costs in others: it stays in fp32 on a CPU, and its backward pass
repeats a part of the forward pass. From lengths of 256 and 512 on two cores."""
_EXTRA = 1.08  # validations, probes and saves, which the loop keeps to a small share
_MOST_OF_MEMORY = 0.95
_STEPS_WORTH_WHILE = 10
_LEAST_BATCH = 8
_SLOWEST = 1e10  # operations a second
_SHAPE = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


@dataclass(frozen=True)
class Speed:
    """This computer, as measured."""

    device: str
    """"cpu", "cuda" or "mps"."""
    memory_bytes: int
    precision: str
    """What "auto" means here: "fp32" or "bf16"."""
    compiled: bool
    """Whether there are compiled blocks, which need less memory."""
    prices: tuple[float, ...]
    """Seconds for one unit of each kind of work, in the order of `work`."""


@dataclass(frozen=True)
class Estimate:
    """What a run would take."""

    parameters: int
    memory_bytes: int
    machine_bytes: int
    seconds: float | None
    """None while the speed is not known."""
    steps: int | None
    passes: float | None
    """How often the run sees the whole text."""
    pairs_per_second: float | None
    moments: int
    """How often it keeps its weights on the way, at most, and what all of these take on disk."""
    moments_bytes: int
    refusal: str | None
    """Why it cannot run here, as a sentence."""


@dataclass(frozen=True)
class Observation:
    """How fast a run was that this computer has done."""

    run: RunConfig
    pairs_per_second: float


def model_of(run: RunConfig, facts: TextFacts) -> BertConfig:
    """The shape of the model that `run` trains; `UserError` if its checkpoint is unreadable."""
    if run.start_from is None:
        return run.model_config(facts.vocab_size)
    from bert_demo.model import checkpoint

    stored = checkpoint.read_config(Path(run.start_from))
    config: BertConfig = from_dict(BertConfig, stored["model"])
    return config


def work(run: RunConfig, model: BertConfig, facts: TextFacts) -> tuple[float, ...]:
    """How much of each kind of work a step has, forward, backward and update together.

    Operations are multiplications and additions. In order: layers whose many small calls cost
    something whatever the batch; operations in the layers; numbers that the layers pass on (twice
    with dropout); operations of scoring the vocabulary; scores; weights that are updated;
    operations of Muon's updates; weights that Muon updates.
    """
    training = run.training
    hidden, inner, layers = model.hidden_size, model.intermediate_size, model.num_hidden_layers
    pairs, tokens = training.batch_size, training.batch_size * facts.length
    pretraining = run.task == "pretraining"
    masks = max(run.mask_share * max(tokens - 3 * pairs, 0), pairs * run.padded_guesses)
    masked = masks if pretraining else 0.0
    # Keys and values are computed for all tokens, the rest of the last layer for those alone
    # whose vectors are wanted: the masked ones and the first of each pair.
    wanted = (layers - 1) * tokens + masked + pairs
    products = layers * tokens * 2 * hidden**2 + wanted * (2 * hidden**2 + 2 * hidden * inner)
    attention = wanted * 2 * hidden * facts.length
    muon = run.uses_muon
    matrices = layers * (4 * hidden**2 + 2 * hidden * inner) + 2 * hidden**2
    return (
        (layers + 2) * training.gradient_accumulation_steps,
        6 * (products + _ATTENTION * attention),  # backward is twice forward
        wanted * hidden * (2 if model.hidden_dropout_prob else 1),  # dropout is one pass more
        6 * masked * hidden * (hidden + model.vocab_size),
        masked * model.vocab_size,
        count_parameters(model, run.task),
        muon_operations(model) if muon else 0.0,
        matrices if muon else 0.0,
    )


def step_seconds(run: RunConfig, model: BertConfig, facts: TextFacts, speed: Speed) -> float:
    """Time of one step by the cost model."""
    amounts = work(run, model, facts)
    return sum(price * amount for price, amount in zip(speed.prices, amounts, strict=True))


def estimate(
    run: RunConfig,
    speed: Speed | None,
    observations: Iterable[Observation] = (),
    *,
    free_bytes: int | None = None,
    compiled: bool = False,
) -> Estimate:
    """What `run` would take here. Raises `UserError` for a run that can start nowhere.

    free_bytes: memory of this computer that training could have now; left out, all of it.
    compiled: where `speed` does not say so, whether there are compiled blocks.
    """
    facts = text_facts(run)
    model = model_of(run, facts)
    training = run.training
    training.check_length(model)
    precision = training.precision
    if precision == "auto":
        precision = "fp32" if speed is None else speed.precision
    on_cpu = speed is None or speed.device == "cpu" or training.device == "cpu"
    memory = training_memory_bytes(
        model,
        run.task,
        batch_size=training.batch_size,
        length=facts.length,
        precision=precision,
        accumulation=training.gradient_accumulation_steps,
        device="cpu" if on_cpu or speed is None else speed.device,
        compiled=compiled if speed is None else speed.compiled,
        muon=run.uses_muon,
        masked=max(run.mask_share, run.padded_guesses / facts.length),
    )
    parameters = count_parameters(model, run.task)
    if training.keep == "best":
        memory += 4 * parameters  # a copy in fp32
    machine = total_memory_bytes() if on_cpu or speed is None else speed.memory_bytes
    steps, seconds, rate = budget_steps(training, facts.pairs), training.budget_seconds, None
    refusal: Text | None = None
    if speed is not None:
        correction = _correction(observations, speed)
        one = step_seconds(run, model, facts, speed) / correction
        rate = training.batch_size / one
        whole = math.inf if steps is None else steps * one * _EXTRA
        seconds = min(whole, training.budget_seconds or math.inf)
        steps = max(1, min(steps or 10**9, int(seconds / one / _EXTRA)))
        if one > (training.budget_seconds or math.inf):
            refusal = _too_slow(run, one, _advice(run, model, facts, speed, correction))
    elif steps is not None:
        seconds = None
    passes = None if steps is None else steps * training.batch_size / facts.pairs
    if memory > machine * _MOST_OF_MEMORY:
        refusal = _too_large(run, memory, Text("this machine has {n:.0f} GB", n=machine / 1e9))
    elif on_cpu and free_bytes is not None and memory > free_bytes:
        free = Text("of this machine's memory {n:.1f} GB are free now", n=free_bytes / 1e9)
        refusal = _too_large(run, memory, free)
    kept = most_moments(model, run.task)
    size = kept * moment_bytes(model, run.task)
    return Estimate(parameters, memory, machine, seconds, steps, passes, rate, kept, size, refusal)


def _correction(observations: Iterable[Observation], speed: Speed) -> float:
    """How many times as fast as the cost model says past runs were: the median, within reason."""
    ratios = []
    for seen in observations:
        with contextlib.suppress(UserError, OSError):  # what it trained on may be gone
            facts = text_facts(seen.run)
            one = step_seconds(seen.run, model_of(seen.run, facts), facts, speed)
            ratios.append(seen.pairs_per_second * one / seen.run.training.batch_size)
    return min(max(median(ratios), 0.1), 10.0) if ratios else 1.0


def may_be_slow(run: RunConfig) -> bool:
    """Whether one step could be longer than the budget, on as slow a computer as there is."""
    facts = text_facts(run)
    amounts = work(run, model_of(run, facts), facts)
    operations = amounts[1] + amounts[3] + amounts[6]
    return operations / _SLOWEST > (run.training.budget_seconds or math.inf)


def check_memory(run: RunConfig) -> None:
    """Raise `UserError` if this process cannot get the memory that `run` needs.

    On a GPU, whose memory ends without harm, this is left to be seen.
    """
    if pick_device(run.training.device).type != "cpu":
        return
    from bert_demo.model.compiled import library

    free = available_memory_bytes() + memory_held([os.getpid()])
    expected = estimate(run, None, free_bytes=free, compiled=library.load() is None)
    if expected.refusal is not None:
        raise UserError(expected.refusal)


def _too_large(run: RunConfig, memory: int, there: Text) -> Text:
    split = run.training.gradient_accumulation_steps
    return Text(
        "{model} at length {length} and batch {batch}{parts} needs about {memory:.1f} GB; {there}. "
        "Take a smaller model or batch, or split the batch by gradient accumulation.",
        **_setting(run),
        parts="" if split == 1 else Text(", in {n} parts,", n=split),
        memory=memory / 1e9,
        there=there,
    )


def _too_slow(run: RunConfig, one: float, advice: Text) -> Text:
    return Text(
        "One step of {model} at length {length} and batch {batch} takes about {step} seconds here, "
        "and the budget is {budget:g} seconds. {advice}",
        **_setting(run),
        step=_short(one),
        budget=run.training.budget_seconds,
        advice=advice,
    )


def _advice(
    run: RunConfig, model: BertConfig, facts: TextFacts, speed: Speed, correction: float
) -> Text:
    """What makes a step short enough for several in the budget: a batch, a model or time."""

    def seconds(run: RunConfig, model: BertConfig) -> float:
        return step_seconds(run, model, facts, speed) / correction

    training = run.training
    short = (training.budget_seconds or math.inf) / _STEPS_WORTH_WHILE
    batch = training.batch_size // 2
    while batch >= _LEAST_BATCH:
        parts = min(training.gradient_accumulation_steps, batch)
        part = dataclasses.replace(training, batch_size=batch, gradient_accumulation_steps=parts)
        one = seconds(dataclasses.replace(run, training=part), model)
        if one <= short:
            return Text("At batch {n} it takes about {step} seconds.", n=batch, step=_short(one))
        batch //= 2
    if run.start_from is None:
        sizes_own: dict[str, Any] = dict.fromkeys(_SHAPE)
        for size in reversed(MODEL_SIZES[: MODEL_SIZES.index(run.size)]):
            smaller = dataclasses.replace(run, size=size, **sizes_own)
            one = seconds(smaller, smaller.model_config(facts.vocab_size))
            if one <= short:
                name, step = f"BERT-{size}", _short(one)
                return Text("A step of {model} takes about {step} seconds.", model=name, step=step)
    enough = _STEPS_WORTH_WHILE * seconds(run, model)
    return Text(
        "{n} steps would take about {seconds} seconds.",
        n=_STEPS_WORTH_WHILE,
        seconds=_short(enough),
    )


def _setting(run: RunConfig) -> dict[str, Any]:
    """What a step's memory and time go by, for a sentence."""
    training = run.training
    return {"model": _name(run), "length": training.max_length, "batch": training.batch_size}


def _name(run: RunConfig) -> str:
    return f"BERT-{run.size}" if run.start_from is None else Text("This model")


def _short(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1g}"


def muon_operations(model: BertConfig) -> float:
    """Orthogonalising every hidden matrix, once a step whatever the batch."""
    hidden, inner = model.hidden_size, model.intermediate_size
    square = orthogonalising(hidden, hidden)
    one = orthogonalising(hidden, 3 * hidden) + square + 2 * orthogonalising(hidden, inner)
    return model.num_hidden_layers * one + 2 * square


def orthogonalising(rows: int, columns: int) -> float:
    """Operations of `bert_demo.training.optimizers.orthogonalised`."""
    small, large = sorted((rows, columns))
    return _NEWTON_SCHULZ_STEPS * (4 * small**2 * large + 2 * small**3)
