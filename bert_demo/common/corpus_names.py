"""The names of corpora: those that come with the project or from the Hub, and people's own."""

from __future__ import annotations

import re

CORPORA = ("wikitext-2", "wikitext-2-snli", "snli", "crane-world")
PRETRAINING_CORPORA = ("wikitext-2", "wikitext-2-snli", "crane-world")
NLI_CORPORA = ("snli", "crane-world")

OWN_PREFIXES = {"pretraining": "own:", "nli": "own-pairs:"}
"""How the names of people's own texts and pairs begin, by task."""
_OWN = re.compile(r"(own(?:-pairs)?:)([\w.-]{1,60})-[0-9a-f]{16}")


def own_task(corpus: object) -> str | None:
    """The task of a text or of pairs that people brought; None for other names of corpora."""
    match = _OWN.fullmatch(corpus) if isinstance(corpus, str) else None
    found = (task for task, prefix in OWN_PREFIXES.items() if match and match[1] == prefix)
    return next(found, None)


def shown_corpus(corpus: str) -> str:
    """What anybody may be told of a corpus: of people's own the title alone.

    Whoever knows the whole name can learn from the text.
    """
    return corpus if own_task(corpus) is None else own_title(corpus)


def own_title(corpus: str) -> str:
    """What people call the text of this name: "faust" for own:faust-0123456789abcdef."""
    match = _OWN.fullmatch(corpus)
    assert match is not None
    return match[2]
