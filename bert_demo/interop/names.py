"""What Hugging Face's BERT calls the weights, for reading and for writing.

Letters: H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

ENCODER = "bert."
"""Stands before the encoder's names in models that have heads."""

ENCODERS = (ENCODER, "0.auto_model.", "auto_model.", "model.")
"""The same in whatever a BERT is a part of, such as a sentence transformer."""

DECODER = "cls.predictions.decoder.weight"
"""The masked-LM output matrix, which a file may leave out where it is the embeddings'."""

_QKV = ("query", "key", "value")
_HEADS = {
    "pretraining": {
        "mlm.dense": "cls.predictions.transform.dense",
        "mlm.norm": "cls.predictions.transform.LayerNorm",
        "nsp": "cls.seq_relationship",
    },
    "nli": {"classifier": "classifier"},
    "encoder": {},
}


def modules(layers: int, task: str) -> dict[str, str]:
    """Modules with a weight and a bias, ours to theirs; without `ENCODER`, and without qkv."""
    found = {"embeddings.norm": "embeddings.LayerNorm", "pooler": "pooler.dense"}
    for number in range(layers):
        ours, theirs = f"layers.{number}", f"encoder.layer.{number}"
        found |= {
            f"{ours}.attention_output": f"{theirs}.attention.output.dense",
            f"{ours}.attention_norm": f"{theirs}.attention.output.LayerNorm",
            f"{ours}.intermediate": f"{theirs}.intermediate.dense",
            f"{ours}.output": f"{theirs}.output.dense",
            f"{ours}.output_norm": f"{theirs}.output.LayerNorm",
        }
    return found | _HEADS[task]


def tensors(layers: int, task: str) -> dict[str, str]:
    """Every parameter but those of qkv, ours to theirs, without `ENCODER`."""
    found = {
        f"embeddings.{table}_embeddings.weight": f"embeddings.{table}_embeddings.weight"
        for table in ("word", "token_type", "position")
    }
    for ours, theirs in modules(layers, task).items():
        found |= {f"{ours}.{kind}": f"{theirs}.{kind}" for kind in ("weight", "bias")}
    if task == "pretraining":
        found |= {"mlm.decoder_weight": DECODER, "mlm.decoder_bias": "cls.predictions.bias"}
    return found


def qkv(layers: int) -> dict[str, list[str]]:
    """Our joint (3 H, H) matrices and (3 H,) biases, and the three that make up each there."""
    return {
        f"layers.{number}.qkv.{kind}": [
            f"encoder.layer.{number}.attention.self.{part}.{kind}" for part in _QKV
        ]
        for number in range(layers)
        for kind in ("weight", "bias")
    }


def modern(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file's tensors under today's names, less what is no weight; `ENCODER` is off already.

    Files from TensorFlow's days call a LayerNorm's weight and bias gamma and beta.
    """
    found = {}
    for name, value in state.items():
        for old, new in (("gamma", "weight"), ("beta", "bias")):
            if name.endswith(f"LayerNorm.{old}"):
                name = f"{name.removesuffix(old)}{new}"
        if name not in ("embeddings.position_ids", "embeddings.token_type_ids"):
            found[name] = value
    # One bias under two names; where they differ, this is the one that is computed with.
    if "cls.predictions.decoder.bias" in found:
        found["cls.predictions.bias"] = found.pop("cls.predictions.decoder.bias")
    return found


def swapped(value: Tensor) -> Tensor:
    """The next-sentence head's two classes the other way round.

    There class 0 means that the second text follows the first; here, as in the book, class 1.
    """
    return torch.flip(value, (0,))
