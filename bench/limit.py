"""The arithmetic limit: how fast training could be if it did nothing but the products it needs.

    BERT_DEMO_DATA=/path/to/hub python -m bench.limit

prints one JSON object: for each training measure the floating-point operations of a pair, and the
largest rate (operations a second) at which this machine multiplies matrices, in fp32 and in bf16.
`--device cuda` does so for a GPU, and for fine-tuning a base model too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.workload import workload
from bert_demo.config import LABELS, BertConfig
from bert_demo.data.batches import TrainingBatch

IntArray = npt.NDArray[np.int64]

_SIZES = (512, 1024, 2048, 4096)
_SIZES_ON_DEVICE = (4096, 8192, 16384)
_BATCHES = 8
_SECONDS = 1.5


def needed_operations(
    config: BertConfig, lengths: IntArray, asked: IntArray, masked: int, classes: int
) -> float:
    """Floating-point operations that one batch cannot do without, forward and backward.

    Only real tokens count, and only what a head reads: the last layer needs the queries, and what
    follows from them, at `asked` tokens alone, and the vocabulary is scored at `masked` positions
    alone. Backward is twice forward. Looking up an embedding multiplies nothing.

    Args:
        config: the model.
        lengths: (B,), the tokens of each sequence.
        asked: (B,), how many of them a head reads: <cls> and the masked ones.
        masked: positions at which the vocabulary is scored.
        classes: what the sentence-level head chooses among.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    tokens, read, pairs = int(lengths.sum()), int(asked.sum()), len(lengths)
    # Multiplications. A token meets four square matrices and the two of the feed-forward net, and
    # for each token that it looks at a key and a value.
    whole = tokens * (4 * hidden**2 + 2 * hidden * inner) + 2 * hidden * int((lengths**2).sum())
    last = tokens * 2 * hidden**2 + read * (2 * hidden**2 + 2 * hidden * inner)
    last += 2 * hidden * int((asked * lengths).sum())
    heads = pairs * (hidden**2 + hidden * classes)
    heads += masked * (hidden**2 + hidden * config.vocab_size)
    return 6.0 * ((config.num_hidden_layers - 1) * whole + last + heads)


def asked_tokens(batch: TrainingBatch) -> IntArray:
    """(B,): how many tokens of each sequence a head reads."""
    ones = np.ones(len(batch.packed), dtype=np.int64)
    if batch.mlm_positions is None:
        return ones
    starts = batch.packed.cls_positions.numpy()
    row = np.searchsorted(starts, batch.mlm_positions.numpy(), side="right") - 1
    return ones + np.bincount(row, minlength=len(ones))


def operations_per_pair(measure: str, size: str | None = None) -> float:
    """The mean over some batches of a training measure, with the book's model or of this size."""
    batches, config = workload(measure, size)
    classes = 2 if measure == "pretrain" else len(LABELS)
    drawn = [batches.draw(step) for step in range(_BATCHES)]
    total = sum(
        needed_operations(
            config,
            one.packed.bounds.diff().numpy(),
            asked_tokens(one),
            int(one.count_masks()),
            classes,
        )
        for one in drawn
    )
    return total / sum(len(one.packed) for one in drawn)


def matrix_rate(dtype: torch.dtype, device: str = "cpu") -> float:
    """Operations a second of the best of several square products, on all cores of the device."""
    best = 0.0
    wait: Callable[[], None] = torch.cuda.synchronize if device == "cuda" else lambda: None
    for size in _SIZES if device == "cpu" else _SIZES_ON_DEVICE:
        square = torch.ones(size, size, dtype=dtype, device=device)
        square @ square  # compiled for this size
        wait()
        end = time.perf_counter() + _SECONDS
        while True:
            begin = time.perf_counter()
            square @ square
            wait()
            now = time.perf_counter()
            best = max(best, 2.0 * size**3 / (now - begin))
            if now > end:
                break
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what a machine's arithmetic allows.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    device = parser.parse_args().device
    found: dict[str, Any] = {name: operations_per_pair(name) for name in ("pretrain", "finetune")}
    if device == "cuda":
        found["finetune base"] = operations_per_pair("finetune", "base")
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        found[name] = matrix_rate(dtype, device)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
