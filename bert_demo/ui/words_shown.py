"""One word's vectors in several sentences by one model, for words_view.py to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bert_demo.inference.senses import Separation, sense_separation

if TYPE_CHECKING:
    from bert_demo.inference.contexts import Comparison
    from bert_demo.inference.models import Entry
    from bert_demo.model.checkpoint import Checkpoint


@dataclass(frozen=True)
class Shown:
    """One model's part of the view."""

    title: str
    entry: Entry
    loaded: Checkpoint
    comparison: Comparison
    separation: Separation | None
    untrained: bool


def show_one(
    title: str,
    entry: Entry,
    loaded: Checkpoint,
    word: str,
    texts: list[str],
    senses: list[str],
    layer: float,
    *,
    twin: bool = False,
) -> Shown:
    """Compare the word's vectors in the texts at a layer, or the last of a model with fewer.

    `twin`: `loaded` is the model's untrained twin. Raises `ValueError` where a text lacks the word.
    """
    from bert_demo.inference.contexts import compare

    model, tokenizer, config = loaded
    chosen = max(0, min(int(layer), config.num_hidden_layers))
    found = compare(model, tokenizer, word, texts, layer=chosen)
    return Shown(title, entry, loaded, found, _separation(found, senses), twin)


def _separation(found: Comparison, senses: list[str]) -> Separation | None:
    """Over the contexts that have a sense; None where there are too few."""
    labelled = [i for i, sense in enumerate(senses) if sense]
    try:
        return sense_separation(found.vectors[labelled].numpy(), [senses[i] for i in labelled])
    except ValueError:
        return None
