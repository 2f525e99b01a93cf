"""The fast functions against the plain formulas that they replace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_demo.data.packing import pack
from bert_demo.model import attention, cross_entropy, dropout, kernels
from bert_demo.model.compiled import library

GROUPS = ((3, 1), (2, 5), (1, 6), (4, 9))
TOKENS = sum(count * length for count, length in GROUPS)
BATCH = pack([([0] * length,) * 2 for count, length in GROUPS for _ in range(count)])


@pytest.fixture(autouse=True, params=["plain", "compiled"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test with PyTorch's operations alone, and with the compiled blocks."""
    way: str = request.param
    if way == "plain":
        monkeypatch.setattr(library, "serves", lambda _: False)
    elif missing := library.load():
        pytest.skip(f"no compiled blocks: {missing}")
    return way


SHAPES = pytest.mark.parametrize(("heads", "hidden"), [(1, 4), (2, 8), (4, 12), (3, 48)])


def plain_attention(qkv: Tensor, heads: int) -> Tensor:
    """Vaswani et al. 2017, one sequence and one head at a time; double precision if given."""
    size = qkv.shape[1] // 3 // heads
    out, start = [], 0
    for count, length in GROUPS:
        for _ in range(count):
            rows = qkv[start : start + length]
            q, k, v = (part.split(size, dim=1) for part in rows.chunk(3, dim=1))
            mixed = [torch.softmax(q[h] @ k[h].T / size**0.5, dim=1) @ v[h] for h in range(heads)]
            out.append(torch.cat(mixed, dim=1))
            start += length
    return torch.cat(out)


def random_case(hidden: int) -> tuple[Tensor, nn.Linear]:
    """Tokens (T, H), and what makes queries, keys and values of them."""
    generator = torch.Generator().manual_seed(hidden)
    linear = nn.Linear(hidden, 3 * hidden)
    for parameter in linear.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / hidden**0.5
    return torch.randn(TOKENS, hidden, generator=generator).requires_grad_(), linear


def exact_attention(x: Tensor, linear: nn.Linear, heads: int) -> tuple[Tensor, list[Tensor]]:
    """(T, H) by the formula in fp64, and the tokens, weight and bias that it is made of."""
    leaves = [t.detach().double().requires_grad_() for t in (x, linear.weight, linear.bias)]
    return plain_attention(F.linear(*leaves), heads), leaves


def directional_derivatives(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[float, float]:
    """Along one random direction: by backward, and by central differences."""
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    (gradient,) = torch.autograd.grad(function(x), x)
    step = 5e-3
    with torch.no_grad():
        difference = function(x + step * direction) - function(x - step * direction)
    return float((gradient * direction).sum()), float(difference) / (2 * step)


@SHAPES
@pytest.mark.parametrize("way", ["by the device", "padded"])
def test_attention_equals_the_formula_and_its_gradient(heads: int, hidden: int, way: str) -> None:
    x, linear = random_case(hidden)
    expected, leaves = exact_attention(x, linear, heads)
    weight = torch.randn(TOKENS, hidden, generator=torch.Generator().manual_seed(1))
    if way == "padded":
        out, weights = attention.padded_attention(linear(x), BATCH, heads)
        assert weights == []
    else:
        out = kernels.attention(x, linear, BATCH, heads, 0.0)
    torch.testing.assert_close(out.double(), expected, atol=2e-6, rtol=1e-5)
    grads = torch.autograd.grad((out * weight).sum(), (x, *linear.parameters()))
    expected_grads = torch.autograd.grad((expected * weight).sum(), leaves)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad.double(), expected_grad, atol=1e-5, rtol=1e-4)


@SHAPES
@pytest.mark.parametrize(
    "chosen",
    [[0, 1, 2, 3, 8, 13, 19, 28, 37, 46], [54, 20, 3, 19, 4, 21, 47], [5]],
    ids=["one each", "in any order", "one sequence alone"],
)
def test_chosen_queries_get_what_all_would(heads: int, hidden: int, chosen: list[int]) -> None:
    (x, linear), positions = random_case(hidden), torch.tensor(chosen)
    expected, leaves = exact_attention(x, linear, heads)
    weight = torch.randn(len(chosen), hidden, generator=torch.Generator().manual_seed(2))
    selected = kernels.select(x, positions)
    assert len(selected) == 16 and not selected[len(chosen) :].any()
    out = kernels.attention(x, linear, BATCH, heads, 0.0, positions, selected)
    assert out.shape == selected.shape and not out[len(chosen) :].any()
    out = out[: len(chosen)]
    torch.testing.assert_close(out.double(), expected[positions], atol=2e-6, rtol=1e-5)
    grads = torch.autograd.grad((out * weight).sum(), (x, *linear.parameters()))
    expected_grads = torch.autograd.grad((expected[positions] * weight).sum(), leaves)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad.double(), expected_grad, atol=1e-5, rtol=1e-4)


