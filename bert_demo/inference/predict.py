"""What a trained model can do: token vectors, blanks, verdicts, scores.

Every function takes a model and its tokenizer as `bert_demo.load` gives them, switches dropout
off while it works, and raises `UserError` with one sentence for a text or a model that it
cannot use. A text longer than the model reads is cut, and the result says by how many tokens.
Letters: L tokens of one text, H hidden size.
"""

from __future__ import annotations

import string
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bert_demo.config import LABELS, Text, UserError
from bert_demo.data.batches import NliBatches
from bert_demo.data.packing import pack, unpack
from bert_demo.data.tokenizer import Encoded, Tokenizer
from bert_demo.model.bert import BertModel
from bert_demo.model.threads import ShardThreads

if TYPE_CHECKING:
    from bert_demo.data.prepare import TokenizedNli

# Tokens in one forward pass, counted as if padded: bounds the memory that attention takes.
_BATCH_TOKENS = 8_192


@dataclass(frozen=True)
class Encoding:
    """One text or pair as the model sees it; all tensors are on the CPU."""

    tokens: list[str]
    vectors: Tensor
    """(L, H): the last layer."""
    hidden_states: Tensor
    """(num_hidden_layers + 1, L, H): the embeddings, then each layer."""
    attentions: list[Tensor]
    """One (heads, L, L) tensor a layer; rows are the tokens that look, and sum to 1."""
    truncated: int
    """How many tokens did not fit and were cut off."""


@dataclass(frozen=True)
class Verdict:
    """What a classifier says of a premise and a hypothesis."""

    label: str
    probabilities: dict[str, float]
    """For each of `LABELS`, in that order."""
    truncated: int


@contextmanager
def _inference(model: BertModel) -> Iterator[None]:
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

    "a crane is flying" gives 6 vectors: <cls>, the four words and <sep>.
    """
    return encode_all(model, tokenizer, [(text, pair)])[0]


def encode_all(
    model: BertModel, tokenizer: Tokenizer, texts: Sequence[tuple[str, str | None]]
) -> list[Encoding]:
    """`encode` for many (text, pair or None) at once; no text changes another's numbers."""
    encoded = [encode_ids(model, tokenizer, text, pair) for text, pair in texts]
    results: dict[int, Encoding] = {}
    with _inference(model):
        for indices in _batches([len(item.input_ids) for item in encoded]):
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


def fill_mask(
    model: BertModel, tokenizer: Tokenizer, text: str, top: int = 5
) -> list[list[tuple[str, float]]]:
    """For each <mask> in the text the `top` likeliest tokens, each with its probability.

    Probabilities are of the whole vocabulary; special tokens, which no blank stands for, are not
    listed.
    """
    if model.task != "pretraining":
        why = Text("was fine-tuned" if model.task == "nli" else "has no masked-LM head")
        raise UserError("This model {why} and cannot fill blanks; use a pretrained one.", why=why)
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise UserError("top is {value!r}; it must be a whole number of at least 1.", value=top)
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
    with _inference(model):
        batch = pack([(encoded.input_ids, encoded.token_type_ids)]).to(model.device)
        vectors = model(batch, torch.tensor(places, device=model.device))
        probabilities = model.mlm(vectors).float().softmax(-1).cpu()  # (masks, V)
    # A model's table may have rows beyond its vocabulary, to make its size a round number.
    probabilities = probabilities[:, : tokenizer.vocab_size]
    probabilities[:, list(tokenizer.special_ids)] = -1
    found = probabilities.topk(min(top, tokenizer.vocab_size - len(tokenizer.special_ids)))
    return [
        list(zip(tokenizer.tokens(ids), values, strict=True))
        for ids, values in zip(found.indices.tolist(), found.values.tolist(), strict=True)
    ]


def classify(model: BertModel, tokenizer: Tokenizer, premise: str, hypothesis: str) -> Verdict:
    """Does the hypothesis follow from the premise (D2L 16.7)?"""
    return classify_all(model, tokenizer, [(premise, hypothesis)])[0]


def classify_all(
    model: BertModel, tokenizer: Tokenizer, pairs: Sequence[tuple[str | None, str]]
) -> list[Verdict]:
    """`classify` for many (premise, hypothesis) at once.

    None for a premise leaves it empty: what the model then says it guesses from the hypothesis
    alone (Gururangan et al. 2018). An empty text is a mistake, as everywhere.
    """
    _check_classifier(model)
    encoded = [
        _without_premise(model, tokenizer, hypothesis)
        if premise is None
        else encode_ids(model, tokenizer, premise, hypothesis)
        for premise, hypothesis in pairs
    ]
    results: dict[int, Verdict] = {}
    with _inference(model):
        for indices in _batches([len(item.input_ids) for item in encoded]):
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


