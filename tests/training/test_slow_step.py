"""A step played slowly, against the run's own batch, finite differences and a step by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.data.packing import pack
from bert_demo.training.distributed import World
from bert_demo.training.setup import Setup, prepare_run

RATE = 0.002
RUN = RunConfig(
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=1,
    training=TrainingConfig(
        recipe="d2l", steps=9, batch_size=24, learning_rate=RATE, device="cpu", precision="fp32"
    ),
)
STEP = 5


@pytest.fixture(scope="module")
def setup() -> Setup:
    made = prepare_run(RUN, World())
    made.model.eval()
    return made


@pytest.fixture(scope="module")
def played(setup: Setup) -> Any:
    return bert_demo.slow_step(setup.model, setup.tokenizer, RUN, STEP)


def loss_by_hand(model: Any, setup: Setup, played: Any) -> Tensor:
    """The loss that the step makes smaller, from the whole network's last layer and plain torch."""
    vocabulary = {
        token: i for i, token in enumerate(setup.tokenizer.tokens(range(model.config.vocab_size)))
    }
    ids = [vocabulary[token] for token in played.tokens]
    second = played.tokens.index("<sep>") + 1
    vectors = model.look_inside(
        pack([(ids, [0] * second + [1] * (len(ids) - second))])
    ).hidden_states[-1]
    scores = model.mlm(vectors[played.places]).log_softmax(-1)
    found = torch.stack(
        [-row[vocabulary[w]] for row, w in zip(scores, played.targets, strict=True)]
    )
    next_sentence = model.nsp_logits(vectors[:1]).log_softmax(-1)[0, int(played.is_next)]
    return found.mean() - next_sentence


def test_the_pair_stands_in_the_runs_own_batch(setup: Setup, played: Any) -> None:
    batch = setup.batches.draw(STEP)
    packed = batch.packed
    begins = packed.cls_positions.tolist()
    ends = [*begins[1:], len(packed.input_ids)]
    pairs = [
        setup.tokenizer.tokens(packed.input_ids[b:e].tolist())
        for b, e in zip(begins, ends, strict=True)
    ]
    row = pairs.index(played.tokens)
    places = batch.mlm_positions
    assert places is not None and batch.mlm_labels is not None
    own = (places >= begins[row]) & (places < ends[row])
    assert (places[own] - begins[row]).tolist() == played.places
    assert setup.tokenizer.tokens(batch.mlm_labels[own].tolist()) == played.targets
    assert bool(batch.labels[row]) == played.is_next
    other = bert_demo.slow_step(setup.model, setup.tokenizer, RUN, STEP, 1)
    assert other.tokens in pairs and other.tokens != played.tokens


def test_losses_and_gradients_are_those_of_plain_torch(setup: Setup, played: Any) -> None:
    assert played.before.loss == pytest.approx(
        loss_by_hand(setup.model, setup, played).item(), abs=1e-5
    )
    losses = torch.tensor(played.before.losses)
    assert played.before.loss == pytest.approx(
        float(losses.mean()) - torch.tensor(played.before.right).log().item(), abs=1e-5
    )
    # The slope along a matrix's own gradient, by finite differences, is the gradient's norm.
    shares = {one.name: one.share for one in played.gradients}
    for name, short in (
        ("layers.0.intermediate.weight", "layers.0.intermediate"),
        ("mlm.dense.weight", "mlm.dense"),
    ):
        moved = copy.deepcopy(setup.model)
        matrix = dict(moved.named_parameters())[name]
        (slope,) = torch.autograd.grad(loss_by_hand(moved, setup, played), matrix)
        along, reach, found = slope / slope.norm(), 1e-2, []
        for sign in (1, -1):
            with torch.no_grad():
                matrix += sign * reach * along
                found.append(loss_by_hand(moved, setup, played).item())
                matrix -= sign * reach * along
        norm = (found[0] - found[1]) / (2 * reach)
        assert shares[short] * matrix.norm().item() == pytest.approx(norm, rel=0.02)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert {"layers.0.queries", "layers.0.keys", "layers.0.values"} < shares.keys()


def test_the_step_is_adams_first(setup: Setup, played: Any) -> None:
    # Of its first gradient Adam's mean over the root of its square is its sign, nearly.
    stepped = copy.deepcopy(setup.model)
    parameters = list(stepped.parameters())
    grads = torch.autograd.grad(loss_by_hand(stepped, setup, played), parameters, allow_unused=True)
    with torch.no_grad():
        for parameter, grad in zip(parameters, grads, strict=True):
            if grad is not None:
                parameter -= RATE * grad / (grad.abs() + 1e-8)
    assert played.rate == RATE
    assert played.after.loss == pytest.approx(loss_by_hand(stepped, setup, played).item(), abs=1e-3)
    assert played.after.loss < played.before.loss
    again = bert_demo.slow_step(setup.model, setup.tokenizer, RUN, STEP)
    assert again == played  # the model was left as it was


def test_what_cannot_be_played_gets_a_sentence(setup: Setup) -> None:
    with pytest.raises(UserError, match="pair is 24; this step's batch has "):
        bert_demo.slow_step(setup.model, setup.tokenizer, RUN, STEP, 24)
    with pytest.raises(UserError, match="whole number from 0"):
        bert_demo.slow_step(setup.model, setup.tokenizer, RUN, STEP, -1)
    tuning = RunConfig(task="nli", start_from="x", training=TrainingConfig(steps=1))
    with pytest.raises(UserError, match="pretraining"):
        bert_demo.slow_step(setup.model, setup.tokenizer, tuning, STEP)
