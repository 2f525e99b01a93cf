"""Which settings belong together: what they are for, and who may set them."""

from __future__ import annotations

from collections.abc import Mapping

NEW_MODEL_SETTINGS = (
    "size",
    "vocabulary",
    "wordpieces",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "norm",
    "hidden_act",
    "positions",
    "tied_matrix",
    "word_vectors",
)
"""A new model's shape and vocabulary; fine-tuning takes them from its checkpoint."""

GUESSING_SETTINGS = (
    "mask_share",
    "mask_replaced",
    "mask_random",
    "masking",
    "padding_in_loss",
    "next_sentence",
)
"""What a model is asked in pretraining, which is for that alone."""

TEACHING_SETTINGS = ("teacher", "new_pairs", "logic_pairs", "edited_pairs")
"""What there is to learn from beside labelled pairs, which is for fine-tuning alone."""

_VISITORS_TRAINING = (
    "recipe",
    "steps",
    "epochs",
    "budget_seconds",
    "batch_size",
    "gradient_accumulation_steps",
    "max_length",
    "truncation",
    "learning_rate",
    "seed",
    "validate_every_steps",
    "stop_at_loss",
    "keep",
    "save_every_seconds",
    "device",
    "precision",
    "optimizer",
    "weight_decay",
    "warmup",
    "schedule",
)
VISITOR_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "pretraining": (
        "corpus",
        *NEW_MODEL_SETTINGS,
        "dropout",
        *GUESSING_SETTINGS,
        *_VISITORS_TRAINING,
    ),
    "nli": ("start_from", "corpus", "dropout", *_VISITORS_TRAINING),
}
"""What a visitor of the page may set, by task, whether in a form or through the API; all else is
for whoever has a shell on the computer. `start_from` is a model's id there, never a folder."""

DESIGN_SETTINGS = (
    "norm",
    "hidden_act",
    "positions",
    "tied_matrix",
    "word_vectors",
    *GUESSING_SETTINGS,
    "optimizer",
    "weight_decay",
    "warmup",
    "schedule",
)
"""Choices that somebody made when BERT was designed, each of which can be made otherwise."""

COMPARED_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "pretraining": (
        *DESIGN_SETTINGS,
        "recipe",
        "learning_rate",
        "batch_size",
        "dropout",
        "size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
    ),
    "nli": (
        "recipe",
        "learning_rate",
        "batch_size",
        "dropout",
        "optimizer",
        "weight_decay",
        "warmup",
        "schedule",
    ),
}
"""What can be tried against, by task: what leaves the text and the question as they are, so that
the held-out losses of both ways can be compared."""
