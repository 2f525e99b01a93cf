"""What there is to know of somebody's own text before a model learns from it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from bert_demo.common.errors import Text
from bert_demo.data import own
from bert_demo.data.crane_world.probes import SENSES
from bert_demo.data.prepare import prepare_text
from bert_demo.data.wikitext import read_own

LEAST_TOKENS = 100_000
"""With fewer tokens to learn from, a model learns them by heart."""
MOST_PASSES = 20
"""So does one that goes over a text more often than this."""

_COMMONEST = 12
_MANY_UNKNOWN, _MANY_REPEATED, _UNSPACED_SHARE = 0.1, 0.2, 0.3
_TELLING = 6  # words of a sentence that are hardly said twice by chance
_SAMPLE = 1000  # sentences
# Thai, Lao, Burmese, Khmer, Japanese and Chinese.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True)
class TextReport:
    """One text, its vocabulary by whole words."""

    corpus: str
    """Its name, for `RunConfig`."""
    title: str
    paragraphs: int
    """To learn from, as are the sentences and the tokens."""
    sentences: int
    tokens: int
    held_out_sentences: int
    vocab_size: int
    """Words that are there five times or more, and the special tokens."""
    unknown_share: float
    """Of the held-out tokens, which the vocabulary does not have."""
    repeated_share: float
    """Of the held-out sentences of six words or more, which are in the text to learn from too."""
    commonest: list[tuple[str, int]]
    """Words and how often they are there."""
    probes: dict[str, int]
    """How often the words with several senses are there that the film can follow."""
    passes: float | None
    """How often the budget goes over the text, where one is given."""
    unspaced: bool
    """Whether it is in a language that puts no spaces between words."""

    @property
    def too_little(self) -> bool:
        """Whether it will be learnt by heart."""
        return self.tokens < LEAST_TOKENS or (self.passes or 0) > MOST_PASSES

    @property
    def remarks(self) -> list[Text]:
        """What somebody should know before the run begins."""
        found = []
        if self.tokens < LEAST_TOKENS:
            found.append(
                Text(
                    "Too little text: it will be learnt by heart, for it has {n:,} tokens to learn "
                    "from and not {limit:,}.",
                    n=self.tokens,
                    limit=LEAST_TOKENS,
                )
            )
        elif self.too_little:
            found.append(
                Text(
                    "Too little text for this budget: it will be learnt by heart, for the run goes "
                    "over it {n:,.0f} times and not at most {limit}.",
                    n=self.passes,
                    limit=MOST_PASSES,
                )
            )
        if self.unspaced:
            found.append(
                Text(
                    "This text puts no spaces between its words, so take pieces of words as its "
                    "vocabulary."
                )
            )
        elif self.unknown_share > _MANY_UNKNOWN:
            found.append(
                Text(
                    "{share:.0%} of the held-out words are unknown; with pieces of words as "
                    "vocabulary hardly any are.",
                    share=self.unknown_share,
                )
            )
        if self.repeated_share > _MANY_REPEATED:
            found.append(
                Text(
                    "{share:.0%} of the held-out sentences are in the text to learn from too, word "
                    "for word, so the held-out loss says little.",
                    share=self.repeated_share,
                )
            )
        return found

    @property
    def lines(self) -> list[tuple[Text, str]]:
        """All of it, each with its name."""
        words = " ".join(f"{word} {count:,}," for word, count in self.commonest).rstrip(",")
        found = [f"{word} {count:,}" for word, count in self.probes.items() if count]
        return [
            (
                Text("Text"),
                Text(
                    "{sentences:,} sentences in {paragraphs:,} paragraphs, {tokens:,} tokens",
                    sentences=self.sentences,
                    paragraphs=self.paragraphs,
                    tokens=self.tokens,
                ),
            ),
            (
                Text("Held out"),
                Text(
                    "{sentences:,} sentences, {share:.1%} of their words unknown",
                    sentences=self.held_out_sentences,
                    share=self.unknown_share,
                ),
            ),
            (Text("Vocabulary"), Text("{n:,} whole words", n=self.vocab_size)),
            (Text("Commonest words"), words),
            (
                Text("Words with several senses"),
                ", ".join(found) if found else Text("none of the film's"),
            ),
        ]


def text_report(corpus: str, passes: float | None = None) -> TextReport:
    """The report of a text that `take_text` has taken in.

    passes: how often a run is planned to go over it.

    Raises:
        TextGone: it is not here any more.
    """
    return TextReport(**_facts(corpus), passes=passes)


@functools.lru_cache(maxsize=16)
def _facts(corpus: str) -> dict[str, Any]:
    import pyarrow.compute as pc

    text, tokenizer, counted = prepare_text(corpus)
    held_out, _, other = prepare_text(corpus, "validation", tokenizer=tokenizer)
    counts = np.bincount(text.token_ids, minlength=tokenizer.vocab_size)
    counts[list(tokenizer.special_ids)] = 0
    words = tokenizer.tokens(range(tokenizer.vocab_size))
    often = [i for i in np.argsort(-counts, kind="stable")[:500] if counts[i]]
    commonest = [i for i in often if words[i][0].isalpha()][:_COMMONEST]
    places = {word: i for i, word in enumerate(words)}
    learnt, asked = (
        read_own(own.file_of(corpus, split)).sentences for split in ("train", "validation")
    )
    telling = asked.filter(pc.greater_equal(pc.count_substring(asked, " "), _TELLING - 1))
    again = pc.sum(pc.is_in(telling, value_set=learnt)).as_py() or 0
    some = "".join(learnt[:_SAMPLE].to_pylist())
    meta = own.meta_of(corpus) or {}
    return {
        "corpus": corpus,
        "title": str(meta.get("title", corpus)),
        "paragraphs": counted.counts["paragraphs"],
        "sentences": counted.counts["sentences"],
        "tokens": counted.counts["tokens"],
        "held_out_sentences": other.counts["sentences"],
        "vocab_size": tokenizer.vocab_size,
        "unknown_share": other.counts["unknown_tokens"] / max(1, len(held_out.token_ids)),
        "repeated_share": again / max(1, len(telling)),
        "commonest": [(words[i], int(counts[i])) for i in commonest],
        "probes": {w: int(counts[places[w]]) if w in places else 0 for w in SENSES},
        "unspaced": len(_UNSPACED.findall(some)) > _UNSPACED_SHARE * len(some),
    }
