"""What settings and their values are called on the page."""

from __future__ import annotations

import hashlib
from typing import Any

from bert_demo.common.fields import Setting
from bert_demo.ui.parts.language import later, number, say, translate

_ON_OFF = {"on": later("on"), "off": later("off")}
_VALUES = {
    "size": {
        "tiny": later("tiny: 2 layers of 128"),
        "small": later("small: 2 layers of 256"),
        "base": later("base: 12 layers of 768"),
        "large": later("large: 24 layers of 1024"),
    },
    "recipe": {"recommended": later("recommended"), "d2l": later("the book's")},
    "vocabulary": {"word": later("whole words"), "wordpiece": later("pieces of words")},
    "truncation": {
        "longest_first": later("from the longer text"),
        "ratio": later("keeping the ratio"),
    },
    "norm": {"after": later("after each sublayer"), "before": later("before each sublayer")},
    "positions": {
        "learned": later("learnt"),
        "sinusoid": later("sines"),
        "none": later("none"),
    },
    "tied_matrix": _ON_OFF,
    "word_vectors": {"random": later("drawn at random"), "counted": later("counted")},
    "masking": {"dynamic": later("drawn anew"), "static": later("drawn once")},
    "padding_in_loss": _ON_OFF,
    "next_sentence": _ON_OFF,
    "keep": {"last": later("the last"), "best": later("the best on held-out text")},
    "schedule": {
        "linear": later("falls in a line"),
        "cosine": later("falls as a cosine"),
        "constant": later("stays"),
    },
}
_LABELS = {
    "corpus": later("Corpus"),
    "recipe": later("Recipe"),
    "vocabulary": later("Vocabulary"),
    "dropout": later("Dropout"),
    "batch_size": later("Batch size"),
    "max_length": later("Longest pair, in tokens"),
    "truncation": later("Truncation"),
    "learning_rate": later("Learning rate"),
    "seed": later("Seed"),
    "device": later("Device"),
    "precision": later("Precision"),
    "size": later("Model"),
    "start_from": later("Start from"),
    "hidden_size": later("Width"),
    "num_hidden_layers": later("Layers"),
    "num_attention_heads": later("Attention heads"),
    "intermediate_size": later("Feed-forward width"),
    "wordpieces": later("Number of pieces"),
    "save_every_seconds": later("Seconds between saves"),
    "validate_every_steps": later("Steps between validations"),
    "stop_at_loss": later("Stop at a loss of"),
    "keep": later("Weights to keep"),
    "gradient_accumulation_steps": later("Parts of a step's batch"),
    "norm": later("LayerNorm"),
    "hidden_act": later("Activation"),
    "positions": later("Positions"),
    "tied_matrix": later("Tied output matrix"),
    "word_vectors": later("Words' first vectors"),
    "mask_share": later("Words to guess"),
    "mask_replaced": later("Shown as <mask>"),
    "mask_random": later("Shown as another word"),
    "masking": later("Masks and pairs"),
    "padding_in_loss": later("Padding in the loss"),
    "next_sentence": later("Next sentence"),
    "optimizer": later("Optimizer"),
    "weight_decay": later("Weight decay"),
    "warmup": later("Warm-up"),
    "schedule": later("Learning rate after that"),
}

_RECIPES_OWN = later("the recipe's own")
_SIZES_OWN = later("the model's own")
_OWN = {
    "hidden_size": _SIZES_OWN,
    "num_hidden_layers": _SIZES_OWN,
    "num_attention_heads": _SIZES_OWN,
    "intermediate_size": _SIZES_OWN,
    "validate_every_steps": later("about twenty in a run"),
    "stop_at_loss": later("no loss: run to the end"),
}


def label_of(name: str) -> str:
    """What a setting is called on the page."""
    return say(_LABELS[name])


def value_words(name: str, value: Any) -> str:
    """A setting's value in words."""
    if value is None:
        return say(_OWN.get(name, _RECIPES_OWN))
    words = _VALUES.get(name, {}).get(value)
    if words is not None:
        return say(words)
    return f"{value:g}" if isinstance(value, float) else str(value)


def hint_of(item: Setting) -> str:
    """What a setting does, and its range."""
    hint = translate(item.hint)
    if item.type is bool or item.low is None or item.high is None:
        return say("{hint}.", hint=hint)
    low, high = (number(end) if isinstance(end, int) else end for end in (item.low, item.high))
    return say("{hint}. From {low} to {high}.", hint=hint, low=low, high=high)


BIRDS = (
    later("heron"), later("swift"), later("wren"), later("robin"), later("lark"), later("finch"),
    later("owl"), later("kite"), later("plover"), later("curlew"), later("egret"), later("stork"),
    later("ibis"), later("avocet"), later("dunlin"), later("siskin"), later("dipper"),
    later("grebe"), later("martin"), later("rook"),
)  # fmt: skip
"""What runs are called until their owners name them."""


def suggested_name(token: str) -> str:
    """A name for the runs of the browser with this token, the same every time."""
    return say(BIRDS[int(hashlib.sha256(token.encode()).hexdigest(), 16) % len(BIRDS)])
