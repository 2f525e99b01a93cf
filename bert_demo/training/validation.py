"""What a model scores on text that it is not trained on."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor

from bert_demo.config import LABELS, TrainingConfig
from bert_demo.data.batches import Batches
from bert_demo.data.prepare import SourceReport, prepare_text
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.calibration import calibration_factor
from bert_demo.model.beginning import log_frequencies
from bert_demo.model.bert import BertModel
from bert_demo.training.events import Scores
from bert_demo.training.losses import mean_losses, sums_of_pairs
from bert_demo.training.setup import held_out_batches, pretraining_baselines


def evaluate_text(
    model: BertModel, tokenizer: Tokenizer, corpus: str, split: str, training: TrainingConfig
) -> tuple[Scores, dict[str, float], SourceReport]:
    """A pretrained model's scores on a whole split of a pretraining corpus, in fp32; what they are
    measured against, by the names in `metrics.BASELINES`; and what the text is.

    training: how long pairs may be, and what happens to longer ones.

    Raises:
        UserError: no such corpus or split.
    """
    assert model.task == "pretraining"
    training.check_length(model.config)
    text, _, _ = prepare_text(corpus, "train", tokenizer=tokenizer)
    held_out, _, report = prepare_text(corpus, split, tokenizer=tokenizer)
    counts = np.bincount(text.token_ids, minlength=tokenizer.vocab_size)
    frequencies = log_frequencies(counts)
    baselines = pretraining_baselines(frequencies, text, held_out)
    scores = validate(model, held_out_batches(held_out, tokenizer, training), None)
    return scores, baselines, report


@torch.no_grad()
def validate(model: BertModel, held_out: Batches, limit: int | None) -> Scores:
    """Mean losses and accuracy on all pairs or on `limit`, spread over them, with their standard
    errors and the accuracy of who always gives the same answer."""
    model.eval()
    found, labels = [], []
    for batch in held_out.all_in_order(limit):
        found.append(sums_of_pairs(model, batch.to(model.device)).cpu().double())
        labels.append(batch.labels)
    sums, answers = torch.cat(found), torch.cat(labels).bincount()
    means = mean_losses(model.task, sums.sum(0).tolist(), len(sums))
    if model.task == "pretraining":
        del means["loss"]
    scores = {
        **means,
        "n": len(sums),
        "standard_errors": _standard_errors(model.task, sums),
        "constant_accuracy": float(answers.max()) / len(sums),
    }
    return cast(Scores, scores)


def _standard_errors(task: str, sums: Tensor) -> dict[str, float]:
    """Of the means of `sums_of_pairs` (N, 4), by their names: over samples of N pairs.

    The masked-LM loss is a ratio of two sums, whose error is that of what is left of the first
    (Cochran 1977, 2.11): a pair with many masks counts more.
    """
    masked, loss, right, masks = sums.T
    n = len(sums)
    errors = {"loss": loss.std(correction=0), "accuracy": right.std(correction=0)}
    if task == "pretraining":
        total = masks.sum().clamp(min=1)
        left = masked - masked.sum() / total * masks
        errors = {
            "mlm_loss": left.std(correction=0) * n / total,
            "nsp_loss": errors["loss"],
            "nsp_accuracy": errors["accuracy"],
        }
    return {name: float(error) / math.sqrt(n) for name, error in errors.items()}


@torch.no_grad()
def calibrate(model: BertModel, held_out: Batches, limit: int | None) -> float:
    """Make a classifier as sure as it is right on held-out pairs, or on `limit` of them.

    A student of softened probabilities is less sure than that. Its logits are multiplied by one
    factor, which is returned, and which goes into its last layer: no verdict changes.
    """
    model.eval()
    logits, labels = np.empty((0, len(LABELS)), np.float32), np.empty(0, np.int64)
    for batch in held_out.all_in_order(limit):
        packed = batch.packed.to(model.device)
        found = model.nli_logits(model(packed, packed.cls_positions))
        logits = np.concatenate([logits, found.float().cpu().numpy()])
        labels = np.concatenate([labels, batch.labels.numpy()])
    factor = calibration_factor(logits, labels)
    for parameter in model.classifier.parameters():
        parameter.mul_(factor)
    return factor
