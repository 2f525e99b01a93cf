"""What this project asks of Hugging Face's `tokenizers`: training WordPiece, writing files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


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

    backend: Any = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
    backend.normalizer = normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=chinese
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend
