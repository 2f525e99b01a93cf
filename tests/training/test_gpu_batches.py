"""The way of a GPU, as far as it can be tried without one.

Batches and gradients on the CPU's own device against what a host lays out; then a whole step on
tensors that have no numbers, where whatever would make a host wait for a number cannot be done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.data.batches import Batches
from bert_demo.data.masking import Masking
from bert_demo.data.nli_batches import NliBatches
from bert_demo.data.prepare import prepare_nli, prepare_text
from bert_demo.data.pretraining_batches import PretrainingBatches
from bert_demo.model import attention, fast_paths, kernels
from bert_demo.model.compiled import library
from bert_demo.training import cuda_graphs
from bert_demo.training.distributed import World
from bert_demo.training.gpu_batches import Resident, room_for, room_for_masks
from bert_demo.training.setup import Setup, prepare_run
from bert_demo.training.step import Gradients, Share

CPU, META = torch.device("cpu"), torch.device("meta")
SETTINGS: dict[str, Any] = {"batch_size": 48, "max_length": 32, "seed": 3}


@pytest.fixture(
    scope="module",
    params=["masks", "masks, dropping", "masks, static and padded", "pairs", "taught pairs"],
)
def batches(request: pytest.FixtureRequest) -> Batches:
    text, tokenizer, _ = prepare_text("crane-world")
    if request.param.startswith("masks"):
        truncation = "drop" if "dropping" in request.param else "longest_first"
        books = "padded" in request.param
        more: dict[str, Any] = {"masking": Masking(padded=6), "static": True} if books else {}
        return PretrainingBatches(text, tokenizer, truncation=truncation, **SETTINGS, **more)
    pairs, _ = prepare_nli("crane-world", "train", tokenizer)
    if request.param.startswith("taught"):
        generator = np.random.default_rng(0)
        pairs = replace(pairs, targets=generator.random((len(pairs), 3), dtype=np.float32))
    return NliBatches(pairs, tokenizer, truncation="longest_first", **SETTINGS)


@pytest.mark.parametrize("count", [1, 3])
def test_the_device_lays_out_what_the_host_does(batches: Batches, count: int) -> None:
    resident = Resident(batches, CPU)
    for step in (0, 7):
        plan, masked = batches.plan(step), 0
        for number in range(count):
            part = plan.shard(number, count)
            host = batches.lay_out(part)
            size = resident.size_of(part)
            batch = resident.lay_out(resident.sent(part), size)
            tokens, pairs = len(host.packed.input_ids), len(host.labels)
            for name in ("input_ids", "token_type_ids", "position_ids"):
                found = getattr(batch.packed, name)
                assert len(found) == size.tokens > tokens
                assert torch.equal(found[:tokens], getattr(host.packed, name))
            assert torch.equal(batch.packed.cls_positions, host.packed.cls_positions)
            assert torch.equal(batch.packed.bounds[: pairs + 1], host.packed.bounds)
            assert torch.equal(batch.labels, host.labels)
            if host.targets is not None:
                assert batch.targets is not None
                assert torch.equal(batch.targets, host.targets)
            if host.mlm_labels is None:
                assert batch.mlm_labels is None
                continue
            assert batch.mlm_labels is not None and batch.mlm_positions is not None
            own = len(host.mlm_labels)
            masked += own
            here = batch.mlm_labels >= 0
            assert len(batch.mlm_labels) == size.masks + batches.masking.padded * pairs > own
            assert torch.equal(batch.mlm_positions[here], host.mlm_positions)
            assert torch.equal(batch.mlm_labels[here], host.mlm_labels)
            assert (batch.mlm_labels[~here] == -1).all()
            left = batch.mlm_positions[: size.masks][~here[: size.masks]]
            assert (left == size.tokens - 1).all()
        if masked:
            assert resident.count_masks(resident.sent(plan), resident.size_of(plan)) == masked


@pytest.mark.parametrize("size", [1, 2, 3])
def test_masks_are_the_same_in_the_smallest_batches(size: int) -> None:
    text, tokenizer, _ = prepare_text("crane-world")
    settings = SETTINGS | {"batch_size": size, "truncation": "longest_first"}
    batches = PretrainingBatches(text, tokenizer, **settings)
    resident = Resident(batches, CPU)
    counts = []
    for seed in range(400):
        batches.seed = seed
        plan = batches.plan(seed)
        host = batches.lay_out(plan)
        batch = resident.lay_out(resident.sent(plan), resident.size_of(plan))
        assert batch.mlm_labels is not None and batch.mlm_positions is not None
        here = batch.mlm_labels >= 0
        assert torch.equal(batch.mlm_positions[here], host.mlm_positions)
        assert torch.equal(batch.mlm_labels[here], host.mlm_labels)
        tokens = len(host.packed.input_ids)
        assert torch.equal(batch.packed.input_ids[:tokens], host.packed.input_ids)
        counts.append(batches.count_masks(plan))
        assert counts[-1] == host.count_masks() == batch.count_masks()
    assert (0 in counts) or size > 1


def test_what_fills_a_batch_up_are_sequences_too(batches: Batches) -> None:
    """So that attention has an answer for every token, and none that is not a number."""
    resident = Resident(batches, CPU)
    for step in range(8):
        plan = batches.plan(step)
        size = resident.size_of(plan)
        packed = resident.lay_out(resident.sent(plan), size).packed
        lengths = packed.bounds.diff()
        assert packed.bounds[-1] == size.tokens and lengths.max() <= packed.max_length
        place = torch.cat([torch.arange(length) for length in lengths.tolist()])
        assert torch.equal(packed.position_ids, place)


def test_sizes_are_few_and_little_is_empty() -> None:
    for tokens in range(1, 60_000, 7):
        room = room_for(tokens)
        assert tokens < room <= max(tokens * 17 / 16, tokens + 32)
        assert room_for(room - 1) == room
        assert 0 < room_for_masks(room) <= room
    assert len({room_for(tokens) for tokens in range(22_800, 24_300)}) <= 3
    generator = np.random.default_rng(0)
    assert (generator.binomial(23_552, 0.15, 10_000) < room_for_masks(23_552)).all()


def a_setup(task: str, **changes: Any) -> tuple[RunConfig, Setup]:
    """A run of Crane World in fp32 without dropout, from random weights, ready to begin."""
    settings: dict[str, Any] = {"batch_size": 24, "max_length": 48, "recipe": "d2l", "steps": 9}
    training = TrainingConfig(precision="fp32", device="cpu", **(settings | changes))
    run = RunConfig(dropout=0.0, training=training)
    setup = prepare_run(run, World())
    if task == "nli":
        pairs, _ = prepare_nli("crane-world", "train", setup.tokenizer)
        kinds = {"batch_size": 24, "max_length": 48, "truncation": "longest_first", "seed": 0}
        drawn = NliBatches(pairs, setup.tokenizer, **kinds)  # type: ignore[arg-type]
        model = type(setup.model)(setup.model.config, "nli")
        setup = replace(setup, model=model, batches=drawn)
    return run, setup


def on_device(run: RunConfig, setup: Setup, world: World, step: int) -> Share:
    found = Gradients(run, setup, world)
    with found.threads:
        found._resident = Resident(setup.batches, CPU)
        return found.of_step(step)


@pytest.mark.parametrize("task", ["pretraining", "nli"])
@pytest.mark.parametrize("parts", [1, 2])
def test_the_device_has_the_threads_gradients(
    monkeypatch: pytest.MonkeyPatch, task: str, parts: int
) -> None:
    monkeypatch.setattr(library, "serves", lambda _: False)
    run, setup = a_setup(task, gradient_accumulation_steps=parts)
    plain = Gradients(run, setup, World())
    with plain.threads:
        expected_sums, expected = plain.of_step(4)
    sums, found = on_device(run, setup, World(), 4)
    torch.testing.assert_close(sums, expected_sums, atol=1e-4, rtol=1e-5)
    for grad, right in zip(found, expected, strict=True):
        torch.testing.assert_close(grad, right, atol=1e-6, rtol=1e-4)
    # The shares of two processes are those of one, too.
    shares = [on_device(run, setup, World(rank, 2), 4) for rank in range(2)]
    torch.testing.assert_close(sum(s for s, _ in shares), expected_sums, atol=1e-4, rtol=1e-5)
    for one, two, right in zip(shares[0][1], shares[1][1], expected, strict=True):
        both = [grad for grad in (one, two) if grad is not None]
        if right is not None:
            torch.testing.assert_close(sum(both), right, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("task", ["pretraining", "nli"])
@pytest.mark.parametrize("flash", [True, False])
def test_nothing_makes_the_host_wait(
    monkeypatch: pytest.MonkeyPatch, task: str, flash: bool
) -> None:
    """Tensors without numbers know their shapes alone: to ask for a number is an error."""
    monkeypatch.setattr(library, "serves", lambda _: False)
    if flash:
        monkeypatch.setattr(kernels, "flash_serves", lambda *_: True)
    # Autocast knows no such device; all numbers are of one type instead.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: False)
    run, setup = a_setup(task)
    setup.model.to(META, torch.bfloat16 if flash else torch.float32)
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.ones(3, device=META).sum().item()
    work = Gradients(run, setup, World())
    with work.threads:
        resident = work._resident = Resident(setup.batches, META)
        plan = setup.batches.plan(0)
        sums, *grads = work._of_sent_plan((resident.size_of(plan),), resident.sent(plan))
    assert sums is not None and sums.shape == (4,)
    shapes = [parameter.shape for parameter in setup.model.parameters()]
    assert [None if grad is None else grad.shape for grad in grads] == shapes


@pytest.mark.parametrize(
    ("capability", "built", "hip", "serves"),
    [
        ((9, 0), True, None, True),
        ((7, 5), True, None, False),
        ((9, 0), False, None, False),
        ((9, 0), True, "6.4", False),
    ],
)
def test_flash_attention_is_asked_for_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    built: bool,
    hip: str | None,
    serves: bool,
) -> None:
    attention.has_flash.cache_clear()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: built)
    monkeypatch.setattr(torch.version, "hip", hip)
    for dtype, heads, fits in ((torch.bfloat16, 2, True), (torch.float32, 2, False)):
        qkv = SimpleNamespace(device=torch.device("cuda"), dtype=dtype, shape=(5, 384))
        assert attention.flash_serves(qkv, heads) == (serves and fits)  # type: ignore[arg-type]
    attention.has_flash.cache_clear()
    on_cpu = torch.ones(5, 384, dtype=torch.bfloat16)
    assert not attention.flash_serves(on_cpu, 2)


class FakeGraph:
    """What `torch.cuda.graph` does, on a CPU: what was called inside is called again."""

    recording: FakeGraph | None = None

    def __init__(self) -> None:
        self.work: list[Any] = []

    def replay(self) -> None:
        for function in self.work:
            function()

    def pool(self) -> int:
        return 1


@contextlib.contextmanager
def fake_capture(graph: FakeGraph, pool: int | None) -> Any:
    FakeGraph.recording = graph
    yield
    FakeGraph.recording = None


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """CUDA graphs that are none; the list is told of each call as it is."""
    generator = MagicMock()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", fake_capture)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(cuda_graphs, "_generator", lambda _: generator)
    yield []
    fast_paths.forget()


def test_work_is_captured_when_it_comes_again(graphs: list[str]) -> None:
    def double(key: str, x: torch.Tensor) -> cuda_graphs.Outputs:
        graphs.append(key)
        out = torch.empty_like(x)

        def work() -> None:
            torch.mul(x, 2, out=out)

        if FakeGraph.recording:
            FakeGraph.recording.work.append(work)
        else:
            work()
        return (out, None)

    one = cuda_graphs.Captured(double, torch.device("cuda"))
    for number in range(1, 5):
        for key in ("a", "b"):
            out, nothing = one(key, torch.full((2,), float(number)))
            assert nothing is None and out is not None
            assert out.tolist() == [2.0 * number] * 2
    assert graphs == ["a", "b", "a", "b"]  # as it is, captured, and no more after that
    on_cpu = cuda_graphs.Captured(double, CPU)
    for _ in range(3):
        on_cpu("c", torch.ones(1))
    assert graphs[4:] == ["c"] * 3


def test_work_that_cannot_be_captured_is_done_all_the_same(
    graphs: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = MagicMock()
    monkeypatch.setattr(cuda_graphs, "_generator", lambda _: generator)

    def work(key: str, x: torch.Tensor) -> cuda_graphs.Outputs:
        if FakeGraph.recording:
            FakeGraph.recording = None
            raise RuntimeError("operation not permitted when stream is capturing")
        return (x + 1,)

    one = cuda_graphs.Captured(work, torch.device("cuda"))
    answers = [one("a", torch.ones(1))[0] for _ in range(4)]
    assert [float(a) for a in answers if a is not None] == [2.0] * 4
    assert caplog.text.count("CUDA graphs: switched off on cuda (operation not permitted") == 1
    assert fast_paths.GRAPHS in fast_paths.switched_off()
    # As it was before, or a card's would draw nothing any more.
    generator.graphsafe_set_state.assert_called_once_with(generator.clone_state.return_value)


def test_few_sizes_are_kept(graphs: list[str]) -> None:
    calls = []

    def work(key: int, x: torch.Tensor) -> cuda_graphs.Outputs:
        calls.append(key)
        return (x,)

    one = cuda_graphs.Captured(work, torch.device("cuda"))
    for _ in range(3):
        for key in range(20):
            one(key, torch.ones(1))
    assert calls.count(0) == 2 and calls.count(19) == 3


def test_only_a_gpu_has_its_own_way() -> None:
    run, setup = a_setup("pretraining")
    assert Gradients(run, setup, World())._resident is None
