"""A vocabulary of Hugging Face's and its rules, in whichever files: the ids of `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bert_demo.common.errors import UserError
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.interop.hf_tokenizer import read_tokenizer
from bert_demo.interop.model_files import ModelFiles

transformers = pytest.importorskip("transformers")

_VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] a b c ##a ##b ##c crane ##s fly ##ing cafe É café
Crane The the is 東 京 ! . , ' - ½ ß ss 🙂 한 é ##é i \u0131 $ x xx ##x ##xx ﬁ fi < > s / _ [ ] cls
e1"""
PIECES = _VOCABULARY.split()
RULES = {"unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
WORDS = [
    *("The", "Crane", "cranes", "CAFÉ", "cafe\u0301", "é", "É", "covidcrane", "is", "flying", "ß"),
    *("東京", "한국", "½", "ﬁ", "🙂", "İx", "\u0131", "x" * 101, "it's", "a-b", "$", "...", "A_b"),
    *(
        "\u200b",
        "\ufeff",
        "\xad",
        "\x00",
        "\x1c",
        "\x0b",
        "\x0c",
        "\x85",
        "\ufffd",
        "\u2028",
        "\xa0",
    ),
    *("<e1>", "newtoken", "NewToken", "[E1]", "<s>", "</s>", "a\u0327", "\u0345"),
]
TEXT = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(["", " ", "\t", "\n", "\u3000"])))


def bert_normalizer(**changes: Any) -> dict[str, Any]:
    values = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None}
    return {"type": "BertNormalizer", **values, "lowercase": True, **changes}


def added(content: str, number: int, **flags: Any) -> dict[str, Any]:
    values = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": number, "content": content, **values, **flags}


def tokenizer_json(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(name, i, special=True) for i, name in enumerate(PIECES[:5])],
        "normalizer": bert_normalizer(),
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", **RULES, "vocab": {t: i for i, t in enumerate(PIECES)}},
    }
    return values | changes


def general(**changes: Any) -> dict[str, Any]:
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), PIECES[:5], strict=True))
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{role}_token": name for role, name in names.items()},
        **changes,
    }


def folder(path: Path, files: dict[str, Any]) -> Path:
    path.mkdir(exist_ok=True)
    for name, content in {"config.json": {"model_type": "bert"}, **files}.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (path / name).write_bytes(text.encode("utf-8"))
    return path


def read(path: Path) -> Tokenizer:
    files = ModelFiles(path)
    return read_tokenizer(files, files.json("config.json"))


LINES = "\n".join(PIECES) + "\n"
LEGACY = tokenizer_json(model={**RULES, "vocab": {t: i for i, t in enumerate(PIECES)}})
SEQUENCE = {
    "type": "Sequence",
    "normalizers": [{"type": t} for t in ("NFD", "Lowercase", "StripAccents")],
}
RENAMED = ["<pad>", "<unk>", "<s>", "</s>", "<blank>", *PIECES[5:]]
NAMES = {
    "pad_token": "<pad>",
    "unk_token": {"__type": "AddedToken", "content": "<unk>", "lstrip": False},
    "cls_token": {"content": "<s>", "lstrip": False, "rstrip": False, "normalized": True},
    "sep_token": "</s>",
    "mask_token": {"content": "<blank>", "lstrip": True, "rstrip": False},
}
TYPED = {
    name: {**v, "__type": "AddedToken"} if isinstance(v, dict) else v for name, v in NAMES.items()
}
N = len(PIECES)