def test_groups_of_similar_lengths_are_computed_apart() -> None:
    lengths = [3] * 200 + list(range(20, 60))
    batch = pack([([0] * length,) * 2 for length in lengths])
    x = torch.randn(len(batch.input_ids), 8, generator=torch.Generator().manual_seed(0))
    _, linear = random_case(8)
    with torch.no_grad():
        together = kernels.attention(x, linear, batch, 2, 0.0).split(lengths)
        for own, rows in zip(together, x.split(lengths), strict=True):
            alone = pack([([0] * len(rows),) * 2])
            torch.testing.assert_close(own, kernels.attention(rows, linear, alone, 2, 0.0))


def test_attention_weights_belong_to_the_values_that_were_mixed() -> None:
    hidden, heads = 12, 3
    qkv = torch.randn(TOKENS, 3 * hidden, generator=torch.Generator().manual_seed(hidden))
    out, weights = attention.padded_attention(qkv, BATCH, heads, need_weights=True)
    lengths = [length for count, length in GROUPS for _ in range(count)]
    assert [tuple(w.shape) for w in weights] == [(heads, n, n) for n in lengths]
    values = qkv[:, 2 * hidden :].split(lengths)
    for weight, value, mixed in zip(weights, values, out.split(lengths), strict=True):
        torch.testing.assert_close(weight.sum(-1), torch.ones(weight.shape[:2]))
        by_head = value.unflatten(1, (heads, -1)).transpose(0, 1)
        torch.testing.assert_close((weight @ by_head).transpose(0, 1).flatten(1), mixed)


def test_attention_has_the_type_of_the_products_it_is_made_of() -> None:
    x, linear = random_case(8)
    with torch.autocast("cpu", torch.bfloat16):
        out = kernels.attention(x, linear, BATCH, 2, 0.0)
        (grad,) = torch.autograd.grad(out.float().sum(), x)
    assert out.dtype == torch.bfloat16 and grad.dtype == torch.float32
    torch.testing.assert_close(out.double(), exact_attention(x, linear, 2)[0], atol=0.02, rtol=0.02)


def test_attention_dropout_is_right_on_average() -> None:
    dropout.seed_noise(3)
    x, linear = random_case(8)
    with torch.no_grad():
        exact = kernels.attention(x, linear, BATCH, 2, 0.0)
        draws = [kernels.attention(x, linear, BATCH, 2, 0.3) for _ in range(600)]
    stacked = torch.stack(draws)
    assert not torch.equal(draws[0], draws[1])
    error = (stacked.mean(0) - exact).abs() / (stacked.std(0) / 600**0.5 + 1e-6)
    assert float(error.max()) < 5  # standard errors; 864 numbers
    assert float(error.mean()) < 1.1  # 0.8 for normal errors


def test_attention_dropout_has_the_gradient_of_the_draw_it_made() -> None:
    x, linear = random_case(8)
    weight = torch.randn(TOKENS, 8, generator=torch.Generator().manual_seed(5))

    def dropped(x: Tensor) -> Tensor:
        dropout.seed_noise(11)
        return (kernels.attention(x, linear, BATCH, 2, 0.4) * weight).sum()

    by_backward, by_differences = directional_derivatives(dropped, x)
    assert by_backward == pytest.approx(by_differences, rel=2e-3)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_and_the_mean(rate: float) -> None:
    dropout.seed_noise(1, 2)
    x = torch.ones(1003, 997)  # no multiple of what is drawn at a time
    y = dropout.dropout(x, rate, training=True)
    kept = float((y != 0).float().mean())
    assert kept == pytest.approx(1 - rate, abs=5 * (rate * (1 - rate) / x.numel()) ** 0.5 + 1e-5)
    assert y[y != 0].unique().numel() == 1
    assert float(y.mean()) == pytest.approx(1, abs=0.01)
    # Rows and columns alike: no pattern in the bits.
    assert float((y != 0).float().mean(0).std()) < 1.2 * (rate * (1 - rate) / 1003) ** 0.5
    assert float((y != 0).float().mean(1).std()) < 1.2 * (rate * (1 - rate) / 997) ** 0.5


def test_dropout_passes_the_gradient_through_the_same_mask() -> None:
    x = torch.ones(50, 40, requires_grad=True)
    y = dropout.dropout(x, 0.3, training=True)
    y.backward(torch.full_like(y, 2.0))
    assert x.grad is not None
    assert torch.equal(x.grad, 2 * y.detach())


def test_dropout_is_off_in_evaluation_and_at_rate_zero() -> None:
    x = torch.randn(3, 4)
    assert dropout.dropout(x, 0.5, training=False) is x
    assert dropout.dropout(x, 0.0, training=True) is x


def test_seeded_noise_repeats_and_other_words_give_other_noise() -> None:
    def draw(*words: int) -> Tensor:
        dropout.seed_noise(*words)
        return torch.stack([dropout.dropout(torch.ones(9, 9), 0.5, True), torch.rand(9, 9)])

    assert torch.equal(draw(1, 2), draw(1, 2))
    for others in [(2, 1), (1, 3), (1, 2, 1)]:
        assert not torch.equal(draw(1, 2)[0], draw(*others)[0])
        assert not torch.equal(draw(1, 2)[1], draw(*others)[1])


