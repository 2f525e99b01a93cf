"""The book's masked-LM loss, which does not mask, against its own words (D2L 15.9 and 15.10)."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.data.batches import TrainingBatch
from bert_demo.model.bert import BertModel
from bert_demo.model.compiled import library
from bert_demo.training.distributed import World
from bert_demo.training.gpu_batches import Resident
from bert_demo.training.loop import train
from bert_demo.training.setup import prepare_run
from bert_demo.training.step import Gradients

SLOTS = 19  # round(0.3 * 64)


def a_run(padding: str, parts: int = 1) -> RunConfig:
    training = TrainingConfig(
        recipe="d2l",
        batch_size=6,
        max_length=64,
        steps=3,
        device="cpu",
        precision="fp32",
        gradient_accumulation_steps=parts,
    )
    return RunConfig(mask_share=0.3, padding_in_loss=padding, dropout=0.0, training=training)


def books_loss(model: BertModel, batch: TrainingBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """What `_pad_bert_inputs` and `_get_batch_loss_bert` make of pairs: both losses."""
    assert batch.mlm_positions is not None and batch.mlm_labels is not None
    pairs, lengths = len(batch.labels), batch.packed.bounds.diff().tolist()
    vectors = model(batch.packed).split(lengths)
    asked = torch.full_like(batch.packed.input_ids, -1)
    asked[batch.mlm_positions] = batch.mlm_labels
    positions = torch.zeros(pairs, SLOTS, dtype=torch.int64)
    weights, labels = torch.zeros(pairs, SLOTS), torch.zeros(pairs, SLOTS, dtype=torch.int64)
    for row, own in enumerate(asked.split(lengths)):
        places = torch.nonzero(own >= 0).flatten()
        assert 0 < len(places) < SLOTS
        positions[row, : len(places)] = places
        weights[row, : len(places)] = 1.0
        labels[row, : len(places)] = own[places]
    scores = model.mlm(torch.cat([x[p] for x, p in zip(vectors, positions, strict=True)]))
    mlm = torch.nn.CrossEntropyLoss()(scores, labels.view(-1))
    mlm = mlm * weights.reshape(-1, 1)
    cls = torch.stack([x[0] for x in vectors])
    nsp = F.cross_entropy(model.nsp_logits(cls), batch.labels)
    return mlm.sum() / (weights.sum() + 1e-8), nsp


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("parts", [1, 2])
def test_padding_in_the_loss_is_what_the_book_makes_small(
    monkeypatch: pytest.MonkeyPatch, on_device: bool, parts: int
) -> None:
    if on_device:  # compiled blocks know no places that only fill a batch up
        monkeypatch.setattr(library, "serves", lambda _: False)
    run = a_run("on", parts)
    setup, plain = prepare_run(run, World()), prepare_run(a_run("off"), World())
    assert setup.tokenizer.unk_id == 0  # the label of the book's padding
    mlm, nsp = books_loss(setup.model, plain.batches.draw(1))
    wanted = torch.autograd.grad(mlm + nsp, list(setup.model.parameters()))
    work = Gradients(run, setup, World())
    with work.threads:
        if on_device:
            work._resident = Resident(setup.batches, torch.device("cpu"))
        sums, found = work.of_step(1)
    assert sums[3] == 6 * SLOTS
    torch.testing.assert_close(sums[0] / sums[3], mlm.detach(), atol=1e-5, rtol=1e-5)
    for grad, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(grad, right, atol=1e-5, rtol=1e-3)


def test_held_out_losses_are_of_masked_words_alone() -> None:
    padded, plain = (prepare_run(a_run(padding), World()) for padding in ("on", "off"))
    one, other = (next(iter(setup.validation.all_in_order(64))) for setup in (padded, plain))
    assert one.mlm_labels is not None and other.mlm_labels is not None
    assert torch.equal(one.mlm_labels, other.mlm_labels)
    start = next(iter(train(a_run("on"))))
    assert start["event"] == "start" and start["padded"] is True
    assert "padded" not in next(iter(train(a_run("off"))))