VARIANTS: dict[str, dict[str, Any]] = {
    "vocab.txt alone": {"vocab.txt": LINES},
    "written on Windows": {"vocab.txt": LINES.replace("\n", "\r\n")},
    "no last line end": {"vocab.txt": LINES.rstrip("\n")},
    "a line twice": {"vocab.txt": LINES.replace("fly\n", "fly\ncrane\n")},
    "empty lines": {"vocab.txt": LINES.replace("fly\n", "fly\n\n") + "\n\n"},
    "lines end in spaces": {"vocab.txt": LINES.replace("crane\n", "crane \t\n")},
    "cased": {"vocab.txt": LINES, "tokenizer_config.json": {"do_lower_case": False}},
    "cased, no accents": {
        "vocab.txt": LINES,
        "tokenizer_config.json": {"do_lower_case": False, "strip_accents": True},
    },
    "accents": {"vocab.txt": LINES, "tokenizer_config.json": {"strip_accents": False}},
    "chinese": {"vocab.txt": LINES, "tokenizer_config.json": {"tokenize_chinese_chars": False}},
    "json alone": {"tokenizer.json": tokenizer_json()},
    "json says cased": {
        "tokenizer.json": tokenizer_json(normalizer=bert_normalizer(lowercase=False))
    },
    "config says cased": {
        "tokenizer.json": tokenizer_json(),
        "tokenizer_config.json": {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False},
    },
    "config says accents": {
        "tokenizer.json": tokenizer_json(),
        "tokenizer_config.json": {"strip_accents": False, "tokenize_chinese_chars": False},
    },
    "cut and padded": {
        "tokenizer.json": tokenizer_json(
            padding={
                "strategy": {"Fixed": 9},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "[PAD]",
            }
        ),
        "tokenizer_config.json": general(),
    },
    "legacy": {"tokenizer.json": LEGACY},
    "legacy, general": {"tokenizer.json": LEGACY, "tokenizer_config.json": general()},
    "class in config.json": {
        "config.json": {"model_type": "bert", "tokenizer_class": "PreTrainedTokenizerFast"},
        "tokenizer.json": tokenizer_json(normalizer=bert_normalizer(lowercase=False)),
        "special_tokens_map.json": {k: v for k, v in general().items() if k.endswith("token")},
    },
    "class in both": {
        "config.json": {"model_type": "bert", "tokenizer_class": "PreTrainedTokenizerFast"},
        "tokenizer.json": tokenizer_json(normalizer=bert_normalizer(lowercase=False)),
        "tokenizer_config.json": {"tokenizer_class": "BertTokenizer"},
    },
    "general, cased": {
        "tokenizer.json": tokenizer_json(normalizer=bert_normalizer(lowercase=False)),
        "tokenizer_config.json": general(do_lower_case=True),
    },
    "general, unclean": {
        "tokenizer.json": tokenizer_json(normalizer=bert_normalizer(clean_text=False)),
        "tokenizer_config.json": general(),
    },
    "general, steps": {
        "tokenizer.json": tokenizer_json(normalizer=SEQUENCE, pre_tokenizer={"type": "Whitespace"}),
        "tokenizer_config.json": general(),
    },
    "steps that do not count": {
        "tokenizer.json": tokenizer_json(normalizer=SEQUENCE, pre_tokenizer={"type": "Whitespace"}),
        "tokenizer_config.json": {"do_lower_case": False},
    },
    "general, cut twice": {
        "tokenizer.json": tokenizer_json(
            normalizer={"type": "NFKC"},
            pre_tokenizer={
                "type": "Sequence",
                "pretokenizers": [
                    {"type": "WhitespaceSplit"},
                    {"type": "Punctuation", "behavior": "Isolated"},
                ],
            },
        ),
        "tokenizer_config.json": general(),
    },
    "general, long words": {
        "tokenizer.json": tokenizer_json(
            model={**tokenizer_json()["model"], "max_input_chars_per_word": 200}
        ),
        "tokenizer_config.json": general(),
    },
    "long words that do not count": {
        "tokenizer.json": tokenizer_json(
            model={**tokenizer_json()["model"], "max_input_chars_per_word": 200}
        )
    },
    "other names": {"vocab.txt": "\n".join(RENAMED), "tokenizer_config.json": TYPED},
    "other names in the map": {"vocab.txt": "\n".join(RENAMED), "special_tokens_map.json": NAMES},
    "map before config": {
        "vocab.txt": "\n".join(RENAMED),
        "tokenizer_config.json": {"pad_token": "a"},
        "special_tokens_map.json": NAMES,
    },
    "other names in json": {
        "tokenizer.json": tokenizer_json(
            added_tokens=[added(name, i, special=True) for i, name in enumerate(RENAMED[:5])],
            post_processor={"type": "BertProcessing", "sep": ["</s>", 3], "cls": ["<s>", 2]},
            model={
                **tokenizer_json()["model"],
                "unk_token": "<unk>",
                "vocab": {t: i for i, t in enumerate(RENAMED)},
            },
        ),
        "tokenizer_config.json": general(**TYPED),
    },
    "added_tokens.json": {
        "vocab.txt": LINES,
        "added_tokens.json": {"newtoken": N, "<e1>": N + 1},
        "special_tokens_map.json": {"additional_special_tokens": ["<e1>"]},
    },
    "added tokens, cased": {
        "vocab.txt": LINES,
        "added_tokens.json": {"newtoken": N, "Crane": PIECES.index("Crane")},
        "tokenizer_config.json": {"do_lower_case": False},
    },
    "added tokens in json": {
        "tokenizer.json": tokenizer_json(
            added_tokens=[
                *tokenizer_json()["added_tokens"],
                added("newtoken", N, normalized=True),
                added("<e1>", N + 1, special=True),
                added("NewToken", N + 2, single_word=True),
            ]
        )
    },
    "added tokens in json, general": {
        "tokenizer.json": tokenizer_json(
            added_tokens=[
                *tokenizer_json()["added_tokens"],
                added("newtoken", N, normalized=True),
                added("[E1]", N + 1, special=True),
            ]
        ),
        "tokenizer_config.json": general(additional_special_tokens=["<e1>"]),
    },
    "decoder before json": {
        "tokenizer.json": tokenizer_json(
            added_tokens=[*tokenizer_json()["added_tokens"], added("newtoken", N)]
        ),
        "special_tokens_map.json": {"additional_special_tokens": ["[E1]"]},
        "tokenizer_config.json": {
            "added_tokens_decoder": {
                **{str(i): {"content": name, "special": True} for i, name in enumerate(PIECES[:5])},
                str(N): {"content": "<e1>", "lstrip": True, "special": True},
            },
            "additional_special_tokens": ["<e1>"],
        },
    },
    "bos and eos": {
        "vocab.txt": LINES,
        "tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>"},
    },
    "named specially": {
        "vocab.txt": LINES,
        "tokenizer_config.json": {"entity_token": "[E1]", "extra_special_tokens": {"e": "<e1>"}},
    },
    "no mask in the vocabulary": {"vocab.txt": LINES.replace("[MASK]\n", "")},
    "settings that change nothing": {
        "vocab.txt": LINES,
        "tokenizer_config.json": {
            "tokenizer_class": "DistilBertTokenizer",
            "do_basic_tokenize": True,
            "never_split": None,
            "model_max_length": 12,
            "padding_side": "left",
            "clean_up_tokenization_spaces": True,
        },
    },
}


