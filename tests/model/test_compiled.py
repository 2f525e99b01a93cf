"""The compiled blocks: equal to PyTorch's own operations, built once, and never required."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert_demo.config import BertConfig
from bert_demo.data.batches import TrainingBatch
from bert_demo.data.packing import pack
from bert_demo.model import dropout, kernels
from bert_demo.model.bert import BertModel
from bert_demo.model.compiled import blocks, library
from bert_demo.training.losses import batch_losses

ROWS = 13
ODD_AND_EVEN = pytest.mark.parametrize("size", [3, 16, 40, 128])
PRECISIONS = pytest.mark.parametrize("low", [torch.float32, torch.bfloat16])


@pytest.fixture(autouse=True)
def _built() -> None:
    if missing := library.load():
        pytest.skip(f"no compiled blocks: {missing}")


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def numbers(*shape: int, seed: int = 0, low: torch.dtype = torch.float32) -> Tensor:
    """Random numbers that `low` holds exactly."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return drawn.to(low).requires_grad_()


def assert_same(found: list[Tensor], expected: list[Tensor], low: torch.dtype) -> None:
    """Equal up to fp32's rounding, or bf16's where results are rounded to it."""
    exact = low == torch.float32
    for one, other in zip(found, expected, strict=True):
        scale = float(other.detach().abs().max())
        tolerance = {"atol": (2e-6 if exact else 1e-2) * max(scale, 1.0), "rtol": 1e-5}
        torch.testing.assert_close(one.double(), other.double(), **tolerance)


@ODD_AND_EVEN
@PRECISIONS
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.usefixtures("_threads")
def test_add_norm_equals_the_norm_of_the_sum(size: int, low: torch.dtype, rate: float) -> None:
    x, added, offset = numbers(ROWS, size), numbers(ROWS, size, seed=1, low=low), numbers(size)
    norm = nn.LayerNorm(size)
    for number, parameter in enumerate((norm.weight, norm.bias)):
        parameter.data = numbers(size, seed=2 + number).detach()
    weight, low_weight = numbers(ROWS, size, seed=4).detach(), numbers(ROWS, size, seed=5).detach()
    inputs = [x, added, offset, norm.weight, norm.bias]
    dropout.seed_noise(7)
    out, rounded = blocks.add_norm(x, added, offset, norm, rate)
    assert out.dtype == torch.float32 and rounded.dtype == low
    loss = (out * weight).sum() + (rounded.float() * low_weight).sum()
    found = [out, rounded, *torch.autograd.grad(loss, inputs)]
    dropout.seed_noise(7)
    plain = norm(x + dropout.dropout(added.float() + offset, rate, True))
    expected_loss = (plain * (weight + low_weight)).sum()
    expected = [plain, plain, *torch.autograd.grad(expected_loss, inputs)]
    assert_same(found, expected, low)


def test_add_norm_drops_what_is_added_and_nothing_else() -> None:
    x, zeros = numbers(ROWS, 40), torch.zeros(40)
    added, norm = torch.full((ROWS, 40), 8.0, requires_grad=True), nn.LayerNorm(40)
    out, _ = blocks.add_norm(x, added, zeros, norm, 0.5)
    grad_x, grad_added = torch.autograd.grad((out * numbers(ROWS, 40, seed=3)).sum(), (x, added))
    dropped = grad_added == 0
    assert 0.3 < float(dropped.float().mean()) < 0.7
    torch.testing.assert_close(grad_added, torch.where(dropped, 0.0, 2 * grad_x))
    expected = norm(x + torch.where(dropped, 0.0, 16.0))
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


@PRECISIONS
def test_hidden_states_and_what_products_read_of_them_are_freed(low: torch.dtype) -> None:
    x, norm, linear = numbers(ROWS, 16), nn.LayerNorm(16), nn.Linear(16, 16)
    gc.disable()
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=low == torch.bfloat16):
            out = kernels.add_norm(x, x.detach(), linear, norm, 0.0)
            kernels.activate(out, linear, gelu=True).sum().backward()
        gone = weakref.ref(out)
        del out
        assert gone() is None
    finally:
        gc.enable()


