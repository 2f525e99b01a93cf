"""Words, ids and pairs: equal one by one and in bulk, and safe for any string."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_demo.common.errors import UserError
from bert_demo.data.tokenizer import SPECIAL_TOKENS, UNK, Tokenizer, truncate_pair_lengths
from bert_demo.data.words import split_words

# fmt: off
WORDS = [
    "a", "the", "man", "horse", "is", "was", "doesn", "don", "can", "'s", "'t", ".", ",", "@-@",
    "@,@", "@.@", "t", "shirt", "1", "000", "5", "etc.", "no", "no.", '"', "'", "-", "\u2013",
    "café", "istanbul", "(", ")", "<", ">", "[", "]", "mask", "cls", "u.s.", "red", "girls",
    ":", "!",
]
# fmt: on
TEXTS = [
    "the cat sat on the mat , and the dog saw the cat .",
    "a well @-@ known <unk> of 1 @,@ 000 cats was walking to the walled city of the cats",
    "the walker walked , walking and talking to the talker in the talking city",
    "naïve cafés in tokyo sell coffee to the cats and dogs of the city .",
] * 5


@pytest.fixture(scope="module")
def word() -> Tokenizer:
    return Tokenizer.from_words([*SPECIAL_TOKENS, *WORDS])


@pytest.fixture(scope="module")
def wordpiece() -> Tokenizer:
    return Tokenizer.train_wordpiece(TEXTS, 110)


HOSTILE = [
    "",
    " \t\n\u3000 ",
    "\x00\x01\x7f\u200b",
    "😀👩\u200d👩\u200d👧\ufe0f",
    "İSTANBUL'da IĞDIR",
    "鹤在飞。起重机",
    "두루미가 날고 있다",
    "\ud800 half \udc00\ud83d",
    "a n\ud800't b",
    "<cls> a <sep> <pad> [CLS] [SEP] [PAD] <unk> [UNK]",
    "e\u0301" * 40,
    "x" * 5000,
    "'" * 3000 + "." * 3000 + "a." * 3000,
    "the man " * 5000,
]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("A man is running.", "a man is running ."),
        ("don't Can't DOESN'T", "don 't can 't doesn 't"),
        ("The man's dog; the girls' dog", "the man 's dog ; the girls ' dog"),
        ("it\u2019s \u201cfine\u201d", 'it \'s " fine "'),
        ("``fine''", '" fine "'),
        ("a T-shirt - or 2-3", "a t @-@ shirt - or 2 @-@ 3"),
        ("1,000.5, ok", "1 @,@ 000 @.@ 5 , ok"),
        ("the U.S. wait... No!!", "the u.s. wait ... no ! !"),
        ("a well @-@ known 's 't", "a well @-@ known 's 't"),
        ("'hello' O'Brien rock'n'roll", "' hello ' o 'brien rock 'n 'roll"),
        ("his/her a_b 50%", "his / her a _ b 50 %"),
        ("[MASK], <Mask>s", "<mask> , <mask> s"),
        ("İstanbul cafe\u0301 中文。", "istanbul café 中文 。"),
        ("hi\x00\u200bthere 👍\ufe0f", "hithere 👍"),
        ("नमस्ते दुनिया।", "नमस्ते दुनिया ।"),
    ],
)
def test_typed_text_is_brought_into_wikitexts_spelling(typed: str, words: str) -> None:
    assert [piece for chunk in typed.split() for piece in split_words(chunk)] == words.split()


def test_a_full_stop_stays_only_with_a_word_that_needs_it() -> None:
    known = {"etc.", "no", "no."}
    assert split_words("etc.", known) == ["etc."]
    assert split_words("no.", known) == ["no", "."]


def test_raw_text_and_treebank_text_agree(word: Tokenizer) -> None:
    raw = "The man doesn't (can't) \"don't\"."
    treebank = "The man does n't ( ca n't ) `` do n't '' ."
    expected = ["the", "man", "doesn", "'t", "(", "can", "'t", ")", '"', "don", "'t", '"', "."]
    assert word.tokens(word.encode(raw)) == expected
    assert word.tokens(word.encode(treebank)) == expected


def test_tokenised_text_is_lower_case_and_nothing_more(word: Tokenizer) -> None:
    assert word.tokens(word.encode_tokenized("A man.  <unk> NO. u.s. <cls> <mask> \u2013")) == [
        *("a", UNK, UNK, "no.", "u.s.", UNK, UNK, "\u2013")
    ]


@pytest.mark.parametrize("kind", ["word", "wordpiece"])
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:24])
def test_any_string_gives_ordinary_ids(
    kind: str, text: str, request: pytest.FixtureRequest
) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(kind)
    forbidden = set(tokenizer.special_ids) - {tokenizer.unk_id}
    for ids in (tokenizer.encode(text), tokenizer.encode_tokenized(text)):
        assert all(0 <= i < tokenizer.vocab_size and i not in forbidden for i in ids)
    json.dumps(tokenizer.tokens(tokenizer.encode(text))).encode()


@pytest.mark.parametrize("kind", ["word", "wordpiece"])
def test_the_mask_can_be_typed_and_refused(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(kind)
    for text in ("a <mask> man", "a [MASK] man", "a [mask], man", "<MASK>."):
        assert tokenizer.encode(text).count(tokenizer.mask_id) == 1
        assert tokenizer.mask_id not in tokenizer.encode(text, allow_mask=False)
        plain = tokenizer.encode_pair(text, max_length=64, allow_mask=False)
        assert tokenizer.mask_id not in plain.input_ids
    assert tokenizer.encode("<mask>", allow_mask=False) == tokenizer.encode("< mask >")


_PIECES = st.sampled_from(
    [
        *WORDS,
        *(" ", "  ", "n't", " n't", "N'T", "<mask>", "[MASK]", "<cls>", "<unk>", "``"),
        *("\x00", "\n", "\u2028", "\x1c", "\u212a", "\ufeff", "\ud800", "İ", "Σ", "鹤", "😀"),
    ]
)
_ANY_TEXT = st.one_of(
    st.lists(_PIECES, max_size=12).map("".join),
    st.text(st.characters(exclude_categories=()), max_size=30),
)


@pytest.mark.parametrize("kind", ["word", "wordpiece"])
@settings(max_examples=150, deadline=None, database=None)
@given(texts=st.lists(_ANY_TEXT, max_size=6))
def test_a_batch_equals_one_by_one(
    kind: str, word: Tokenizer, wordpiece: Tokenizer, texts: list[str]
) -> None:
    tokenizer = word if kind == "word" else wordpiece
    for tokenized, one in ((False, tokenizer.encode), (True, tokenizer.encode_tokenized)):
        ids, offsets = tokenizer.encode_batch(texts, tokenized=tokenized)
        assert ids.dtype == np.int32 and offsets.dtype == np.int64
        parts = [ids[a:b].tolist() for a, b in pairwise(offsets)]
        assert parts == [one(text) for text in texts]


def test_a_batch_may_be_a_slice_or_in_pieces_or_have_nulls(word: Tokenizer) -> None:
    texts = pa.array(["a man", None, "the red horse", ""])
    ids, offsets = word.encode_batch(texts, tokenized=True)
    assert offsets.tolist() == [0, 2, 2, 5, 5]
    sliced, bounds = word.encode_batch(texts[2:], tokenized=True)
    assert sliced.tolist() == ids[2:].tolist() and bounds.tolist() == [0, 3, 3]
    chunked, same = word.encode_batch(pa.chunked_array([texts[:1], texts[1:]]), tokenized=True)
    assert chunked.tolist() == ids.tolist() and same.tolist() == offsets.tolist()


def test_wordpiece_agrees_with_the_library_on_whole_texts(wordpiece: Tokenizer) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    library = tokenizers.Tokenizer.from_str(wordpiece.to_json())
    for text in (*TEXTS, "Naïve WALKERS, talking-cats!", "İstanbul 鹤 café\x00s \u201chi\u201d"):
        if UNK not in text and "@" not in text:
            expected = library.encode(text, add_special_tokens=False).ids
            assert wordpiece.encode(text) == wordpiece.encode_tokenized(text) == expected
    assert wordpiece.tokens(wordpiece.encode_tokenized("cat <unk> @-@")) == [
        *wordpiece.tokens(wordpiece.encode("cat")),
        UNK,
        *wordpiece.tokens(wordpiece.encode("-")),
    ]


def test_wordpiece_is_the_same_every_time(wordpiece: Tokenizer) -> None:
    again = Tokenizer.train_wordpiece(list(TEXTS), 110)
    assert again.tokens(range(110)) == wordpiece.tokens(range(110))
    assert again.fingerprint == wordpiece.fingerprint
    assert wordpiece.vocab_size == 110 and wordpiece.special_ids == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("kind", ["word", "wordpiece"])
def test_saving_and_loading_changes_nothing(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(kind)
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert (loaded.kind, loaded.fingerprint) == (kind, tokenizer.fingerprint)
    assert loaded.encode("A <mask> man.") == tokenizer.encode("A <mask> man.")
    assert loaded.special_ids == (0, 1, 2, 3, 4)


def test_the_library_reads_a_word_level_file(word: Tokenizer) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    library = tokenizers.Tokenizer.from_str(word.to_json())
    pair = library.encode("A man is swimming .", "no .")
    ours = word.encode_pair("A man is swimming .", "no .", max_length=32)
    assert (pair.ids, pair.type_ids) == (ours.input_ids, ours.token_type_ids)


def test_a_hugging_face_file_is_read(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: i for i, token in enumerate([*special, "a", "crane", "##s", "<", "mask"])}
    library = tokenizers.BertWordPieceTokenizer(vocab=vocabulary)
    library.enable_truncation(3)
    library.enable_padding(length=8)
    library.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.load(tmp_path / "tokenizer.json")
    assert tokenizer.special_ids == (1, 0, 4, 2, 3)
    encoded = tokenizer.encode_pair("A <mask> cranes a", "[CLS]", max_length=20)
    assert encoded.tokens[:7] == ["[CLS]", "a", "[MASK]", "crane", "##s", "a", "[SEP]"]
    assert encoded.tokens.count("[CLS]") == 1 and len(encoded.tokens) == 11


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"<html>404</html>",
        b"\xff\xfe\x00",
        b"[]",
        b'{"model": 3}',
        b'{"model": {"type": "BPE", "vocab": {}}}',
        b'{"model": {"type": "WordLevel", "vocab": {"<unk>": 0}}}',
        b'{"model": {"type": "WordLevel", "vocab": ["a"]}}',
        b'{"model": {"type": "WordLevel", "vocab": {"<unk>": 0, "a": "b"}}}',
        b'{"model": {"type": "WordLevel", "vocab": {"<unk>": 0, "a": 5}}}',
        b'{"model": {"type": "WordPiece", "vocab": {"a": 0}}}',
    ],
)
def test_a_file_that_is_no_tokenizer_gets_a_sentence(contents: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(contents)
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        Tokenizer.load(path)


def test_a_missing_file_and_a_folder_get_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            Tokenizer.load(path)


def test_wrong_vocabularies_are_refused() -> None:
    with pytest.raises(UserError, match="'a' more than once"):
        Tokenizer.from_words([*SPECIAL_TOKENS, "a", "b", "a"])
    with pytest.raises(UserError, match="special tokens"):
        Tokenizer.from_words(["a", "b"])
    with pytest.raises(UserError, match="at least 100"):
        Tokenizer.train_wordpiece(TEXTS, 5)


def test_the_fingerprint_follows_the_vocabulary(word: Tokenizer) -> None:
    assert len(word.fingerprint) == 64
    same = Tokenizer.from_words([*SPECIAL_TOKENS, *WORDS])
    other = Tokenizer.from_words([*SPECIAL_TOKENS, *WORDS[::-1]])
    assert same.fingerprint == word.fingerprint != other.fingerprint


def test_a_pair_is_laid_out_as_in_the_book(word: Tokenizer) -> None:
    encoded = word.encode_pair("A man was red", "He is a man!", max_length=64)
    # D2L 15.8.1, get_tokens_and_segments
    a, b = ["a", "man", "was", "red"], f"{UNK} is a man !".split()
    assert encoded.tokens == ["<cls>", *a, "<sep>", *b, "<sep>"]
    assert encoded.token_type_ids == [0] * (len(a) + 2) + [1] * (len(b) + 1)
    assert encoded.truncated == 0
    one = word.encode_pair("a man was red", max_length=5)
    assert one.tokens == ["<cls>", "a", "man", "was", "<sep>"]
    assert one.token_type_ids == [0] * 5 and one.truncated == 1


def test_ten_thousand_words_are_cut_and_counted(word: Tokenizer) -> None:
    encoded = word.encode_pair("man " * 10_000, "a red horse", max_length=128)
    assert len(encoded.input_ids) == 128
    assert encoded.tokens[-4:] == ["a", "red", "horse", "<sep>"]
    assert encoded.truncated == 10_003 - 125


@pytest.mark.parametrize("text", ["", "  \n", "\x00", "\ud800", "\u200b"])
def test_an_empty_text_gets_a_sentence(text: str, word: Tokenizer, wordpiece: Tokenizer) -> None:
    for tokenizer in (word, wordpiece):
        with pytest.raises(UserError, match="The text is empty"):
            tokenizer.encode_pair(text, max_length=64)
        with pytest.raises(UserError, match="The second text is empty"):
            tokenizer.encode_pair("a", text, max_length=64)


def test_other_wrong_arguments_get_a_sentence(word: Tokenizer) -> None:
    with pytest.raises(UserError, match="must be text"):
        word.encode_pair(None, max_length=64)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="max_length is 4; it must be at least 5"):
        word.encode_pair("a", "a", max_length=4)
    with pytest.raises(UserError, match="truncation is 'half'"):
        word.encode_pair("a", "a", max_length=8, truncation="half")
    with pytest.raises(UserError, match="at least 2"):
        truncate_pair_lengths(3, 3, 1, "ratio")


_LENGTHS = st.integers(0, 60)


@given(a=_LENGTHS, b=_LENGTHS, room=st.integers(2, 70))
def test_longest_first_is_the_books_loop(a: int, b: int, room: int) -> None:
    kept = truncate_pair_lengths(a, b, room, "longest_first")
    # D2L 16.7.1, SNLIBERTDataset._truncate_pair_of_tokens
    while a + b > room:
        if a > b:
            a -= 1
        else:
            b -= 1
    assert (int(kept[0]), int(kept[1])) == (a, b)


@given(pairs=st.lists(st.tuples(_LENGTHS, _LENGTHS), min_size=1), room=st.integers(2, 70))
def test_ratio_keeps_the_ratio(pairs: list[tuple[int, int]], room: int) -> None:
    a, b = np.array(pairs).T
    kept_a, kept_b = truncate_pair_lengths(a, b, room, "ratio")
    assert (kept_a <= a).all() and (kept_b <= b).all()
    assert (kept_a[a > 0] > 0).all() and (kept_b[b > 0] > 0).all()
    cut = a + b > room
    assert (kept_a + kept_b == np.where(cut, room, a + b)).all()
    exact = a * room / np.maximum(a + b, 1)
    ordinary = cut & (exact >= 1) & (exact <= room - 1)
    assert (abs(kept_a - exact)[ordinary] <= 0.5).all()
