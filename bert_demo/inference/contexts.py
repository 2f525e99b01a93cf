"""One word in several contexts: where it stands in each text and how alike its vectors are.

Letters: n texts, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bert_demo.common.errors import Text, UserError
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.predict import encode_all, encode_ids
from bert_demo.inference.senses import Separation, cosines, mean_subtracted, sense_separation
from bert_demo.inference.words import find_word, short, split_pair
from bert_demo.model.bert import BertModel

CANNOT_TELL = Text(
    "Whether the senses are kept apart cannot be told: it takes two or more contexts in each of "
    "two senses."
)
"""What to say where `Comparison.separation` is None."""


@dataclass(frozen=True)
class Comparison:
    """One word in n contexts."""

    word: str
    contexts: list[str]
    layer: int
    vectors: Tensor
    """(n, H): the word's vector in each context."""
    similarities: Tensor
    """(n, n): cosines of the vectors as they are; all are high, for vectors share a direction."""
    centred: Tensor
    """(n, n): cosines once the mean of the n vectors is subtracted. Two contexts give -1 always."""
    lengths: list[int]
    """How many tokens the model read of each context, <cls> and <sep> among them."""
    places: list[range]
    """Which of these tokens are the word."""

    def separation(self, senses: Sequence[str]) -> Separation | None:
        """`sense_separation` of the contexts that have a sense; None where it cannot be told.

        `senses` has n names, "" for a context without a sense. It takes two senses with two
        contexts each. Raises `UserError` if there is not one name for each context.
        """
        if len(senses) != len(self.contexts):
            raise UserError(
                "There are {n} senses for {all} contexts; give one for each.",
                n=len(senses),
                all=len(self.contexts),
            )
        labelled = [i for i, sense in enumerate(senses) if sense]
        try:
            return sense_separation(self.vectors[labelled].numpy(), [senses[i] for i in labelled])
        except UserError:
            return None


def compare(
    model: BertModel, tokenizer: Tokenizer, word: str, texts: Sequence[str], *, layer: int = -1
) -> Comparison:
    """How alike a word's vectors are in n texts (n >= 2), as in D2L 15.10.2.

    A "<sep>" inside a text begins the second text of a pair. Where a text has the word more than
    once, its first occurrence counts; a word that falls apart into pieces has their mean. Layer 0
    is the embeddings, -1 the last layer. Raises `UserError` naming the text without the word, or
    what is wrong with the word, the layer or the texts.
    """
    if len(texts) < 2:
        raise UserError("Comparing takes two or more texts, not {n}.", n=len(texts))
    if not word.strip() or len(word.split()) != 1:
        raise UserError("The word is {word!r}; it must be one word.", word=word)
    last = model.config.num_hidden_layers
    if not -last - 1 <= layer <= last:
        raise UserError(
            "layer is {value}; it must be from 0 (the embeddings) to {last}.",
            value=layer,
            last=last,
        )
    word = word.strip()
    pairs = [split_pair(text) for text in texts]
    places = [_find(model, tokenizer, word, *both) for both in zip(texts, pairs, strict=True)]
    encodings = encode_all(model, tokenizer, pairs)
    vectors = torch.stack(
        [
            encoding.hidden_states[layer, place.start : place.stop].mean(0)
            for encoding, place in zip(encodings, places, strict=True)
        ]
    )
    return Comparison(
        word,
        list(texts),
        layer % (last + 1),
        vectors,
        cosines(vectors),
        cosines(mean_subtracted(vectors)),
        [len(encoding.tokens) for encoding in encodings],
        places,
    )


def _find(
    model: BertModel, tokenizer: Tokenizer, word: str, text: str, pair: tuple[str, str | None]
) -> range:
    """Which tokens of the encoded pair are the word."""
    kept = encode_ids(model, tokenizer, *pair).token_type_ids
    first = len(kept) - sum(kept)  # <cls>, the first text and <sep>
    for part, start, stop in ((pair[0], 1, first - 1), (pair[1], first, len(kept) - 1)):
        place = find_word(tokenizer, word, part or "")
        if place is not None:
            if start + place.stop > stop:
                raise UserError(
                    "The word {word!r} lies beyond the {limit} tokens that this model reads of "
                    "{text!r}.",
                    word=word,
                    limit=len(kept),
                    text=short(text),
                )
            return range(start + place.start, start + place.stop)
    raise UserError(
        "The text {text!r} does not have the word {word!r}.", text=short(text), word=word
    )
