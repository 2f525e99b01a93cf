"""A GPU's fast paths prove themselves, and each that fails is switched off alone.

The CPU plays the card: it has every fast path, with plain operations in place of what only a card
has, and CUDA graphs that record operations and do them again.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.data.packing import PackedBatch
from bert_demo.model import attention, dropout, fast_paths, kernels
from bert_demo.model import device as hardware
from bert_demo.model.compiled import library
from bert_demo.training import cuda_graphs, optimizers, proof, step
from bert_demo.training.gpu_batches import Resident
from bert_demo.training.loop import train
from bert_demo.training.setup import Setup

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ALL = set(fast_paths.FAST_PATHS)
EXACT = {fast_paths.DEVICE, fast_paths.RESIDENT, fast_paths.FUSED}
Change = Callable[[Tensor], Tensor]


class RecordedGraph(TorchDispatchMode):
    """A CUDA graph on a CPU: every operation that it saw is done again, into the same tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.work: list[Any] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.work.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, out in self.work:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)

    def pool(self) -> int:
        return 1


@contextlib.contextmanager
def recording(graph: RecordedGraph, pool: int | None) -> Iterator[None]:
    state = torch.get_rng_state()  # to capture draws nothing
    with graph:
        yield
    torch.set_rng_state(state)


def padded(qkv: Tensor, batch: PackedBatch, heads: int, rate: float) -> Tensor:
    return attention.padded_attention(qkv, batch, heads, rate)[0]


def joined(
    x: Tensor, product: Tensor, bias: Tensor, norm: nn.LayerNorm, rate: float
) -> tuple[Tensor, Tensor]:
    found = norm(x + F.dropout(product.float() + bias, rate))
    return found, found.to(product.dtype)


def use_joined(card: pytest.MonkeyPatch, add_norm: Any) -> None:
    """In place of the kernels of Triton, which cannot be imported here."""
    name = "bert_demo.model.gpu_kernels.add_norm"
    card.setitem(sys.modules, name, SimpleNamespace(add_norm=add_norm))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The CPU as a card that has everything; on leaving nothing is proved or switched off."""
    for name, path in fast_paths.FAST_PATHS.items():
        monkeypatch.setitem(fast_paths.FAST_PATHS, name, replace(path, devices=("cpu",)))
    monkeypatch.setattr(hardware, "bf16_speedup", lambda _: 2.0)
    monkeypatch.setattr(attention, "has_flash", lambda _: True)
    monkeypatch.setattr(kernels, "flash_attention", padded)
    monkeypatch.setattr(kernels, "has_triton", lambda _: True)
    monkeypatch.setattr(kernels, "short_attention", padded)
    use_joined(monkeypatch, joined)
    monkeypatch.setattr(cuda_graphs, "_generator", lambda _: MagicMock())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", RecordedGraph)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(library, "serves", lambda _: False)
    monkeypatch.setattr(library, "load", lambda: None)
    for module in (dropout, kernels):  # a card's own, by PyTorch's generator
        monkeypatch.setattr(
            module, "dropout", lambda x, rate, training: F.dropout(x, rate, training)
        )
    yield monkeypatch
    proof.forget()


def without(card: pytest.MonkeyPatch, *names: str) -> None:
    """A card that lacks some paths, so that less is tried."""
    for name in names:
        path = fast_paths.FAST_PATHS[name]
        card.setitem(fast_paths.FAST_PATHS, name, replace(path, devices=()))


LOW: list[bool] = []
"""Holds something while a forward pass is in what passes for bf16."""


@pytest.fixture
def quick(card: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What is said to be bf16 is fp32: where this is not about rounding, it takes less time."""

    @contextlib.contextmanager
    def autocast(setup: Setup) -> Iterator[None]:
        low = [True] if setup.precision == "bf16" else []
        LOW.extend(low)
        try:
            yield
        finally:
            LOW.clear()

    def flash_serves(qkv: Tensor, heads: int) -> bool:
        return bool(LOW) and fast_paths.serves(fast_paths.FLASH, qkv.device)

    card.setattr(Setup, "autocast", autocast)
    card.setattr(kernels, "flash_serves", flash_serves)
    card.setattr(optimizers, "fast_bf16", lambda _: False)
    return card


@pytest.fixture
def clean() -> Iterator[None]:
    yield
    proof.forget()


