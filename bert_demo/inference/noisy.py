"""One word in several contexts with dropout left on, as the book compares them (D2L 15.10.2).

The book never calls `net.eval()`, so that part of what it shows is chance. Here that part is
measured: the same texts are read twice. Letters: n texts, H hidden size.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor

from bert_demo.data.packing import pack, unpack
from bert_demo.data.tokenizer import Encoded, Tokenizer
from bert_demo.inference.contexts import Comparison, compare
from bert_demo.inference.predict import by_length, encode_ids
from bert_demo.inference.senses import cosines
from bert_demo.inference.words import split_pair
from bert_demo.model.bert import BertModel
from bert_demo.model.dropout import own_noise

BOOKS_RATE = 0.2
"""Share that is dropped in the book's own run (D2L 15.10)."""


@dataclass(frozen=True)
class NoisyComparison:
    """One word in n contexts, each read twice with dropout on."""

    plain: Comparison
    """The same with dropout off."""
    hidden_rate: float
    """Share of the activations that is dropped, from 0 to 1."""
    attention_rate: float
    """Share of the attention weights that is dropped, from 0 to 1."""
    vectors: Tensor
    """(2, n, H): the word's vector in each context, the first time and the second."""
    similarities: Tensor
    """(n, n): cosines of the vectors of the first time (rows) and of the second (columns). On the
    diagonal is the same text twice, which gives 1 with dropout off."""


def compare_with_dropout(
    model: BertModel,
    tokenizer: Tokenizer,
    word: str,
    texts: Sequence[str],
    *,
    layer: int = -1,
    rate: float | None = None,
    seed: int = 0,
) -> NoisyComparison:
    """How alike a word's vectors are in n texts (n >= 2) while dropout is on.

    rate: the share of activations and of attention weights to drop, from 0 to 0.9; None for the
    model's own, or `BOOKS_RATE` where it has none. The same seed (0 or more) gives the same
    numbers. The model stays as it is, and so do PyTorch's generators: what is computed, on the CPU,
    is another model of the same weights. Raises `UserError` as `compare`, and for a wrong rate.
    """
    plain = compare(model, tokenizer, word, texts, layer=layer)
    config = model.config
    if rate is None and not (config.hidden_dropout_prob or config.attention_probs_dropout_prob):
        rate = BOOKS_RATE
    if rate is not None:
        config = replace(config, hidden_dropout_prob=rate, attention_probs_dropout_prob=rate)
    encoded = [encode_ids(model, tokenizer, *split_pair(text)) for text in texts]
    with torch.no_grad(), own_noise(seed):
        states = _states(_dropping(model, rate), encoded * 2, plain.layer)
    words = [
        state[place.start : place.stop].mean(0)
        for state, place in zip(states, plain.places * 2, strict=True)
    ]
    both = torch.stack(words).view(2, len(texts), -1)
    return NoisyComparison(
        plain,
        config.hidden_dropout_prob,
        config.attention_probs_dropout_prob,
        both,
        cosines(both.flatten(0, 1))[: len(texts), len(texts) :],
    )


def _dropping(model: BertModel, rate: float | None) -> BertModel:
    """The model with dropout on, its own or that of `rate`, and the same weights, not copied.

    The model itself may be in use by others. On the CPU, for elsewhere dropout asks PyTorch's
    generator.
    """
    weights = chain(model.parameters(), model.buffers())
    shared: dict[int, object] = {id(weight): weight.detach().cpu() for weight in weights}
    other = copy.deepcopy(model, shared)
    if rate is not None:
        other.set_dropout(rate)
    return other.train()


def _states(model: BertModel, encoded: Sequence[Encoded], layer: int) -> list[Tensor]:
    """(L, H) of each text of L tokens after `layer`, where 0 is the embeddings."""
    found: dict[int, Tensor] = {}
    for indices in by_length([len(item.input_ids) for item in encoded]):
        batch = pack([(encoded[i].input_ids, encoded[i].token_type_ids) for i in indices])
        x = model.embeddings(batch)  # (T, H)
        for block in model.layers[:layer]:
            x = block(x, batch)
        x = x[: len(batch.input_ids)]  # without the rows of zeros that `kernels` adds
        if layer == len(model.layers):
            x = model.final_norm(x)
        found |= zip(indices, unpack(x, batch), strict=True)
    return [found[i] for i in range(len(encoded))]
