"""The blocks that multiply tiles: in software, and on this processor where it has tiles."""

from __future__ import annotations

import ctypes

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.model.compiled import library, tiled_cross_entropy

LOW = torch.bfloat16


@pytest.fixture(scope="module")
def _in_software() -> ctypes.CDLL:
    """The blocks with loops in place of the processor's own tiles."""
    try:
        built = library.build((*library.FLAGS, "-DTILES_IN_SOFTWARE"))
    except OSError as error:
        pytest.skip(f"no compiled blocks: {error}")
    if not built.tiles_ready():
        pytest.skip("this processor lacks the vectors that tiles are made of")
    return built


@pytest.fixture(autouse=True, params=["software", "processor"])
def _tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in software and, where there are any, on the processor's own tiles."""
    if request.param == "software":
        built = request.getfixturevalue("_in_software")
        monkeypatch.setattr(library, "blocks", library.Blocks(built, tiles=True))
    elif library.load() or not library.has_tiles():
        pytest.skip("this processor multiplies no tiles")


def case(positions: int, hidden: int, words: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Positions (M, H) that bf16 holds exactly, as it does weights (V, H); biases and labels."""
    generator = torch.Generator().manual_seed(positions + words)
    x = torch.randn(positions, hidden, generator=generator).to(LOW).float()
    weight = (torch.randn(words, hidden, generator=generator) * 0.3).to(LOW).float()
    bias = torch.randn(words, generator=generator)
    labels = torch.randint(0, words, (positions,), generator=generator)
    return x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), labels


def loss_and_gradients(
    x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, factor: float
) -> list[Tensor]:
    """As the model calls it, times a factor as the mean of a batch has one."""
    assert tiled_cross_entropy.serves(x, LOW)
    loss = tiled_cross_entropy.tiled_cross_entropy(x, weight, bias, labels)
    return [loss, *torch.autograd.grad(loss * factor, (x, weight, bias))]


# Hidden sizes of one tile, of three, which no power of two divides, and of more than a tile's
# rows; positions and words that fill no tile, one block or band, and several.
@pytest.mark.parametrize("hidden", [32, 96, 128, 544])
@pytest.mark.parametrize(("positions", "words"), [(1, 2), (33, 511), (300, 1100), (64, 1024)])
def test_it_is_the_cross_entropy_of_the_logits(hidden: int, positions: int, words: int) -> None:
    x, weight, bias, labels = case(positions, hidden, words)
    exact = [t.detach().double().requires_grad_() for t in (x, weight, bias)]
    plain = F.cross_entropy(F.linear(*exact), labels, reduction="sum")
    expected = [plain, *torch.autograd.grad(plain / positions, exact)]
    found = loss_and_gradients(x, weight, bias, labels, 1 / positions)
    torch.testing.assert_close(found[0].double(), expected[0], rtol=1e-6, atol=1e-5)
    for one, other in zip(found[1:], expected[1:], strict=True):
        # Probabilities are rounded to bf16, to within 1 in 256, before they are multiplied.
        assert float((one - other).norm() / other.norm()) < 4e-3


def test_it_does_not_depend_on_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        results.append(loss_and_gradients(*case(100, 64, 2000), 0.1))
    torch.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_rows_beyond_the_labels_take_no_part() -> None:
    x, weight, bias, labels = case(40, 32, 100)
    _, grad_x, grad_weight, _ = loss_and_gradients(x, weight, bias, labels[:25], 1.0)
    _, expected_x, expected_weight, _ = loss_and_gradients(x[:25], weight, bias, labels[:25], 1.0)
    assert not grad_x[25:].any()
    torch.testing.assert_close(grad_x[:25], expected_x)
    torch.testing.assert_close(grad_weight, expected_weight)


def test_of_nothing_it_is_zero() -> None:
    x, weight, bias, labels = case(4, 32, 50)
    for found in loss_and_gradients(x, weight, bias, labels[:0], 1.0):
        assert not found.any()


@pytest.mark.parametrize("size", [1e3, 1e30])
def test_a_hopeless_guess_costs_what_it_says(size: float) -> None:
    x = torch.tensor([[1.0] + [0.0] * 31])
    weight = torch.zeros(40, 32)
    weight[0, 0] = size
    loss = tiled_cross_entropy.tiled_cross_entropy(x, weight, torch.zeros(40), torch.tensor([39]))
    assert float(loss) == pytest.approx(float(torch.tensor(size, dtype=LOW)))


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_broken_weight_does_not_go_unnoticed(broken: float) -> None:
    x, weight, bias, labels = case(4, 32, 50)
    with torch.no_grad():
        weight[7] = broken
        loss = tiled_cross_entropy.tiled_cross_entropy(x, weight, bias, labels)
    assert not loss.isfinite()
