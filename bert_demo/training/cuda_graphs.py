"""Work on a GPU that is written down once and then started as a whole (CUDA graphs).

A small model's step is hundreds of operations of a few microseconds, and for each of them Python
takes longer than the GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from bert_demo.model import fast_paths

Outputs = tuple[Tensor | None, ...]

_MOST_GRAPHS = 16
"""Each keeps the memory of its step, which it shares with the others as far as they fit."""


@dataclass(frozen=True)
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: Outputs


class Captured:
    """A function of tensors whose work depends on their shapes and a key alone.

    It may not look at a number on the device. What it returns is overwritten by the next call with
    the same key. On other devices than CUDA's it is called as it is.
    """

    def __init__(self, function: Callable[..., Outputs], device: torch.device) -> None:
        self._function = function
        self._device = device
        self._graphs: dict[Hashable, _Graph | None] = {}

    def __call__(self, key: Hashable, *inputs: Tensor) -> Outputs:
        """function(key, *inputs): the first time as it is, which also warms up, then captured."""
        known = key in self._graphs
        if not known or not fast_paths.serves(fast_paths.GRAPHS, self._device):
            if len(self._graphs) < _MOST_GRAPHS:
                self._graphs.setdefault(key)
            return self._function(key, *inputs)
        graph = self._graphs[key] or self._capture(key, inputs)
        if graph is None:
            return self._function(key, *inputs)
        for place, given in zip(graph.inputs, inputs, strict=True):
            place.copy_(given, non_blocking=True)
        graph.graph.replay()
        return graph.outputs

    def _capture(self, key: Hashable, inputs: tuple[Tensor, ...]) -> _Graph | None:
        places = tuple(given.clone() for given in inputs)
        others = [one.graph for one in self._graphs.values() if one is not None]
        pool = others[0].pool() if others else None
        graph = torch.cuda.CUDAGraph()
        generator = _generator(places[0].device)
        before = generator.clone_state()
        try:
            with torch.cuda.graph(graph, pool=pool):
                outputs = self._function(key, *places)
        except RuntimeError as error:
            # An operation that cannot be captured costs speed, not the run. The generator still
            # takes itself for captured, and would draw nothing any more.
            torch.cuda.synchronize()
            generator.graphsafe_set_state(before)
            fast_paths.switch_off(fast_paths.GRAPHS, self._device, error)
            return None
        self._graphs[key] = found = _Graph(graph, places, outputs)
        return found


def _generator(device: torch.device) -> torch.Generator:
    return torch.cuda.default_generators[device.index]
