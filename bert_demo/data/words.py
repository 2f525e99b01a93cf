"""How typed text becomes words for a word-level vocabulary.

Such vocabularies come from WikiText, so what a person types is brought into WikiText's spelling:
lower case, "don 't", "man 's", "t @-@ shirt", "1 @,@ 000", and a token of its own for every other
punctuation mark. SNLI has both raw text and text tokenised in the Penn Treebank's way ("does n't",
"``"); both come out alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

UNK, MASK = "<unk>", "<mask>"
BLANK = re.compile(r"<mask>|\[mask\]|(?<![^\W_])_{2,}(?![^\W_])", re.IGNORECASE)
"""What people write where a word is missing: <mask>, [MASK] or ___."""

# Joins "does n't" to "doesn't". Character classes are spelt out because this runs in Python and
# in Arrow, whose ideas of \s and \w differ.
SPLIT_NOT = r"([A-Za-z])[ \t]+([Nn]'[Tt])"

_WORD = r"[^\s!-/:-@\[-`{-~]"  # the rest of ASCII is punctuation
_PIECE = re.compile(
    rf"""
      (?P<mask><mask>|\[mask\])
    | <unk>
    | @[-.,]@                                             # already in WikiText's spelling
    | (?:[^\W\d_]\.){{2,}}                                # u.s., e.g.
    | \.{{2,}}
    | (?:^|(?<=\s))'(?:s|t|re|m|ve|ll|d)(?!{_WORD})
    | (?<={_WORD})'{_WORD}+                               # man 's, don 't, o 'brien
    | (?P<inside>(?<={_WORD})-(?={_WORD})|(?<=\d)[.,](?=\d))
    | {_WORD}+
    | \S
    """,
    re.VERBOSE,
)
_STRAIGHT_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
_EMOJI_STYLES = "\ufe0e\ufe0f"


def split_words(chunk: str, known: Collection[str] = frozenset()) -> list[str]:
    """Words and punctuation marks of one chunk of typed text, with no white space inside.

    `known` is the vocabulary: "etc." stays whole where "etc." is a word and "etc" is not.
    "[MASK]" and "<mask>" come out as "<mask>"; control characters are dropped.
    """
    chunk = chunk.lower()
    if not (chunk.isascii() and chunk.isprintable()):
        # lower() of the Turkish capital dotted I is an i with a second dot.
        chunk = unicodedata.normalize("NFC", chunk.replace("i\u0307", "i"))
        chunk = "".join(map(_spaced, chunk.translate(_STRAIGHT_QUOTES)))
    chunk = chunk.replace("``", '"').replace("''", '"')
    if chunk in known and not (chunk.endswith(".") and chunk[:-1] in known):
        return [chunk]
    pieces = []
    for match in _PIECE.finditer(chunk):
        piece = match.group()
        if match.lastgroup == "mask":
            piece = MASK
        elif match.lastgroup == "inside":
            piece = f"@{piece}@"
        pieces.append(piece)
    return pieces


def _spaced(character: str) -> str:
    """Nothing for a control character, white space around punctuation beyond ASCII."""
    if character.isascii():
        return character if character.isprintable() else ""
    kind = unicodedata.category(character)[0]
    if kind == "C" or character in _EMOJI_STYLES:
        return ""
    return f" {character} " if kind in "PS" else character


class Speller:
    """Sentences as people type them, in WikiText's spelling: tokens separated by spaces.

    A chunk that has been met is not cut again, as far as some megabytes of memory go.
    """

    _MOST = 200_000

    def __init__(self, longest: int | None = None) -> None:
        """longest: letters of a chunk; what is longer is no word, and comes in parts."""
        self._longest = longest
        self._spelt: dict[str, str] = {}

    def __call__(self, sentence: str) -> str:
        """The sentence, which is empty where it has no word."""
        chunks = re.sub(SPLIT_NOT, r"\1\2", sentence).split()
        return " ".join(filter(None, map(self._chunk, chunks)))

    def _chunk(self, chunk: str) -> str:
        found = self._spelt.get(chunk)
        if found is None:
            if len(self._spelt) >= self._MOST:
                self._spelt.clear()
            long = self._longest or len(chunk)
            parts = (chunk[i : i + long] for i in range(0, len(chunk), long))
            found = self._spelt[chunk] = " ".join(w for part in parts for w in split_words(part))
        return found
