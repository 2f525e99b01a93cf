"""The vocabulary of a Hugging Face model and the rules by which it cuts text.

A model keeps them in up to five files: `tokenizer.json` or `vocab.txt`, `tokenizer_config.json`,
and, from older days, `special_tokens_map.json` and `added_tokens.json`. Which of them counts for
what is as in `transformers` 5: BERT's own classes take the vocabulary from the first and the rules
from the second, the general class takes both from `tokenizer.json`. What is not done here is
refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bert_demo.common.errors import UserError
from bert_demo.data import wordpiece
from bert_demo.data.tokenizer import HUGGING_FACE_SPECIAL_TOKENS, UNK, Tokenizer
from bert_demo.interop.model_files import ModelFiles

_CONFIG, _TOKENIZER, _VOCABULARY = "tokenizer_config.json", "tokenizer.json", "vocab.txt"
_SPECIAL, _ADDED = "special_tokens_map.json", "added_tokens.json"

_BERT_CLASSES = (
    "BertTokenizer",
    "ConvBertTokenizer",
    "DistilBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DPRReaderTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
)
_GENERAL_CLASSES = (
    "ElectraTokenizer",  # `transformers` 5 knows this one no more and takes the file as it is
    "PreTrainedTokenizer",
    "TokenizersBackend",
)
_ROLES = ("unk_token", "pad_token", "mask_token", "cls_token", "sep_token")
# In the order in which they are added to a vocabulary.
_ATTRIBUTES = tuple(f"{name}_token" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
# Settings of classes and versions that cut text otherwise, with the values that change nothing.
_PLAIN: dict[str, tuple[Any, ...]] = {
    "do_basic_tokenize": (None, True),
    "never_split": (None, []),
    "word_tokenizer_type": (None, "basic"),
    "subword_tokenizer_type": (None, "wordpiece"),
    "auto_map": (None, {}),
    "fast_tokenizer_files": (None, [], [_TOKENIZER]),
}
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def read_tokenizer(files: ModelFiles, model_config: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a BERT; it gives the ids that `transformers` gives.

    Tokens beyond the five special ones are found in text; the five cannot be typed, but the mask.

    Args:
        model_config: the model's config.json, which may name the tokenizer's class.

    Raises:
        UserError: files that are missing or damaged; a tokenizer of another kind, or settings that
            are not honoured here, by name.
    """
    rules = files.optional_json(_CONFIG)
    name = vocabulary_file(files).name
    where = f"{name} of {files.name}"
    text = files.text(name) if name == _TOKENIZER else ""
    settings = files.json(name) if name == _TOKENIZER else {}
    kind = _kind(settings)
    if kind == "WordLevel":
        tokenizer = Tokenizer.from_json(text, where)
        if tokenizer.tokens([tokenizer.unk_id]) != [UNK]:
            raise UserError(
                "{where} has whole words, not WordPiece; no BERT reads those.", where=where
            )
        return tokenizer
    if name == _TOKENIZER and kind != "WordPiece":
        Tokenizer.from_json(text, where)  # which says what is wrong
    as_bert = _is_bert_class(rules, model_config, files.name) or not settings
    try:
        return _built(files, rules, settings, as_bert)
    except UserError as error:
        raise UserError(
            "The tokenizer {name} cannot be used: {error}", name=where, error=error
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError("{name} is not a tokenizer.json; it may be damaged.", name=where) from error
    except Exception as error:  # `tokenizers` raises bare Exception for a damaged file
        raise UserError(
            "The tokenizer {name} cannot be used: {error}", name=where, error=str(error)
        ) from error


def vocabulary_file(files: ModelFiles) -> Path:
    """The file that the vocabulary comes from."""
    return files.need(_TOKENIZER, _VOCABULARY)


def _kind(settings: Mapping[str, Any]) -> str | None:
    model = settings.get("model")
    return wordpiece.kind_of(model) if isinstance(model, Mapping) else None


def _is_bert_class(rules: Mapping[str, Any], config: Mapping[str, Any], source: str) -> bool:
    """Whether the rules come from tokenizer_config.json, as with BERT's own classes."""
    named = rules.get("tokenizer_class") or config.get("tokenizer_class") or _BERT_CLASSES[0]
    plain = str(named).removesuffix("Fast")
    if plain not in _BERT_CLASSES + _GENERAL_CLASSES:
        raise UserError(
            "{source} needs a tokenizer of the class {name}, which cuts text in a way of its own; "
            "those of BERT can be read.",
            source=source,
            name=str(named),
        )
    return plain in _BERT_CLASSES


def _built(
    files: ModelFiles, rules: Mapping[str, Any], settings: Mapping[str, Any], as_bert: bool
) -> Tokenizer:
    for setting, harmless in _PLAIN.items():
        if rules.get(setting) not in harmless:
            raise UserError(
                "{setting} in {file} is {value!r}; text is not cut in that way here.",
                setting=setting,
                file=_CONFIG,
                value=rules[setting],
            )
    wordpiece.check_rules(settings)
    named, others, added = _tokens(files, rules, settings)
    model = settings.get("model", {})
    defaults = dict(zip(_ROLES, HUGGING_FACE_SPECIAL_TOKENS, strict=True))
    if as_bert:
        usual = {role: {"content": name, "special": True} for role, name in defaults.items()}
        named = {key: token for key in _ATTRIBUTES if (token := (usual | named).get(key))} | named
    elif isinstance(model.get("unk_token"), str):
        defaults["unk_token"] = model["unk_token"]
    names = tuple(
        str(named[role]["content"]) if role in named else name for role, name in defaults.items()
    )
    if len(set(names)) != len(names):
        raise UserError(
            "two of its special tokens have the same name: {names}.", names=", ".join(names)
        )
    if as_bert:
        vocabulary = model["vocab"] if settings else _lines(files)
        backend = wordpiece.bert_style(
            vocabulary,
            names[0],
            lowercase=_flag(rules, "do_lower_case", True),
            strip_accents=_flag(rules, "strip_accents", None),
            chinese=_flag(rules, "tokenize_chinese_chars", True),
        )
    else:
        backend = wordpiece.read(_with_special(settings, names))
    needed = (names[0], *names[3:])  # without a mask or padding a BERT can be used all the same
    absent = next((name for name in needed if backend.token_to_id(name) is None), None)
    if absent is not None:
        raise UserError("its vocabulary has no token {name!r}.", name=absent)
    _add(backend, [*added, *named.values(), *others], names)
    _check_template(backend, names)
    return Tokenizer.from_backend(backend, names)


def _tokens(
    files: ModelFiles, rules: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """(tokens with a name of their own, other special ones, added ones in the order of ids)."""
    values = dict(rules)
    by_id: dict[int, dict[str, Any]] = {}
    if "added_tokens_decoder" in rules:
        by_id = {int(number): dict(t) for number, t in rules["added_tokens_decoder"].items()}
    else:
        values |= files.optional_json(_SPECIAL)
        special = {token["content"] for token in _special(values)}
        for content, number in files.optional_json(_ADDED).items():
            by_id[int(number)] = {"content": content, "special": content in special}
        for token in settings.get("added_tokens") or ():
            by_id[int(token["id"])] = dict(token)
    flags = {token["content"]: token for token in by_id.values()}
    named, others = {}, []
    for key in dict.fromkeys((*_ATTRIBUTES, *values)):
        if key.endswith("_token") and (token := _token(values.get(key))):
            named[key] = flags.get(token["content"], token)
    for token in _special(values):
        if token not in named.values():
            others.append(flags.get(token["content"], token))
    return named, others, [by_id[number] for number in sorted(by_id)]


def _special(values: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """All tokens that the settings call special, named or not."""
    more: list[Any] = [value for key, value in values.items() if key.endswith("_token")]
    for key in ("extra_special_tokens", "additional_special_tokens"):
        listed = values.get(key) or []
        more += listed.values() if isinstance(listed, Mapping) else listed
    return [token for value in more if (token := _token(value))]


def _token(value: Any) -> dict[str, Any] | None:
    """A token given by its text alone, or with flags; None for anything else."""
    if isinstance(value, str):
        return {"content": value, "special": True}
    if isinstance(value, Mapping) and isinstance(value.get("content"), str):
        return dict(value) | {"special": True}
    return None


def _lines(files: ModelFiles) -> dict[str, int]:
    """vocab.txt: a token a line, whose number is its id; of two equal lines the later counts."""
    from tokenizers import models

    files.text(_VOCABULARY)  # says what is wrong with it
    vocabulary: dict[str, int] = models.WordPiece.read_file(str(files.need(_VOCABULARY)))
    return vocabulary


def _flag(rules: Mapping[str, Any], name: str, default: bool | None) -> Any:
    value = rules.get(name, default)
    if value is not default and not isinstance(value, bool):
        raise UserError(
            "{setting} in {file} is {value!r}; it must be true or false.",
            setting=name,
            file=_CONFIG,
            value=value,
        )
    return value


def _with_special(settings: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """tokenizer.json in which no tokens but `names` are special, so that text can have them."""
    changed = [
        dict(token) | {"special": token["content"] in names}
        for token in settings.get("added_tokens") or ()
    ]
    return dict(settings) | {"added_tokens": changed}


def _add(backend: Any, tokens: Iterable[dict[str, Any]], roles: Iterable[str]) -> None:
    """Add to the vocabulary, after its last token, those of `tokens` that it does not have."""
    from tokenizers import AddedToken

    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    new: dict[str, Any] = {}
    for token in tokens:
        content, special = token["content"], token["content"] in roles
        if not special and re.search(r"\s", content):
            raise UserError(
                "its token {name!r} has white space inside; such a token is not found here.",
                name=content,
            )
        if content in known or not content:
            continue
        flags = {name: bool(token[name]) for name in _FLAGS if token.get(name) is not None}
        flags.setdefault("normalized", not flags.get("special", False))
        new.setdefault(content, AddedToken(content, **flags | {"special": special}))
    backend.add_tokens(list(new.values()))


def _check_template(backend: Any, names: tuple[str, ...]) -> None:
    """Refuse a file that puts special tokens elsewhere than BERT does."""
    cls, sep = (backend.token_to_id(name) for name in names[3:])
    if backend.post_processor is None:
        return
    word = backend.encode("a", add_special_tokens=False).ids
    pair = backend.encode("a", "a")
    types = [0] * (len(word) + 2) + [1] * (len(word) + 1)
    if (pair.ids, pair.type_ids) != ([cls, *word, sep, *word, sep], types):
        raise UserError("it does not put a pair of texts between special tokens as BERT does.")
