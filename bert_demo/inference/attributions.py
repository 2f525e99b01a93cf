"""Why this verdict: what each token of a premise and a hypothesis did for it, in two ways.

Integrated gradients (Sundararajan et al. 2017) on the word embeddings, and leaving a word out.
They answer different questions, so they may disagree, and neither is what the model "thinks".
Letters: k points of the path, L tokens of a pair, H hidden size.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS
from bert_demo.data.packing import PackedBatch, pack
from bert_demo.data.tokenizer import Encoded, Tokenizer
from bert_demo.inference.integrated_gradients import integrated_gradients, refined_gradients
from bert_demo.inference.predict import (
    by_length,
    check_classifier,
    encode_ids,
    evaluating,
)
from bert_demo.model.bert import BertModel

_WORTH_SAYING = 0.05
_MOST_WORDS = 100
_AT_ONCE = 2048
"""Tokens whose gradients are computed together: bounds the memory that backward takes."""


@dataclass(frozen=True)
class WordEffect:
    """What one word of a pair did for the verdict; both effects are differences of probability."""

    word: str
    """As the model reads it: in small letters where its vocabulary has these alone."""
    in_hypothesis: bool
    gradient: float
    """Its share by integrated gradients; positive speaks for the verdict. Pieces are summed."""
    left_out: float
    """How much of the verdict's probability is lost when the word is left out of the pair."""

    @property
    def disputed(self) -> bool:
        """Whether one way has it speak for the verdict and the other against, both clearly."""
        one, other = self.gradient, self.left_out
        return one * other < 0 and min(abs(one), abs(other)) >= _WORTH_SAYING


@dataclass(frozen=True)
class Attributions:
    """Why a classifier says of a pair what it says."""

    label: str
    """The verdict: the likeliest of `bert_demo.config.LABELS`, or the label asked about."""
    probability: float
    """What the model gives it."""
    baseline_probability: float
    """What it gives it with <mask> in place of every word."""
    words: list[WordEffect]
    """Those of the premise, then those of the hypothesis; <cls> and <sep> stay as they are in the
    baseline, and so have no share."""
    error: float
    """What the shares' sum differs by from `probability - baseline_probability`, which it would
    equal with endlessly many steps (completeness): how exact the shares are."""
    steps: int
    """At how many points between baseline and pair the gradients of the shares were taken."""
    truncated: int
    """How many tokens of the pair did not fit and were cut off."""

    @property
    def disputed(self) -> list[str]:
        """Words that speak for the verdict by one way and against it by the other."""
        return [word.word for word in self.words if word.disputed]

    @property
    def strongest(self) -> tuple[WordEffect | None, WordEffect | None]:
        """What matters most by gradients, and by leaving out; None for nothing worth saying."""
        first = max(self.words, key=lambda word: abs(word.gradient))
        second = max(self.words, key=lambda word: abs(word.left_out))
        return (
            first if abs(first.gradient) >= _WORTH_SAYING else None,
            second if abs(second.left_out) >= _WORTH_SAYING else None,
        )