@ODD_AND_EVEN
@PRECISIONS
@pytest.mark.parametrize("gelu", [True, False])
@pytest.mark.usefixtures("_threads")
def test_activate_equals_the_plain_activation(size: int, low: torch.dtype, gelu: bool) -> None:
    x, bias = numbers(ROWS, size, low=low), numbers(size, seed=1)
    weight = numbers(ROWS, size, seed=2, low=low).detach()
    function = F.gelu if gelu else F.relu
    plain = function(x.float() + bias)
    expected = [plain, *torch.autograd.grad((plain * weight).sum(), (x, bias))]
    out = blocks.activate(x * 1, bias, gelu)
    grads = torch.autograd.grad(out, (x, bias), weight.clone())
    assert_same([out, *grads], expected, low)


@PRECISIONS
def test_embed_adds_three_rows_and_hands_gradients_back(low: torch.dtype) -> None:
    ids = tuple(torch.tensor(i) for i in ([4, 0, 4, 2], [0, 1, 1, 0], [0, 1, 2, 0]))
    tables = tuple(numbers(n, 5, seed=n) for n in (6, 2, 9))
    x, rounded = blocks.embed(ids, tables, 7, low)
    assert x.shape == (7, 5) and not x[4:].any() and not rounded[4:].any()
    weight = numbers(7, 5, seed=1).detach()
    loss = (x * weight).sum() + (rounded.float() * weight).sum()
    found = [x[:4], *torch.autograd.grad(loss, tables)]
    plain = sum(F.embedding(i, table) for i, table in zip(ids, tables, strict=True))
    assert isinstance(plain, Tensor)
    expected = [plain, *torch.autograd.grad((plain * 2 * weight[:4]).sum(), tables)]
    assert_same(found, expected, low)


@pytest.mark.parametrize("hidden_act", ["relu", "gelu"])
@pytest.mark.parametrize(("precision", "rate"), [("fp32", 0.0), ("fp32", 0.2), ("bf16", 0.0)])
@pytest.mark.parametrize("norm", ["after", "before"])
def test_a_training_step_is_that_of_the_plain_path(
    hidden_act: str, precision: str, norm: str, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=2100,  # more than a block of words
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=64,
        hidden_act=hidden_act,
        norm=norm,
        positions="learned" if norm == "after" else "sinusoid",
        hidden_dropout_prob=rate,
        attention_probs_dropout_prob=rate,
    )
    model = BertModel(config)
    model.train()
    lengths = torch.randint(3, 40, (30,)).tolist()
    packed = pack([(torch.randint(0, 2100, (n,)).tolist(), [0] * n) for n in lengths])
    positions = torch.randperm(len(packed.input_ids))[:90].sort().values
    batch = TrainingBatch(
        packed, torch.randint(0, 2, (30,)), positions, torch.randint(0, 2100, (90,))
    )
    parameters = list(model.parameters())

    def step() -> list[Tensor]:
        dropout.seed_noise(3)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            sums = batch_losses(model, batch)
        loss = sums[0] / 90 + sums[1] / 30
        return [loss.detach(), *torch.autograd.grad(loss, parameters)]

    compiled = step()
    monkeypatch.setattr(library, "serves", lambda _: False)
    plain = step()
    with torch.autocast("cpu", torch.bfloat16, enabled=False):
        exact = plain if precision == "fp32" else _exact(model, batch, parameters)
    for one, other, reference in zip(compiled, plain, exact, strict=True):
        if precision == "fp32":
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
        else:  # no further from fp32 than autocast's own results
            # Where sums are left alone, blocks round elsewhere than autocast does.
            factor = 1.5 if norm == "after" else 2.0
            allowed = factor * float((other - reference).norm()) + 1e-3 * float(reference.norm())
            assert float((one - reference).norm()) <= allowed + 1e-7


def _exact(model: BertModel, batch: TrainingBatch, parameters: list[nn.Parameter]) -> list[Tensor]:
    dropout.seed_noise(3)
    sums = batch_losses(model, batch)
    loss = sums[0] / 90 + sums[1] / 30
    return [loss.detach(), *torch.autograd.grad(loss, parameters)]


