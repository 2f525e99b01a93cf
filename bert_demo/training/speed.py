"""How fast this computer trains: measured once, by a few steps of the real loop.

`python -m bert_demo.training.speed` measures and prints.
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

from bert_demo.config import BertConfig, RunConfig, TrainingConfig
from bert_demo.model.device import usable_cores
from bert_demo.model.process import prepare_process
from bert_demo.training.cost import (
    MASKED,
    MIDDLE,
    SMALL,
    WIDE,
    Speed,
    layer_operations,
    model_of,
    muon_operations,
    orthogonalising,
    text_facts,
    word_operations,
)

_METHOD = 5  # raised when the way of measuring changes, so that old numbers are not taken for new
_KEPT_SECONDS = 30 * 86400
_PATIENCE_SECONDS = 2.0
_GPU_SECONDS = 1.0
_WORDS = 20_000
_LARGE = 10**8  # weights of a model at the larger width


def measured_speed() -> Speed:
    """This computer's speed: kept from an earlier time, or measured now in some seconds.

    Raises `ValueError` if it cannot be measured.
    """
    from bert_demo.data.files import cache_dir

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
            [sys.executable, "-m", "bert_demo.training.speed"],
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

    from bert_demo.model.compiled import library
    from bert_demo.model.device import device_name, fast_bf16, memory_bytes, pick_device
    from bert_demo.training.optimizers import AdamW

    device = pick_device("auto")
    weight = torch.nn.Parameter(torch.ones(4_000_000, device=device))
    weight.grad = torch.ones_like(weight)
    adam = AdamW([([weight], 0.0)], 1e-3, (0.9, 0.999))
    per_weight = _usual(lambda: adam.step(1.0), device) / weight.numel()
    per_muon = {size: _muon_rate(size, device, tries) for size, tries in ((SMALL, 24), (WIDE, 7))}
    precision = "bf16" if fast_bf16(device) else "fp32"
    words = _words_rates(device, precision == "bf16")
    known = Speed(
        device=device.type,
        name=device_name(device),
        memory_bytes=memory_bytes(device)[1],
        precision=precision,
        overhead=0.0,
        small_rate=math.inf,
        middle_rate=math.inf,
        wide_rate=math.inf,
        small_word_rate=words[0],
        wide_word_rate=words[1],
        per_word_weight=words[2],
        small_muon_rate=per_muon[SMALL],
        wide_muon_rate=per_muon[WIDE],
        per_weight=per_weight,
        compiled=device.type == "cpu" and library.load() is None,
    )
    few, few_operations = _time_steps(SMALL, 2, 8, 24, known)
    many, many_operations = _time_steps(SMALL, 2, 1024, 12, known)
    # On a machine that is busy the difference of two times is noise: it only goes so far.
    whole = many_operations / many
    small_rate = (many_operations - few_operations) / max(many - few, 1e-9)
    small_rate = min(max(small_rate, whole), 1.5 * whole)
    overhead = max(0.0, few - few_operations / small_rate) / 4
    middle, middle_operations = _time_steps(MIDDLE, 2, 512, 12, known)
    middle_rate = middle_operations / max(middle - 4 * overhead, 0.5 * middle)
    # As many layers as make a model that all cores compute together.
    wide, wide_operations = _time_steps(WIDE, 5, 64, 12, known)
    wide_rate = wide_operations / max(wide - 7 * overhead, 0.5 * wide)
    return dataclasses.replace(
        known,
        overhead=overhead,
        small_rate=small_rate,
        middle_rate=middle_rate,
        wide_rate=wide_rate,
    )


def _words_rates(device: Any, low: bool) -> tuple[float, float, float]:
    """Operations a second of scoring a vocabulary at both widths, and what each weight costs."""
    few, many, wide = 64, 2048, 1024
    small_few, small_many = (_scoring_seconds(SMALL, count, device, low) for count in (few, many))
    model = BertConfig(vocab_size=_WORDS, hidden_size=SMALL)
    rate = word_operations(model, many - few) / max(small_many - small_few, 1e-9)
    rate = min(max(rate, word_operations(model, many) / small_many), 1e16)
    fixed = max(0.0, small_few - word_operations(model, few) / rate) / (_WORDS * SMALL)
    model = BertConfig(vocab_size=_WORDS, hidden_size=WIDE)
    seconds = _scoring_seconds(WIDE, wide, device, low, tries=5)
    rest = max(seconds - fixed * _WORDS * WIDE, 0.5 * seconds)
    return rate, word_operations(model, wide) / rest, fixed


def _scoring_seconds(
    hidden_size: int, masked: int, device: Any, low: bool, tries: int = 12
) -> float:
    """Usual time of scoring a vocabulary at so many positions, with all gradients added up."""
    import torch

    from bert_demo.model import kernels
    from bert_demo.model.threads import ShardThreads, add_up

    weight = torch.nn.Parameter(torch.randn(_WORDS, hidden_size, device=device) * 0.02)
    bias = torch.nn.Parameter(torch.zeros(_WORDS, device=device))
    with ShardThreads(device, _LARGE if hidden_size == WIDE else 0) as lanes:
        count = masked // lanes.count
        x = torch.randn(count, hidden_size, device=device)
        labels = torch.arange(count, device=device)

        def share(_: int) -> list[torch.Tensor | None]:
            inputs = x.detach().requires_grad_()
            with torch.autocast(device.type, torch.bfloat16, enabled=low):
                loss = kernels.linear_cross_entropy(inputs, weight, bias, labels)
            of_inputs, of_weight, of_bias = torch.autograd.grad(loss, (inputs, weight, bias))
            # Looking its words up gives the matrix a gradient as large.
            return [of_inputs, of_weight + torch.zeros_like(of_weight), of_bias]

        return _usual(lambda: add_up(lanes.map(share)), device, tries)


def _muon_rate(hidden_size: int, device: Any, tries: int) -> float:
    """Operations a second of Muon's updates of a feed-forward net."""
    import torch

    from bert_demo.training.optimizers import Muon

    shapes = (hidden_size, 4 * hidden_size), (4 * hidden_size, hidden_size)
    matrices = [torch.nn.Parameter(torch.ones(shape, device=device)) for shape in shapes]
    for matrix in matrices:
        matrix.grad = torch.ones_like(matrix)
    muon = Muon(matrices, 1e-3, 0.0)
    seconds = _usual(lambda: muon.step(1.0), device, tries)
    return sum(orthogonalising(*shape) for shape in shapes) / seconds