def attribute(
    model: BertModel,
    tokenizer: Tokenizer,
    premise: str,
    hypothesis: str,
    label: str | None = None,
    steps: int | None = None,
) -> Attributions:
    """What each word of a pair does for the verdict, or for another label.

    Both ways are measured in the label's probability. The baseline of integrated gradients is the
    pair with <mask> in place of every word; positions and segments stay. Without `steps` the
    gradient is taken at 16 points, and at more where the shares do not add up
    (`refined_gradients`). Raises `UserError` for an empty text, a model without a classifier, an
    unknown label, and a pair of too many words.
    """
    check_classifier(model)
    if label is not None and label not in LABELS:
        raise UserError(
            "label is {value!r}; it must be one of {choices}.",
            value=label,
            choices=", ".join(LABELS),
        )
    whole_number = isinstance(steps, int) and not isinstance(steps, bool)
    if steps is not None and not (whole_number and 1 <= steps <= 1000):
        raise UserError(
            "steps is {value!r}; it must be a whole number from 1 to 1000.", value=steps
        )
    encoded = encode_ids(model, tokenizer, premise, hypothesis)
    words = _words(encoded, tokenizer)
    if len(words) > _MOST_WORDS:
        raise UserError(
            "The pair has {n} words; what each does is worked out for at most {limit}.",
            n=len(words),
            limit=_MOST_WORDS,
        )
    bare = [
        i if i in (tokenizer.cls_id, tokenizer.sep_id) else tokenizer.mask_id
        for i in encoded.input_ids
    ]
    types = encoded.token_type_ids
    kept = [[i for i in range(len(types)) if i not in word] for word in words]
    variants = [(encoded.input_ids, types), (bare, types)]
    variants += [([encoded.input_ids[i] for i in ks], [types[i] for i in ks]) for ks in kept]
    with evaluating(model):
        shares = _probabilities(model, variants)  # (2 + words, 3)
        chosen = int(shares[0].argmax()) if label is None else LABELS.index(label)
        whole, empty, *without = shares[:, chosen].tolist()
        table = model.embeddings.word_embeddings.weight.detach()
        ids = torch.tensor([encoded.input_ids, bare], device=model.device)
        inputs, baseline = table[ids]  # (L, H) each
        of = functools.partial(_from_embeddings, model, encoded, chosen)
        at_once = max(1, _AT_ONCE // len(inputs))
        if steps is None:
            found, taken = refined_gradients(of, inputs, baseline, at_once)
        else:
            found = integrated_gradients(of, inputs, baseline, steps, at_once)
            taken = steps
    tokens = found.sum(-1).cpu().double()  # (L,)
    error = float(tokens.sum()) - (whole - empty)
    effects = [
        WordEffect(
            _joined([encoded.tokens[i] for i in word]),
            types[word.start] == 1,
            float(tokens[word.start : word.stop].sum()),
            whole - rest,
        )
        for word, rest in zip(words, without, strict=True)
    ]
    return Attributions(LABELS[chosen], whole, empty, effects, error, taken, encoded.truncated)


def _words(encoded: Encoded, tokenizer: Tokenizer) -> list[range]:
    """Which tokens are one word: a piece that goes on the word before it belongs to that."""
    ends = {tokenizer.cls_id, tokenizer.sep_id}
    words: list[range] = []
    for place, (number, token) in enumerate(zip(encoded.input_ids, encoded.tokens, strict=True)):
        if number in ends:
            continue
        goes_on = token.startswith("##") and words and words[-1].stop == place
        if goes_on:
            words[-1] = range(words[-1].start, place + 1)
        else:
            words.append(range(place, place + 1))
    return words


def _joined(pieces: Sequence[str]) -> str:
    return pieces[0] + "".join(piece.removeprefix("##") for piece in pieces[1:])


def _probabilities(
    model: BertModel, variants: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> Tensor:
    """(n, 3): what the model gives each label, of pairs as ids and segments."""
    rows: list[Tensor] = [torch.empty(0)] * len(variants)
    for indices in by_length([len(ids) for ids, _ in variants]):
        batch = pack([variants[i] for i in indices]).to(model.device)
        shares = model.nli_logits(model(batch, batch.cls_positions)).float().softmax(-1).cpu()
        for place, row in zip(batch.order.tolist(), shares, strict=True):
            rows[indices[place]] = row
    return torch.stack(rows)


def _from_embeddings(model: BertModel, encoded: Encoded, label: int, words: Tensor) -> Tensor:
    """(k,): a label's probability for k pairs whose word embeddings (k, L, H) are given."""
    sequence = encoded.input_ids, encoded.token_type_ids
    batch: PackedBatch = pack([sequence] * len(words)).to(model.device)
    tables = model.embeddings
    x = words.flatten(0, 1)  # (T, H)
    x = x + tables.token_type_embeddings(batch.token_type_ids)
    x = x + tables.position_embeddings(batch.position_ids)
    if tables.norm is not None:
        x = tables.norm(x)
    *layers, last = model.layers
    for layer in layers:
        x = layer(x, batch)
    cls = last(x, batch, batch.cls_positions)[: len(words)]  # (k, H)
    return model.nli_logits(cls).float().softmax(-1)[:, label]
