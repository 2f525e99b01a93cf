"""What Hugging Face `transformers` takes for the same work: the other way that a user would choose.

    BERT_DEMO_DATA=/path/to/hub python -m bench.transformers_baseline --only pretrain

prints one JSON object as d2l_baseline.py does. Text, batches and masks are this project's own, so
that only model and loop differ: `BertForPreTraining` and `BertForSequenceClassification` of the
book's sizes, dynamic padding as its data collators do it, fused AdamW, bf16 by autocast. The
batches are drawn and padded before the clock starts.

The masked-LM head of `transformers` scores the vocabulary at every position, padding included,
which for 512 pairs takes five gigabytes and more: pretraining adds up gradients of parts of 32.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.workload import BATCH_SIZE, workload
from bert_demo.config import LABELS, BertConfig
from bert_demo.data.batches import TrainingBatch
from bert_demo.model.device import fast_bf16

Part = dict[str, Tensor]

PART = 32
_RATE = {"pretrain": 1e-3, "finetune": 1e-4}
_IGNORED = -100


def peer_model(config: BertConfig, classes: int | None = None) -> Any:
    """A new model of `transformers` with the sizes of `config`; with `classes` a classifier."""
    transformers = importlib.import_module("transformers")
    sizes = transformers.BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_position_embeddings,
        hidden_dropout_prob=config.hidden_dropout_prob,
        attention_probs_dropout_prob=config.attention_probs_dropout_prob,
        num_labels=classes or 2,
    )
    if classes is None:
        return transformers.BertForPreTraining(sizes)
    return transformers.BertForSequenceClassification(sizes)


def padded_parts(batch: TrainingBatch, pad_id: int, size: int) -> Iterator[Part]:
    """A batch in parts of `size` pairs, in the order drawn, each padded to its own longest."""
    packed = batch.packed
    starts, all_lengths = packed.cls_positions.numpy(), packed.bounds.diff().numpy()
    rows = np.argsort(packed.order)
    for first in range(0, len(rows), size):
        chosen = rows[first : first + size]
        lengths = all_lengths[chosen]
        real = np.arange(lengths.max()) < lengths[:, None]  # (b, L)
        place = (starts[chosen][:, None] + np.arange(lengths.max()))[real]

        def spread(flat: Any, empty: int, real: Any = real, place: Any = place) -> Tensor:
            slots = np.full(real.shape, empty, dtype=np.int64)
            slots[real] = flat[place]
            return torch.from_numpy(slots)

        part = {
            "input_ids": spread(packed.input_ids.numpy(), pad_id),
            "token_type_ids": spread(packed.token_type_ids.numpy(), 0),
            "attention_mask": torch.from_numpy(real.astype(np.int64)),
        }
        labels = batch.labels[torch.from_numpy(chosen)]
        if batch.mlm_positions is None or batch.mlm_labels is None:
            yield part | {"labels": labels}
            continue
        wanted = np.full(len(packed.input_ids), _IGNORED)
        wanted[batch.mlm_positions.numpy()] = batch.mlm_labels.numpy()
        # Its class 0 means that the second text follows the first; here that is 1.
        yield part | {"labels": spread(wanted, _IGNORED), "next_sentence_label": 1 - labels}


def update(model: Any, optimizer: torch.optim.Optimizer, parts: Sequence[Part], bf16: bool) -> None:
    """One step on a batch, its parts' gradients added up."""
    for part in parts:
        with torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext():
            loss = model(**part).loss / len(parts)
        loss.backward()
    optimizer.step()
    optimizer.zero_grad()


@torch.no_grad()
def held_out_sums(model: Any, parts: Iterable[Part]) -> tuple[float, int, int, int]:
    """Over `parts`: sum of masked-LM losses, positions, next sentences judged right, pairs.

    Scores the vocabulary at masked positions alone: the same numbers for less work.
    """
    model.eval()
    loss, positions, right, pairs = 0.0, 0, 0, 0
    for part in parts:
        inputs = {k: v for k, v in part.items() if k not in ("labels", "next_sentence_label")}
        encoded = model.bert(**inputs)
        chosen = part["labels"] != _IGNORED
        scores = model.cls.predictions(encoded.last_hidden_state[chosen])
        labels = part["labels"][chosen]
        loss += float(torch.nn.functional.cross_entropy(scores, labels, reduction="sum"))
        verdicts = model.cls.seq_relationship(encoded.pooler_output).argmax(1)
        right += int((verdicts == part["next_sentence_label"]).sum())
        positions, pairs = positions + len(labels), pairs + len(verdicts)
    return loss, positions, right, pairs


def run_here(measure: str, precision: str, steps: int) -> dict[str, Any]:
    """Examples a second in all steps but the first, which warms up; in this process."""
    batches, config = workload(measure)
    bf16 = precision == "bf16" or (precision == "auto" and fast_bf16(torch.device("cpu")))
    size = PART if measure == "pretrain" else BATCH_SIZE
    pad_id = batches.tokenizer.pad_id
    drawn = [list(padded_parts(batches.draw(n), pad_id, size)) for n in range(steps + 1)]
    model = peer_model(config, None if measure == "pretrain" else len(LABELS)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE[measure], fused=True)
    times = []
    for parts in drawn:
        update(model, optimizer, parts, bf16)
        times.append(time.perf_counter())
    seconds = times[-1] - times[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "measure": measure,
        "value": BATCH_SIZE * steps / seconds,
        "unit": "pairs/s" if measure == "pretrain" else "examples/s",
        "seconds": seconds,
        "steps": steps,
        "precision": "bf16" if bf16 else "fp32",
        "peak_rss_bytes": peak if sys.platform == "darwin" else peak * 1024,
    }


def main() -> None:
    """Measure what is asked for, and print JSON."""
    parser = argparse.ArgumentParser(description="Measure transformers on the same work.")
    parser.add_argument("--only", choices=("pretrain", "finetune"), required=True)
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--steps", type=int, default=5, help="training steps after the first")
    chosen = parser.parse_args()
    print(json.dumps(run_here(chosen.only, chosen.precision, chosen.steps)))


if __name__ == "__main__":
    main()