# Both together would take a processor without bf16 too long.
@pytest.mark.parametrize(
    "lacking", [{fast_paths.BF16, fast_paths.FLASH, fast_paths.TRITON}, {fast_paths.GRAPHS}]
)
def test_what_holds_stays_on(card: pytest.MonkeyPatch, lacking: set[str]) -> None:
    without(card, *lacking)
    found = proof.prove(CPU)
    assert fast_paths.switched_off() == {}
    assert set(found) == ALL - lacking
    assert max(found[name] for name in EXACT) < 1e-4
    # Half of what would switch it off, so that another card's rounding has room.
    assert 0 < max(found.values()) < 0.1
    assert proof.prove(CPU) is found  # once in a process


def wrong(x: Tensor) -> Tensor:
    return x * 1.5


def endless(x: Tensor) -> Tensor:
    return x * float("nan")


def raising(x: Tensor) -> Tensor:
    raise RuntimeError("CUDA error: invalid argument\nmore lines")


CHANGES = {"raises": raising, "not finite": endless, "wrong": wrong}
REASONS = {
    "raises": "CUDA error: invalid argument",
    "not finite": "it gives numbers that are not finite",
    "wrong": "differ from the right ones by",
}


def break_device(card: pytest.MonkeyPatch, change: Change) -> None:
    losses = step.batch_losses

    def of(*given: Any) -> Tensor:
        found = losses(*given)
        return torch.cat([change(found[:2]), found[2:]])

    card.setattr(step, "batch_losses", of)


def break_bf16(card: pytest.MonkeyPatch, change: Change) -> None:
    losses = step.batch_losses

    def of(*given: Any) -> Tensor:
        found = losses(*given)
        if LOW:
            return torch.cat([change(found[:2]), found[2:]])
        return found

    card.setattr(step, "batch_losses", of)


def break_muon(card: pytest.MonkeyPatch, change: Change) -> None:
    right = optimizers.orthogonalised

    def of(matrix: Tensor) -> Tensor:
        return change(right(matrix)) if hardware.fast_bf16(CPU) else right(matrix)

    card.setattr(optimizers, "orthogonalised", of)


def break_flash(card: pytest.MonkeyPatch, change: Change) -> None:
    card.setattr(kernels, "flash_attention", lambda *given: change(padded(*given)))


def break_flash_with_dropout(card: pytest.MonkeyPatch, change: Change) -> None:
    def of(qkv: Tensor, batch: PackedBatch, heads: int, rate: float) -> Tensor:
        found = padded(qkv, batch, heads, rate)
        return change(found) if rate else found

    card.setattr(kernels, "flash_attention", of)


def break_graphs(card: pytest.MonkeyPatch, change: Change) -> None:
    class Broken(RecordedGraph):
        def replay(self) -> None:
            super().replay()
            made = [tensor for *_, out in self.work for tensor in tree_leaves(out)]
            sums = [x for x in made if isinstance(x, Tensor) and x.shape == (4,)][-1]
            with torch.no_grad():
                sums[:2] = change(sums[:2])

    card.setattr(torch.cuda, "CUDAGraph", Broken)


def break_fused(card: pytest.MonkeyPatch, change: Change) -> None:
    right = optimizers.adamw

    def of(parameters: list[Tensor], *given: Any, fused: bool | None, **more: Any) -> None:
        right(parameters, *given, fused=fused, **more)
        for parameter in parameters if fused else []:
            parameter.copy_(change(parameter))

    card.setattr(optimizers, "adamw", of)


@pytest.mark.parametrize("fault", CHANGES)
@pytest.mark.parametrize(
    ("break_it", "name", "others"),
    [
        (break_device, fast_paths.DEVICE, set()),
        (break_bf16, fast_paths.BF16, EXACT),
        (break_muon, fast_paths.BF16, EXACT),
        (break_flash, fast_paths.FLASH, EXACT | {fast_paths.BF16}),
        (break_graphs, fast_paths.GRAPHS, EXACT),
        (break_fused, fast_paths.FUSED, EXACT),
    ],
)
def test_what_fails_is_switched_off_alone(
    quick: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    break_it: Callable[[pytest.MonkeyPatch, Change], None],
    name: str,
    others: set[str],
    fault: str,
) -> None:
    without(quick, *ALL - others - {name})
    break_it(quick, CHANGES[fault])
    assert set(proof.prove(CPU)) == others - {name}
    assert list(fast_paths.switched_off()) == [name]
    assert REASONS[fault] in fast_paths.switched_off()[name]
    assert "more lines" not in fast_paths.switched_off()[name]
    assert f"{fast_paths.FAST_PATHS[name].title}: switched off on cpu (" in caplog.text