def cross_entropy_case(rows: int, vocabulary: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 16, generator=generator).requires_grad_()
    weight = torch.randn(vocabulary, 16, generator=generator).requires_grad_()
    bias = torch.randn(vocabulary, generator=generator).requires_grad_()
    labels = torch.randint(vocabulary, (rows,), generator=generator)
    return x, weight, bias, labels


@pytest.mark.parametrize(
    ("rows", "vocabulary"),
    [(1, 7), (37, 501), (230, 20_256)],  # the last takes two chunks
)
def test_linear_cross_entropy_equals_the_plain_one(rows: int, vocabulary: int) -> None:
    x, weight, bias, labels = cross_entropy_case(rows, vocabulary)
    inputs = (x, weight, bias)
    loss = kernels.linear_cross_entropy(x, weight, bias, labels) / rows
    exact = tuple(value.detach().double().requires_grad_() for value in inputs)
    plain = F.cross_entropy(F.linear(*exact), labels)
    torch.testing.assert_close(loss.double(), plain, atol=0, rtol=1e-5)
    grads = torch.autograd.grad(loss, inputs)
    for grad, expected in zip(grads, torch.autograd.grad(plain, exact), strict=True):
        torch.testing.assert_close(grad.double(), expected, atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        no_grad = kernels.linear_cross_entropy(x, weight, bias, labels) / rows
    torch.testing.assert_close(no_grad.double(), plain, atol=0, rtol=1e-5)


def test_linear_cross_entropy_trains_the_matrix_below_a_frozen_encoder() -> None:
    x, weight, bias, labels = cross_entropy_case(8, 11)
    kernels.linear_cross_entropy(x.detach(), weight, bias, labels).backward()
    expected = torch.autograd.grad(
        F.cross_entropy(F.linear(x, weight, bias), labels, reduction="sum"), (weight, bias)
    )
    for found, wanted in zip((weight.grad, bias.grad), expected, strict=True):
        assert found is not None
        torch.testing.assert_close(found, wanted)


def test_linear_cross_entropy_of_nothing_is_zero() -> None:
    x, weight, bias, labels = cross_entropy_case(4, 11)
    loss = kernels.linear_cross_entropy(x[:0], weight, bias, labels[:0])
    loss.backward()
    assert float(loss.detach()) == 0
    assert weight.grad is not None and not weight.grad.any()
    with torch.no_grad():
        assert float(kernels.linear_cross_entropy(x[:0], weight, bias, labels[:0])) == 0


def test_linear_cross_entropy_is_close_under_bf16_autocast() -> None:
    rows = 200
    x, weight, bias, labels = cross_entropy_case(rows, 3000)
    inputs = (x, weight, bias)
    with torch.autocast("cpu", torch.bfloat16):
        loss = kernels.linear_cross_entropy(*inputs, labels) / rows
    assert loss.dtype == torch.float32
    plain = F.cross_entropy(F.linear(*inputs), labels)
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=5e-3)
    grads = torch.autograd.grad(loss, inputs)
    for grad, expected in zip(grads, torch.autograd.grad(plain, inputs), strict=True):
        assert grad.dtype == torch.float32
        assert F.cosine_similarity(grad.flatten(), expected.flatten(), dim=0) > 0.999
        assert float((grad - expected).norm() / expected.norm()) < 0.05


def test_linear_cross_entropy_of_a_hopeless_guess_is_finite() -> None:
    x = torch.full((1, 2), 100.0, requires_grad=True)
    weight = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    loss = kernels.linear_cross_entropy(x, weight, torch.zeros(2), torch.tensor([1]))
    loss.backward()
    assert torch.isfinite(loss)
    assert x.grad is not None and torch.equal(x.grad, torch.full((1, 2), 2.0))


def test_small_tables_looked_up_together_have_the_gradients_of_each() -> None:
    """On a GPU tables of few rows are added up by one product."""
    torch.manual_seed(3)
    first, second = torch.randint(0, 2, (40,)), torch.randint(0, 9, (40,))
    tables = [torch.randn(rows, 5, dtype=torch.double, requires_grad=True) for rows in (2, 9)]
    given = torch.randn(40, 5, dtype=torch.double)
    together = kernels._FewRows.apply(first, second, *tables)  # type: ignore[no-untyped-call]
    apart = F.embedding(first, tables[0]) + F.embedding(second, tables[1])
    torch.testing.assert_close(together, apart)
    found, right = (torch.autograd.grad(x, tables, given) for x in (together, apart))
    torch.testing.assert_close(found, right)


def test_rows_that_are_not_asked_about_leave_the_cross_entropys_gradients_alone() -> None:
    torch.manual_seed(4)
    x, weight, bias = torch.randn(12, 8), torch.randn(30, 8), torch.randn(30)
    labels = torch.randint(0, 30, (12,)).masked_fill(torch.arange(12) % 3 == 1, -1)
    given = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    loss = cross_entropy.chunked_cross_entropy(*given, labels, torch.float32)
    right = F.cross_entropy(x @ weight.T + bias, labels, ignore_index=-1, reduction="sum")
    torch.testing.assert_close(loss, right)
    grads, wanted = (torch.autograd.grad(one, given) for one in (loss, right))
    torch.testing.assert_close(grads, wanted)
