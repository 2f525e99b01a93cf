"""What a trained model says of a text: token vectors, blanks, verdicts.

Every function takes a model and its tokenizer as `bert_demo.load` gives them, switches dropout
off while it works, and raises `UserError` with one sentence for a text or a model that it
cannot use. A text longer than the model reads is cut, and the result says by how many tokens.
Letters: L tokens of one text, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bert_demo.common.errors import Text, UserError
from bert_demo.config import LABELS
from bert_demo.data.packing import pack, unpack
from bert_demo.data.tokenizer import Encoded, Tokenizer
from bert_demo.data.words import BLANK, MASK
from bert_demo.model.bert import BertModel

BATCH_TOKENS = 8_192
"""Tokens in one forward pass, counted as if padded: bounds the memory that attention takes."""


@dataclass(frozen=True)
class Encoding:
    """One text or pair as the model sees it; all tensors are on the CPU."""

    tokens: list[str]
    vectors: Tensor
    """(L, H): the last layer."""
    hidden_states: Tensor
    """(num_hidden_layers + 1, L, H): the embeddings, then each layer."""
    attentions: list[Tensor]
    """One (heads, L, L) tensor a layer: each row is the query of a token, its weights over the
    tokens' keys sum to 1."""
    truncated: int
    """How many tokens did not fit and were cut off."""


@dataclass(frozen=True)
class Verdict:
    """What a classifier says of a premise and a hypothesis."""

    label: str
    """The likeliest of `bert_demo.config.LABELS`."""
    probabilities: dict[str, float]
    """For each of `LABELS`, in that order; they sum to 1."""
    truncated: int
    """How many tokens of the pair did not fit and were cut off."""


class Guess(NamedTuple):
    """A token for a blank: `token, probability = guess`."""

    token: str
    """A word, or a piece of one ("##s") where the vocabulary has pieces."""
    probability: float
    """Of the whole vocabulary, from 0 to 1."""


@dataclass(frozen=True)
class FilledBlanks:
    """What a model puts into the blanks of a text; `for guesses in found` goes through them."""

    guesses: list[list[Guess]]
    """For each blank the likeliest tokens, the likeliest first."""
    truncated: int
    """How many tokens of the text did not fit and were cut off."""

    def __iter__(self) -> Iterator[list[Guess]]:
        return iter(self.guesses)

    def __getitem__(self, blank: int) -> list[Guess]:
        return self.guesses[blank]

    def __len__(self) -> int:
        return len(self.guesses)


@contextmanager
def evaluating(model: BertModel) -> Iterator[None]:
    """Dropout and gradients off; the model's mode comes back afterwards.

    Not `torch.inference_mode`: results go to students, who may change them in place.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def encode(model: BertModel, tokenizer: Tokenizer, text: str, pair: str | None = None) -> Encoding:
    """Represent a text, or a pair of texts, token by token (D2L 15.10.2).

    "a crane is flying" gives 6 vectors: <cls>, the four words and <sep>. Raises `UserError` for an
    empty text, and for a pair where the model knows one segment only.
    """
    return encode_all(model, tokenizer, [(text, pair)])[0]


def encode_all(
    model: BertModel, tokenizer: Tokenizer, texts: Sequence[tuple[str, str | None]]
) -> list[Encoding]:
    """`encode` for many (text, pair or None) at once; no text changes another's numbers."""
    encoded = [encode_ids(model, tokenizer, text, pair) for text, pair in texts]
    results: dict[int, Encoding] = {}
    with evaluating(model):
        for indices in by_length([len(item.input_ids) for item in encoded]):
            items = [encoded[i] for i in indices]
            batch = pack([(item.input_ids, item.token_type_ids) for item in items])
            output = model.look_inside(batch.to(model.device))
            states = unpack(torch.stack(output.hidden_states, 1).cpu(), batch)
            for place, (index, item) in enumerate(zip(indices, items, strict=True)):
                hidden_states = states[place].transpose(0, 1).contiguous()
                attentions = [layer[place].cpu() for layer in output.attentions]
                results[index] = Encoding(
                    item.tokens, hidden_states[-1], hidden_states, attentions, item.truncated
                )
    return [results[i] for i in range(len(encoded))]


