"""Words as people type them and as a model reads them: where one stands, which ones it knows.

No torch here: the page opens with this module.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.common.corpus_names import NLI_CORPORA, PRETRAINING_CORPORA, own_task
from bert_demo.common.errors import UserError
from bert_demo.data import own
from bert_demo.data.corpora import corpus_spec
from bert_demo.data.locate import CorpusUnavailable, locate
from bert_demo.data.tokenizer import Tokenizer

# In a typed text: what follows is the second text of a pair.
_PAIR_MARK = re.compile(r"<sep>|\[sep\]", re.IGNORECASE)
_WORD_AND_MARKS = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)


def split_pair(text: str) -> tuple[str, str | None]:
    """A typed text as (text, None), or "a <sep> b" as the pair (a, b).

    Raises `UserError` where there is more than one <sep>.
    """
    parts = _PAIR_MARK.split(text)
    if len(parts) > 2:
        raise UserError(
            "The text {text!r} has more than one <sep>; a pair has one.", text=short(text)
        )
    return parts[0], parts[1] if len(parts) == 2 else None


def short(text: str) -> str:
    """At most 60 characters of a text, to name it in a sentence."""
    return text if len(text) <= 60 else text[:57] + "..."


def find_word(tokenizer: Tokenizer, word: str, text: str) -> range | None:
    """Which of the tokens `tokenizer.encode(text)` are the word where it stands first, or None.

    It is found by its letters, large or small, so that a word that the model reads as <unk> is
    found too. It counts where the tokenizer cuts it off from its neighbours as well: "crane" is
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
                return range(begin, begin + len(inside))
    return None


def unknown_words(tokenizer: Tokenizer, *texts: str) -> list[str]:
    """The words in the texts that the model reads as <unk>, each once, in order."""
    found: list[str] = []
    for word in dict.fromkeys(word for text in texts for word in text.split()):
        if _is_unknown(tokenizer, word):
            # Of "steel!" a model may know either, the word or the mark.
            before, bare, after = _WORD_AND_MARKS.findall(word)[0]
            parts = [part for part in (bare, *before, *after) if part]
            found += [part for part in parts if _is_unknown(tokenizer, part)] or [word]
    return list(dict.fromkeys(found))


def _is_unknown(tokenizer: Tokenizer, word: str) -> bool:
    return tokenizer.unk_id in tokenizer.encode(word)


@dataclass(frozen=True)
class Familiarity:
    """How well a model knows a word and the texts that it stands in."""

    pieces: list[str]
    """The tokens that the word is read as."""
    known: bool
    """Whether any of them is more than <unk>."""
    count: WordCount | None
    """How often it was in the training text, where that can be told."""
    unknown: list[str]
    """Other words of the texts that are read as <unk>."""


def familiarity(
    tokenizer: Tokenizer, word: str, texts: Sequence[str], task: str, corpus: str | None
) -> Familiarity:
    """What the tokenizer of a model, last trained for `task` on `corpus`, makes of a word."""
    ids = tokenizer.encode(word, allow_mask=False)
    parts = [part for text in texts for part in split_pair(text) if part is not None]
    counted_already = {other.casefold() for other in unknown_words(tokenizer, word)}
    unknown = [w for w in unknown_words(tokenizer, *parts) if w.casefold() not in counted_already]
    return Familiarity(
        tokenizer.tokens(ids),
        set(ids) != {tokenizer.unk_id},
        word_count(word, tokenizer, task, corpus),
        unknown,
    )


@dataclass(frozen=True)
class WordCount:
    """How often a word is in the text that a model was last trained on."""

    count: int
    tokens: int
    """How long that text is."""
    corpus: str
    """Its title: "WikiText-2"."""


def word_count(word: str, tokenizer: Tokenizer, task: str, corpus: str | None) -> WordCount | None:
    """Count a word in the training split of `corpus`; as often as the model could learn it.

    None when the corpus is unknown or not on this computer: nothing is downloaded to count. A
    word that the vocabulary lacks is counted 0 times, for the model never saw it.
    """
    found = word_places(word, tokenizer, task, corpus)
    if found is None:
        return None
    return WordCount(len(found.places), len(found.ids), found.corpus)


