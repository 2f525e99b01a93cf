"""Where did it meet such a word: the places in a model's training text whose vectors are nearest.

Letters: n occurrences that are looked at, H hidden size.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.common.errors import UserError
from bert_demo.data.packing import pack, unpack
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.predict import by_length, encode, evaluating
from bert_demo.inference.words import WordPlaces, find_word, short, split_pair, word_places
from bert_demo.model.bert import BertModel

MOST_LOOKED_AT = 128
"""Occurrences whose vectors are computed, spread evenly over the text: bounds the time."""
_AROUND = 24
_MOST_WORDS = 8


@dataclass(frozen=True)
class Occurrence:
    """A sentence of the training text with the word."""

    sentence: str
    """Its tokens, pieces put together; at most 24 on either side of the word."""
    nearness: float
    """The cosine of the word's vectors there and in the text that was asked about, the mean of the
    word's vectors in the training text subtracted."""


@dataclass(frozen=True)
class Occurrences:
    """A word in a model's training text."""

    word: str
    corpus: str
    """The title of the text: "WikiText-2"."""
    count: int
    """How often the word stands in it."""
    tokens: int
    """How long the text is."""
    looked_at: int
    """How many of these were compared."""
    nearest: list[Occurrence]
    """The nearest first; none where the text has the word less than twice."""


def occurrences(
    model: BertModel,
    tokenizer: Tokenizer,
    word: str,
    text: str,
    corpus: str | None,
    *,
    top: int = 5,
) -> Occurrences | None:
    """The places in the training split of `corpus` that are most like a word in a text.

    text: "a <sep> b" is a pair. Vectors are the last layer's. None where the corpus is unknown, not
    one that `model.task` is trained on, or not on this computer. Raises `UserError` for a text
    without the word.
    """
    first, second = split_pair(text)
    query = _query(model, tokenizer, word.strip(), first, second)
    found = word_places(word.strip(), tokenizer, model.task, corpus)
    if found is None:
        return None
    chosen = _spread(found.places)
    nearest: list[Occurrence] = []
    if len(chosen) > 1:
        vectors = _remembered(
            model, (tokenizer.fingerprint, corpus, word.strip()), found, tokenizer
        )
        mean = vectors.mean(0)
        near = F.cosine_similarity(vectors - mean, query - mean, dim=1)  # (n,)
        sentences: dict[str, float] = {}  # a text may say the same more than once
        for i in near.argsort(descending=True).tolist():
            ids, _ = _window(model, found, int(chosen[i]))
            sentences.setdefault(_joined(tokenizer.tokens(ids)), float(near[i]))
            if len(sentences) == top:
                break
        nearest = [Occurrence(sentence, value) for sentence, value in sentences.items()]
    count = len(found.places)
    return Occurrences(word.strip(), found.corpus, count, len(found.ids), len(chosen), nearest)


def _query(
    model: BertModel, tokenizer: Tokenizer, word: str, first: str, second: str | None
) -> Tensor:
    """(H,): the word's vector where it stands first in a text or pair."""
    encoding = encode(model, tokenizer, first, second)
    for part, offset in ((first, 1), (second or "", len(tokenizer.encode(first)) + 2)):
        place = find_word(tokenizer, word, part)
        if place is not None and offset + place.stop < len(encoding.tokens):
            return encoding.vectors[offset + place.start : offset + place.stop].mean(0)
    raise UserError(
        "The text {text!r} does not have the word {word!r}.", text=short(first), word=word
    )


def _spread(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """At most `MOST_LOOKED_AT` of the places, evenly from all over the text."""
    if len(places) <= MOST_LOOKED_AT:
        return places
    return places[np.linspace(0, len(places) - 1, MOST_LOOKED_AT).astype(np.int64)]


def _window(model: BertModel, found: WordPlaces, place: int) -> tuple[list[int], int]:
    """The ids of the sentence around a place, and where in them the word begins."""
    room = model.config.max_position_embeddings - 2 - found.length
    around = max(0, min(_AROUND, room // 2))
    sentence = int(np.searchsorted(found.starts, place, side="right")) - 1
    begin = max(int(found.starts[sentence]), place - around)
    end = min(int(found.starts[sentence + 1]), place + found.length + around)
    return found.ids[begin:end].tolist(), place - begin


def _vectors(model: BertModel, found: WordPlaces, tokenizer: Tokenizer) -> Tensor:
    """(n, H): the word's vector in each sentence that is looked at."""
    items = []
    for place in _spread(found.places).tolist():
        ids, at = _window(model, found, place)
        items.append(([tokenizer.cls_id, *ids, tokenizer.sep_id], at + 1))
    rows: list[Tensor] = [torch.empty(0)] * len(items)
    with evaluating(model):
        for indices in by_length([len(ids) for ids, _ in items]):
            batch = pack([(items[i][0], [0] * len(items[i][0])) for i in indices])
            states = unpack(model(batch.to(model.device)).cpu(), batch)
            for index, vectors in zip(indices, states, strict=True):
                at = items[index][1]
                rows[index] = vectors[at : at + found.length].mean(0)
    return torch.stack(rows)


_memory: weakref.WeakKeyDictionary[BertModel, OrderedDict[object, Tensor]]
_memory = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _remembered(model: BertModel, key: object, found: WordPlaces, tokenizer: Tokenizer) -> Tensor:
    """`_vectors`, kept for the words last asked of each loaded model (a few 100 kB each)."""
    with _lock:
        kept = _memory.setdefault(model, OrderedDict())
        if key in kept:
            kept.move_to_end(key)
            return kept[key]
    vectors = _vectors(model, found, tokenizer)
    with _lock:
        kept[key] = vectors
        while len(kept) > _MOST_WORDS:
            kept.popitem(last=False)
    return vectors


def _joined(tokens: Sequence[str]) -> str:
    return " ".join(tokens).replace(" ##", "")
