"""What training makes small, and what is told of it: the losses of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.data.batches import TrainingBatch
from bert_demo.model.bert import BertModel
from bert_demo.training.events import Losses

_ROWS = 256
"""Whose scores of the vocabulary exist at once."""


def batch_losses(model: BertModel, batch: TrainingBatch) -> Tensor:
    """(4,): sums of masked-LM losses, of pair losses, of pairs judged right and of masks.

    With no masks, as a batch of a pair or two may have, the first is 0, and so are its gradients.
    The last layer computes only the vectors that a head reads: masked positions and <cls>.
    """
    cls = batch.packed.cls_positions
    if batch.mlm_positions is None or batch.mlm_labels is None:
        logits = model.nli_logits(model(batch.packed, cls)).float()
        masked = logits.new_zeros(())
    else:
        count = len(batch.mlm_positions)
        vectors = model(batch.packed, torch.cat([batch.mlm_positions, cls]))
        masked = model.mlm.loss_sum(vectors[:count], batch.mlm_labels)
        logits = model.nsp_logits(vectors[count:]).float()
    # Against probabilities: a student's loss (Hinton et al. 2015).
    answers = batch.labels if batch.targets is None else batch.targets
    pair = F.cross_entropy(logits, answers, reduction="sum")
    right = (logits.detach().argmax(1) == batch.labels).sum()
    return torch.stack([masked.float(), pair, right.float(), batch.count_masks().float()])


def sums_of_pairs(model: BertModel, batch: TrainingBatch) -> Tensor:
    """(B, 4): the sums of `batch_losses` for each pair by itself, against its label."""
    cls = batch.packed.cls_positions
    masked = masks = torch.zeros(len(cls), device=cls.device)
    if batch.mlm_positions is None or batch.mlm_labels is None:
        logits = model.nli_logits(model(batch.packed, cls)).float()
    else:
        count = len(batch.mlm_positions)
        vectors = model(batch.packed, torch.cat([batch.mlm_positions, cls]))
        pair = torch.searchsorted(cls, batch.mlm_positions, right=True) - 1
        parts = zip(vectors[:count].split(_ROWS), batch.mlm_labels.split(_ROWS), strict=True)
        found = [F.cross_entropy(model.mlm(x).float(), y, reduction="none") for x, y in parts]
        masked = masked.index_add(0, pair, torch.cat(found))
        masks = masks.index_add(0, pair, torch.ones_like(masks[pair]))
        logits = model.nsp_logits(vectors[count:]).float()
    loss = F.cross_entropy(logits, batch.labels, reduction="none")
    right = (logits.argmax(1) == batch.labels).float()
    return torch.stack([masked, loss, right, masks], 1)


def mean_losses(task: str, sums: Sequence[float], pairs: int, next_sentence: bool = True) -> Losses:
    """What the sums of `batch_losses` over so many pairs are on average; whether the loss of the
    next-sentence question counts."""
    mlm_sum, pair_sum, right, masks = sums
    pair_loss, accuracy = pair_sum / pairs, right / pairs
    if task != "pretraining":
        return {"loss": pair_loss, "accuracy": accuracy}
    mlm_loss = mlm_sum / max(masks, 1)
    return {
        "loss": mlm_loss + pair_loss if next_sentence else mlm_loss,
        "mlm_loss": mlm_loss,
        "nsp_loss": pair_loss,
        "nsp_accuracy": accuracy,
    }
