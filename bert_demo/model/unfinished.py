"""The state of an unfinished run beside its checkpoint: all that the loop needs to go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_demo.data.files import (
    CheckpointError,
    explained,
    part_folder,
    read_tensors,
    readers_path,
    write_tensors,
    writers_path,
)
from bert_demo.model.checkpoint import FORMAT, digest_in
from bert_demo.model.folders import RESUME, is_file

if TYPE_CHECKING:
    from torch import Tensor


def save_resume(
    folder: str | Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> None:
    """Write all that a loop needs to go on, beside the checkpoint in `folder`, in one move.

    `state` is plain data for JSON. Two names for one tensor stay two names for one tensor.
    """
    folder = writers_path(folder)
    names: dict[tuple[Any, ...], str] = {}
    aliases: dict[str, str] = {}
    kept: dict[str, Tensor] = {}
    for name, value in tensors.items():
        place = (value.data_ptr(), value.dtype, value.shape, value.stride())
        if value.numel() and names.setdefault(place, name) != name:
            aliases[name] = names[place]
        else:
            kept[name] = value
    metadata = {
        "format": FORMAT,
        "config_sha256": digest_in(folder),
        "aliases": json.dumps(aliases),
        "state": json.dumps(dict(state)),
    }
    with explained(folder, "written"), part_folder(folder) as part:
        write_tensors(part / RESUME, kept, metadata)
        (part / RESUME).replace(folder / RESUME)


def load_resume(folder: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """(tensors, state) as `save_resume` got them, on the CPU; None where there is nothing."""
    folder = readers_path(folder)
    if not is_file(folder / RESUME):
        return None
    tensors, metadata = read_tensors(folder / RESUME, {"config_sha256": digest_in(folder)})
    try:
        aliases, state = json.loads(metadata["aliases"]), json.loads(metadata["state"])
        tensors |= {name: tensors[other] for name, other in aliases.items()}
        state = dict(state)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            "{path} is damaged; the run cannot go on.", path=folder / RESUME
        ) from error
    return tensors, state


def remove_resume(folder: str | Path) -> None:
    """Forget the unfinished run in `folder`, if there is one."""
    folder = writers_path(folder)
    with explained(folder, "written"):
        (folder / RESUME).unlink(missing_ok=True)
