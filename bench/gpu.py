"""What `bench/gpu.sh` computes by itself: parity with the CPU, attention by two ways, a profile,
and a table of speeds.

    python -m bench.gpu parity|precision|attention|profile|table FOLDER

FOLDER holds what the runs of `bench/gpu.sh` printed; the profile is written there too.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

from bert_demo import RunConfig, TrainingConfig, train
from bert_demo.data.packing import PackedBatch, pack
from bert_demo.model import kernels
from bert_demo.model.attention import flash_attention

_RARELY: Any = {"device": "cuda", "validate_every_steps": 100_000}
_PROFILED = 300
"""Steps, of which a profile tells well."""
_REPLAYS = 30
_ATTENTION = (
    (512, 12, 44, 12),
    (512, 12, 59, 5),
    (512, 20, 64, 2),
    (256, 50, 64, 12),
    (128, 100, 128, 12),
    (64, 200, 256, 12),
)
"""Sequences, the fewest and the most tokens of one, and heads."""
_HEAD_SIZE, _DROPOUT = 64, 0.1


def _steps(folder: Path, name: str) -> list[dict[str, Any]]:
    """The steps of one run that was printed."""
    lines = map(json.loads, (folder / f"{name}.jsonl").open())
    return [event for event in lines if event["event"] == "step"]


def parity(folder: Path) -> None:
    """In fp32, without dropout, the same losses of the same batches on both devices."""
    pairs = zip(_steps(folder, "cpu"), _steps(folder, "cuda"), strict=True)
    apart = [abs(a["loss"] - b["loss"]) for a, b in pairs]
    print(f"largest difference of a loss over {len(apart)} steps: {max(apart):.2e}")


def precision(folder: Path) -> None:
    """Where FlashAttention in bf16 leads, beside padded attention in fp32."""
    for name in ("fp32", "bf16"):
        losses = [event["loss"] for event in _steps(folder, name)[-10:]]
        print(f"mean loss of the last ten of 60 steps, {name}: {mean(losses):.4f}")


def attention(_: Path) -> None:
    """Microseconds of FlashAttention and of the project's own kernel, there and back, with dropout,
    each replayed as a graph."""
    torch.manual_seed(0)
    ways = {"FlashAttention": flash_attention, "own kernel": kernels.short_attention}
    for sequences, least, most, heads in _ATTENTION:
        lengths = torch.randint(least, most + 1, (sequences,)).sort().values.tolist()
        batch = pack([([0] * length, [0] * length) for length in lengths]).to(torch.device("cuda"))
        told = [f"{name} {_microseconds(way, batch, heads):.0f} us" for name, way in ways.items()]
        print(f"{sequences} sequences of {least} to {most}, {heads} heads: {', '.join(told)}")


def _microseconds(way: Callable[..., torch.Tensor], batch: PackedBatch, heads: int) -> float:
    """Of one replay of its graph, on average."""
    tokens, hidden = len(batch.position_ids), _HEAD_SIZE * heads
    qkv = torch.randn(tokens, 3 * hidden, device="cuda").bfloat16().requires_grad_()
    grad = torch.randn(tokens, hidden, device="cuda").bfloat16()

    def work() -> None:
        torch.autograd.grad(way(qkv, batch, heads, _DROPOUT), qkv, grad)

    for _ in range(3):
        work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(_REPLAYS):
        graph.replay()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) / _REPLAYS * 1e3


def profile(folder: Path) -> None:
    """What the device does in a step, and what makes the host wait."""
    book = TrainingConfig(recipe="d2l", batch_size=512, truncation="drop", steps=4500, **_RARELY)
    base = TrainingConfig(batch_size=512, max_length=128, steps=90, **_RARELY)
    given = str(folder / "runs/base")
    runs = {
        "pretrain-tiny": (RunConfig(corpus="wikitext-2", size="tiny", training=book), 2000, 4000),
        "finetune-base": (RunConfig("nli", "snli", start_from=given, training=base), 30, 60),
    }
    for name, (run, begin, end) in runs.items():
        averages, waits = _looked_at(run, begin, end)
        (folder / f"{name}.sync.txt").write_text("\n".join(waits))
        print(f"{name}, {end - begin} steps at most")
        for order in ("device_time_total", "self_cpu_time_total"):
            print(averages.table(sort_by=order, row_limit=30, max_name_column_width=60))


def _looked_at(run: RunConfig, begin: int, end: int) -> tuple[Any, list[str]]:
    """A profile of some of the steps between these two, and what waits for the device before."""
    profiler = torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    )
    # Steps are told of ten times a second, many at once.
    looks: list[tuple[int, Callable[[], Any]]] = [
        (begin // 2, lambda: torch.cuda.set_sync_debug_mode("warn")),
        (begin, lambda: torch.cuda.set_sync_debug_mode("default")),
        (begin, profiler.start),
        (min(end, begin + _PROFILED), torch.cuda.synchronize),
        (min(end, begin + _PROFILED), profiler.stop),
    ]
    with warnings.catch_warnings(record=True) as waits:
        warnings.simplefilter("always")
        for event in train(run):
            while looks and event["event"] == "step" and event["step"] >= looks[0][0]:
                looks.pop(0)[1]()
    told = sorted({f"{wait.filename}:{wait.lineno}: {wait.message}" for wait in waits})
    return profiler.key_averages(), told


def table(folder: Path) -> None:
    """Examples a second of each run, and its share of what the matrix unit could do."""
    limit = json.loads((folder / "limit.txt").read_text())
    counted = {"pretrain-tiny": "pretrain", "finetune-small": "finetune"}
    counted["finetune-base"] = "finetune base"
    counted |= {f"{name}-without": measure for name, measure in counted.items()}
    for name, measure in counted.items():
        if not (folder / f"{name}.jsonl").exists():
            continue
        rates = [event["examples_per_second"] for event in _steps(folder, name)]
        rate = median(rates[len(rates) // 2 :])
        share = rate * limit[measure] / limit["bf16"]
        print(f"{name}: {rate:,.0f} pairs/s, {share:.1%} of {limit['bf16'] / 1e12:.0f} TFLOP/s")


def main() -> None:
    """Do one of these things."""
    parts = {part.__name__: part for part in (parity, precision, attention, profile, table)}
    parser = argparse.ArgumentParser(description="Look at what a GPU's runs printed.")
    parser.add_argument("part", choices=parts)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    parts[args.part](args.folder)


if __name__ == "__main__":
    main()