def test_what_is_not_a_number_stays_so() -> None:
    broken = torch.full((1, 40), float("nan"))
    for gelu in (True, False):
        assert blocks.activate(broken.clone(), torch.zeros(40), gelu).isnan().all()
    assert blocks.add_norm(broken, broken, torch.zeros(40), nn.LayerNorm(40), 0.0)[0].isnan().all()
    where = blocks.layout(np.array([1]))
    assert blocks.attention(None, broken.repeat(1, 3), None, where, 2, 0.0).isnan().all()
    weight, label = torch.randn(50, 40), torch.tensor([3])
    one_broken = weight.clone()
    one_broken[7] = float("nan")
    for x, matrix in ((broken, weight), (torch.randn(1, 40), one_broken)):
        matrix.requires_grad_()
        assert kernels.linear_cross_entropy(x, matrix, torch.zeros(50), label).isnan()


def test_blocks_serve_only_what_they_can() -> None:
    assert library.serves(torch.zeros(1)) and library.serves(torch.zeros(1, dtype=torch.bfloat16))
    assert not library.serves(torch.zeros(1, dtype=torch.float64))
    assert not library.serves(torch.zeros(1, device="meta"))
    linear = nn.Linear(8, 8)
    texts = torch.randn(2, 4, 8)
    torch.testing.assert_close(kernels.activate(texts, linear, gelu=True), F.gelu(linear(texts)))
    x, linear = texts[0].double(), linear.double()
    torch.testing.assert_close(kernels.activate(x, linear, gelu=True), F.gelu(linear(x)))


SCRIPT = "from bert_demo.model.compiled import library; print(library.load())"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The compiler without its optimisation, which takes most of its time."""
    script = tmp_path_factory.mktemp("compiler") / "c++"
    script.write_text('#!/bin/sh\nexec c++ "$@" -O0\n')
    script.chmod(0o755)
    return str(script)


def loading(folder: Path, compiler: str) -> str:
    """What a fresh process says that has this cache folder and this compiler."""
    environment = {**os.environ, "BERT_DEMO_CACHE": str(folder), "CXX": compiler}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=environment,
        timeout=100,
        check=True,
    )
    return done.stdout.strip()


def test_blocks_are_built_once_and_then_found(tmp_path: Path, quick: str) -> None:
    assert loading(tmp_path, quick) == "None"
    (built,) = tmp_path.iterdir()
    before = built.stat().st_mtime_ns
    assert loading(tmp_path, quick) == "None"
    assert [(p, p.stat().st_mtime_ns) for p in tmp_path.iterdir()] == [(built, before)]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owner here")
def test_code_in_a_folder_that_others_may_write_is_not_run(tmp_path: Path, quick: str) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    assert loading(shared, quick) == "None"
    (built,) = shared.iterdir()
    built.write_bytes(b"anything")
    shared.chmod(0o777)
    assert loading(shared, quick) == "None"  # built again elsewhere
    assert built.read_bytes() == b"anything"
    shared.chmod(0o755)
    assert loading(shared, quick) == "None"  # ours, but broken: built again
    assert built.read_bytes() != b"anything"


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [
        ("false", "false failed: it said nothing"),
        ("no-such-compiler", "CXX names no-such-compiler, which is not there"),
    ],
)
def test_a_machine_without_a_compiler_says_why(tmp_path: Path, compiler: str, reason: str) -> None:
    assert reason in loading(tmp_path, compiler)
    assert not list(tmp_path.glob("*.so"))


def test_blocks_whose_tiles_fail_are_built_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(library, "cache_dir", lambda: tmp_path)
    # It ends as a program does that the processor stops.
    dies = (
        "import ctypes, os, sys; ctypes.CDLL(sys.argv[1]).tiles_ready() and os.kill(os.getpid(), 4)"
    )
    built = library.build((*library.FLAGS, "-DTILES_IN_SOFTWARE"), dies)
    assert not built.tiles_ready() and hasattr(built, "exp_block_bf16")
