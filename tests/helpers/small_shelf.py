"""What tests of the parts of the page share: small models, and blocks found in an answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bert_demo.config import BertConfig
from bert_demo.data.crane_world.probes import SENSES
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.inference.models import ModelShelf
from bert_demo.model import checkpoint, dropout
from bert_demo.model.bert import BertModel
from bert_demo.ui.tabs.nli_examples import EXAMPLES
from bert_demo.ui.tabs.words_contexts import contexts_of
from bert_demo.ui.tabs.words_view import show_contexts

TEXTS = [t for senses in SENSES.values() for texts in senses.values() for t in texts]
BOOKS = {"he", "just", "left", "driver", "came", "over", "the"}
PAIRS = [(one.premise, one.hypothesis) for kind in EXAMPLES.values() for one in kind]
SEEN = {w for t in [*TEXTS, *(s for pair in PAIRS for s in pair)] for w in t.split()}
WORDS = sorted(SEEN | BOOKS)
TOKENIZER = Tokenizer.from_words([*SPECIAL_TOKENS, *WORDS])
CRANE, DEEP, NLI = "bundled/crane", "bundled/deep", "bundled/nli"
EVIL = "<img src=x onerror=alert(1)> a crane ${alert(2)} {{value}}"


def make(folder: Path, layers: int, task: str, **about: Any) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    dropout.seed_noise(layers)
    config = BertConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=16,
        num_hidden_layers=layers,
        intermediate_size=32,
        initializer_range=0.2,
    )
    checkpoint.save(folder, BertModel(config, task), TOKENIZER, about)


def blocks(part: Any, kind: str) -> Iterator[dict[str, Any]]:
    """Every block of a kind, however deep."""
    if isinstance(part, dict):
        if part.get("kind") == kind:
            yield part
        for value in part.values():
            yield from blocks(value, kind)
    elif isinstance(part, list):
        for value in part:
            yield from blocks(value, kind)


def words_of(part: Any) -> str:
    return " ".join(block["text"] for kind in ("heading", "text") for block in blocks(part, kind))


def shown(shelf: ModelShelf, models: list[str], name: str = "crane", **kwargs: Any) -> Any:
    word, rows = contexts_of(name)
    return show_contexts(shelf, models, word, rows, **{"layer": 2, **kwargs})
