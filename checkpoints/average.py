"""Averages the weights of a judge and of what it became by further lessons (Wortsman et al. 2022).

    python checkpoints/average.py FIRST LAST --share 0.7 --out DIR

`--share` is that of LAST. Further lessons on pairs of logic cost some of what the judge knew of
captions; between the two lies one that has nearly all of both. It is made as sure as it is right
on SNLI's validation split, is scored there and, once, on the test split, and says so in the
checkpoint, which is otherwise LAST's. rebuild.sh has the share that the bundled judge took, by the
validation split and by pairs of logic drawn anew.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bert_demo.data.prepare import prepare_nli
from bert_demo.inference.calibration import calibration_factor
from bert_demo.inference.evaluation import evaluate, nli_logits, whole_pairs
from bert_demo.model import checkpoint


def main() -> None:
    """Read the flags, write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("last", type=Path)
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    flags = parser.parse_args()
    first, _, _ = checkpoint.load(flags.first)
    model, tokenizer, _ = checkpoint.load(flags.last)
    with torch.no_grad():
        for old, new in zip(first.parameters(), model.parameters(), strict=True):
            new.lerp_(old, 1 - flags.share)
        validation, _ = prepare_nli("snli", "validation", tokenizer)
        logits = nli_logits(model, whole_pairs(model, tokenizer, validation))
        labels = validation.labels.astype(np.int64)
        factor = calibration_factor(logits, labels)
        for parameter in model.classifier.parameters():
            parameter.mul_(factor)
    test, _ = prepare_nli("snli", "test", tokenizer)
    scores = _scores(logits * factor, labels)
    scores |= {"calibration_factor": factor, "test": asdict(evaluate(model, tokenizer, test))}
    about = {**checkpoint.read_config(flags.last)["about"], "scores": scores}
    checkpoint.save(flags.out, model, tokenizer, about)
    shutil.copyfile(flags.last / checkpoint.METRICS, flags.out / checkpoint.METRICS)
    print(scores)


def _scores(logits: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> dict[str, Any]:
    """As a run reports those of its validation split."""
    told = torch.log_softmax(torch.from_numpy(logits).double(), -1).numpy()
    losses, right = -told[np.arange(len(labels)), labels], logits.argmax(-1) == labels
    found = {"loss": losses, "accuracy": right.astype(float)}
    return {
        **{name: float(values.mean()) for name, values in found.items()},
        "n": len(labels),
        "standard_errors": {
            name: float(values.std() / len(labels) ** 0.5) for name, values in found.items()
        },
        "constant_accuracy": float(np.bincount(labels).max() / len(labels)),
    }


if __name__ == "__main__":
    main()
