"""Losses and gradients of one batch, by whatever way suits the device.

A CPU computes the batch in lanes, from tokens that the host lays out. A GPU is sent a plan of a few
hundred numbers and does the rest by itself, in sizes that repeat.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bert_demo.config import RunConfig
from bert_demo.data.batches import TrainingBatch
from bert_demo.data.layout import Plan
from bert_demo.model import dropout
from bert_demo.model.threads import ShardThreads, add_up
from bert_demo.training.cuda_graphs import Captured, Outputs
from bert_demo.training.distributed import World
from bert_demo.training.gpu_batches import Resident, Size
from bert_demo.training.losses import batch_losses
from bert_demo.training.setup import Setup

Share = tuple[Tensor, list[Tensor | None]]
"""Sums of masked-LM and pair losses, of pairs judged right and of masked positions, (4,), on the
device; and a gradient for each parameter."""


class Gradients:
    """What this process computes of every batch: its share of the sums and of the gradients.

    The gradients are those of the mean over the whole batch, all processes' shares together. They
    are asked for inside `with gradients.lanes`.
    """

    def __init__(self, run: RunConfig, setup: Setup, world: World) -> None:
        self._run, self._setup, self._world = run, setup, world
        self.parameters = list(setup.model.parameters())
        self.lanes = ShardThreads(setup.device, setup.description["parameters"])
        self._repeats = run.training.gradient_accumulation_steps
        self._resident: Resident | None = None
        if setup.device.type == "cuda":
            self._resident = Resident(setup.batches, setup.device)
        self._captured = Captured(self._of_plan, setup.device)

    def of_step(self, step: int) -> Share:
        """This process's share of the batch of this step, in training mode."""
        if not self._setup.model.training:
            self._setup.model.train()
        if self._resident is not None:
            return self._on_device(self._resident, step)
        return self._in_lanes(step)

    def _in_lanes(self, step: int) -> Share:
        arrays = self._setup.batches.draw(step)
        masked, pairs = arrays.masked, len(arrays.labels)
        lanes = self.lanes
        used = lanes.count
        if pairs < 2 * lanes.count * self._repeats * self._world.size:
            used = 1
        mine = self._repeats * used  # shards of this process

        def share(lane: int) -> Share:
            """This lane's part of the batch."""

            def one(shard: int) -> Share:
                batch = arrays.shard(shard, self._world.size * mine).to(self._setup.device)
                return self._of_batch(batch, max(masked, 1), batch_masks(batch))

            first = self._world.rank * mine
            return self._added(one, step, range(first + lane, first + mine, used))

        shares = lanes.map(share) if used == lanes.count else [share(0)]
        return torch.stack([sums for sums, _ in shares]).sum(0), add_up([g for _, g in shares])

    def _on_device(self, resident: Resident, step: int) -> Share:
        plan = self._setup.batches.plan(step)
        count = self._world.size * self._repeats
        whole = (resident.sent(plan), resident.size_of(plan)) if count > 1 else None

        def one(shard: int) -> Share:
            part = plan.shard(shard, count)
            return self._captured_share(resident, part, whole)

        first = self._world.rank * self._repeats
        return self._added(one, step, range(first, first + self._repeats))

    def _captured_share(
        self, resident: Resident, plan: Plan, whole: tuple[Tensor, Size] | None
    ) -> Share:
        size = resident.size_of(plan)
        sent = [resident.sent(plan)]
        key: tuple[Size, ...] = (size,)
        if whole is not None:
            sent, key = [*sent, whole[0]], (size, whole[1])
        sums, *grads = self._captured(key, *sent)
        assert sums is not None
        if self._repeats > 1:  # the next part is written to the same place
            grads = [None if grad is None else grad.clone() for grad in grads]
        return sums, grads

    def _of_plan(self, key: tuple[Size, ...], sent: Tensor, *whole: Tensor) -> Outputs:
        """A plan's sums and gradients; of the whole batch's plan the masks are counted."""
        assert self._resident is not None
        batch = self._resident.lay_out(sent, key[0])
        own = batch_masks(batch)
        masked = self._resident.count_masks(whole[0], key[1]) if whole else own
        sums, grads = self._of_batch(batch, masked.clamp(min=1), own)
        return (sums, *grads)

    def _of_batch(self, batch: TrainingBatch, masked: Tensor | int, own: Tensor) -> Share:
        setup = self._setup
        with setup.autocast():
            losses = batch_losses(setup.model, batch)
            loss = losses[0] / masked + losses[1] / self._run.training.batch_size
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        return torch.cat([losses.detach(), own.float().view(1)]), list(found)

    def _added(self, one: Callable[[int], Share], step: int, shards: range) -> Share:
        """The sums and gradients of these shards, each with random numbers of its own."""
        sums = torch.zeros(4, device=self._setup.device)
        total: list[Tensor | None] = [None] * len(self.parameters)
        for shard in shards:
            dropout.seed_noise(self._run.training.seed, step, shard)
            own, grads = one(shard)
            total = add_up([total, grads])
            sums += own
        return sums, total


def batch_masks(batch: TrainingBatch) -> Tensor:
    """How many positions of the batch are to be guessed, (), on its device."""
    if batch.mlm_labels is None:
        return torch.zeros((), device=batch.labels.device)
    return (batch.mlm_labels >= 0).sum()
