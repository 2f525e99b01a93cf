"""How much text a run has, which its time and memory go by."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from pathlib import Path

from bert_demo.config import RunConfig


@dataclass(frozen=True)
class TextFacts:
    """How much text a run has."""

    vocab_size: int
    pairs: int
    length: float
    """Mean length of a pair in tokens, after truncation."""


# What the published corpora have at most 64 tokens, for a computer that has not fetched them.
_PUBLISHED = {
    "wikitext-2": TextFacts(20256, 59135, 45.0),
    "wikitext-2-snli": TextFacts(20256, 159135, 33.0),
    "snli": TextFacts(20256, 549367, 25.0),
}


@functools.lru_cache(maxsize=64)
def text_facts(run: RunConfig) -> TextFacts:
    """The facts of the text that `run` trains on; touches no network.

    Raises `UserError` where the checkpoint to start from cannot be read.
    """
    from bert_demo.data import prepare
    from bert_demo.data.whereabouts import whereabouts
    from bert_demo.model import checkpoint

    tokenizer = None
    if run.start_from is not None:
        from bert_demo.data.tokenizer import Tokenizer

        checkpoint.read_config(Path(run.start_from))
        tokenizer = Tokenizer.load(Path(run.start_from) / "tokenizer.json")
    if not whereabouts(run.corpus).here:
        known = _PUBLISHED.get(run.corpus, _PUBLISHED["wikitext-2"])
        vocab_size = known.vocab_size if tokenizer is None else tokenizer.vocab_size
        return dataclasses.replace(known, vocab_size=vocab_size)
    import numpy as np

    most_pieces = 0
    if run.task == "nli":
        assert tokenizer is not None
        nli, _ = prepare.prepare_nli(run.corpus, "train", tokenizer)
        lengths = np.diff(nli.premise_offsets) + np.diff(nli.hypothesis_offsets)
        pairs = len(nli)
    else:
        in_pieces = tokenizer is None and run.vocabulary == "wordpiece"
        text, tokenizer, _ = prepare.prepare_text(run.corpus, "train", tokenizer=tokenizer)
        sentences = np.diff(text.sentence_offsets)
        lengths = sentences[:-1] + sentences[1:]
        pairs = len(text)
        if in_pieces:
            lengths = lengths * _pieces_a_word(tokenizer.vocab_size, run.wordpieces)
            most_pieces = min(run.wordpieces, 2 * tokenizer.vocab_size)
    length = float(np.minimum(lengths + 3, run.training.max_length).mean())
    return TextFacts(most_pieces or tokenizer.vocab_size, pairs, length)


def _pieces_a_word(words: int, pieces: int) -> float:
    """About how many pieces a word has, in a vocabulary of `pieces` for a text of `words`.

    To train the vocabulary takes up to a minute, and a place on the disk for each size that
    anybody asks about. Fitted to Crane World and WikiText-2 with 100 to 8,000 pieces.
    """
    return max(1.0, 1 + 0.4 * math.log(words / pieces))
