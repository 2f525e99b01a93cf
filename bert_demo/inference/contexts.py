"""One word in several contexts: where it stands in each text and how alike its vectors are.

Letters: n texts, H hidden size.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bert_demo.config import UserError
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.predict import encode_all, encode_ids
from bert_demo.model.bert import BertModel

# In a text given to `compare`: what follows is the second text of a pair.
_PAIR_MARK = re.compile(r"<sep>|\[sep\]", re.IGNORECASE)


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


def compare(
    model: BertModel, tokenizer: Tokenizer, word: str, texts: Sequence[str], *, layer: int = -1
) -> Comparison:
    """How alike a word's vectors are in n texts (n >= 2).

    A "<sep>" inside a text begins the second text of a pair. Where a text has the word more than
    once, its first occurrence counts; a word that falls apart into pieces has their mean. Layer 0
    is the embeddings, -1 the last layer. Raises `UserError` naming the text without the word.
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
    spans = []
    pairs: list[tuple[str, str | None]] = []
    for text in texts:
        first, mark, second = _split_pair(text)
        pairs.append((first, second if mark else None))
        spans.append(_find(model, tokenizer, word, text, pairs[-1]))
    encodings = encode_all(model, tokenizer, pairs)
    vectors = torch.stack(
        [
            encoding.hidden_states[layer, begin:end].mean(0)
            for encoding, (begin, end) in zip(encodings, spans, strict=True)
        ]
    )
    centred = vectors - vectors.mean(0)
    # What is left of equal vectors is rounding, which has a direction but no meaning.
    rounding = centred.norm(dim=1) < 1e-5 * vectors.norm(dim=1)
    centred[rounding] = 0
    return Comparison(
        word, list(texts), layer % (last + 1), vectors, _cosines(vectors), _cosines(centred)
    )


def _cosines(vectors: Tensor) -> Tensor:
    """(n, H) -> (n, n); a vector of zeros is like nothing, itself included."""
    unit = F.normalize(vectors, dim=1)
    return (unit @ unit.T).clamp(-1, 1)


def _split_pair(text: str) -> tuple[str, bool, str]:
    parts = _PAIR_MARK.split(text)
    if len(parts) > 2:
        raise UserError(
            "The text {text!r} has more than one <sep>; a pair has one.", text=_short(text)
        )
    return parts[0], len(parts) == 2, parts[-1]


def _find(
    model: BertModel, tokenizer: Tokenizer, word: str, text: str, pair: tuple[str, str | None]
) -> tuple[int, int]:
    """(begin, end) of the word's tokens in the encoded pair."""
    kept = encode_ids(model, tokenizer, *pair).token_type_ids
    first = len(kept) - sum(kept)  # <cls>, the first text and <sep>
    for part, start, stop in ((pair[0], 1, first - 1), (pair[1], first, len(kept) - 1)):
        span = _span(tokenizer, word, part or "")
        if span is not None:
            if start + span[1] > stop:
                raise UserError(
                    "The word {word!r} lies beyond the {limit} tokens that this model reads of "
                    "{text!r}.",
                    word=word,
                    limit=len(kept),
                    text=_short(text),
                )
            return start + span[0], start + span[1]
    raise UserError(
        "The text {text!r} does not have the word {word!r}.", text=_short(text), word=word
    )


def _span(tokenizer: Tokenizer, word: str, text: str) -> tuple[int, int] | None:
    """Which tokens of a text are the word: found by its letters, so that <unk> can be found too.

    The word counts where it is cut off from its neighbours by the tokenizer as well: "crane" is
    in "crane's", and not in "cranes".
    """
    chunks = text.split()
    for number, chunk in enumerate(chunks):
        whole = None
        for match in re.finditer(re.escape(word), chunk, re.IGNORECASE):
            whole = whole or tokenizer.encode(chunk)
            cuts = chunk[: match.start()], match.group(), chunk[match.end() :]
            before, inside, after = (tokenizer.encode(cut) for cut in cuts)
            if inside and before + inside + after == whole:
                begin = len(tokenizer.encode(" ".join(chunks[:number]))) + len(before)
                return begin, begin + len(inside)
    return None


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
