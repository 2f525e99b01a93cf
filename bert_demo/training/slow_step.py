"""One training step played slowly, on one pair of a run's own text.

The pair stands in the batch that the run took at that step, with the masks that it had there. What
differs from the run's own step: this pair is alone instead of one among many, nothing is dropped,
no padding counts, and the optimizer remembers no steps before, for a moment keeps weights alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig
from bert_demo.data.batches import TrainingBatch
from bert_demo.data.prepare import prepare_text
from bert_demo.data.pretraining_batches import PretrainingBatches
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.moved import Moved, matrices
from bert_demo.inference.predict import Guess, evaluating, guesses_at
from bert_demo.model.bert import BertModel
from bert_demo.training.losses import batch_losses
from bert_demo.training.optimizers import Optimizers, recipe_of
from bert_demo.training.setup import training_batches

_TOP = 5


@dataclass(frozen=True)
class Answers:
    """What a model says of the pair."""

    guesses: list[list[Guess]]
    """For each masked token the likeliest ones, the likeliest first."""
    losses: list[float]
    """At each masked token, in nats."""
    right: float
    """The probability that it gives the right answer to the next-sentence question."""
    loss: float
    """What the step makes smaller, in nats: the mean of `losses`, and where the run asks it that
    of the next-sentence question."""


@dataclass(frozen=True)
class SlowStep:
    """One step on one pair."""

    tokens: list[str]
    """The pair as the model sees it: L tokens, the masked ones replaced."""
    places: list[int]
    """Which of them are masked."""
    targets: list[str]
    """What stood there."""
    is_next: bool
    """Whether the second sentence follows the first in the text."""
    before: Answers
    gradients: list[Moved]
    """Every matrix by the norm of its gradient over its own norm, the largest first."""
    rate: float
    """The learning rate of the step: the run's own at its highest."""
    after: Answers


def slow_step(
    model: BertModel, tokenizer: Tokenizer, run: RunConfig, step: int, pair: int = 0
) -> SlowStep:
    """Play the step that follows `step` of a pretraining run; `model` stays as it is.

    model: the run's weights after `step` steps, or any of its shape. pair: which of the batch's
    pairs, those without a masked token left out.

    Raises `UserError` for a run that is no pretraining, a text that is not to be had, and a pair
    that the batch does not have.
    """
    if run.task != "pretraining" or model.task != "pretraining":
        raise UserError("Only a step of pretraining can be played slowly; this is none.")
    text, _, _ = prepare_text(run.corpus, "train", tokenizer=tokenizer)
    masks_alone = replace(run, padding_in_loss="off")
    batch = _pair(training_batches(masks_alone, text, tokenizer), step, pair)
    stepped = copy.deepcopy(model).eval()
    asks = run.next_sentence == "on"
    before = _answers(stepped, tokenizer, batch, asks)
    names, parameters = zip(*stepped.named_parameters(), strict=True)
    with torch.enable_grad():
        sums = batch_losses(stepped, batch)
        loss = sums[0] / sums[3] + (sums[1] if asks else 0.0)
        grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    gradients = _relative(names, parameters, grads)
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = grad
    numbers = recipe_of(run, model.config.hidden_size)
    rate = Optimizers(stepped, replace(numbers, warmup=None)).step(0.0)
    after = _answers(stepped, tokenizer, batch, asks)
    ids = batch.packed.input_ids.tolist()
    assert batch.mlm_positions is not None and batch.mlm_labels is not None
    return SlowStep(
        tokenizer.tokens(ids),
        batch.mlm_positions.tolist(),
        tokenizer.tokens(batch.mlm_labels.tolist()),
        bool(batch.labels[0]),
        before,
        gradients,
        rate,
        after,
    )


def _pair(batches: PretrainingBatches, step: int, pair: int) -> TrainingBatch:
    """The batch of one pair alone, with its masks."""
    if isinstance(pair, bool) or not isinstance(pair, int) or pair < 0:
        raise UserError("pair is {value!r}; it must be a whole number from 0.", value=pair)
    found = -1
    for alone in _alone(batches, step):
        found += bool(alone.count_masks())
        if found == pair:
            return alone
    raise UserError(
        "pair is {value}; this step's batch has {n} pairs with a masked token.",
        value=pair,
        n=found + 1,
    )


def _alone(batches: PretrainingBatches, step: int) -> Iterator[TrainingBatch]:
    plan = batches.plan(step)
    for number in range(len(plan.labels)):
        yield batches.lay_out(plan.shard(number, len(plan.labels)))


def _answers(model: BertModel, tokenizer: Tokenizer, batch: TrainingBatch, asks: bool) -> Answers:
    assert batch.mlm_positions is not None and batch.mlm_labels is not None
    with evaluating(model):
        count = len(batch.mlm_positions)
        places = torch.cat([batch.mlm_positions, batch.packed.cls_positions])
        vectors = model(batch.packed, places)
        losses = F.cross_entropy(
            model.mlm(vectors[:count]).float(), batch.mlm_labels, reduction="none"
        )
        wrong = F.cross_entropy(model.nsp_logits(vectors[count:]).float(), batch.labels)
        guesses = guesses_at(model, tokenizer, vectors[:count], _TOP)
    loss = losses.mean() + (wrong if asks else 0.0)
    return Answers(guesses, losses.tolist(), float((-wrong).exp()), float(loss))


def _relative(
    names: tuple[str, ...], parameters: tuple[Tensor, ...], grads: tuple[Tensor | None, ...]
) -> list[Moved]:
    found = [
        (name, parameter.detach(), grad)
        for name, parameter, grad in zip(names, parameters, grads, strict=True)
        if grad is not None
    ]
    slopes = dict(matrices((name, grad) for name, _, grad in found))
    sizes = matrices((name, parameter) for name, parameter, _ in found)
    shares = [
        Moved(name, float(slopes[name].norm() / matrix.norm().clamp(min=1e-12)))
        for name, matrix in sizes
    ]
    return sorted(shares, key=lambda one: -one.share)
