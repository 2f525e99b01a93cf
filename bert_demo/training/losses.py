"""Losses of a batch, and what a model scores on text that it was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.data.batches import TrainingBatch
from bert_demo.model.bert import BertModel

if TYPE_CHECKING:
    from bert_demo.training.setup import Setup


def batch_losses(model: BertModel, batch: TrainingBatch) -> Tensor:
    """(3,): sum of masked-LM losses, sum of pair losses, number of pairs judged right.

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
    return torch.stack([masked.float(), pair, right.float()])


@torch.no_grad()
def validate(setup: Setup, limit: int | None) -> dict[str, Any]:
    """Mean losses and accuracy on the validation split, or on `limit` pairs spread over it."""
    model = setup.model
    model.eval()
    sums = torch.zeros(3, dtype=torch.float64)
    masked = pairs = 0
    for arrays in setup.validation.all_in_order(limit):
        with setup.autocast():
            losses = batch_losses(model, arrays.shard(0, 1).to(setup.device))
        sums += losses.double().cpu()
        masked += arrays.masked
        pairs += len(arrays.labels)
    mlm_loss, pair_loss, right = (sums / torch.tensor([max(masked, 1), pairs, pairs])).tolist()
    if setup.task == "pretraining":
        return {"mlm_loss": mlm_loss, "nsp_loss": pair_loss, "nsp_accuracy": right, "n": pairs}
    return {"loss": pair_loss, "accuracy": right, "n": pairs}
