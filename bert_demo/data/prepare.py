"""Corpora as arrays of token ids: read once, cached, then mapped into memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.common.corpus_names import NLI_CORPORA, PRETRAINING_CORPORA, own_task
from bert_demo.common.errors import Text, UserError, listed
from bert_demo.common.fields import check_choice
from bert_demo.data.cache import Entry, cached
from bert_demo.data.corpora import SPLITS, corpus_spec
from bert_demo.data.readers import Source, nli_source, text_source
from bert_demo.data.snli import NliTexts
from bert_demo.data.tokenizer import RULES, SPECIAL_TOKENS, Tokenizer
from bert_demo.data.wikitext import Paragraphs

VOCABULARIES = ("word", "wordpiece")
_MOST_WORDS = 200_000
"""Of a vocabulary by words; WikiText-2 has a tenth as many."""

_SPLITS = {"train": Text("train"), "validation": Text("validation"), "test": Text("test")}
_COUNTS = {
    "paragraphs": Text("{n:,} paragraphs"),
    "sentences": Text("{n:,} sentences"),
    "pairs": Text("{n:,} pairs"),
    "new_pairs": Text("{n:,} of them recombined from its sentences"),
    "logic_pairs": Text("{n:,} of them of logic"),
    "edited_pairs": Text("{n:,} of them made of its sentences by logic"),
    "left_out": Text("{n:,} left out"),
    "tokens": Text("{n:,} tokens"),
    "unknown_tokens": Text("{n:,} unknown tokens"),
}


@dataclass(frozen=True)
class TokenizedText:
    """A pretraining corpus: T tokens in S sentences in P paragraphs. Its length is its pairs."""

    token_ids: npt.NDArray[Any]
    """(T): uint16, or int32 where a vocabulary is larger than that can count."""
    sentence_offsets: npt.NDArray[np.int64]
    """(S + 1): sentence s is token_ids[sentence_offsets[s]:sentence_offsets[s + 1]]."""
    paragraph_offsets: npt.NDArray[np.int64]
    """(P + 1), in sentences."""
    corpus_offsets: npt.NDArray[np.int64] | None = None
    """(C + 1), in paragraphs, where it is made of C corpora; None where it is one."""

    def __len__(self) -> int:
        """Pairs of sentences that follow each other in a paragraph."""
        return len(self.sentence_offsets) - len(self.paragraph_offsets)


@dataclass(frozen=True)
class TokenizedNli:
    """N labelled pairs; premise n is premise_ids[premise_offsets[n]:premise_offsets[n + 1]]."""

    premise_ids: npt.NDArray[Any]
    premise_offsets: npt.NDArray[np.int64]
    """(N + 1)"""
    hypothesis_ids: npt.NDArray[Any]
    hypothesis_offsets: npt.NDArray[np.int64]
    """(N + 1)"""
    labels: npt.NDArray[np.int8]
    """(N): 0 entailment, 1 neutral, 2 contradiction."""
    left_out: int
    """Pairs of the source without an agreed label."""
    targets: npt.NDArray[np.float32] | None = None
    """(N, 3): a teacher's probabilities, which are learnt in place of the labels; or None."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class SourceReport:
    """Which text is in use, where it came from and how much of it there is."""

    corpus: str
    split: str
    origin: Text
    """"local mirror", "hub cache", "hub", "built in" or "one's own"."""
    detail: str
    counts: dict[str, int]

    def sentence(self) -> Text:
        """All of it in one line of words."""
        return Text(
            "{corpus}, {split} ({origin}): {counts}.",
            corpus=corpus_spec(self.corpus).title,
            split=_SPLITS[self.split],
            origin=self.origin,
            counts=listed(Text(_COUNTS[name], n=n) for name, n in self.counts.items()),
        )


def prepare_text(
    corpus: str,
    split: str = "train",
    *,
    tokenizer: Tokenizer | None = None,
    vocabulary: str = "word",
    vocab_size: int = 8000,
    min_frequency: int = 5,
) -> tuple[TokenizedText, Tokenizer, SourceReport]:
    """A pretraining corpus as token ids.

    Without a `tokenizer` the vocabulary is made from the training split: the words seen at
    least `min_frequency` times ("word", D2L 15.9), or about `vocab_size` pieces ("wordpiece").

    Raises:
        UserError: for a name or number that cannot be.
        CorpusUnavailable: when the corpus is nowhere to be had (a UserError too).
    """
    if own_task(corpus) != "pretraining":
        check_choice("corpus", corpus, PRETRAINING_CORPORA)
    check_choice("split", split, SPLITS)
    check_choice("vocabulary", vocabulary, VOCABULARIES)
    if min_frequency < 1:
        raise UserError("min_frequency is {value}; it must be at least 1.", value=min_frequency)
    if tokenizer is None and split != "train":
        _, tokenizer, _ = prepare_text(
            corpus, vocabulary=vocabulary, vocab_size=vocab_size, min_frequency=min_frequency
        )
    source = text_source(corpus, split)
    facts: list[Any] = ["text", corpus, split, source.identity]
    if tokenizer is not None:
        facts.append(tokenizer.fingerprint)
    elif vocabulary == "word":
        facts += [RULES, vocabulary, min_frequency]
    else:
        facts += [RULES, vocabulary, vocab_size]

    def build() -> Entry:
        paragraphs = source.read()
        chosen = tokenizer
        if chosen is None and vocabulary == "word":
            chosen = Tokenizer.from_words(word_vocabulary(paragraphs.sentences, min_frequency))
        elif chosen is None:
            texts = paragraphs.sentences.to_pylist()
            chosen = Tokenizer.train_wordpiece(texts, vocab_size)
        entry = _tokenized_text(paragraphs, chosen)
        if tokenizer is None:
            entry.arrays["tokenizer"] = np.frombuffer(chosen.to_json().encode(), np.uint8)
        return entry

    entry = cached(f"{corpus.replace(':', '-')}-{split}", facts, build)
    arrays = dict(entry.arrays)
    if tokenizer is None:
        tokenizer = Tokenizer.from_json(arrays.pop("tokenizer").tobytes().decode())
    report = SourceReport(corpus, split, source.origin, source.detail, entry.meta)
    return TokenizedText(**arrays), tokenizer, report


