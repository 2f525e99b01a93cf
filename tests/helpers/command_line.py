"""What tests of the commands share: small settings, small models, what a refusal looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from bert_demo.config import BertConfig
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.model.bert import BertModel
from bert_demo.model.checkpoint import save

ROOT = Path(__file__).resolve().parents[2]
TEXT = "a crane is flying driver came he just left man sleeping nobody outside . ,"
WORDS = [*SPECIAL_TOKENS, *TEXT.split()]
HOW_TEXT = "--batch-size 16 --max-length 32 --device cpu --precision fp32"
SHAPE_TEXT = "--hidden-size 16 --num-attention-heads 2 --num-hidden-layers 1 --intermediate-size 16"
HOW = HOW_TEXT.split()
SMALL = [*SHAPE_TEXT.split(), *HOW]

Run = Callable[..., tuple[int, str, str]]


def refused(result: tuple[int, str, str], *words: str) -> None:
    """Exit code 2, one sentence on stderr, nothing on stdout."""
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.endswith(".\n")
    for word in words:
        assert word in err


def saved(folder: Path, task: str) -> Path:
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_words(WORDS)
    model = BertModel(BertConfig(len(WORDS), 16, 2, 2, 16, 64), task)
    save(folder, model, tokenizer, {})
    return folder
