"""Losses and gradients of one batch, by whatever way suits the device.

A plan says which pairs make up the batch; each process, thread and part of gradient accumulation
takes a shard of it. A CPU computes shards in threads, from tokens that the host lays out. A GPU is
sent a shard's plan, a few hundred numbers, and does the rest by itself, in sizes that repeat.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from bert_demo.config import RunConfig
from bert_demo.data.batches import TrainingBatch
from bert_demo.data.layout import Plan
from bert_demo.model import dropout, fast_paths
from bert_demo.model.threads import ShardThreads, add_up
from bert_demo.training.cuda_graphs import Captured, Outputs
from bert_demo.training.distributed import World
from bert_demo.training.gpu_batches import Resident, Size
from bert_demo.training.losses import batch_losses
from bert_demo.training.setup import Setup

Share = tuple[Tensor, list[Tensor | None]]
"""The sums of `batch_losses`, (4,), on the device; and a gradient for each parameter."""


class Gradients:
    """What this process computes of every batch: its share of the sums and of the gradients.

    The gradients are those of the mean over the whole batch, all processes' shares together. They
    are asked for inside `with gradients.threads`.
    """

    def __init__(self, run: RunConfig, setup: Setup, world: World) -> None:
        self._run, self._setup, self._world = run, setup, world
        self.parameters = list(setup.model.parameters())
        self.threads = ShardThreads(setup.device, setup.facts["parameters"])
        self._parts = run.training.gradient_accumulation_steps
        self._pairs_count = run.task != "pretraining" or run.next_sentence == "on"
        self._resident: Resident | None = None
        if fast_paths.serves(fast_paths.RESIDENT, setup.device):
            self._resident = Resident(setup.batches, setup.device)
        self.forget()

    def forget(self) -> None:
        """Capture on a GPU anew what is done there, since the model has changed more than its
        weights."""
        self._captured = Captured(self._of_sent_plan, self._setup.device)

    def of_step(self, step: int) -> Share:
        """This process's share of the batch of this step, in training mode."""
        if not self._setup.model.training:
            self._setup.model.train()
        plan = self._setup.batches.plan(step)
        if self._resident is not None:
            return _added(self._parts_on_device(self._resident, plan, step))
        return self._on_threads(plan, step)

    def _on_threads(self, plan: Plan, step: int) -> Share:
        """By all threads together, or by one where there is too little for each."""
        few = len(plan.labels) < 2 * self.threads.count * self._parts * self._world.size
        threads = 1 if few else self.threads.count
        masks = self._setup.batches.count_masks(plan)
        of_thread = functools.partial(self._parts_on_thread, plan, step, masks, threads)
        if threads < self.threads.count:
            return _added(of_thread(0))
        return _added(self.threads.map(lambda thread: _added(of_thread(thread))))

    def _parts_on_thread(
        self, plan: Plan, step: int, masks: int, threads: int, thread: int
    ) -> Iterator[Share]:
        """The shares of one of `threads` threads, one after the other."""
        own = self._parts * threads
        first = self._world.rank * own
        for shard in range(first + thread, first + own, threads):
            part = plan.shard(shard, self._world.size * own)
            dropout.seed_noise(self._run.training.seed, step)
            dropout.number_rows(part.token_places)
            batch = self._setup.batches.lay_out(part)
            yield self._of_batch(batch.to(self._setup.device), masks)

    def _parts_on_device(self, resident: Resident, plan: Plan, step: int) -> Iterator[Share]:
        """The shares of a GPU, which are written to the same place one after the other."""
        count = self._world.size * self._parts
        whole = (resident.sent(plan), resident.size_of(plan)) if count > 1 else None
        first = self._world.rank * self._parts
        for shard in range(first, first + self._parts):
            dropout.seed_noise(self._run.training.seed, step, shard)
            part = plan.shard(shard, count)
            sent, key = [resident.sent(part)], [resident.size_of(part)]
            if whole is not None:
                sent, key = [*sent, whole[0]], [*key, whole[1]]
            sums, *grads = self._captured(tuple(key), *sent)
            assert sums is not None
            if self._parts > 1:
                grads = [None if grad is None else grad.clone() for grad in grads]
            yield sums.clone(), grads

    def _of_sent_plan(self, key: tuple[Size, ...], sent: Tensor, *whole: Tensor) -> Outputs:
        """The sums and gradients of a plan; of the whole batch's plan the masks are counted."""
        assert self._resident is not None
        batch = self._resident.lay_out(sent, key[0])
        masks = self._resident.count_masks(whole[0], key[1]) if whole else batch.count_masks()
        sums, grads = self._of_batch(batch, masks)
        return (sums, *grads)

    def _of_batch(self, batch: TrainingBatch, masks: Tensor | int) -> Share:
        """A shard's share; `masks` are those of the whole batch."""
        setup = self._setup
        divisor = masks.clamp(min=1) if isinstance(masks, Tensor) else max(masks, 1)
        with setup.autocast():
            sums = batch_losses(setup.model, batch)
            loss = sums[0] / divisor
            if self._pairs_count:
                loss = loss + sums[1] / self._run.training.batch_size
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        return sums.detach(), list(found)


def _added(shares: Iterable[Share]) -> Share:
    """All of them together, always in the same order; the first one's gradients are changed."""
    rest = iter(shares)
    sums, grads = next(rest)
    for others, more in rest:
        sums, grads = sums + others, add_up([grads, more])
    return sums, grads