def prepare_nli(corpus: str, split: str, tokenizer: Tokenizer) -> tuple[TokenizedNli, SourceReport]:
    """Labelled premises and hypotheses as token ids; raises as `prepare_text` does."""
    if own_task(corpus) != "nli":
        check_choice("corpus", corpus, NLI_CORPORA)
    check_choice("split", split, SPLITS)
    source = nli_source(corpus, split)
    return prepare_pairs(corpus, split, source, tokenizer)


def prepare_pairs(
    corpus: str, split: str, source: Source, tokenizer: Tokenizer
) -> tuple[TokenizedNli, SourceReport]:
    """What `source` reads as token ids, from the cache where it has been read before."""

    def build() -> Entry:
        nli = tokenize_nli(source.read(), tokenizer)
        kept = ("left_out", "targets")
        arrays = {name: value for name, value in vars(nli).items() if name not in kept}
        tokens = len(nli.premise_ids) + len(nli.hypothesis_ids)
        unknown = _count_unknown(tokenizer, nli.premise_ids, nli.hypothesis_ids)
        meta = {"pairs": len(nli), "left_out": nli.left_out, "tokens": tokens}
        return Entry(arrays, meta | {"unknown_tokens": unknown})

    facts = ["nli", corpus, split, source.identity, tokenizer.fingerprint]
    entry = cached(f"{corpus.replace(':', '-')}-{split}", facts, build)
    nli = TokenizedNli(**entry.arrays, left_out=entry.meta["left_out"])
    return nli, SourceReport(corpus, split, source.origin, source.detail, entry.meta)


def tokenize_nli(texts: NliTexts, tokenizer: Tokenizer) -> TokenizedNli:
    """Pairs of raw text as token ids; not cached."""
    premise_ids, premise_offsets = tokenizer.encode_batch(texts.premises, tokenized=False)
    hypothesis_ids, hypothesis_offsets = tokenizer.encode_batch(texts.hypotheses, tokenized=False)
    return TokenizedNli(
        _compact(premise_ids, tokenizer),
        premise_offsets,
        _compact(hypothesis_ids, tokenizer),
        hypothesis_offsets,
        texts.labels,
        texts.left_out,
    )


def word_vocabulary(sentences: Any, min_frequency: int) -> list[str]:
    """The book's vocabulary in id order: <unk>, <pad>, <mask>, <cls>, <sep>, then by frequency.

    `sentences` is a pyarrow string array, lower case, tokens separated by spaces. Words that are
    equally frequent stay in the order in which they first occur.
    """
    import pyarrow.compute as pc

    coded = pc.utf8_split_whitespace(sentences).flatten().dictionary_encode()
    words = coded.dictionary.to_pylist()
    counts = np.bincount(coded.indices.to_numpy(zero_copy_only=False), minlength=len(words))
    order = np.argsort(-counts, kind="stable")
    frequent = (words[i] for i in order if counts[i] >= min_frequency)
    # "<unk>" is a word of WikiText's own, and leading white space leaves an empty one.
    kept = (w for w in frequent if w and w not in SPECIAL_TOKENS)
    return [*SPECIAL_TOKENS, *itertools.islice(kept, _MOST_WORDS)]


def _tokenized_text(paragraphs: Paragraphs, tokenizer: Tokenizer) -> Entry:
    ids, offsets = tokenizer.encode_batch(paragraphs.sentences, tokenized=True)
    parts = paragraphs.paragraph_offsets, paragraphs.corpus_offsets
    text = TokenizedText(_compact(ids, tokenizer), offsets, *parts)
    meta = {
        "paragraphs": len(paragraphs.paragraph_offsets) - 1,
        "sentences": len(offsets) - 1,
        "pairs": len(text),
        "tokens": len(ids),
        "unknown_tokens": _count_unknown(tokenizer, ids),
    }
    arrays = {name: value for name, value in vars(text).items() if value is not None}
    return Entry(arrays, meta)


def _compact(ids: npt.NDArray[np.int32], tokenizer: Tokenizer) -> npt.NDArray[Any]:
    return ids.astype(np.uint16) if tokenizer.vocab_size <= 2**16 else ids


def _count_unknown(tokenizer: Tokenizer, *ids: npt.NDArray[Any]) -> int:
    return sum(int(np.count_nonzero(part == tokenizer.unk_id)) for part in ids)
