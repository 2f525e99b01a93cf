"""What a model under training says of a few fixed sentences: the frames of the probe film.

Sentences are chosen once for each vocabulary, those whose words it has first, so that one film can
be made for any corpus; Crane World's own come first for its models, and what somebody asks comes
before all of them. All of them go through the model together.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from bert_demo.common.corpus_names import own_task
from bert_demo.config import RunConfig
from bert_demo.data.crane_world.probes import PROBES, SENSES
from bert_demo.data.packing import PackedBatch, pack
from bert_demo.data.tokenizer import MASK, Tokenizer
from bert_demo.inference.predict import evaluating
from bert_demo.inference.senses import cosines, mean_subtracted, within_less_between
from bert_demo.inference.words import find_word, unknown_words
from bert_demo.model.bert import BertModel
from bert_demo.runs.asked import FEWEST_CONTEXTS, NO_QUESTIONS, Questions
from bert_demo.runs.questions import known_senses, own_blanks

_BLANKS = 8
_TOP = 5
_CONTEXTS = 6  # of each sense

# For text about the world at large, as WikiText is.
_GENERAL = (
    "he was born in new <mask> and died in london",
    "the film was directed by <mask> smith",
    "the song reached number <mask> on the billboard chart",
    "the second world <mask> ended in 1945",
    "the team won the <mask> in the final season",
    "the game was released in north <mask>",
    "the <mask> river flows into the sea",
)


@dataclass(frozen=True)
class _Script:
    """What is asked in every frame, ready for the model."""

    batch: PackedBatch
    positions: torch.Tensor
    """(M,): the masks, one a blank, then the tokens of the word in each context."""
    pieces: list[int]
    """How many tokens the word has in each context."""
    blanks: list[str]
    word: str
    senses: list[str]
    contexts: list[str]
    unknown: list[str]
    """Words of somebody's own questions that are read as <unk>."""
    unasked: list[str]
    """Texts of somebody's own in which the model does not read the blank or the word."""


def film_of(
    run: RunConfig, questions: Questions = NO_QUESTIONS
) -> Callable[[BertModel, Tokenizer], dict[str, Any]] | None:
    """What a run's film asks: first these questions, then others, of the run's own text where it
    has one; None where it has no film."""
    if run.task != "pretraining":
        return None
    own = run.corpus if own_task(run.corpus) is not None else None
    return functools.partial(film_frame, corpus=own, questions=questions)


def film_frame(
    model: BertModel,
    tokenizer: Tokenizer,
    corpus: str | None = None,
    questions: Questions = NO_QUESTIONS,
) -> dict[str, Any]:
    """What the model fills in, and how alike it finds one word in several senses.

    Returns plain data: blanks ([{"text", "words": [[word, probability], ...]}]), similarities
    ({"word", "labels": texts, "senses", "matrix": cosines after the mean vector is subtracted})
    separation (mean similarity within a sense minus that between senses) and alike (mean cosine of
    all vectors asked for, as they are: near 1 the model tells no word from another).
    Similarities are None, and there is no separation, where a text of one's own, `corpus`, has no
    word of several senses.
    The blanks of `questions` come first, others make them eight, and its map takes the place of
    the other; separation is there where two of its texts share a sense and two do not. "unknown"
    lists the words of these questions that the model reads as <unk>, and "unasked" the texts in
    which it does not read the blank or the word at all; neither is there where it is empty.
    """
    script = _script(tokenizer, corpus, questions, model.config.max_position_embeddings)
    with evaluating(model):
        batch = script.batch.to(model.device)
        vectors = model(batch, script.positions.to(model.device))
        count = len(script.blanks)
        probabilities = model.mlm(vectors[:count]).float().softmax(-1)[:, : tokenizer.vocab_size]
        probabilities[:, list(tokenizer.special_ids)] = -1
        values, ids = (found.cpu() for found in probabilities.topk(_TOP))
        asked = vectors.float().cpu()
    frame: dict[str, Any] = {
        "blanks": [
            {
                "text": text,
                "words": [
                    [token, round(value, 3)]
                    for token, value in zip(tokenizer.tokens(row), row_values, strict=True)
                ],
            }
            for text, row, row_values in zip(
                script.blanks, ids.tolist(), values.tolist(), strict=True
            )
        ],
        "similarities": None,
    }
    everything = asked[:count]
    if script.contexts:
        words = torch.stack([part.mean(0) for part in asked[count:].split(script.pieces)])
        matrix = cosines(mean_subtracted(words))
        frame |= {
            "similarities": {
                "word": script.word,
                "labels": script.contexts,
                "senses": script.senses,
                "matrix": [[round(value, 2) for value in row] for row in matrix.tolist()],
            },
        }
        if 1 < len(set(script.senses)) < len(script.senses):
            frame["separation"] = round(within_less_between(matrix, script.senses), 4)
        everything = torch.cat([everything, words])
    if len(everything) > 1:
        frame["alike"] = round(float(_off_diagonal(cosines(everything)).mean()), 4)
    told = {"unknown": script.unknown, "unasked": script.unasked}
    return frame | {name: texts for name, texts in told.items() if texts}


