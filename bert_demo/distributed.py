"""The same loop on several processes, started by torchrun.

Every process draws the same global batch and computes its share; gradients and losses are
summed, so the result does not depend on how many processes there are.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")


class PeerLostError(Exception):
    """Another process of the run is gone; the message is a sentence for who started it."""


@dataclass(frozen=True)
class World:
    """Which process this is, of how many."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by the sum over all processes, in one message."""
        if self.size == 1:
            return
        grads = []
        for parameter in parameters:
            # A share without masked positions leaves gradients unset; the others have them.
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            grads.append(parameter.grad)
        flat = torch.cat([grad.reshape(-1) for grad in grads])
        self.sum(flat)
        for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    def sum(self, values: Tensor) -> Tensor:
        """The elementwise sum of `values` over all processes; raises `PeerLostError`."""
        if self.size > 1:
            try:
                dist.all_reduce(values)
            except RuntimeError as error:
                raise PeerLostError(
                    f"One of the run's {self.size} processes ended or can no longer be reached; "
                    f"--resume goes on from what is saved."
                ) from error
        return values

    def agree(self, flag: bool, seconds: float, device: torch.device) -> tuple[bool, float]:
        """On every process: whether `flag` is true on any, and the leader's `seconds`.

        Clocks differ a little; a budget in seconds has to end at the same step everywhere.
        """
        if self.size == 1:
            return flag, seconds
        own = [float(flag), seconds if self.leads else 0.0]
        asked, leaders = self.sum(torch.tensor(own, device=device)).tolist()
        return asked > 0, leaders

    def share(self, value: Value) -> Value:
        """The leader's `value`, on every process."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]


def world() -> World:
    """Join the group that torchrun describes in the environment; alone without one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        # A group that outlives the interpreter now and then aborts its process at exit.
        atexit.register(dist.destroy_process_group)
    return World(dist.get_rank(), dist.get_world_size(), local_rank)