@dataclass(frozen=True)
class WordPlaces:
    """Where a word stands in a training text of T tokens."""

    places: npt.NDArray[np.int64]
    """(n,): where it begins among the tokens; it goes on for `length` of them."""
    length: int
    ids: npt.NDArray[Any]
    """(T,): the text."""
    starts: npt.NDArray[np.int64]
    """Where sentences begin, ascending, and where the last one ends."""
    corpus: str
    """The text's title: "WikiText-2"."""


def word_places(
    word: str, tokenizer: Tokenizer, task: str, corpus: str | None
) -> WordPlaces | None:
    """Where a word stands in the training split of `corpus`; None as `word_count` gives it."""
    known = PRETRAINING_CORPORA if task == "pretraining" else NLI_CORPORA
    if corpus is None or (corpus not in known and own_task(corpus) != task):
        return None
    if not at_hand(corpus):
        return None
    try:
        ids, starts = _training_ids(corpus, task, _Key(tokenizer))
    except (CorpusUnavailable, OSError):
        return None
    pieces = tokenizer.encode(word, allow_mask=False)
    found = np.empty(0, np.int64)
    if pieces and tokenizer.unk_id not in pieces:
        found = _places_of(pieces, ids, starts)
        if tokenizer.kind == "wordpiece":  # "crane" begins "cranes" too
            every = tokenizer.tokens(range(tokenizer.vocab_size))
            goes_on = np.array([token.startswith("##") for token in every])
            after = found + len(pieces)
            inside = after < len(ids)
            found = np.concatenate([found[inside][~goes_on[ids[after[inside]]]], found[~inside]])
    return WordPlaces(found, len(pieces), ids, starts, corpus_spec(corpus).title)


def _places_of(pieces: list[int], ids: Any, starts: Any) -> npt.NDArray[np.int64]:
    """Where these ids stand one after the other within a sentence."""
    found = np.flatnonzero(ids[: len(ids) - len(pieces) + 1] == pieces[0])
    for place, piece in enumerate(pieces[1:], 1):
        found = found[ids[found + place] == piece]
        found = found[~np.isin(found + place, starts, assume_unique=True)]
    return found


def at_hand(corpus: str) -> bool:
    """Whether the training split of a corpus is on this computer; never touches the network."""
    if own_task(corpus) is not None:
        return own.is_here(corpus)
    spec = corpus_spec(corpus)
    if spec.parts:
        return all(map(at_hand, spec.parts))
    if spec.repo_id is None:
        return True
    try:
        locate(spec.repo_id, spec.files["train"], revision=spec.revision, offline=True)
    except CorpusUnavailable:
        return False
    return True


class _Key:
    """A tokenizer that is equal to another of the same vocabulary, for the cache."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and hash(self) == hash(other)

    def __hash__(self) -> int:
        return hash(self.tokenizer.fingerprint)


@functools.lru_cache(maxsize=4)
def _training_ids(corpus: str, task: str, key: _Key) -> tuple[Any, Any]:
    """Token ids of the training split, and where its sentences begin."""
    # Imported here because it takes its time, and a page that starts needs none of it.
    from bert_demo.data.prepare import prepare_nli, prepare_text

    tokenizer = key.tokenizer
    if task == "pretraining":
        if tokenizer.kind == "word":
            # Where the vocabulary is the corpus' own, training has prepared these arrays.
            text, own, _ = prepare_text(corpus, "train")
            if own.fingerprint == tokenizer.fingerprint:
                return text.token_ids, text.sentence_offsets
        text, _, _ = prepare_text(corpus, "train", tokenizer=tokenizer)
        return text.token_ids, text.sentence_offsets
    pairs, _ = prepare_nli(corpus, "train", tokenizer)
    ids = np.concatenate([pairs.premise_ids, pairs.hypothesis_ids])
    starts = np.concatenate(
        [pairs.premise_offsets, pairs.hypothesis_offsets + len(pairs.premise_ids)]
    )
    return ids, starts
