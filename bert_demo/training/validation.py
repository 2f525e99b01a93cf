"""What a model scores on text that it is not trained on."""

from __future__ import annotations

from typing import cast

import torch

from bert_demo.training.events import Scores
from bert_demo.training.losses import batch_losses, mean_losses
from bert_demo.training.setup import Setup


@torch.no_grad()
def validate(setup: Setup, limit: int | None) -> Scores:
    """Mean losses and accuracy on the validation split, or on `limit` pairs spread over it."""
    setup.model.eval()
    sums = torch.zeros(4, dtype=torch.float64)
    pairs = 0
    for batch in setup.validation.all_in_order(limit):
        with setup.autocast():
            sums += batch_losses(setup.model, batch.to(setup.device)).double().cpu()
        pairs += len(batch.labels)
    found = mean_losses(setup.task, sums.tolist(), pairs)
    if setup.task == "pretraining":
        del found["loss"]
    return cast(Scores, {**found, "n": pairs})
