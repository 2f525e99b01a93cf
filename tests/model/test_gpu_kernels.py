"""The kernels for a card against the same things worked out by plain operations in fp32.

They need a card; `TRITON_INTERPRET=1` tries them, in fp16, on a CPU that has Triton.
"""

from __future__ import annotations

import math
import os

import pytest
import torch
from torch import Tensor, nn

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not (torch.cuda.is_available() or INTERPRETED):
    pytest.skip("no card to compile kernels for", allow_module_level=True)
pytest.importorskip("triton", reason="this build of PyTorch comes without Triton")

from bert_demo.model.gpu_kernels import add_norm as norms  # noqa: E402
from bert_demo.model.gpu_kernels import attention as attentions  # noqa: E402

DEVICE = "cpu" if INTERPRETED else "cuda"
LOW = torch.float16 if INTERPRETED else torch.bfloat16
MANY = 2 if INTERPRETED else 300


def near(found: Tensor, right: Tensor, limit: float = 0.01) -> None:
    found, right = found.detach().float(), right.detach().float()
    assert float((found - right).norm()) <= limit * float(right.norm())


def drawn(*shape: int, low: bool = False) -> Tensor:
    numbers = torch.randn(*shape, device=DEVICE)
    return (numbers.to(LOW) if low else numbers).requires_grad_()


@pytest.fixture(autouse=True)
def seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    for module in (norms, attentions):
        monkeypatch.setattr(
            module, "draw_seed", lambda x, rate: torch.tensor([1 << 40], device=x.device)
        )


@pytest.mark.parametrize("rate", [0.0, 0.1])
@pytest.mark.parametrize(("tokens", "hidden"), [(70 * MANY, 256), (37, 128), (41 * MANY, 320)])
def test_add_norm(tokens: int, hidden: int, rate: float) -> None:
    norm, plain = nn.LayerNorm(hidden).to(DEVICE), nn.LayerNorm(hidden).to(DEVICE)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    zero, one = (torch.full((tokens, hidden), x, device=DEVICE) for x in (0.0, 1.0))
    kept = one
    if rate:  # a one that is kept is above the mean of its row, and a zero below
        kept = (norms.add_norm(zero, one.to(LOW), zero[0], plain, rate)[0] > 0).float()
        assert abs(float(kept.mean()) - 0.9) < 0.01
        assert float(kept.mean(0).std()) < 2 * math.sqrt(0.09 / tokens)
    x, product, bias = drawn(tokens, hidden), drawn(tokens, hidden, low=True), drawn(hidden)
    given = (x, product, bias, norm.weight, norm.bias)
    right = norm(x + (product.float() + bias) * kept / (1 - rate))
    out, low = norms.add_norm(x, product, bias, norm, rate)
    near(out, right, 1e-5)
    near(low, right)
    of_out, of_low = torch.randn_like(out), torch.randn_like(low)
    for asked, grads in (([out, low], [of_out, of_low]), ([low], [of_low]), ([out], [of_out])):
        found = torch.autograd.grad(asked, given, grads, retain_graph=True)
        whole = sum(grad.float() for grad in grads)
        for a, b in zip(
            found, torch.autograd.grad(right, given, whole, retain_graph=True), strict=True
        ):
            near(a, b)


LENGTHS = ([5, 32, 33, 1, 64, 0, 65, 100, 128, 20], [28] * (1 + MANY), [128, 97])


def by_hand(qkv: Tensor, lengths: list[int], heads: int, kept: list[Tensor] | None) -> Tensor:
    """(T, H), sequence by sequence; kept: by what the weights are multiplied, (h, L, L)."""
    parts = []
    for number, sequence in enumerate(qkv.float().split(lengths)):
        q, k, v = (part.unflatten(1, (heads, -1)).transpose(0, 1) for part in sequence.chunk(3, 1))
        weights = (q @ k.mT / math.sqrt(q.shape[2])).softmax(2)
        if kept is not None:
            weights = weights * kept[number]
        parts.append((weights @ v).transpose(0, 1).flatten(1))
    return torch.cat(parts)


def bounds(lengths: list[int]) -> Tensor:
    ends = torch.tensor(lengths).cumsum(0)
    return torch.cat([torch.zeros(1), ends]).int().to(DEVICE)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(("heads", "size"), [(2, 64), (4, 40), (3, 8)])
def test_attention(lengths: list[int], heads: int, size: int) -> None:
    qkv = drawn(sum(lengths), 3 * heads * size, low=True)
    found = attentions.attention(qkv, bounds(lengths), 128, heads, 0.0)
    right = by_hand(qkv, lengths, heads, None)
    near(found, right)
    grad = torch.randn_like(found)
    (a,), (b,) = torch.autograd.grad(found, qkv, grad), torch.autograd.grad(right, qkv, grad)
    for part, other in zip(a.chunk(3, 1), b.chunk(3, 1), strict=True):
        near(part, other)


def test_attention_drops_the_same_weights_both_ways() -> None:
    heads, size, rate, lengths = 2, 128, 0.25, [7, 100, 64, 31, 128]
    identity = drawn(sum(lengths), 3 * heads * size, low=True).detach()
    for part in identity[:, 2 * heads * size :].split(lengths):  # then the output is the weights
        part.copy_(torch.eye(size, device=DEVICE)[: len(part)].repeat(1, heads))
    weights = attentions.attention(identity, bounds(lengths), 128, heads, rate)
    rows = weights.float().split(lengths)
    kept = [
        (row.unflatten(1, (heads, -1)).transpose(0, 1)[:, :, : len(row)] > 0) / (1 - rate)
        for row in rows
    ]
    share = float(torch.cat([one.flatten() for one in kept]).gt(0).float().mean())
    assert abs(share - 0.75) < 0.01
    qkv = drawn(sum(lengths), 3 * heads * size, low=True)
    found = attentions.attention(qkv, bounds(lengths), 128, heads, rate)
    right = by_hand(qkv, lengths, heads, kept)
    near(found, right)
    grad = torch.randn_like(found)
    near(*torch.autograd.grad(found, qkv, grad), *torch.autograd.grad(right, qkv, grad))
