"""Where paragraphs and sentences end, in English and in other languages that put spaces between
words (docs/own-text.md has the rule in words).

Text is read as a stream of lines, so no paragraph has to fit into memory that is longer than a
book's.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Iterator

Sentences = list[str]

_SAMPLE_LINES = 2000
_LONG_LINE = 160
"""More letters than editors and books wrap a line at."""
_LONG_SHARE = 0.1
_MOST_LETTERS = 20_000  # of running text without an end of a paragraph, until it is cut
_MOST_WORDS = 100
"""Of a sentence; what is longer is a table or has no full stops, and no model reads it whole."""
_LONG_PARAGRAPH, _CUT_ABOUT, _CUT_FROM, _CUT_AT = 16, 8, 4, 24  # in sentences
_SINGLES = 0.8

_CLOSING = "\"'”’“»›«)\\]"  # noqa: RUF001
_OPENING = "([„‚‘¿¡"  # noqa: RUF001
_END = re.compile(
    rf"(?:[.!?…]+|[।॥؟۔።])(?:[{_CLOSING}]|\s»)*(?=\s)|[。！？][{_CLOSING}」』]*"  # noqa: RUF001
)
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_ABBREVIATIONS = re.compile(
    "mr|mrs|ms|dr|prof|st|rev|hon|gen|col|capt|lt|sgt|jr|sr|vs|no|vol|fig|pp|ed|eds|al|cf|approx|"
    "dept|hr|fr|frl|nr|bzw|ca|evtl|ggf|inkl|sog|usw|str|tel|abb|bd|mme|mlle|mm|av|env|"
    "sra|srta|ud|uds|dña|sig|dott|avv|ing|dhr|mevr|drs|bijv|blz"
)


def paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """The paragraphs of plain text, each in one line, from its lines.

    Where more than one line in ten of the first 2,000 is longer than 160 letters, each line is a
    paragraph; else empty lines stand between paragraphs. Running text without any is cut every
    20,000 letters, at the end of a sentence.
    """
    lines = iter(lines)
    sample = [*itertools.islice(lines, _SAMPLE_LINES)]
    filled = [line for line in sample if line.strip()]
    long = sum(len(line) > _LONG_LINE for line in filled)
    everything = itertools.chain(sample, lines)
    if long > _LONG_SHARE * len(filled):
        yield from (line for line in map(_squeezed, everything) if line)
        return
    some: list[str] = []
    letters = 0
    for line in map(_squeezed, everything):
        if line:
            # A word that was divided at the end of a printed line.
            soft = bool(some) and some[-1].endswith("\u00ad")
            some = [*some[:-1], some[-1][:-1] + line] if soft else [*some, line]
            letters += len(line)
        if letters and (not line or letters > _MOST_LETTERS):
            text = " ".join(some)
            ends = [] if not line else [*_ends(text)][-1:]
            yield text[: ends[0]] if ends else text
            left = text[ends[0] :].strip() if ends else ""
            some, letters = [left] if left else [], len(left)
    if some:
        yield " ".join(some)


def split_sentences(paragraph: str) -> Sentences:
    """The sentences of one paragraph, none longer than 100 words.

    One ends with . ! ? … (or the marks of other scripts) and closing quotation marks before a
    space, unless a small letter follows, or the full stop belongs to an abbreviation (Dr., z.B.),
    an initial (J. R.) or an ordinal (3. Oktober). In a paragraph without capitals a small letter
    may follow.
    """
    begin = 0
    found = []
    for end in (*_ends(paragraph), len(paragraph)):
        words = paragraph[begin:end].split()
        found += [
            " ".join(words[at : at + _MOST_WORDS]) for at in range(0, len(words), _MOST_WORDS)
        ]
        begin = end
    return found


def even_paragraphs(found: Iterable[Sentences]) -> Iterator[Sentences]:
    """The same sentences in paragraphs that can be learnt from and told apart.

    A paragraph of more than 16 sentences is cut into some of about 8. Where four in five of the
    first 2,000 have one sentence alone, as in a table of sentences, such neighbours are put
    together. Where to cut is decided by a sentence's own letters, so the same text is cut alike
    wherever it stands.
    """
    found = iter(found)
    sample = [*itertools.islice(found, _SAMPLE_LINES)]
    single = sum(len(one) == 1 for one in sample)
    together = single > _SINGLES * len(sample)
    everything = itertools.chain(sample, found)
    for alone, group in itertools.groupby(everything, lambda one: len(one) == 1):
        if alone and together:
            yield from _cut(itertools.chain.from_iterable(group))
            continue
        for one in group:
            if len(one) > _LONG_PARAGRAPH:
                yield from _cut(one)
            elif one:
                yield one


def _cut(sentences: Iterable[str]) -> Iterator[Sentences]:
    part: Sentences = []
    for sentence in sentences:
        part.append(sentence)
        ends = zlib.crc32(sentence.encode("utf-8", "replace")) % _CUT_ABOUT == 0
        if len(part) >= _CUT_AT or (ends and len(part) >= _CUT_FROM):
            yield part
            part = []
    if part:
        yield part


def _ends(paragraph: str) -> Iterator[int]:
    """Where sentences end inside a paragraph."""
    cased = paragraph != paragraph.lower()
    for match in _END.finditer(paragraph):
        after = match.end()
        while after < len(paragraph) and paragraph[after].isspace():
            after += 1
        if after == len(paragraph) or (cased and paragraph[after].islower()):
            continue
        if match.group() == "." and not _is_full_stop(paragraph, match.start(), paragraph[after]):
            continue
        yield match.end()


def _is_full_stop(paragraph: str, at: int, following: str) -> bool:
    before = paragraph[max(0, at - 30) : at].split()
    if not before or paragraph[at - 1].isspace():  # " . " stands alone in WikiText's spelling
        return True
    word = before[-1].lstrip(_CLOSING + _OPENING)
    if word.isdecimal() and len(word) <= 2 and following.isalpha():
        return False
    return not (_INITIALS.fullmatch(word) or _ABBREVIATIONS.fullmatch(word.lower()))


def _squeezed(line: str) -> str:
    return " ".join(line.split())
