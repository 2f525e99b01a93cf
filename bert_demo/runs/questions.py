"""What the film asks where a model learns from somebody's own text: its own held-out sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.data import own
from bert_demo.data.crane_world.probes import SENSES
from bert_demo.data.prepare import prepare_text
from bert_demo.data.tokenizer import MASK, Tokenizer
from bert_demo.data.wikitext import read_own

_WORDS = range(5, 15)
_MOST_SENTENCES = 20_000
_SMALL_WORDS = 0.5
_OFTEN = 5


def own_blanks(corpus: str, tokenizer: Tokenizer, count: int) -> list[str]:
    """Held-out sentences of a text with one word left out of each, `count` at most.

    Asked are different words, first those that the text to learn from has most often, but after
    all others the commonest ones that make up half of it, such as "the". The sentences are of 5 to
    14 words, all of them known where there are enough such.
    """
    counts = _counts(corpus, tokenizer)
    order = np.argsort(-counts, kind="stable")
    half = int(np.searchsorted(counts[order].cumsum(), _SMALL_WORDS * counts.sum())) + 1
    small = {*order[:half].tolist()}
    found: list[tuple[tuple[int, bool, int], int, int, str]] = []
    held_out = read_own(own.file_of(corpus, "validation")).sentences
    for number, sentence in enumerate(held_out[:_MOST_SENTENCES].to_pylist()):
        words = sentence.split()
        if len(words) not in _WORDS or MASK in words:
            continue
        ids = [tokenizer.encode_tokenized(word) for word in words]
        strange = sum(len(one) != 1 or one[0] == tokenizer.unk_id for one in ids)
        for place, (word, one) in enumerate(zip(words, ids, strict=True)):
            if len(one) == 1 and len(word) > 2 and word.isalpha() and counts[one[0]]:
                rank = strange, one[0] in small, -int(counts[one[0]])
                blank = " ".join([*words[:place], MASK, *words[place + 1 :]])
                found.append((rank, number, one[0], blank))
    asked: list[str] = []
    sentences, answers = set(), set()
    for _, number, answer, blank in sorted(found):
        if len(asked) < count and number not in sentences and answer not in answers:
            asked.append(blank)
            sentences.add(number)
            answers.add(answer)
    return asked


def known_senses(corpus: str, tokenizer: Tokenizer) -> list[str]:
    """The words with several senses that the text has five times or more."""
    counts = _counts(corpus, tokenizer)
    known = {word: tokenizer.encode_tokenized(word) for word in SENSES}
    return [w for w, ids in known.items() if len(ids) == 1 and counts[ids[0]] >= _OFTEN]


def _counts(corpus: str, tokenizer: Tokenizer) -> npt.NDArray[Any]:
    """(V,): how often the text to learn from has each token, special ones apart."""
    text, _, _ = prepare_text(corpus, tokenizer=tokenizer)
    counts = np.bincount(text.token_ids, minlength=tokenizer.vocab_size)
    counts[list(tokenizer.special_ids)] = 0
    return counts
