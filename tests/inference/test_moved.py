"""How far matrices moved, against changes that were made by hand."""

from __future__ import annotations

import copy

import pytest
import torch

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.config import BertConfig
from bert_demo.model import dropout
from bert_demo.model.bert import BertModel
from bert_demo.ui.tabs.follow_view import _MATRICES

CONFIG = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=2, intermediate_size=16)


def test_matrices_come_by_how_far_they_moved() -> None:
    dropout.seed_noise(0)
    before = BertModel(CONFIG, "pretraining")
    after = copy.deepcopy(before)
    with torch.no_grad():
        after.layers[1].qkv.weight[16:] *= 1.5  # the values: rows 2 x 8 and on
        after.layers[0].qkv.weight[:8] *= -1  # the queries turn round
        table = after.embeddings.word_embeddings.weight
        table += 0.25 * table.norm() * torch.eye(9, 8) / 8**0.5
    first, *found = bert_demo.moved(before, after)
    assert (first.name, first.share) == ("layers.0.queries", pytest.approx(2))
    assert [(one.name, one.share) for one in found[:2]] == [
        ("layers.1.values", pytest.approx(0.5)),
        ("embeddings.word_embeddings", pytest.approx(0.25)),
    ]
    assert all(one.share == 0 for one in found[2:])
    with pytest.raises(UserError, match="different shapes"):
        bert_demo.moved(before, BertModel(CONFIG, "nli"))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("task", ["pretraining", "nli", "encoder"])
def test_every_matrix_has_a_name_in_words(task: str, tied: bool) -> None:
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=2, tie_word_embeddings=tied)
    model = BertModel(config, task)
    for one in bert_demo.moved(model, model):
        assert one.name.split(".", 2)[-1] in _MATRICES or one.name in _MATRICES
