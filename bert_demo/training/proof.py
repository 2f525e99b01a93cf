"""A GPU's fast paths, tried against the plain one before a process trains by them.

A few steps of a small model on Crane World are computed on the CPU, in fp32 and by plain
operations; then on the device by its plain path, and by each fast path together with those before
it. One that raises, gives numbers that are not finite, or gives other losses, gradients or updates
is switched off in this process (`bert_demo.model.fast_paths`), and the next is tried without it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from bert_demo.common.errors import Text, UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.model import attention, fast_paths
from bert_demo.model.bert import BertModel
from bert_demo.model.device import fast_bf16, pick_device, release_memory
from bert_demo.training import layer_trial
from bert_demo.training.distributed import World
from bert_demo.training.gpu_batches import room_for
from bert_demo.training.layer_trial import LIMITS, SHARPER, check_finite, layer_apart, norm_apart
from bert_demo.training.losses import batch_losses
from bert_demo.training.optimizers import Optimizers, recipe
from bert_demo.training.setup import Setup, prepare_run
from bert_demo.training.step import Gradients, Share

_ROUNDS = 3
"""So often are the steps computed where there are CUDA graphs: as they are, captured, replayed."""
_PAIRS = 8
_LENGTH = 32
_DROPOUT = 0.1
_LOSS_SHARE = 0.1
"""Losses are sums over many tokens, and come nearer."""

_held: dict[str, dict[str, float]] = {}
"""By device, what `prove` has found."""


def proved_device(name: str, *, alone: bool = True) -> torch.device:
    """The device of this name, its fast paths tried once in this process.

    Where it does not compute as it should, "auto" is another one if the process trains `alone`;
    else a `UserError` is raised.
    """
    device = pick_device(name)
    if device.type != "cpu":
        prove(device)
    return pick_device(name if alone else device.type)


def prove(device: torch.device) -> dict[str, float]:
    """Try what the device offers: name of each path that holds -> largest difference found.

    The difference is relative to the right losses, gradients and updates. Once in a process for
    each device; what does not hold is in `fast_paths.switched_off` from then on.
    """
    if str(device) not in _held:
        _held[str(device)] = dict(_those_that_hold(device))
        release_memory()
    return _held[str(device)]


def forget() -> None:
    """Let everything be tried again, as in a process that has just begun."""
    _held.clear()
    layer_trial.forget()
    fast_paths.forget()


def _those_that_hold(device: torch.device) -> Iterator[tuple[str, float]]:
    trial = _Trial(device)
    held: list[str] = []
    for name in fast_paths.FAST_PATHS:
        if not (fast_paths.serves(name, device) and trial.offers(name)):
            continue
        difference = 0.0
        try:
            with fast_paths.only(*held, name):
                difference = trial.of(name)
        except Exception as error:  # whatever it is, the plain path does without
            fast_paths.switch_off(name, device, error)
        if fast_paths.serves(name, device):  # a graph that cannot be captured says so itself
            held.append(name)
            yield name, difference
            continue
        if (reason := _lost(device)) is not None:
            fast_paths.switch_off(fast_paths.DEVICE, device, reason)
        if not fast_paths.serves(fast_paths.DEVICE, device):
            return


def _lost(device: torch.device) -> Exception | None:
    """What the device says if it computes nothing any more, as after some errors of CUDA."""
    try:
        torch.ones(2, device=device).sum().item()
    except Exception as error:
        return error
    return None


class _Trial:
    """The same few steps, computed by other paths each time."""

    def __init__(self, device: torch.device) -> None:
        training = TrainingConfig(
            recipe="d2l",
            batch_size=_PAIRS,
            max_length=_LENGTH,
            steps=1,
            device="cpu",
            precision="fp32",
        )
        self._device = device
        self._run = RunConfig(dropout=0.0, training=training)
        # In two parts, as the graph that is captured for the second one serves the first one too.
        parts = replace(training, gradient_accumulation_steps=2)
        self._dropping_run = replace(self._run, training=parts)
        setup = prepare_run(self._run, World())
        with torch.no_grad():
            for name, weight in setup.model.named_parameters():
                if name.endswith("qkv.weight"):
                    weight.mul_(SHARPER)
        with fast_paths.only():
            self._right = {step: _plain_step(setup, step) for step in _steps_alike(setup)}
            self._right_updates = _updates(setup.model)
        self._setup = replace(setup, device=device)
        dropping = replace(
            setup.model.config,
            hidden_dropout_prob=_DROPOUT,
            attention_probs_dropout_prob=_DROPOUT,
        )
        self._dropping = BertModel(dropping)
        self._dropping.load_state_dict(setup.model.state_dict())
        self._dropped: dict[tuple[str, int], Share] = {}
        """By precision and step, what the last path that held gave with dropout."""

    def offers(self, name: str) -> bool:
        """Whether what the path needs is there."""
        if name == fast_paths.BF16:
            return fast_bf16(self._device)
        if name == fast_paths.FLASH:
            return fast_bf16(self._device) and attention.has_flash(self._device)
        if name == fast_paths.TRITON:
            return layer_trial.offered(self._device)
        if name == fast_paths.GRAPHS:
            return fast_paths.serves(fast_paths.RESIDENT, self._device)
        return True

    def of(self, name: str) -> float:
        """The largest difference that is found; raises `UserError` where one is too large."""
        low = ["bf16"] if fast_bf16(self._device) else []
        precisions = {
            fast_paths.BF16: low,
            fast_paths.FLASH: low,
            fast_paths.TRITON: low,
            fast_paths.GRAPHS: ["fp32", *low],
            fast_paths.FUSED: [],
        }
        graphs = name == fast_paths.GRAPHS
        dropped: dict[tuple[str, int], Share] = {}
        order = [*self._right] * (_ROUNDS if graphs else 1)
        found = [0.0]
        for precision in precisions.get(name, ["fp32"]):
            limit = LIMITS[precision]
            steps = self._steps(self._run, self._setup.model, precision, order)
            found += [_apart(share, self._right[step], limit) for step, share in steps]
            steps = self._steps(self._dropping_run, self._dropping, precision, order)
            for step, share in steps:
                dropped[precision, step] = share
                if graphs:  # which draw as it was drawn without them
                    found.append(_apart(share, self._dropped[precision, step], limit))
        if name in (fast_paths.DEVICE, fast_paths.BF16, fast_paths.FUSED):
            with fast_paths.only(name):
                updates = _updates(self._setup.model.to(self._device))
            limit = LIMITS["bf16" if name == fast_paths.BF16 else "fp32"]
            found.append(norm_apart(Text("updates"), updates, self._right_updates, limit))
        if name == fast_paths.TRITON:
            found.append(layer_apart(self._setup.model.config, self._device))
        self._dropped |= dropped
        return max(found)

    def _steps(
        self, run: RunConfig, model: BertModel, precision: str, order: Sequence[int]
    ) -> Iterator[tuple[int, Share]]:
        """What a run computes of steps, moved to the CPU; `UserError` if it is not finite."""
        setup = replace(self._setup, model=model.to(self._device), precision=precision)
        gradients = Gradients(run, setup, World())
        with gradients.threads:
            for step in order:
                sums, grads = gradients.of_step(step)
                share = sums.cpu(), [None if grad is None else grad.cpu() for grad in grads]
                check_finite([sums, *grads])
                yield step, share


def _updates(model: BertModel) -> list[Tensor]:
    """How two steps of the recommended recipe change weights, with gradients made up."""
    model = copy.deepcopy(model)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    generator = torch.Generator().manual_seed(0)
    width = model.config.hidden_size
    optimizers = Optimizers(model, recipe("recommended", model.task, width, None))
    for _ in range(2):
        for parameter in model.parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            parameter.grad = drawn.to(parameter.device)
        optimizers.step(0.5)
    pairs = zip(model.parameters(), before, strict=True)
    changes = [(parameter.detach() - old).cpu() for parameter, old in pairs]
    check_finite(changes)
    return changes


def _steps_alike(setup: Setup) -> tuple[int, int]:
    """Two steps whose batches take the same room on a GPU, so that one graph serves both."""
    seen: dict[int, int] = {}
    step = 0
    while (room := room_for(int(setup.batches.plan(step).lengths.sum()))) not in seen:
        seen[room] = step
        step += 1
    return seen[room], step


def _plain_step(setup: Setup, step: int) -> Share:
    """Sums of losses and gradients of a whole batch, as the host lays it out."""
    batch = setup.batches.draw(step)
    sums = batch_losses(setup.model, batch)
    loss = sums[0] / batch.count_masks() + sums[1] / len(batch.labels)
    return sums.detach(), list(torch.autograd.grad(loss, list(setup.model.parameters())))


def _apart(found: Share, right: Share, limit: float) -> float:
    """The largest difference of losses and gradients; raises `UserError` if it is too large."""
    if found[0][3] != right[0][3]:
        raise UserError("it masks other tokens")
    losses, right_losses = (list(share[0][:2].unbind()) for share in (found, right))
    return max(
        norm_apart(Text("losses"), losses, right_losses, _LOSS_SHARE * limit),
        norm_apart(Text("gradients"), found[1], right[1], limit),
    )
