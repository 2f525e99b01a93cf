"""The weights in a checkpoint's model.safetensors: fp32, fp16, or matrices in 8 bits.

In 8 bits a matrix `NAME` is int8 and has its rows' scales, bf16, beside it as `NAME.scale`
(`rounding`); vectors are fp16 then, as they are too few to matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from bert_demo.common.fields import check_choice
from bert_demo.data.files import CheckpointError, not_finite, open_tensors

if TYPE_CHECKING:  # a page that starts reads what checkpoints say of themselves, without torch
    from torch import Size, Tensor

Storage = Literal["fp32", "fp16", "int8"]
STORAGES: tuple[Storage, ...] = get_args(Storage)


def as_stored(weights: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """What is written of fp32 `weights`, by name. Raises `UserError` for an unknown `storage`."""
    from bert_demo.model.rounding import round_rows

    check_choice("storage", storage, STORAGES)
    if storage == "fp32":
        return dict(weights)
    found = {}
    for name, value in weights.items():
        if storage == "int8" and value.ndim == 2:
            found[name], found[_scale(name)] = round_rows(value)
        else:
            found[name] = value.half()
    return found


def as_computed(
    stored: Mapping[str, Tensor], shapes: Mapping[str, Size], path: Path
) -> dict[str, Tensor]:
    """The weights, fp32, by the names in `shapes`, out of all that the file `path` holds.

    Raises `CheckpointError` for names, shapes or types that are not those of the model, and for
    numbers that are infinite or none.
    """
    import torch

    from bert_demo.model.rounding import unround_rows

    rounded = {
        name
        for name, shape in shapes.items()
        if len(shape) == 2 and name in stored and stored[name].dtype == torch.int8
    }
    expected = dict(shapes) | {_scale(name): shapes[name][:1] for name in rounded}
    for name in expected.keys() ^ stored.keys():
        raise CheckpointError(
            "{path} misses tensor {name!r}."
            if name in expected
            else "{path} has an unknown tensor {name!r}.",
            path=path,
            name=name,
        )
    for name, shape in expected.items():
        value = stored[name]
        if value.shape != shape or not (value.is_floating_point() or name in rounded):
            raise CheckpointError(
                "{path} has {name!r} as {shape} {kind}; config.json says {expected}.",
                path=path,
                name=name,
                shape=tuple(value.shape),
                kind=value.dtype,
                expected=tuple(shape),
            )
    weights = {
        name: unround_rows(stored[name], stored[_scale(name)])
        if name in rounded
        else stored[name].float()
        for name in shapes
    }
    odd = not_finite(weights)
    if odd is not None:
        raise CheckpointError(
            "{path} has numbers in {name!r} that are infinite or none; the model cannot be used.",
            path=path,
            name=odd,
        )
    return weights


def storage_of(path: Path) -> Storage:
    """How the weights in the file `path` are stored, by its header alone.

    Raises `CheckpointError` if it cannot be read.
    """
    with open_tensors(path) as file:
        names = set(file.keys())
        kinds = {file.get_slice(name).get_dtype() for name in names}
    if any(_scale(name) in names for name in names):
        return "int8"
    return "fp16" if "F16" in kinds else "fp32"


def _scale(name: str) -> str:
    return f"{name}.scale"
