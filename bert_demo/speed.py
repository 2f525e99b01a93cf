"""How fast this computer trains: measured once, by a few steps of the real loop.

`python -m bert_demo.speed` measures and prints.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from bert_demo.capacity import (
    SMALL,
    WIDE,
    Speed,
    model_of,
    muon_operations,
    operations,
    orthogonalising,
    text_facts,
)
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.device import usable_cores

_METHOD = 4  # raised when the way of measuring changes, so that old numbers are not taken for new
_KEPT_SECONDS = 30 * 86400
_PATIENCE_SECONDS = 2.0


def measured_speed() -> Speed:
    """This computer's speed: kept from an earlier time, or measured now in some seconds.

    Raises `ValueError` if it cannot be measured.
    """
    from bert_demo.data.sources import cache_dir

    facts = f"{_METHOD}-{metadata.version('torch')}-{usable_cores()}-cores"
    path = cache_dir() / f"speed-{facts}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if 0 <= time.time() - kept.pop("when") < _KEPT_SECONDS:
            return Speed(**kept)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    try:
        # A process of its own: nothing of it stays in the page's memory or on its GPU.
        done = subprocess.run(
            [sys.executable, "-m", "bert_demo.speed"],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        speed = Speed(**json.loads(done.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, IndexError) as error:
        raise ValueError("The speed of this machine could not be measured.") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = dataclasses.asdict(speed) | {"when": time.time()}
        path.write_text(json.dumps(kept), encoding="utf-8")
    except OSError:
        pass  # it is measured again next time
    return speed


def _measure() -> Speed:
    """Measure by some steps of the real loop on Crane World."""
    import torch

    from bert_demo.device import device_name, fast_bf16, memory_bytes, pick_device
    from bert_demo.updates import AdamW

    device = pick_device("auto")
    weight = torch.nn.Parameter(torch.ones(4_000_000, device=device))
    weight.grad = torch.ones_like(weight)
    adam = AdamW([([weight], 0.0)], 1e-3, (0.9, 0.999))
    per_weight = _shortest(lambda: adam.step(1.0), device) / weight.numel()
    small_muon, wide_muon = _muon_rate(SMALL, device, 24), _muon_rate(WIDE, device, 4)
    few, few_operations = _time_steps(SMALL, 2, 8, small_muon)
    many, many_operations = _time_steps(SMALL, 2, 256, small_muon)
    # On a machine that is busy the difference of two times is noise: it only goes so far.
    whole = many_operations / many
    small_rate = (many_operations - few_operations) / max(many - few, 1e-9)
    small_rate = min(max(small_rate, whole), 1.4 * whole)
    overhead = max(0.0, few - few_operations / small_rate) / 4
    wide, wide_operations = _time_steps(WIDE, 1, 128, wide_muon)
    wide_rate = wide_operations / max(wide - 3 * overhead, 0.5 * wide)
    return Speed(
        device.type,
        device_name(device),
        memory_bytes(device)[1],
        "bf16" if fast_bf16(device) else "fp32",
        overhead,
        small_rate,
        wide_rate,
        small_muon,
        wide_muon,
        per_weight,
    )


def _muon_rate(hidden_size: int, device: Any, tries: int) -> float:
    """Operations a second of Muon's updates of a feed-forward net."""
    import torch

    from bert_demo.updates import Muon

    shapes = (hidden_size, 4 * hidden_size), (4 * hidden_size, hidden_size)
    matrices = [torch.nn.Parameter(torch.ones(shape, device=device)) for shape in shapes]
    for matrix in matrices:
        matrix.grad = torch.ones_like(matrix)
    muon = Muon(matrices, 1e-3, 0.0)
    seconds = _shortest(lambda: muon.step(1.0), device, tries)
    return sum(orthogonalising(*shape) for shape in shapes) / seconds


def _time_steps(
    hidden_size: int, layers: int, batch_size: int, muon_rate: float
) -> tuple[float, float]:
    """Median time of a step of the loop, and the operations in it.

    By "recommended", whose small operations a step pays for too; what Muon multiplies is left out,
    as the cost model counts it apart.
    """
    from bert_demo.training import train

    run = RunConfig(
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // 64,
        intermediate_size=hidden_size * 2,
        training=TrainingConfig(
            recipe="recommended", steps=13, batch_size=batch_size, validate_every_steps=10**6
        ),
    )
    facts = text_facts(run)
    times: list[tuple[float, dict[int, float]]] = []
    for event in train(run):
        if event["event"] == "step":
            times.append((event["seconds"], _waits()))
            if len(times) == 12 or (len(times) > 2 and event["seconds"] > _PATIENCE_SECONDS):
                break
    usual = median(
        _own_time(end - begin, before, after)
        for (begin, before), (end, after) in itertools.pairwise(times)
    )
    model = model_of(run, facts)
    usual -= min(muon_operations(model) / muon_rate, 0.5 * usual)
    return usual, operations(model, run.task, batch_size * facts.length, facts.length)


def _waits() -> dict[int, float]:
    """For each thread of this process the seconds that it has waited for a core; Linux tells."""
    waits = {}
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # the thread may have ended
            waits[int(path.parent.name)] = int(path.read_text().split()[1]) / 1e9
    return waits


def _own_time(seconds: float, before: dict[int, float], after: dict[int, float]) -> float:
    """`seconds` less what other programs took: from the main thread, and from its slowest helper.

    A tenth remains at least: where hardly a moment was one's own, the rest says little.
    """
    waits = {thread: after[thread] - before.get(thread, 0.0) for thread in after}
    main = waits.pop(os.getpid(), 0.0)
    return max(seconds - main - max(waits.values(), default=0.0), 0.1 * seconds)


def _shortest(work: Any, device: Any, tries: int = 24) -> float:
    """Shortest time of a piece of work among some, in seconds."""
    import torch

    best = math.inf
    for _ in range(tries):
        begin, before = time.perf_counter(), _waits()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        elif device.type == "mps":
            torch.mps.synchronize()
        best = min(best, _own_time(time.perf_counter() - begin, before, _waits()))
    return best


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(_measure())))
