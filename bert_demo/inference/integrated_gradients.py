"""Integrated gradients (Sundararajan et al. 2017) of any function of one tensor.

Letters: n inputs, or parts of the line from a baseline to an input.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

STEPS = 32
_PARTS, _POINTS = 4, 4
"""How many parts the line has at first, and at how many points of each the gradient is taken."""
_MOST_STEPS = 128
_EXACT_ENOUGH = 0.01

Function = Callable[[Tensor], Tensor]
"""Of inputs (n, ...): (n,) values."""


def integrated_gradients(
    function: Function,
    inputs: Tensor,
    baseline: Tensor,
    steps: int = STEPS,
    at_once: int = STEPS,
) -> Tensor:
    """How much each number of `inputs` adds to a function's value, counted from a baseline.

    inputs, baseline: of one shape; function: (n, *shape) -> (n,), given at most `at_once` at a
    time. The gradient's integral along the straight line from baseline to inputs, by Gauss and
    Legendre's rule, times their difference (Sundararajan et al. 2017, equation 1); of that shape.
    """
    return _of_parts(function, inputs, baseline, [(0.0, 1.0)], steps, at_once)[0]


def refined_gradients(
    function: Function, inputs: Tensor, baseline: Tensor, at_once: int = STEPS
) -> tuple[Tensor, int]:
    """`integrated_gradients` with its points where the function bends, and how many these are.

    What the shares of a part of the line add up to is known without a gradient: the difference of
    the function between its ends (completeness). Where they miss it, the part is halved, until the
    misses add up to 0.01 at most, or 128 gradients are taken.
    """
    ends = [number / _PARTS for number in range(_PARTS + 1)]
    values = dict(zip(ends, _values(function, inputs, baseline, ends, at_once), strict=True))
    wanted, taken = [*itertools.pairwise(ends)], 0
    shares: dict[tuple[float, float], Tensor] = {}
    misses: dict[tuple[float, float], float] = {}
    while True:
        found = _of_parts(function, inputs, baseline, wanted, _POINTS, at_once)
        taken += _POINTS * len(wanted)
        for (begin, end), share in zip(wanted, found, strict=True):
            shares[begin, end] = share
            misses[begin, end] = abs(float(share.sum()) - (values[end] - values[begin]))
        worst = sorted(misses, key=misses.__getitem__)
        rest = sum(misses.values())
        if rest <= _EXACT_ENOUGH or taken >= _MOST_STEPS:
            return torch.stack([*shares.values()]).sum(0), _POINTS * len(shares)
        halved: list[tuple[float, float]] = []
        while rest > _EXACT_ENOUGH / 2 and taken + 2 * _POINTS * len(halved) < _MOST_STEPS:
            halved.append(worst.pop())
            rest -= misses.pop(halved[-1])
            del shares[halved[-1]]
        middles = [(begin + end) / 2 for begin, end in halved]
        new = _values(function, inputs, baseline, middles, at_once)
        values.update(zip(middles, new, strict=True))
        wanted = [
            half
            for (begin, end), middle in zip(halved, middles, strict=True)
            for half in ((begin, middle), (middle, end))
        ]


def _of_parts(
    function: Function,
    inputs: Tensor,
    baseline: Tensor,
    parts: Sequence[tuple[float, float]],
    points: int,
    at_once: int,
) -> Tensor:
    """(n, *shape): what each part of the line, from 0 to 1, adds to the shares of the whole."""
    rule, shares = np.polynomial.legendre.leggauss(points)  # on [-1, 1]
    begins, ends = np.array(parts).T[..., None]  # (n, 1) each
    along = torch.from_numpy(begins + (ends - begins) * (rule + 1) / 2).flatten().to(inputs)
    weights = torch.from_numpy((ends - begins) * shares / 2).flatten().to(inputs)
    part = torch.arange(len(parts), device=inputs.device).repeat_interleave(points)
    shape = -1, *(1,) * inputs.dim()
    total = inputs.new_zeros(len(parts), *inputs.shape)
    for some in torch.arange(len(along), device=inputs.device).split(at_once):
        with torch.enable_grad():
            line = baseline + along[some].view(shape) * (inputs - baseline)
            (gradients,) = torch.autograd.grad(function(line.requires_grad_()).sum(), line)
        total.index_add_(0, part[some], gradients * weights[some].view(shape))
    return total * (inputs - baseline)


def _values(
    function: Function, inputs: Tensor, baseline: Tensor, along: Sequence[float], at_once: int
) -> list[float]:
    """The function's values at points of the line from baseline (0) to inputs (1)."""
    shape = -1, *(1,) * inputs.dim()
    places = torch.tensor(along).to(inputs).split(at_once)
    with torch.no_grad():
        found = [function(baseline + some.view(shape) * (inputs - baseline)) for some in places]
    values: list[float] = torch.cat(found).double().tolist()
    return values
