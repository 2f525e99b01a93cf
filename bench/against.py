"""How often a setting is found to differ from itself, and how small a difference is found.

    python -m bench.against

Simulated losses first: seeds that shift both runs of a pair alike, and noise of each run, normal
or with heavy tails. Then real short runs of one and the same setting on Crane World, which differ
in their seeds alone, put into pairs at random: noise as large as runs can have. At last one real
difference.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench.results import write_section
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.inference.difference import difference
from bert_demo.training.against import against
from bert_demo.training.choices import with_seed
from bert_demo.training.loop import train

_TRIES = 5000
_PAIRS = (2, 3, 5, 10)
_RUNS = 12
_NOISE = 0.02

Draw = Callable[[np.random.Generator, int], Any]
_KINDS: dict[str, Draw] = {
    "normal": lambda generator, n: generator.normal(size=(2, n)),
    "heavy tails (t, 3 df)": lambda generator, n: generator.standard_t(3, size=(2, n)),
    "skewed (exponential)": lambda generator, n: generator.exponential(size=(2, n)),
}


def simulated(draw: Draw, pairs: int, effect: float = 0.0) -> float:
    """Share of simulated comparisons in which a difference is told; the noise of a run is 0.02."""
    generator, told = np.random.default_rng(pairs), 0
    for _ in range(_TRIES):
        own, other = 3 + generator.normal(0, 0.1, pairs) + _NOISE * draw(generator, pairs)
        told += difference(list(zip(own.tolist(), (other + effect).tolist(), strict=True))).is_told
    return told / _TRIES


def a_run(**changes: Any) -> RunConfig:
    """A model of some seconds."""
    training = TrainingConfig(steps=60, batch_size=64)
    return RunConfig(hidden_size=32, intermediate_size=64, training=training, **changes)


def losses() -> list[float]:
    """Held-out losses of runs that differ in their seeds alone."""
    ends = (list(train(with_seed(a_run(), seed)))[-1] for seed in range(_RUNS))
    return [end["scores"]["mlm_loss"] for end in ends]  # type: ignore[typeddict-item]


def real(found: list[float], pairs: int) -> float:
    """Share of random pairings of these runs in which a difference is told."""
    generator, told = random.Random(pairs), 0
    for _ in range(_TRIES):
        chosen = generator.sample(found, 2 * pairs)
        told += difference(list(zip(chosen[::2], chosen[1::2], strict=True))).is_told
    return told / _TRIES


def report() -> Iterator[str]:
    """The lines of the section."""
    yield f"A setting against itself: how many of {_TRIES:,} comparisons claim a difference."
    yield ""
    yield "| Noise | " + " | ".join(f"{n} pairs" for n in _PAIRS) + " |"
    yield "|---|" + "---|" * len(_PAIRS)
    for name, draw in _KINDS.items():
        shares = (f"{simulated(draw, n):.1%}" for n in _PAIRS)
        yield f"| simulated, {name} | " + " | ".join(shares) + " |"
    found = losses()
    shares = (f"{real(found, n):.1%}" if 2 * n <= _RUNS else "" for n in _PAIRS)
    yield f"| {_RUNS} real runs of 60 steps, paired at random | " + " | ".join(shares) + " |"
    yield ""
    spread = float(np.std(found, ddof=1))
    yield f"Held-out losses of the real runs: {np.mean(found):.3f} nats, {spread:.3f} apart."
    yield ""
    yield "A true difference of so many times a run's own noise is told in:"
    yield ""
    yield "| Difference | " + " | ".join(f"{n} pairs" for n in _PAIRS) + " |"
    yield "|---|" + "---|" * len(_PAIRS)
    for times in (2, 5, 10):
        shares = (f"{simulated(_KINDS['normal'], n, times * _NOISE):.0%}" for n in _PAIRS)
        yield f"| {times} times | " + " | ".join(shares) + " |"
    yield ""
    yield "Real runs of 60 steps, three pairs each:"
    yield ""
    for name, value in (("positions", "learned"), ("positions", "none"), ("mask_share", 0.4)):
        verdict = against(a_run(), name, value, pairs=3)
        yield f"- {verdict.sentence(f'{name} {value}')}"


if __name__ == "__main__":
    write_section("This against that", list(report()))