@pytest.mark.parametrize("fault", ["raises", "not finite"])
def test_dropout_in_attention_is_tried_too(quick: pytest.MonkeyPatch, fault: str) -> None:
    without(quick, fast_paths.GRAPHS)
    break_flash_with_dropout(quick, CHANGES[fault])
    proof.prove(CPU)
    assert REASONS[fault] in fast_paths.switched_off()[fast_paths.FLASH]
    assert len(fast_paths.switched_off()) == 1


def one_token_late(*given: Any) -> Tensor:
    return padded(*given).roll(1, 0)


def too_sharp(qkv: Tensor, batch: PackedBatch, heads: int, rate: float) -> Tensor:
    hidden = qkv.shape[1] // 3
    scaled = torch.cat([qkv[:, :hidden] * 1.5, qkv[:, hidden:]], 1)
    return padded(scaled, batch, heads, rate)


@pytest.mark.parametrize("fault", [one_token_late, too_sharp])
def test_attention_that_is_nearly_right(card: pytest.MonkeyPatch, fault: Any) -> None:
    without(card, fast_paths.GRAPHS)
    card.setattr(kernels, "flash_attention", fault)
    proof.prove(CPU)
    assert list(fast_paths.switched_off()) == [fast_paths.FLASH]


def late_in_longer_texts(qkv: Tensor, batch: PackedBatch, heads: int, rate: float) -> Tensor:
    found = padded(qkv, batch, heads, rate)
    return found.roll(1, 0) if int(batch.bounds.diff().max()) > 64 else found


@pytest.mark.parametrize("fault", [one_token_late, too_sharp, late_in_longer_texts])
def test_attention_by_triton_that_is_nearly_right(card: pytest.MonkeyPatch, fault: Any) -> None:
    without(card, fast_paths.GRAPHS, fast_paths.FLASH)
    card.setattr(kernels, "short_attention", fault)
    proof.prove(CPU)
    assert list(fast_paths.switched_off()) == [fast_paths.TRITON]


def test_kernels_are_tried_at_a_runs_own_sizes(card: pytest.MonkeyPatch) -> None:
    def wrong_in_three_heads(*given: Any) -> Tensor:
        found = padded(*given)
        return found.roll(1, 0) if given[2] == 3 else found

    def training_on(heads: int) -> dict[str, str]:
        training = TrainingConfig(steps=1, batch_size=8, device="cpu", precision="bf16")
        sizes = {"hidden_size": 32 * heads, "num_attention_heads": heads, "intermediate_size": 64}
        run = RunConfig(**sizes, num_hidden_layers=1, training=training)  # type: ignore[arg-type]
        start = next(iter(train(run)))
        assert start["event"] == "start"
        return start.get("switched_off", {})

    without(card, fast_paths.GRAPHS, fast_paths.FLASH)
    card.setattr(kernels, "short_attention", wrong_in_three_heads)
    assert training_on(2) == {}
    assert list(training_on(3)) == [fast_paths.TRITON]
    assert REASONS["wrong"] in fast_paths.switched_off()[fast_paths.TRITON]


@pytest.mark.parametrize("fault", CHANGES)
def test_a_norm_by_triton_that_fails(card: pytest.MonkeyPatch, fault: str) -> None:
    def broken(*given: Any) -> tuple[Tensor, Tensor]:
        out, low = joined(*given)
        return CHANGES[fault](out), low

    without(card, fast_paths.GRAPHS, fast_paths.FLASH)
    use_joined(card, broken)
    proof.prove(CPU)
    assert list(fast_paths.switched_off()) == [fast_paths.TRITON]
    assert REASONS[fault] in fast_paths.switched_off()[fast_paths.TRITON]


@pytest.mark.parametrize("fault", ["raises", "other labels", "masks lost"])
def test_batches_of_the_device(quick: pytest.MonkeyPatch, fault: str) -> None:
    right = Resident.lay_out

    def lay_out(self: Resident, *given: Any) -> Any:
        batch = right(self, *given)
        assert batch.mlm_labels is not None
        if fault == "raises":
            raise NotImplementedError("no such operation")
        if fault == "other labels":
            return replace(batch, mlm_labels=batch.mlm_labels.roll(1))
        return replace(batch, mlm_labels=torch.full_like(batch.mlm_labels, -1))

    without(quick, fast_paths.BF16)
    quick.setattr(Resident, "lay_out", lay_out)
    # Without them there is nothing that a graph could begin with.
    assert set(proof.prove(CPU)) == EXACT - {fast_paths.RESIDENT}
    assert list(fast_paths.switched_off()) == [fast_paths.RESIDENT]


