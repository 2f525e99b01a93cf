"""What this project asks of Hugging Face's `tokenizers`: training WordPiece, files and rules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bert_demo.common.errors import UserError

ROLES = ("[UNK]", "[PAD]", "[MASK]", "[CLS]", "[SEP]")
"""How tokenizer.json tells which token is which, whatever the tokens are called."""

_NORMALIZERS = ("BertNormalizer", "Lowercase", "StripAccents", "NFC", "NFD", "NFKC", "NFKD")
_PRE_TOKENIZERS = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits")
_MOST_TOKENS = 10**6  # as many as a model can have
_MOST_STEPS = 20
_LONGEST_WORD = 1000  # the work grows with the square; BERT's own has 100


def train(texts: list[str], vocab_size: int, special_tokens: Sequence[str]) -> Any:
    """A BERT-style `tokenizers.Tokenizer` (lower case, no accents, "##") learnt from `texts`.

    The special tokens take the first ids, the unknown one first. The same texts always give the
    same vocabulary.
    """
    words = sorted({word for text in texts for word in text.split()})
    alphabet = _learn(words, len(special_tokens), special_tokens)
    # The trainer numbers the letters "##a" in a random order and settles ties by number: named
    # beforehand, they are always numbered alike.
    inner = sorted(piece for piece in alphabet if piece.startswith("##"))
    vocabulary = _learn(texts, vocab_size, [*special_tokens, *inner])
    backend = bert_style(vocabulary, special_tokens[0])
    backend.add_special_tokens(list(special_tokens))
    return backend


def word_level(vocabulary: dict[str, int], unknown: str) -> Any:
    """A `tokenizers.Tokenizer` for text in lower case with white space between its words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    backend: Any = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return backend


def _learn(texts: list[str], size: int, special_tokens: Sequence[str]) -> dict[str, int]:
    """Vocabulary of `size` pieces, more where the letters alone are more."""
    from tokenizers import trainers

    backend = bert_style({}, special_tokens[0])
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=list(special_tokens),
        limit_alphabet=1000,
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    vocabulary: dict[str, int] = backend.get_vocab()
    return vocabulary


def bert_style(
    vocabulary: dict[str, int],
    unknown: str,
    *,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    chinese: bool = True,
) -> Any:
    """A `tokenizers.Tokenizer` with BERT's rules (Devlin et al. 2019) for a vocabulary.

    strip_accents: None strips them where text is put into lower case. chinese: Chinese
    characters are words of their own.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    check_ids(vocabulary)
    backend: Any = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
    backend.normalizer = normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=chinese
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend


def template(names: Sequence[str], ids: Sequence[int]) -> Any:
    """<cls> a <sep> and <cls> a <sep> b <sep>; it also tells which token has which role.

    names, ids: the tokens of `ROLES`.
    """
    from tokenizers import processors

    told = [
        {"id": role, "ids": [number], "tokens": [name]}
        for role, name, number in zip(ROLES, names, ids, strict=True)
    ]
    return processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=told
    )


def roles(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the tokens of `ROLES` in a tokenizer.json of `template`; () in any other."""
    told = (settings.get("post_processor") or {}).get("special_tokens") or {}
    return tuple(told[role]["tokens"][0] for role in ROLES) if set(ROLES) <= set(told) else ()


def kind_of(model: Mapping[str, Any]) -> str | None:
    """The type of the model in a tokenizer.json; files of old do not name it."""
    kind: str | None = model.get("type")
    if kind is None and "continuing_subword_prefix" in model and "merges" not in model:
        return "WordPiece"
    return kind


def read(settings: Mapping[str, Any]) -> Any:
    """The `tokenizers.Tokenizer` of a tokenizer.json with WordPiece, whose rules are BERT's.

    Raises:
        UserError: rules that no BERT has and that may take any time for a text; a vocabulary that
            is not one.
    """
    from tokenizers import Tokenizer

    model = settings["model"]
    check_ids(model["vocab"])
    check_rules(settings)
    longest = model.get("max_input_chars_per_word")
    if longest is not None and not 0 < longest <= _LONGEST_WORD:
        raise UserError(
            "max_input_chars_per_word is {value}; it must be at most {limit:,}.",
            value=longest,
            limit=_LONGEST_WORD,
        )
    # Cut and padded is elsewhere, and a file could ask for a padding that fills the memory.
    plain = {**settings, "truncation": None, "padding": None}
    backend: Any = Tokenizer.from_str(json.dumps(plain))
    split = backend.pre_tokenizer and backend.pre_tokenizer.pre_tokenize_str("a b")
    if not split or [word for word, _ in split] != ["a", "b"]:
        raise UserError("its pre_tokenizer does not split text at white space.")
    return backend


