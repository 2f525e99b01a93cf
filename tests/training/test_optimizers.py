"""AdamW and Muon against PyTorch's classes, which they stand in for."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bert_demo.training.cost import orthogonalising
from bert_demo.training.optimizers import AdamW, Muon, Update, orthogonalised

SHAPES = [(6, 4), (4, 6), (5, 5)]
FACTORS = [1.0, 0.5, 0.05]


def drawn(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def trained(update: Update, seed: int = 1) -> list[Tensor]:
    """The parameters after a step at each factor, the gradients being random."""
    for number, factor in enumerate(FACTORS):
        for parameter, grad in zip(update.parameters, drawn(seed + number), strict=True):
            parameter.grad = grad
        update.step(factor)
    return update.parameters


def trained_by_torch(optimizer: torch.optim.Optimizer, rate: float) -> list[Tensor]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, factor in enumerate(FACTORS):
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        for parameter, grad in zip(parameters, drawn(1 + number), strict=True):
            parameter.grad = grad
        optimizer.step()
    return parameters


def leaves() -> list[Tensor]:
    return [tensor.requires_grad_() for tensor in drawn(0)]


def adamw(parameters: list[Tensor]) -> AdamW:
    return AdamW([(parameters[:2], 0.1), (parameters[2:], 0.0)], 0.01, (0.9, 0.95))


def muon(parameters: list[Tensor]) -> Muon:
    return Muon(parameters, 0.03, 0.1)


def test_adamw_is_pytorchs_to_the_last_bit() -> None:
    theirs = leaves()
    groups = [
        {"params": theirs[:2], "weight_decay": 0.1},
        {"params": theirs[2:], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), fused=True)
    expected = trained_by_torch(optimizer, 0.01)
    for ours, other in zip(trained(adamw(leaves())), expected, strict=True):
        assert torch.equal(ours, other)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_muon_is_pytorchs_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a processor that is fast at bf16; others round less.
    monkeypatch.setattr("bert_demo.training.optimizers.fast_bf16", lambda _: True)
    optimizer = torch.optim.Muon(leaves(), lr=0.03, momentum=0.95, weight_decay=0.1)
    expected = trained_by_torch(optimizer, 0.03)
    for ours, other in zip(trained(muon(leaves())), expected, strict=True):
        assert torch.equal(ours, other)


@pytest.mark.parametrize("make", [adamw, muon])
def test_a_remembered_state_goes_on_as_if_nothing_had_been(make: type[Update]) -> None:
    whole = make(leaves())
    trained(whole)
    copied = [p.detach().clone().requires_grad_() for p in whole.parameters]
    resumed = make(copied)
    resumed.load(whole.state)
    for ours, other in zip(trained(resumed, 9), trained(whole, 9), strict=True):
        assert torch.equal(ours, other)


@pytest.mark.parametrize("make", [adamw, muon])
def test_what_has_no_gradient_is_left_alone(make: type[Update]) -> None:
    update = make(leaves())
    update.parameters[0].grad = torch.ones(SHAPES[0])
    update.step(1.0)
    assert not torch.equal(update.parameters[0], drawn(0)[0])
    assert torch.equal(update.parameters[1], drawn(0)[1])
    assert list(update.state) == [0]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("shape", [(40, 8), (8, 40), (16, 16)])
def test_an_orthogonalised_matrix_has_singular_values_near_one(
    shape: tuple[int, int], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bert_demo.training.optimizers.fast_bf16", lambda _: fast)
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    result = orthogonalised(matrix)
    assert result.dtype == (torch.bfloat16 if fast else torch.float32)
    values = torch.linalg.svdvals(result.float())
    assert result.shape == shape
    assert values.min() > 0.4 and values.max() < 1.3
    # The directions stay: it is near the U V of the matrix's U S V.
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(result.float().ravel(), (u @ v).ravel(), 0) > 0.95


@pytest.mark.parametrize("shape", [(40, 8), (8, 40), (16, 16)])
def test_the_estimate_counts_what_muon_multiplies(shape: tuple[int, int]) -> None:
    with FlopCounterMode(display=False) as counter:
        orthogonalised(torch.ones(shape))
    assert counter.get_total_flops() == orthogonalising(*shape)


def test_training_does_not_wait_for_pytorchs_compiler() -> None:
    script = (
        "import sys\n"
        "from bert_demo import RunConfig, TrainingConfig, train\n"
        "run = RunConfig(training=TrainingConfig(recipe='recommended', steps=2, batch_size=8))\n"
        "events = [event['event'] for event in train(run)]\n"
        "print(events[-1], 'torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["end", "False"], done.stdout


@pytest.mark.parametrize("fast", [True, False])
def test_matrices_of_one_shape_are_changed_together_as_by_themselves(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU."""
    monkeypatch.setattr("bert_demo.training.optimizers.fast_bf16", lambda _: fast)
    shapes = [(8, 4), (4, 8), (8, 4), (4, 8), (4, 4), (8, 4)]
    generator = torch.Generator().manual_seed(5)
    first = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    both = [Muon([p.detach().clone().requires_grad_() for p in first], 0.1, 0.1) for _ in range(2)]
    both[1].together = True
    for _ in range(3):
        grads = [torch.randn(shape, generator=generator) for shape in shapes]
        grads[3] = None  # type: ignore[call-overload]
        for one in both:
            for parameter, grad in zip(one.parameters, grads, strict=True):
                parameter.grad = grad
            one.step(0.5)
    alone, together = (one.parameters for one in both)
    near = {"rtol": 0.0, "atol": 0.02 if fast else 1e-5}
    torch.testing.assert_close(together, alone, **near)
    assert torch.equal(together[3], first[3]) and not torch.equal(together[0], first[0])
