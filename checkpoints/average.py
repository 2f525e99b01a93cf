"""Averages the weights of a judge and of what it became by further lessons (Wortsman et al. 2022).

    python -m checkpoints.average FIRST LAST --share 0.7 --out DIR

`--share` is that of LAST. Further lessons on pairs of logic cost some of what the judge knew of
captions; between the two lies one that has nearly all of both. It is made as sure as it is right
on SNLI's validation split, is rounded to 8 bits, as it is bundled, is scored so there and, once, on
the test split, and says so in the checkpoint, which is otherwise LAST's. rebuild.sh has the share
that the bundled judge took, by the validation split and by pairs of logic drawn anew.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bert_demo.data.batches import NliBatches
from bert_demo.data.prepare import prepare_nli
from bert_demo.inference.evaluation import evaluate
from bert_demo.model import checkpoint
from bert_demo.training.validation import calibrate, validate


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
    held_out = NliBatches(
        validation, tokenizer, batch_size=256, max_length=128, truncation="longest_first", seed=0
    )
    factor = calibrate(model, held_out, None)
    about = checkpoint.read_config(flags.last)["about"]
    checkpoint.save(flags.out, model, tokenizer, about, storage="int8")
    rounded, _, _ = checkpoint.load(flags.out)
    test, _ = prepare_nli("snli", "test", tokenizer)
    scores: dict[str, Any] = {**validate(rounded, held_out, None), "calibration_factor": factor}
    scores["test"] = asdict(evaluate(rounded, tokenizer, test))
    checkpoint.save(flags.out, rounded, tokenizer, {**about, "scores": scores}, storage="int8")
    shutil.copyfile(flags.last / checkpoint.METRICS, flags.out / checkpoint.METRICS)
    print(scores)


if __name__ == "__main__":
    main()