def check_rules(settings: Mapping[str, Any]) -> None:
    """Raise `UserError` for a normalizer or pre-tokenizer in a tokenizer.json that no BERT has.

    Some of the others search for patterns, which can take longer than anybody waits.
    """
    for part, known in (("normalizer", _NORMALIZERS), ("pre_tokenizer", _PRE_TOKENIZERS)):
        kinds = list(_kinds(settings.get(part)))
        if len(kinds) > _MOST_STEPS:
            raise UserError(
                "its {part} has {n:,} steps; at most {limit} are taken.",
                part=part,
                n=len(kinds),
                limit=_MOST_STEPS,
            )
        for kind in kinds:
            if kind not in known:
                raise UserError(
                    "its {part} is of the kind {kind}, which no BERT has; known are {known}.",
                    part=part,
                    kind=str(kind),
                    known=", ".join(known),
                )


def _kinds(rules: Any) -> Iterator[Any]:
    """The types of all steps of a normalizer or pre-tokenizer."""
    left = [] if rules is None else [rules]
    while left:
        step = left.pop()
        kind = step.get("type") if isinstance(step, Mapping) else step
        if kind == "Sequence":
            left += [*step.get("normalizers", ()), *step.get("pretokenizers", ())]
        else:
            yield kind


def bert_rules(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """What makes `transformers`' BertTokenizer cut text as tokenizer.json says.

    None for rules that this class does not have.
    """
    normalizer, model = settings.get("normalizer") or {}, settings.get("model") or {}
    cut = settings.get("pre_tokenizer") or {}
    usual = model.get("continuing_subword_prefix"), model.get("max_input_chars_per_word")
    if (normalizer.get("type"), cut.get("type")) != ("BertNormalizer", "BertPreTokenizer"):
        return None
    if not normalizer["clean_text"] or usual != ("##", 100):
        return None
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": normalizer["lowercase"],
        "strip_accents": normalizer["strip_accents"],
        "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
    }


def removed_space(backend: Any) -> str:
    """The ASCII white space that the rules delete: BERT's take some for control characters."""
    rules = backend.normalizer
    return "" if rules is None else "".join(c for c in "\v\f" if rules.normalize_str(c) == "")


def in_id_order(ids: Mapping[str, int]) -> list[str]:
    """The tokens by their ids; an id without a token that text can reach gets a name of its own."""
    tokens: dict[int, str] = {}
    for token, number in ids.items():
        if token and tokens.setdefault(number, token) != token:
            raise UserError(
                "the tokens {one!r} and {other!r} have the same id, {number}.",
                one=tokens[number],
                other=token,
                number=number,
            )
    return [tokens.get(i) or _free_name(i, ids) for i in range(max(tokens, default=-1) + 1)]


def _free_name(number: int, taken: Mapping[str, int]) -> str:
    name = f"[id {number}]"
    while name in taken:
        name = f"[{name}]"
    return name


def check_ids(ids: Any) -> None:
    """Raise `UserError` for what is not a vocabulary: tokens with ids from 0 on."""
    if not isinstance(ids, Mapping) or not all(
        type(number) is int and 0 <= number < _MOST_TOKENS for number in ids.values()
    ):
        raise UserError(
            "its vocabulary must be tokens with whole numbers from 0 to {limit:,}.",
            limit=_MOST_TOKENS - 1,
        )


def without_gaps(ids: Any) -> list[str]:
    """The words of a word-level vocabulary by their ids, which have to be 0, 1, 2 and so on."""
    check_ids(ids)
    words = sorted(ids, key=ids.__getitem__)
    if [ids[word] for word in words] != list(range(len(words))):
        raise UserError("The vocabulary's ids have gaps; they must be 0, 1, 2 and so on.")
    return words
