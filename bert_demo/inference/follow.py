"""One token followed through the whole network: its embedding, then layer after layer.

What the masked-LM head would say of each layer's vector is the "logit lens" (nostalgebraist 2020):
the head has learnt to read the last layer alone, so what it makes of the others is a hint.
Letters: L tokens of the text, V vocabulary, H hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bert_demo.common.errors import UserError
from bert_demo.data.packing import pack
from bert_demo.data.tokenizer import Encoded, Tokenizer
from bert_demo.inference.predict import Guess, encode, encode_ids, evaluating, guesses_at
from bert_demo.model.bert import BertModel

_NEIGHBOURS = 5


@dataclass(frozen=True)
class TokenLayer:
    """A token after one layer; layer 0 is the embeddings."""

    guesses: list[Guess]
    """What the masked-LM head would say here, the likeliest first; empty without such a head."""
    moved: float | None
    """The length of the step from the layer before, as a share of the vector's length there; None
    for the embeddings."""
    attention: Tensor | None
    """(heads, L): this token's attention to every token, each row summing to 1; None for the
    embeddings."""


@dataclass(frozen=True)
class FollowedToken:
    """One token of a text or pair, from its embedding to the last layer."""

    tokens: list[str]
    """All L tokens, <cls> and <sep> among them."""
    place: int
    """Which of them is followed."""
    pieces: list[str]
    """The tokens of the word that it belongs to: more than one where the word was cut."""
    neighbours: list[tuple[str, float]]
    """The tokens whose embeddings are nearest to its own, with their cosines, the mean of the
    vocabulary's embeddings subtracted."""
    loss: float | None
    """The masked-LM loss at it, in nats, with it alone masked, as in a step of training; None of
    special tokens, and without such a head."""
    layers: list[TokenLayer]
    """num_hidden_layers + 1 of them."""
    first_length: int
    """How many tokens the first text has, with <cls> and its <sep>: all L, without a second."""
    attentions: list[Tensor]
    """Of each layer (heads, L, L): where every token looks, a row each that sums to 1."""
    truncated: int
    """How many tokens of the text did not fit and were cut off."""


def follow(
    model: BertModel,
    tokenizer: Tokenizer,
    text: str,
    place: int,
    pair: str | None = None,
    *,
    top: int = 5,
) -> FollowedToken:
    """Follow the token at `place` of a text or pair, counted from 0, which is <cls>.

    Raises `UserError` for a place where no token is, and as `encode` does.
    """
    encoded = encode_ids(model, tokenizer, text, pair)
    ids = encoded.input_ids
    found = encode(model, tokenizer, text, pair)
    count = len(found.tokens)
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < count:
        raise UserError(
            "place is {value!r}; the text has {n} tokens, so it must be from 0 to {last}.",
            value=place,
            n=count,
            last=count - 1,
        )
    vectors = found.hidden_states[:, place]  # (layers + 1, H)
    steps = (vectors[1:] - vectors[:-1]).norm(dim=1) / vectors[:-1].norm(dim=1).clamp(min=1e-12)
    guesses: list[list[Guess]] = [[] for _ in vectors]
    if model.task == "pretraining":
        with evaluating(model):
            guesses = guesses_at(model, tokenizer, vectors.to(model.device), top)
    loss = None
    if model.task == "pretraining" and ids[place] not in tokenizer.special_ids:
        loss = _loss(model, tokenizer, encoded, place)
    layers = [
        TokenLayer(
            guesses[layer],
            float(steps[layer - 1]) if layer else None,
            found.attentions[layer - 1][:, place] if layer else None,
        )
        for layer in range(len(vectors))
    ]
    return FollowedToken(
        found.tokens,
        place,
        _pieces(found.tokens, place),
        _nearest(model, tokenizer, ids[place]),
        loss,
        layers,
        count if pair is None else ids.index(tokenizer.sep_id) + 1,
        found.attentions,
        found.truncated,
    )


def _loss(model: BertModel, tokenizer: Tokenizer, encoded: Encoded, place: int) -> float:
    """How surprised the model is at the token of a place, where it sees <mask>."""
    masked = [*encoded.input_ids]
    masked[place] = tokenizer.mask_id
    with evaluating(model):
        batch = pack([(masked, encoded.token_type_ids)]).to(model.device)
        logits = model.mlm(model(batch, torch.tensor([place], device=model.device))).float()
    target = torch.tensor([encoded.input_ids[place]], device=model.device)
    return float(torch.nn.functional.cross_entropy(logits, target))


def _pieces(tokens: list[str], place: int) -> list[str]:
    """The tokens of the word at a place: a piece "##s" goes on the token before it."""
    begin, end = place, place + 1
    while begin > 0 and tokens[begin].startswith("##"):
        begin -= 1
    while end < len(tokens) and tokens[end].startswith("##"):
        end += 1
    return tokens[begin:end]


def _nearest(model: BertModel, tokenizer: Tokenizer, number: int) -> list[tuple[str, float]]:
    """The tokens nearest to one in the table of embeddings, special ones left out."""
    table = model.embeddings.word_embeddings.weight.detach()[: tokenizer.vocab_size].float()
    centred = table - table.mean(0)
    cosines = torch.nn.functional.cosine_similarity(centred, centred[number], dim=1)  # (V,)
    cosines[[number, *tokenizer.special_ids]] = -2
    most = min(_NEIGHBOURS, int((cosines > -2).sum()))
    best = cosines.topk(most)
    return list(zip(tokenizer.tokens(best.indices.tolist()), best.values.tolist(), strict=True))
