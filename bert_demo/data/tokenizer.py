"""Text to token ids and back, for word-level and WordPiece vocabularies alike.

A text is first cut at white space. What becomes of such a chunk depends on the vocabulary, never
on its neighbours, so a whole corpus is encoded by handling every different chunk once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_demo.common.errors import Text, UserError
from bert_demo.data import interruption, wordpiece
from bert_demo.data.chunks import SURROGATES, arrow_strings, gather
from bert_demo.data.truncation import truncate_pair_lengths
from bert_demo.data.words import MASK, SPLIT_NOT, UNK, split_words

__all__ = [
    "CLS",
    "MASK",
    "PAD",
    "RULES",
    "SEP",
    "SPECIAL_TOKENS",
    "UNK",
    "Encoded",
    "Tokenizer",
    "truncate_pair_lengths",
]

PAD, CLS, SEP = "<pad>", "<cls>", "<sep>"
SPECIAL_TOKENS = (UNK, PAD, MASK, CLS, SEP)
HUGGING_FACE_SPECIAL_TOKENS = wordpiece.ROLES

# Part of every fingerprint: raise it when the rules here or in words.py change any ids.
RULES = 1

_MASKS = (MASK, "[mask]")
_ASCII_SPACE = re.compile(r"[ \t-\r]+")
_INSIDE_MARK = re.compile(r"@([-.,])@")
_CHUNKS = 20_000  # a tenth of a second's work


@dataclass(frozen=True)
class Encoded:
    """One text or pair as the model reads it: <cls> a <sep>, or <cls> a <sep> b <sep>."""

    input_ids: list[int]
    token_type_ids: list[int]
    """0 up to the first <sep>, 1 after it (D2L 15.8.1)."""
    tokens: list[str]
    truncated: int
    """How many tokens were cut off to stay within max_length."""


class Tokenizer:
    """One face for a word-level vocabulary (the book's) and a WordPiece one (BERT's own)."""

    def __init__(
        self, tokens: Sequence[str], backend: Any = None, special_tokens: Sequence[str] = ()
    ) -> None:
        """`tokens` in id order; `backend` is the `tokenizers.Tokenizer` of WordPiece.

        special_tokens: the names of the unknown, padding, mask, first and separating token;
            left out, they are `SPECIAL_TOKENS` or Hugging Face's.
        """
        self._tokens = list(tokens)
        self._ids = {token: i for i, token in enumerate(self._tokens)}
        if len(self._ids) != len(self._tokens):
            twice = next(t for i, t in enumerate(self._tokens) if self._ids[t] != i)
            raise UserError("The vocabulary has the word {word!r} more than once.", word=twice)
        half = next((token for token in self._tokens if SURROGATES.search(token)), None)
        if half is not None:
            raise UserError("The vocabulary's word {word!r} has half a character.", word=half)
        names = next(
            (
                names
                for names in (special_tokens, SPECIAL_TOKENS, HUGGING_FACE_SPECIAL_TOKENS)
                if names and all(name in self._ids for name in names)
            ),
            None,
        )
        if names is None:
            raise UserError(
                "The vocabulary needs the special tokens {ours} or {theirs}.",
                ours=" ".join(SPECIAL_TOKENS),
                theirs=" ".join(HUGGING_FACE_SPECIAL_TOKENS),
            )
        self.kind = "word" if backend is None else "wordpiece"
        self.vocab_size = len(self._tokens)
        self.special_ids = tuple(self._ids[name] for name in names)
        self.unk_id, self.pad_id, self.mask_id, self.cls_id, self.sep_id = self.special_ids
        # Words that text can reach: nobody may type a <cls> into the middle of a sequence.
        self._words = {t: i for t, i in self._ids.items() if i not in self.special_ids}
        self._typed = self._words | {MASK: self.mask_id}
        masks = {re.escape(name): None for name in (*_MASKS, self._tokens[self.mask_id])}
        self._mask_text = re.compile(f"({'|'.join(masks)})", re.IGNORECASE)
        self._backend = backend
        # White space that BERT's rules delete, so that the words beside it become one. Other white
        # space than ASCII's is left to the rules.
        self._removed = "" if backend is None else wordpiece.removed_space(backend)

    @classmethod
    def from_words(cls, words: Iterable[str]) -> Tokenizer:
        """Word-level vocabulary from words in id order, the five special tokens among them."""
        return cls(list(words))

    @classmethod
    def train_wordpiece(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """WordPiece vocabulary (Devlin et al. 2019) learnt from texts tokenised as WikiText is."""
        if vocab_size < 100:
            raise UserError(
                "vocab_size is {value}; WordPiece needs at least 100 pieces.", value=vocab_size
            )
        plain = [_INSIDE_MARK.sub(r"\1", text.replace(UNK, " ")) for text in texts]
        return cls.from_backend(wordpiece.train(plain, vocab_size, SPECIAL_TOKENS))

    @classmethod
    def from_backend(cls, backend: Any, special_tokens: Sequence[str] = ()) -> Tokenizer:
        """A WordPiece `tokenizers.Tokenizer`, which is changed: it neither cuts nor pads.

        Ids that no text can reach, because two lines of a vocabulary are the same or one is empty,
        get names of their own.
        """
        tokens = wordpiece.in_id_order(backend.get_vocab())
        backend.no_truncation()
        backend.no_padding()
        # "<cls>" in a text is text: without this it would become the special token.
        backend.encode_special_tokens = True
        return cls(tokens, backend, special_tokens)

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Read a `tokenizer.json`, this project's or Hugging Face's.

        Raises `UserError` when it is missing, damaged or of another kind.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(
                "The tokenizer {path} cannot be read: {reason}.", path=path, reason=error.strerror
            ) from error
        except UnicodeDecodeError as error:
            raise UserError(
                "{path} is not a tokenizer.json; it may be damaged.", path=path
            ) from error
        return cls.from_json(text, str(path))

    @classmethod
    def from_json(cls, text: str, name: str = "The text") -> Tokenizer:
        """Undo `to_json`; `name` says in errors where the text is from."""
        try:
            settings = json.loads(text)
            model = settings["model"]
            kind, vocabulary = wordpiece.kind_of(model), model["vocab"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                "{name} is not a tokenizer.json; it may be damaged.", name=name
            ) from error
        if kind not in ("WordLevel", "WordPiece"):
            raise UserError(
                "{name} holds a tokenizer of type {kind}; it must be WordLevel or WordPiece.",
                name=name,
                kind=kind,
            )
        try:
            if kind == "WordPiece":
                backend = wordpiece.read(settings)
                return cls.from_backend(backend, wordpiece.roles(settings))
            return cls.from_words(wordpiece.without_gaps(vocabulary))
        except UserError as error:
            raise UserError(
                "The tokenizer {name} cannot be used: {error}", name=name, error=error
            ) from error
        except Exception as error:  # `tokenizers` raises bare Exception for a damaged file
            raise UserError(
                "The tokenizer {name} cannot be used: {error}", name=name, error=str(error)
            ) from error

    def save(self, path: str | Path) -> None:
        """Write `tokenizer.json`, which Hugging Face's `tokenizers` reads too."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """The contents of `tokenizer.json`."""
        backend = self._backend
        if backend is None:
            backend = wordpiece.word_level(self._ids, self._tokens[self.unk_id])
        if backend.post_processor is None or self._renamed:
            backend.post_processor = wordpiece.template(self.special_tokens, self.special_ids)
        return str(backend.to_str(pretty=True)) + "\n"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of everything that decides which ids a text gets."""
        facts: list[Any] = [RULES, self.kind, self._tokens]
        if self._backend is not None:
            settings = json.loads(self._backend.to_str())
            settings["model"].pop("vocab")
            facts += [settings["normalizer"], settings["pre_tokenizer"], settings["model"]]
            # Only where there are any, so that the vocabularies of old keep their fingerprint.
            facts += [added for added in settings["added_tokens"] if not added["special"]]
            if self._renamed:
                facts.append(self.special_tokens)
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """What the unknown, padding, mask, first and separating token are called."""
        return tuple(self.tokens(self.special_ids))

    @property
    def _renamed(self) -> bool:
        return self.special_tokens not in (SPECIAL_TOKENS, HUGGING_FACE_SPECIAL_TOKENS)

    @property
    def rules(self) -> dict[str, Any]:
        """How text is cut, as tokenizer.json has it; empty for whole words."""
        return {} if self._backend is None else dict(json.loads(self._backend.to_str()))

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The vocabulary's words or pieces for ids."""
        return [self._tokens[i] for i in ids]

    def encode(self, text: str, *, allow_mask: bool = True) -> list[int]:
        """Ids of text as people write it; safe for any string, no special tokens added.

        "<mask>" and "[MASK]" become the mask unless `allow_mask` is false.
        """
        text = SURROGATES.sub("", text)
        if self.kind == "word":
            text = re.sub(SPLIT_NOT, r"\1\2", text)
        return [i for ids in self._raw_chunks(self._chunks(text), allow_mask) for i in ids]

    def encode_tokenized(self, text: str) -> list[int]:
        """Ids of text whose tokens stand between spaces (WikiText, D2L): lower case, no more."""
        chunks = self._chunks(SURROGATES.sub("", text))
        return [i for ids in self._tokenized_chunks(chunks) for i in ids]

    def encode_pair(
        self,
        text: str,
        pair: str | None = None,
        *,
        max_length: int,
        truncation: str = "longest_first",
        allow_mask: bool = True,
    ) -> Encoded:
        """One text or a pair with its special tokens, at most `max_length` tokens long.

        Raises `UserError` for a text with no token in it and for an impossible `max_length`.
        """
        first = self._not_empty(text, Text("text" if pair is None else "first text"), allow_mask)
        second = [] if pair is None else self._not_empty(pair, Text("second text"), allow_mask)
        specials = 2 if pair is None else 3
        least = specials + (1 if pair is None else 2)
        if max_length < least:
            raise UserError(
                "max_length is {value}; it must be at least {least}.", value=max_length, least=least
            )
        room, whole = max_length - specials, len(first) + len(second)
        if pair is None:
            first = first[:room]
        else:
            a, b = truncate_pair_lengths(len(first), len(second), room, truncation)
            first, second = first[: int(a)], second[: int(b)]
        ids = [self.cls_id, *first, self.sep_id]
        types = [0] * len(ids)
        if pair is not None:
            ids += [*second, self.sep_id]
            types += [1] * (len(second) + 1)
        return Encoded(ids, types, self.tokens(ids), whole - len(first) - len(second))

    def encode_batch(
        self, texts: Any, *, tokenized: bool
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Ids of many texts, equal to `encode` or `encode_tokenized` one by one, but fast.

        `texts` is a pyarrow string array or a list. Returns (ids, offsets): text i has
        ids[offsets[i]:offsets[i + 1]]; offsets has one entry more than there are texts.
        """
        import pyarrow.compute as pc

        array = arrow_strings(texts)
        if not tokenized and self.kind == "word":
            array = pc.replace_substring_regex(array, pattern=SPLIT_NOT, replacement=r"\1\2")
        interruption.check()
        if self._removed:
            array = pc.replace_substring_regex(array, pattern=f"[{self._removed}]", replacement="")
        split = pc.utf8_split_whitespace if self.kind == "word" else pc.ascii_split_whitespace
        chunks = split(array)
        coded = chunks.flatten().dictionary_encode()
        each = coded.dictionary.to_pylist()
        table = []
        for start in range(0, len(each), _CHUNKS):
            interruption.check()
            some = each[start : start + _CHUNKS]
            table += self._tokenized_chunks(some) if tokenized else self._raw_chunks(some, True)
        which = coded.indices.to_numpy(zero_copy_only=False)
        bounds = chunks.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
        bounds -= bounds[0]  # a slice of a longer array starts later
        return gather(table, which, bounds)

    def _chunks(self, text: str) -> list[str]:
        """The text cut at white space, so that no part depends on another."""
        if self.kind == "word":
            return text.split()
        for character in self._removed:
            text = text.replace(character, "")
        return _ASCII_SPACE.split(text)

    def _not_empty(self, text: str, name: Text, allow_mask: bool) -> list[int]:
        if not isinstance(text, str):
            raise UserError("The {name} is {value!r}; it must be text.", name=name, value=text)
        ids = self.encode(text, allow_mask=allow_mask)
        if not ids:
            raise UserError("The {name} is empty; write at least one word.", name=name)
        return ids

    def _raw_chunks(self, chunks: list[str], allow_mask: bool) -> list[list[int]]:
        if self.kind == "word":
            found = []
            for chunk in chunks:
                pieces = split_words(chunk, self._words)
                if not allow_mask and MASK in pieces:
                    plain = (["<", "mask", ">"] if p == MASK else [p] for p in pieces)
                    pieces = [piece for part in plain for piece in part]
                found.append([self._typed.get(piece, self.unk_id) for piece in pieces])
            return found
        return self._wordpieces([self._mask_text.split(c) if allow_mask else [c] for c in chunks])

    def _tokenized_chunks(self, chunks: list[str]) -> list[list[int]]:
        if self.kind == "word":
            words, unk = self._words, self.unk_id
            return [[words.get(chunk.lower(), unk)] if chunk else [] for chunk in chunks]
        # "<unk>" and "@-@" are WikiText's marks, not its words; people type "-".
        plain = (_INSIDE_MARK.sub(r"\1", chunk) for chunk in chunks)
        return self._wordpieces([["", UNK] if chunk == UNK else [chunk] for chunk in plain])

    def _wordpieces(self, parts: list[list[str]]) -> list[list[int]]:
        """Ids of chunks given as [text, special, text, special ...]."""
        texts = [text for chunk in parts for text in chunk[::2]]
        encoded = iter(self._backend.encode_batch_fast(texts, add_special_tokens=False))
        table = []
        for chunk in parts:
            ids: list[int] = []
            for i, part in enumerate(chunk):
                if i % 2 == 0:
                    ids += next(encoded).ids
                else:
                    ids.append(self.unk_id if part == UNK else self.mask_id)
            table.append(ids)
        return table
