"""BERTs of the Hugging Face Hub that are known to work here, from small to large."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownModel:
    """One model, and what to expect of it."""

    repo_id: str
    what: str
    """In one line, for people."""
    megabytes: int
    """Size of the download."""

    @property
    def title(self) -> str:
        """All of it in one line."""
        return f"{self.repo_id}: {self.what}, {self.megabytes} MB"


KNOWN_MODELS = (
    KnownModel("google/bert_uncased_L-2_H-128_A-2", "BERT tiny, 2 layers of 128", 18),
    KnownModel("google/bert_uncased_L-4_H-256_A-4", "BERT mini, 4 layers of 256", 45),
    KnownModel("prajjwal1/bert-mini", "BERT mini once more, another copy", 45),
    KnownModel(
        "sentence-transformers/all-MiniLM-L6-v2", "sentence encoder, 6 layers of 384, no heads", 91
    ),
    KnownModel("google/bert_uncased_L-4_H-512_A-8", "BERT small, 4 layers of 512", 116),
    KnownModel("google/bert_uncased_L-8_H-512_A-8", "BERT medium, 8 layers of 512", 167),
    KnownModel("google-bert/bert-base-uncased", "BERT itself, 12 layers of 768", 440),
)