def evaluate(
    model: BertModel,
    tokenizer: Tokenizer,
    data: TokenizedNli,
    *,
    truncation: str = "longest_first",
) -> dict[str, Any]:
    """Score a classifier on labelled pairs.

    Returns plain data: accuracy, n, left_out (pairs without a label), truncated, confusion
    (3 x 3 counts: rows are the true labels, columns the verdicts, both in the order of `LABELS`),
    per_label (n, precision, recall, f1), seconds and examples_per_second, which do not include
    cutting the text into tokens.
    """
    _check_classifier(model)
    if not len(data.labels):
        raise UserError("There are no labelled pairs to evaluate on.")
    begin = time.perf_counter()
    batches = whole_pairs(model, tokenizer, data, truncation=truncation)
    count = len(data.labels)
    said = nli_logits(model, batches).argmax(-1)
    cell = np.asarray(data.labels, dtype=np.int64) * len(LABELS) + said
    confusion = np.bincount(cell, minlength=len(LABELS) ** 2).reshape(len(LABELS), len(LABELS))
    seconds = time.perf_counter() - begin
    return {
        "accuracy": float(confusion.trace() / count),
        "n": count,
        "left_out": data.left_out,
        "truncated": batches.truncated,
        "confusion": confusion.tolist(),
        "per_label": {label: _scores(confusion, i) for i, label in enumerate(LABELS)},
        "seconds": seconds,
        "examples_per_second": count / seconds,
    }


def whole_pairs(
    model: BertModel,
    tokenizer: Tokenizer,
    data: TokenizedNli,
    *,
    truncation: str = "longest_first",
) -> NliBatches:
    """The pairs of `data` as long as the model reads them, to be asked for by `nli_logits`."""
    longest = model.config.max_position_embeddings
    return NliBatches(
        data, tokenizer, batch_size=1, max_length=longest, truncation=truncation, seed=0
    )


def nli_logits(
    model: BertModel, batches: NliBatches, *, low_precision: bool = False
) -> npt.NDArray[np.float32]:
    """(N, 3): what a classifier gives for each pair of `batches`, computed in threads.

    `low_precision`: in bf16, for whoever needs it sooner rather than to the last digit.
    """
    result = np.empty((len(batches), len(LABELS)), dtype=np.float32)
    chosen = list(_batches(batches.lengths(np.arange(len(batches)))))
    device = model.device
    threads = ShardThreads(device, sum(p.numel() for p in model.parameters()))

    def work(thread: int) -> None:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=low_precision):
            for places in chosen[thread :: threads.count]:  # by length: they end together
                pairs = np.asarray(places)
                packed = batches.at(pairs, 0).to(device).packed
                logits = model.nli_logits(model(packed, packed.cls_positions))
                result[pairs[packed.order]] = logits.float().cpu().numpy()

    with _inference(model), threads:
        threads.map(work)
    return result


def unknown_words(tokenizer: Tokenizer, *texts: str) -> list[str]:
    """The words in the texts that the model reads as <unk>, each once, in order."""
    words = dict.fromkeys(word for text in texts for word in text.split())
    found = []
    for word in words:
        if _is_unknown(tokenizer, word):
            bare = word.strip(string.punctuation)
            found.append(bare if bare and _is_unknown(tokenizer, bare) else word)
    return list(dict.fromkeys(found))


def _is_unknown(tokenizer: Tokenizer, word: str) -> bool:
    return tokenizer.unk_id in tokenizer.encode(word)


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


def _check_classifier(model: BertModel) -> None:
    if model.task != "nli":
        raise UserError("This model has no classifier yet; fine-tune it first.")


def _batches(lengths: Sequence[int] | npt.NDArray[np.int64]) -> Iterator[list[int]]:
    """Indices of sequences in ascending order of length, cut where a batch gets too large."""
    order = np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable").tolist()
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * lengths[index] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _scores(confusion: npt.NDArray[np.int64], label: int) -> dict[str, float]:
    hits = float(confusion[label, label])
    true, said = float(confusion[label].sum()), float(confusion[:, label].sum())
    return {
        "n": int(true),
        "precision": hits / said if said else 0.0,
        "recall": hits / true if true else 0.0,
        "f1": 2 * hits / (true + said) if true + said else 0.0,
    }