@pytest.fixture(scope="module", params=VARIANTS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = folder(tmp_path_factory.mktemp("model") / "m", VARIANTS[request.param])
    kept = place / "kept.json"
    read(place).save(kept)
    return transformers.AutoTokenizer.from_pretrained(place), read(place), Tokenizer.load(kept)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=TEXT.map(lambda parts: "".join(a + b for a, b in parts)))
def test_every_kind_of_folder_gives_their_ids(both: Any, text: str) -> None:
    theirs, ours, kept = both
    expected = theirs(text, add_special_tokens=False, padding=False)["input_ids"]
    if not {"<s>", "</s>"} & {theirs.cls_token, theirs.sep_token} or "s>" not in text:
        assert ours.encode(text) == expected
    assert kept.encode(text) == ours.encode(text)
    ids, offsets = ours.encode_batch([text, "a", text], tokenized=False)
    assert ids[: offsets[1]].tolist() == ours.encode(text) == ids[offsets[2] :].tolist()


def test_special_tokens_are_theirs(both: Any) -> None:
    theirs, ours, kept = both
    for tokenizer in (ours, kept):
        roles = (theirs.unk_token, theirs.pad_token, theirs.mask_token, theirs.cls_token)
        assert tokenizer.special_tokens == (*roles, theirs.sep_token)
        for number, token in enumerate(theirs.convert_ids_to_tokens(range(N))):
            # Of two equal lines they know the later alone; here the earlier has another name.
            assert tokenizer.tokens([number]) == [token or f"[id {number}]"]
        pair = tokenizer.encode_pair("The crane", "covid flying", max_length=99)
        wanted = theirs("The crane", "covid flying", return_token_type_ids=True, padding=False)
        assert pair.input_ids == wanted["input_ids"]
        assert pair.token_type_ids == wanted["token_type_ids"]
        mask = tokenizer.encode(f"a {theirs.mask_token}")[-1]
        assert mask == theirs.mask_token_id == tokenizer.mask_id
    assert ours.fingerprint == kept.fingerprint


def replaced(**changes: Any) -> dict[str, Any]:
    return {"tokenizer.json": tokenizer_json(**changes)}


def configured(**values: Any) -> dict[str, Any]:
    return {"vocab.txt": LINES, "tokenizer_config.json": values}