def _time_steps(
    hidden_size: int, layers: int, batch_size: int, steps: int, known: Speed
) -> tuple[float, float]:
    """Usual time of the layers in a step of the loop, and the operations in them.

    By "recommended", whose small operations a step pays for too, except at the largest width, where
    Muon would take half of the time. What Muon and the vocabulary take is left out, as the cost
    model counts it apart.
    """
    from bert_demo.training.loop import train

    on_cpu = known.device == "cpu"
    limit: dict[str, Any] = {"steps": steps + 1} if on_cpu else {"budget_seconds": _GPU_SECONDS}
    limit["recipe"] = "d2l" if hidden_size == WIDE else "recommended"
    run = RunConfig(
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // 64,
        intermediate_size=hidden_size * 2,
        training=TrainingConfig(batch_size=batch_size, validate_every_steps=10**6, **limit),
    )
    facts = text_facts(run)
    times: list[tuple[float, dict[int, float]]] = []
    for event in train(run):
        if event["event"] == "step":
            times.append((event["seconds"], _waits() if on_cpu else {}))
            enough = len(times) == steps or (
                len(times) > 2 and event["seconds"] > _PATIENCE_SECONDS
            )
            if on_cpu and enough:
                break
    usual = _usual_step(times) if on_cpu else _mean_step([seconds for seconds, _ in times])
    model = model_of(run, facts)
    tokens = batch_size * facts.length
    other = known.words_seconds(model, MASKED * tokens)
    if run.training.recipe == "recommended":
        other += muon_operations(model) / known.muon_rate(hidden_size)
    return usual - min(other, 0.5 * usual), layer_operations(model, tokens, facts.length)


def _usual_step(times: list[tuple[float, dict[int, float]]]) -> float:
    """Median time between steps whose ends, and the waits of all threads by then, these are."""
    return median(
        _own_time(end - begin, before, after)
        for (begin, before), (end, after) in itertools.pairwise(times)
    )


def _mean_step(times: list[float]) -> float:
    """Mean time between the later of these steps.

    A step is told of when the host has asked for it, and a GPU may be a tenth of a second behind.
    """
    later = times[len(times) // 2 :]
    return (later[-1] - later[0]) / max(1, len(later) - 1) or times[-1]


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


def _usual(work: Any, device: Any, tries: int = 24) -> float:
    """Median time of a piece of work in seconds; the first two tries only warm up.

    The shortest would be the one from which too much was taken for what other programs took.
    """
    return median(_times(work, device, tries)[2:])


def _times(work: Any, device: Any, tries: int) -> list[float]:
    """Times of a piece of work, in seconds, without what other programs took of them."""
    import torch

    times = []
    for _ in range(tries):
        begin, before = time.perf_counter(), _waits()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        elif device.type == "mps":
            torch.mps.synchronize()
        times.append(_own_time(time.perf_counter() - begin, before, _waits()))
    return times


if __name__ == "__main__":
    prepare_process()
    print(json.dumps(dataclasses.asdict(_measure())))
