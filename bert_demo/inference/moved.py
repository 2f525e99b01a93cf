"""How far training moved each matrix, from one moment of a run to another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bert_demo.common.errors import UserError
from bert_demo.model.bert import BertModel

_THIRDS = ("queries", "keys", "values")


@dataclass(frozen=True)
class Moved:
    """One matrix, and how large a change of it is."""

    name: str
    """As in `model.state_dict()`, the three in "qkv" apart: "layers.0.queries"."""
    share: float
    """The norm of its change, or of its gradient, over its own norm (both Frobenius's)."""


@torch.no_grad()
def moved(before: BertModel, after: BertModel) -> list[Moved]:
    """Every matrix of a model by how far it moved between two moments, the farthest first.

    A tied output matrix is the word embeddings, and is named once. Moments are kept in 16 bits, so
    that a share of up to 0.0005 is rounding. Raises `UserError` for models of other shapes.
    """
    then, now = (dict(matrices(model.named_parameters())) for model in (before, after))
    shapes = [{name: matrix.shape for name, matrix in found.items()} for found in (then, now)]
    if shapes[0] != shapes[1]:
        raise UserError("These are two models of different shapes, not one at two moments.")
    found = []
    for name, matrix in then.items():
        change = float((now[name] - matrix).norm() / matrix.norm().clamp(min=1e-12))
        found.append(Moved(name, change))
    return sorted(found, key=lambda one: -one.share)


def matrices(named: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """The matrices among a model's tensors, in fp32 on the CPU, named as `Moved` names them."""
    for name, value in named:
        short = name.removesuffix(".weight")
        if short.endswith(".qkv") and value.dim() == 2:
            for third, part in zip(_THIRDS, value.float().cpu().chunk(3), strict=True):
                yield short.replace(".qkv", f".{third}"), part
        elif value.dim() == 2:
            yield short, value.float().cpu()