DIGITS = {"type": "Digits", "individual_digits": True}
SLOW = {"type": "Replace", "pattern": {"Regex": "(a|a)*b"}, "content": ""}
SPLIT = {"type": "Split", "pattern": {"Regex": "(a|a)*b"}, "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (replaced(normalizer=SLOW), "Replace"),
        (
            replaced(normalizer={"type": "Sequence", "normalizers": [bert_normalizer(), SLOW]}),
            "Replace",
        ),
        (replaced(normalizer={"type": "Prepend", "prepend": "x"}), "Prepend"),
        (replaced(normalizer={"type": "Nothing"}), "Nothing"),
        (replaced(normalizer=[1]), "1"),
        (
            replaced(normalizer={"type": "Sequence", "normalizers": [{"type": "NFD"}] * 21}),
            "21 steps",
        ),
        (replaced(pre_tokenizer=SPLIT), "Split"),
        (replaced(pre_tokenizer={"type": "Sequence", "pretokenizers": [SPLIT]}), "Split"),
        (replaced(pre_tokenizer={"type": "ByteLevel"}), "ByteLevel"),
        (
            {"tokenizer_config.json": general(), **replaced(pre_tokenizer=None)},
            "does not split",
        ),
        (
            {"tokenizer_config.json": general(), **replaced(pre_tokenizer=DIGITS)},
            "does not split",
        ),
        (
            {
                "tokenizer_config.json": general(),
                **replaced(model={**tokenizer_json()["model"], "max_input_chars_per_word": 10**6}),
            },
            "max_input_chars_per_word",
        ),
        (
            {
                "tokenizer_config.json": general(),
                **replaced(
                    post_processor={
                        "type": "RobertaProcessing",
                        "sep": ["[SEP]", 3],
                        "cls": ["[CLS]", 2],
                        "trim_offsets": True,
                        "add_prefix_space": False,
                    }
                ),
            },
            "as BERT does",
        ),
        (replaced(model={"type": "BPE", "vocab": {}, "merges": []}), "BPE"),
        (replaced(model={"vocab": {}, "merges": []}), "type None"),
        (replaced(model={"type": "WordPiece", **RULES, "vocab": {"a": 10**9}}), "999,999"),
        (replaced(model={"type": "WordPiece", **RULES, "vocab": {"a": -1}}), "999,999"),
        (replaced(model={"type": "WordPiece", **RULES, "vocab": {"a": "0"}}), "999,999"),
        (
            replaced(
                model={
                    "type": "WordPiece",
                    **RULES,
                    "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "b": 0},
                }
            ),
            "same id",
        ),
        (replaced(model=3), "damaged"),
        (replaced(added_tokens=[added("New York", N)]), "'New York'"),
        (replaced(added_tokens=3), "damaged"),
        (configured(do_basic_tokenize=False), "do_basic_tokenize"),
        (configured(never_split=["Crane"]), "never_split"),
        (configured(word_tokenizer_type="mecab"), "word_tokenizer_type"),
        (configured(do_lower_case="no"), "do_lower_case"),
        (configured(tokenizer_class="BertJapaneseTokenizer"), "BertJapaneseTokenizer"),
        (configured(tokenizer_class="RobertaTokenizerFast"), "RobertaTokenizerFast"),
        (configured(auto_map={"AutoTokenizer": ["x.Y", None]}), "auto_map"),
        (configured(cls_token="[SEP]"), "the same name"),
        (
            {
                "vocab.txt": LINES,
                "config.json": {"model_type": "bert", "tokenizer_class": "BertJapaneseTokenizer"},
            },
            "BertJapaneseTokenizer",
        ),
        (
            {
                "vocab.txt": LINES.replace("fly\n", "fly\ncrane\n"),
                "added_tokens.json": {"newtoken": N},
            },
            "same id",
        ),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(
    tmp_path: Path, files: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        read(folder(tmp_path / "m", files))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("kind", ["own", "theirs"])
def test_a_padding_that_would_fill_the_memory_is_not_made(tmp_path: Path, kind: str) -> None:
    padding = {
        "strategy": {"Fixed": 2**40},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    content = tokenizer_json(padding=padding)
    files = {"tokenizer.json": content, "tokenizer_config.json": general()}
    tokenizer = (
        Tokenizer.from_json(json.dumps(content))
        if kind == "own"
        else read(folder(tmp_path / "m", files))
    )
    assert tokenizer.tokens(tokenizer.encode("The crane")) == ["the", "crane"]


@pytest.mark.parametrize("rules", [{"normalizer": SLOW}, {"pre_tokenizer": SPLIT}])
def test_a_checkpoint_has_no_other_rules_either(rules: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="which no BERT has"):
        Tokenizer.from_json(json.dumps(tokenizer_json(**rules)))


def test_deep_json_gets_a_sentence() -> None:
    for text in ("[" * 100_000, '{"model": ' * 100_000, '{"model": {"vocab": {"\\ud800": 0}}}'):
        with pytest.raises(UserError) as caught:
            Tokenizer.from_json(text)
        assert len(str(caught.value)) < 300