def fill_mask(model: BertModel, tokenizer: Tokenizer, text: str, top: int = 5) -> FilledBlanks:
    """For each <mask> in the text the `top` likeliest tokens, each with its probability.

    That is the masked language model's own task (D2L 15.8.5). Special tokens, which no blank
    stands for, are not listed. "[MASK]" and "___" are blanks too. Raises `UserError` for a text
    without a blank and for a model without a masked-LM head.
    """
    if model.task != "pretraining":
        why = Text("was fine-tuned" if model.task == "nli" else "has no masked-LM head")
        raise UserError("This model {why} and cannot fill blanks; use a pretrained one.", why=why)
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise UserError("top is {value!r}; it must be a whole number of at least 1.", value=top)
    if isinstance(text, str):
        text = BLANK.sub(MASK, text)
    encoded = encode_ids(model, tokenizer, text, None)
    places = [i for i, token in enumerate(encoded.input_ids) if token == tokenizer.mask_id]
    if not places:
        if encoded.truncated:
            raise UserError(
                "The text has no blank within the {limit} tokens that this model reads; write "
                "<mask> for each one.",
                limit=len(encoded.input_ids) - 2,
            )
        raise UserError("The text has no blank; write <mask> for each one.")
    with evaluating(model):
        batch = pack([(encoded.input_ids, encoded.token_type_ids)]).to(model.device)
        vectors = model(batch, torch.tensor(places, device=model.device))
        return FilledBlanks(guesses_at(model, tokenizer, vectors, top), encoded.truncated)


def guesses_at(
    model: BertModel, tokenizer: Tokenizer, vectors: Tensor, top: int
) -> list[list[Guess]]:
    """What the masked-LM head says of vectors (M, H): the `top` likeliest tokens for each.

    Inside `evaluating`. Special tokens, which no blank stands for, are not listed.
    """
    probabilities = model.mlm(vectors).float().softmax(-1).cpu()  # (M, V)
    # A model's table may have rows beyond its vocabulary, to make its size a round number.
    probabilities = probabilities[:, : tokenizer.vocab_size]
    probabilities[:, list(tokenizer.special_ids)] = -1
    found = probabilities.topk(min(top, tokenizer.vocab_size - len(tokenizer.special_ids)))
    return [
        list(map(Guess, tokenizer.tokens(ids), values))
        for ids, values in zip(found.indices.tolist(), found.values.tolist(), strict=True)
    ]


def classify(model: BertModel, tokenizer: Tokenizer, premise: str, hypothesis: str) -> Verdict:
    """Does the hypothesis follow from the premise (D2L 16.7)?

    Raises `UserError` for an empty text and for a model without a classifier.
    """
    return classify_all(model, tokenizer, [(premise, hypothesis)])[0]


def classify_all(
    model: BertModel, tokenizer: Tokenizer, pairs: Sequence[tuple[str | None, str]]
) -> list[Verdict]:
    """`classify` for many (premise, hypothesis) at once.

    None for a premise leaves it empty: what the model then says it guesses from the hypothesis
    alone (Gururangan et al. 2018). An empty text is a mistake, as everywhere.
    """
    check_classifier(model)
    encoded = [
        _without_premise(model, tokenizer, hypothesis)
        if premise is None
        else encode_ids(model, tokenizer, premise, hypothesis)
        for premise, hypothesis in pairs
    ]
    results: dict[int, Verdict] = {}
    with evaluating(model):
        for indices in by_length([len(item.input_ids) for item in encoded]):
            batch = pack([(encoded[i].input_ids, encoded[i].token_type_ids) for i in indices])
            on_device = batch.to(model.device)
            logits = model.nli_logits(model(on_device, on_device.cls_positions))
            rows = logits.float().softmax(-1).tolist()
            for place, row in zip(batch.order.tolist(), rows, strict=True):
                probabilities = dict(zip(LABELS, row, strict=True))
                label = max(probabilities, key=probabilities.__getitem__)
                index = indices[place]
                results[index] = Verdict(label, probabilities, encoded[index].truncated)
    return [results[i] for i in range(len(encoded))]


def encode_ids(model: BertModel, tokenizer: Tokenizer, text: str, pair: str | None) -> Encoded:
    """The ids of a text or pair, cut to what the model reads."""
    if pair is not None and model.config.type_vocab_size < 2:
        raise UserError("This model knows one segment only, so it cannot read a pair of texts.")
    return tokenizer.encode_pair(text, pair, max_length=model.config.max_position_embeddings)


def _without_premise(model: BertModel, tokenizer: Tokenizer, hypothesis: str) -> Encoded:
    """<cls> <sep> hypothesis <sep>: the pair as it is read, with nothing in the premise's place."""
    alone = tokenizer.encode_pair(hypothesis, max_length=model.config.max_position_embeddings - 1)
    ids = [tokenizer.cls_id, tokenizer.sep_id, *alone.input_ids[1:]]
    types = [0, 0] + [1] * (len(ids) - 2)
    return Encoded(ids, types, tokenizer.tokens(ids), alone.truncated)


def check_classifier(model: BertModel) -> None:
    """Raise `UserError` for a model that judges no pairs."""
    if model.task != "nli":
        raise UserError("This model has no classifier yet; fine-tune it first.")


def by_length(lengths: Sequence[int] | npt.NDArray[np.int64]) -> Iterator[list[int]]:
    """Indices of sequences in ascending order of length, cut where a batch gets too large."""
    order = np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable").tolist()
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * lengths[index] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
