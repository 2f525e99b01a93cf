"""The same loop on several processes, started by torchrun or by the app's worker.

Every process draws the same global batch and computes its share; gradients and losses are
summed, so the result does not depend on how many processes there are.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from bert_demo.common.errors import UserError

Value = TypeVar("Value")

# The others wait as long while the leader validates and saves between two steps.
_PATIENCE = timedelta(minutes=30)


class PeerLostError(UserError):
    """Another process of the run is gone; the message is a sentence for who started it."""


@dataclass(frozen=True)
class World:
    """Which process this is, of how many."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Which of its machine's GPUs this process has."""
    rendezvous: Callable[[], str] = lambda: "env://"
    """Says where the processes find each other, as torch's `init_method`: in torchrun's
    environment, or in a file."""

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def join(self, device: torch.device) -> None:
        """Meet the other processes, which compute on such a device; raises `PeerLostError`.

        Comes after the preparations, which may fail on one process alone.
        """
        if self.size == 1 or dist.is_initialized():
            return
        nccl = device.type == "cuda" and dist.is_nccl_available()
        backend = "nccl" if nccl else "gloo"
        with self._reaching(), _stdout_for_answers():
            dist.init_process_group(
                backend,
                init_method=self.rendezvous(),
                rank=self.rank,
                world_size=self.size,
                timeout=_PATIENCE,
            )
        # NCCL connects only now, and here a failure costs nothing yet.
        self.agree(False, 0.0, device)

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
            with self._reaching():
                dist.all_reduce(values)
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

    @contextmanager
    def between_steps(self, device: torch.device) -> Iterator[None]:
        """Around what the leader alone does while the others wait to agree on the next step.

        Where it leaves the loop, for whatever reason, they are told to stop.
        """
        try:
            yield
        except BaseException:
            if self.leads:
                with suppress(PeerLostError):
                    self.agree(True, 0.0, device)
            raise

    def share(self, value: Value) -> Value:
        """The leader's `value`, on every process; raises `PeerLostError`."""
        if self.size == 1:
            return value
        values = [value]
        with self._reaching():
            dist.broadcast_object_list(values)
        return values[0]

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise PeerLostError(
                "One of the run's {n} processes ended or can no longer be reached; the run can "
                "go on from what is saved.",
                n=self.size,
            ) from error


@contextmanager
def _stdout_for_answers() -> Iterator[None]:
    """Send what a library prints inside to stderr: gloo tells of its connections in torch 2.8."""
    print(end="", flush=True)
    with ExitStack() as stack:
        with suppress(OSError):  # there may be no stdout at all
            own = os.dup(1)
            stack.callback(os.close, own)
            os.dup2(2, 1)
            stack.callback(os.dup2, own, 1)
        yield


def world() -> World:
    """The part of this process in what torchrun started, as the environment says; else alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    rank = int(os.environ.get("RANK", "0"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    take_card(local_rank)
    return World(rank, size, local_rank)


def take_card(local_rank: int) -> None:
    """Make this GPU the one that "cuda" means in this process."""
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)


@atexit.register  # a group that outlives the interpreter now and then aborts its process
def leave() -> None:
    """Leave the group of a run that is over; all processes do so, or NCCL waits for them."""
    if dist.is_initialized():
        dist.destroy_process_group()
