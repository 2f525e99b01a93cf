"""Small checkpoints for tests of saving and loading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bert_demo.config import BertConfig
from bert_demo.data.packing import pack
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.model import checkpoint
from bert_demo.model.bert import BertModel
from bert_demo.model.checkpoint import CheckpointError

WORDS = ["<unk>", "<pad>", "<mask>", "<cls>", "<sep>", "a", "crane", "is", "flying", "."]
CONFIG = BertConfig(
    vocab_size=len(WORDS),
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=8,
)
TIED = replace(CONFIG, tie_word_embeddings=True, embedding_layer_norm=True, hidden_act="gelu")
TOKENIZER = Tokenizer.from_words(WORDS)
BATCH = pack([([3, 5, 6, 4], [0, 0, 0, 0]), ([3, 6, 4], [0, 0, 0])])


def new_model(seed: int = 0, config: BertConfig = CONFIG, task: str = "pretraining") -> BertModel:
    torch.manual_seed(seed)
    return BertModel(config, task).eval()


def saved(folder: Path, seed: int = 0, **kwargs: Any) -> BertModel:
    model = new_model(seed, **kwargs)
    checkpoint.save(folder, model, TOKENIZER, {"seed": seed})
    return model


def holds(folder: Path, model: BertModel) -> bool:
    """Whether loading gives exactly this model."""
    found = checkpoint.load(folder).model.state_dict()
    wanted = model.state_dict()
    return found.keys() == wanted.keys() and all(torch.equal(found[k], wanted[k]) for k in wanted)


def complaint(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The one sentence that `function` answers with."""
    with pytest.raises(CheckpointError) as caught:
        function(*args, **kwargs)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text