def test_a_graph_that_cannot_be_captured(quick: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def refusing(graph: RecordedGraph, pool: int | None) -> Iterator[None]:
        yield
        raise RuntimeError("operation not permitted when stream is capturing")

    without(quick, fast_paths.BF16)
    quick.setattr(torch.cuda, "graph", refusing)
    assert fast_paths.FUSED in proof.prove(CPU)
    assert list(fast_paths.switched_off()) == [fast_paths.GRAPHS]
    assert "not permitted" in fast_paths.switched_off()[fast_paths.GRAPHS]


def test_a_graph_that_does_the_same_every_time(quick: pytest.MonkeyPatch) -> None:
    """It would learn from one batch for ever."""
    without(quick, fast_paths.BF16)
    quick.setattr(RecordedGraph, "replay", lambda _: None)
    proof.prove(CPU)
    assert list(fast_paths.switched_off()) == [fast_paths.GRAPHS]


def test_a_graph_that_drops_the_same_every_time(quick: pytest.MonkeyPatch) -> None:
    without(quick, fast_paths.BF16)
    replay = RecordedGraph.replay

    def frozen(self: RecordedGraph) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            replay(self)

    quick.setattr(RecordedGraph, "replay", frozen)
    proof.prove(CPU)
    assert list(fast_paths.switched_off()) == [fast_paths.GRAPHS]


def test_a_card_that_is_lost_on_the_way(quick: pytest.MonkeyPatch) -> None:
    """As after an illegal access, from which on every operation raises."""
    lost: list[bool] = []
    ones = torch.ones

    def breaking(*given: Any) -> Tensor:
        lost.append(True)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def answer(*given: Any, **more: Any) -> Tensor:
        return breaking() if lost else ones(*given, **more)

    quick.setattr(kernels, "flash_attention", breaking)
    quick.setattr(torch, "ones", answer)
    assert set(proof.prove(CPU)) == {fast_paths.DEVICE, fast_paths.RESIDENT, fast_paths.BF16}
    assert set(fast_paths.switched_off()) == {fast_paths.FLASH, fast_paths.DEVICE}


def test_a_run_tells_and_trains_on(quick: pytest.MonkeyPatch) -> None:
    def losses() -> list[float]:
        training = TrainingConfig(steps=3, batch_size=24, max_length=48, device="cpu")
        events = list(train(RunConfig(dropout=0.0, training=training)))
        begun.append(events[0])
        return [event["loss"] for event in events if event["event"] == "step"]

    begun: list[Any] = []
    with fast_paths.only():
        right = losses()
    without(quick, fast_paths.GRAPHS)
    break_flash(quick, endless)
    break_fused(quick, raising)
    proof.prove(CPU)
    assert losses() == pytest.approx(right, rel=0.02)
    assert "switched_off" not in begun[0]
    off = json.loads(json.dumps(begun[1]))["switched_off"]
    assert set(off) == {fast_paths.FLASH, fast_paths.FUSED}
    assert "not finite" in off[fast_paths.FLASH]


def test_bf16_that_fails_is_not_used_even_if_asked_for(clean: None) -> None:
    fast_paths.switch_off(fast_paths.BF16, CPU, "it gives numbers that are not finite")
    for precision in ("auto", "bf16"):
        training = TrainingConfig(steps=1, batch_size=8, device="cpu", precision=precision)
        start = next(train(RunConfig(training=training)))
        assert start["event"] == "start" and start["precision"] == "fp32"
        assert start["switched_off"] == {"bf16": "it gives numbers that are not finite"}


def test_a_card_that_cannot_compute(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    fast_paths.switch_off(fast_paths.DEVICE, CUDA, "no kernel image is available")
    assert hardware.pick_device("auto") == CPU
    assert proof.proved_device("auto") == CPU
    assert hardware.pick_device("cpu") == CPU
    with pytest.raises(UserError, match=r"'cuda'.*no kernel image is available"):
        hardware.pick_device("cuda")


def test_several_processes_do_not_part_ways(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One on the CPU and one on a card could not add their gradients."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    def prove(device: torch.device) -> dict[str, float]:
        fast_paths.switch_off(fast_paths.DEVICE, device, "no kernel image is available")
        return {}

    monkeypatch.setattr(proof, "prove", prove)
    with pytest.raises(UserError, match="no kernel image is available"):
        proof.proved_device("auto", alone=False)


def test_the_cpu_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "prove", lambda device: pytest.fail(f"{device} was tried"))
    assert proof.proved_device("cpu") == CPU
