"""Questions that somebody asks a model while it learns: blanks, and one word in several texts.

No torch here: the page opens with this module.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from bert_demo.common.errors import UserError
from bert_demo.data.words import BLANK, MASK
from bert_demo.model.plain_json import one_line

MOST_BLANKS, FEWEST_CONTEXTS, MOST_CONTEXTS = 8, 3, 24
LONGEST_QUESTION, LONGEST_WORD = 200, 40
"""In letters, of a sentence or text and of a word or sense."""

# Beyond these letters, as in Chinese, words have no spaces between them.
_LETTER = "[0-9A-Za-z\u00c0-\u1fff]"


def _line(text: str, longest: int) -> str:
    line = one_line(text, longest + 2)  # of which the last may be a space, and go
    if len(line) > longest:
        raise UserError(
            "{text!r} is too long to ask; {most} letters are the most.",
            text=f"{line[:40]}...",
            most=longest,
        )
    return line


@dataclass(frozen=True)
class Questions:
    """What a run's film asks in every frame besides what it asks anyway; empty asks no more.

    Texts become one line each, every blank of `data.words.BLANK` becomes <mask>. Raises `UserError`
    for what cannot be asked.
    """

    blanks: tuple[str, ...] = ()
    """Up to 8 sentences of at most 200 letters with one blank each."""
    word: str = ""
    """The word of the map, which takes the place of the map that a film has anyway."""
    contexts: tuple[str, ...] = ()
    """3 to 24 texts with the word in them. Of two no map can be drawn: with their mean subtracted,
    any two vectors have cosine -1."""
    senses: tuple[str, ...] = ()
    """What the word means in each context; all empty where that is not said."""

    def __post_init__(self) -> None:
        asked = [text for text in self.blanks if text.strip()]
        if len(asked) > MOST_BLANKS:
            raise UserError(
                "{n} questions are too many; a film asks up to {most} of one's own.",
                n=len(asked),
                most=MOST_BLANKS,
            )
        blanks = (BLANK.sub(MASK, _line(text, LONGEST_QUESTION)) for text in asked)
        object.__setattr__(self, "blanks", tuple(dict.fromkeys(blanks)))
        self._check_blanks()
        object.__setattr__(self, "word", _line(self.word, LONGEST_WORD))
        if self.word or self.contexts or self.senses:
            self._check_counts()
            contexts = tuple(_line(text, LONGEST_QUESTION) for text in self.contexts)
            senses = self.senses or ("",) * len(contexts)
            object.__setattr__(self, "contexts", contexts)
            object.__setattr__(self, "senses", tuple(_line(one, LONGEST_WORD) for one in senses))
            self._check_contexts()

    def __bool__(self) -> bool:
        return bool(self.blanks or self.contexts)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `read_questions` is the way back."""
        return dataclasses.asdict(self)

    def _check_blanks(self) -> None:
        for text in self.blanks:
            count = text.count(MASK)
            if not count:
                raise UserError(
                    "The question {text!r} has no blank; write <mask> or ___ for one word.",
                    text=text,
                )
            if count > 1:
                raise UserError(
                    "The question {text!r} has {n} blanks; ask for one word at a time.",
                    text=text,
                    n=count,
                )
            if not text.replace(MASK, "").strip():
                raise UserError("A question needs words beside its blank.")

    def _check_counts(self) -> None:
        if not self.word:
            raise UserError("The map needs the word that all its texts have.")
        if not FEWEST_CONTEXTS <= len(self.contexts) <= MOST_CONTEXTS:
            raise UserError(
                "The map of {word!r} has {n} texts; give it {least} to {most}.",
                word=self.word,
                n=len(self.contexts),
                least=FEWEST_CONTEXTS,
                most=MOST_CONTEXTS,
            )
        named, texts = sum(bool(sense.strip()) for sense in self.senses), len(self.contexts)
        if named not in (0, texts) or len(self.senses) not in (0, texts):
            raise UserError(
                "{n} senses do not fit {texts} texts; give each text one, or none to any.",
                n=named,
                texts=texts,
            )

    def _check_contexts(self) -> None:
        whole = re.compile(f"(?<!{_LETTER}){re.escape(self.word)}(?!{_LETTER})", re.IGNORECASE)
        for text in self.contexts:
            if not whole.search(text):
                raise UserError(
                    "The word {word!r} is not in {text!r}; the map shows it in each of its texts.",
                    word=self.word,
                    text=text,
                )


NO_QUESTIONS = Questions()


def read_questions(values: Any) -> Questions:
    """Questions from JSON, as `to_dict` makes it or with names left out.

    Raises `UserError` for other names, other types and what `Questions` refuses.
    """
    known = [field.name for field in dataclasses.fields(Questions)]
    if not isinstance(values, dict) or not values.keys() <= set(known):
        raise UserError("Questions have these parts: {names}.", names=", ".join(known))
    word = values.get("word", "")
    lists = {name: values.get(name) or [] for name in known if name != "word"}
    if not isinstance(word, str) or not all(map(_are_texts, lists.values())):
        raise UserError("A question must be text.")
    return Questions(word=word, **{name: tuple(value) for name, value in lists.items()})


def asked_lines(blanks: Any, word: Any = "", contexts: Any = "") -> Questions:
    """Questions as they are typed: one to a line, a sense behind its text's last "|".

    Raises `UserError` for what is no text and for what `Questions` refuses.
    """
    if not all(isinstance(value, str) for value in (blanks, word, contexts)):
        raise UserError("A question must be text.")
    rows = [line.rpartition("|") for line in contexts.splitlines() if line.strip()]
    texts = [(text, sense) if mark else (sense, "") for text, mark, sense in rows]
    return Questions(
        tuple(blanks.splitlines()),
        word,
        tuple(text for text, _ in texts),
        tuple(sense for _, sense in texts),
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)