def _off_diagonal(matrix: torch.Tensor) -> torch.Tensor:
    """The cosines of an (N, N) matrix between different vectors."""
    return matrix[~torch.eye(len(matrix), dtype=torch.bool)]


@functools.lru_cache(maxsize=2)
def _script(
    tokenizer: Tokenizer, corpus: str | None, questions: Questions, longest: int
) -> _Script:
    """Choose the sentences for a vocabulary, a text of one's own and questions of one's own; a
    model reads `longest` tokens."""

    def strange(text: str) -> int:
        """How many words are unknown, or in more pieces than a common word is."""
        ids = tokenizer.encode(text)
        return ids.count(tokenizer.unk_id) + max(0, len(ids) - len(text.split()))

    def mean_strange(texts: tuple[str, ...]) -> float:
        return sum(map(strange, texts)) / len(texts)

    # Crane World knows some of the general sentences too, but its own say more of it.
    families = sorted((_GENERAL, tuple(text for text, _ in PROBES)), key=mean_strange)
    blanks = sorted(itertools.chain(*families), key=strange)[:_BLANKS]
    candidates = [*SENSES]
    if corpus is not None:
        blanks = own_blanks(corpus, tokenizer, _BLANKS) or blanks
        candidates = known_senses(corpus, tokenizer)
    word = min(candidates, key=lambda word: (strange(word), -len(SENSES[word])), default="")
    chosen = [
        (sense, text)
        for sense, texts in SENSES.get(word, {}).items()
        for text in sorted(texts, key=strange)[:_CONTEXTS]
    ]

    mask = tokenizer.mask_id

    def span_of(text: str, word: str = "") -> list[int]:
        """Where the tokens of the word are, or of the blank; empty where the model reads none."""
        if word:
            place = find_word(tokenizer, word, text)
            span = [1 + i for i in place or ()]  # after <cls>
        else:
            span = [1 + i for i, token in enumerate(tokenizer.encode(text)) if token == mask][:1]
        return span if span and span[-1] < longest - 1 else []

    own = [text for text in questions.blanks if span_of(text)]
    blanks = [*own, *(text for text in blanks if text not in own and span_of(text))][:_BLANKS]
    mapped = [*zip(questions.senses, questions.contexts, strict=True)]
    read = [(sense, text) for sense, text in mapped if span_of(text, questions.word)]
    if len(read) >= FEWEST_CONTEXTS:
        word, chosen = questions.word, read
    chosen = [(sense, text) for sense, text in chosen if span_of(text, word)]
    contexts = [text for _, text in chosen]
    unasked = [text for text in questions.blanks if text not in own]
    unasked += [text for sense, text in mapped if (sense, text) not in read]
    everything = [text.replace(MASK, " ") for text in (*questions.blanks, *questions.contexts)]
    encoded = [tokenizer.encode_pair(text, max_length=longest) for text in [*blanks, *contexts]]
    spans = [*map(span_of, blanks), *(span_of(text, word) for text in contexts)]
    batch = pack([(item.input_ids, item.token_type_ids) for item in encoded])
    starts = [0] * len(encoded)
    for start, number in zip(batch.cls_positions.tolist(), batch.order.tolist(), strict=True):
        starts[number] = start
    positions = [start + i for start, span in zip(starts, spans, strict=True) for i in span]
    return _Script(
        batch,
        torch.tensor(positions),
        [len(span) for span in spans[len(blanks) :]],
        blanks,
        word,
        [sense for sense, _ in chosen],
        contexts,
        unknown_words(tokenizer, *everything),
        unasked,
    )
