"""A checkpoint is a folder that people can read and no half-finished write can spoil.

config.json            what it is: task, shape of the model, the tokenizer's fingerprint, "about"
tokenizer.json         the vocabulary
model.safetensors      the weights in fp32, fp16 or 8 bits, as `stored_weights` says; where a
                       pretrained model was primed with them, also statistics of its text
resume.safetensors     only beside an unfinished run: all that the loop needs to go on

The weights carry the digest of the configuration they belong to: files of two different
checkpoints do not pass for one. How files change at once or not at all is in `data/files`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bert_demo.common.errors import UserError
from bert_demo.common.fields import from_dict
from bert_demo.config import LABELS, TASKS, BertConfig
from bert_demo.data.files import (
    CheckpointError,
    check_whole,
    explained,
    is_empty,
    part_folder,
    put_folder,
    read_tensors,
    readers_path,
    write_tensors,
    writers_path,
)
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.model.folders import CONFIG, METRICS, MOMENTS, RESUME, TOKENIZER, WEIGHTS
from bert_demo.model.plain_json import mapping, read_value
from bert_demo.model.stored_weights import Storage, as_computed, as_stored

if TYPE_CHECKING:  # a page that starts reads what checkpoints say of themselves, without torch
    from bert_demo.model.beginning import Statistics
    from bert_demo.model.bert import BertModel

__all__ = [
    "CONFIG",
    "METRICS",
    "RESUME",
    "TOKENIZER",
    "WEIGHTS",
    "Checkpoint",
    "CheckpointError",
    "check_writable",
    "digest_in",
    "is_own",
    "load",
    "read_config",
    "save",
    "statistics",
]

FORMAT = "bert_demo 1"

_TIED = "mlm.decoder_weight"
_CHOSEN_SINCE = ("norm", "positions")
_COUNTS = "beginning.token_counts"
_VECTORS = "beginning.word_vectors"


class Checkpoint(NamedTuple):
    """What a folder holds: `model, tokenizer, config = load(folder)`."""

    model: BertModel
    """In evaluation mode, on the CPU, fp32; `model.task` says what it was trained for."""
    tokenizer: Tokenizer
    config: BertConfig


def check_writable(folder: str | Path, *, overwrite: bool = False) -> None:
    """Raise `CheckpointError` if a checkpoint could not be saved to `folder`.

    Meant for the moment before a long run. A folder that holds anything but a checkpoint is
    never accepted, one that holds a checkpoint only with `overwrite`.
    """
    folder = writers_path(folder)
    with explained(folder, "written"):
        if _holds_checkpoint(folder) and not overwrite:
            raise CheckpointError(
                "{folder} holds a checkpoint already; give another folder, or --overwrite.",
                folder=folder,
            )
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            raise CheckpointError(
                "{existing} is a file; a checkpoint needs a folder.", existing=existing
            )
        # Asking for permissions is not enough: a full disk has them all.
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(bytes(1 << 16))


def save(
    folder: str | Path,
    model: BertModel,
    tokenizer: Tokenizer,
    about: Mapping[str, Any],
    *,
    storage: Storage = "fp32",
    statistics: Statistics | None = None,
) -> None:
    """Write a checkpoint, or bring the one in `folder` up to date.

    Whatever interrupts it, `folder` holds the previous checkpoint or the new one. A checkpoint
    of another model, task or vocabulary is replaced with all its files: ask `check_writable`
    first whether there is one.

    Args:
        about: facts for people and programs, as JSON has them: settings, corpus, scores.
        storage: "fp16" for half the size and three digits, "int8" for a quarter of it: matrices
            in 8 bits, with a scale for each row.
        statistics: of the text that the model was primed with.

    Raises:
        CheckpointError: a folder of something else, a file in the way, no permission, a full
            disk.
        UserError: an unknown `storage`.
    """
    import torch

    folder = writers_path(folder)
    config = _describe(model, tokenizer, about)
    metadata = {"format": FORMAT, "config_sha256": _digest(config)}
    state = model.state_dict()
    if model.config.tie_word_embeddings:
        state.pop(_TIED, None)
    state = as_stored(state, storage)
    if statistics is not None:
        state[_COUNTS] = torch.from_numpy(statistics.counts).int()
        if statistics.vectors is not None:
            state[_VECTORS] = torch.from_numpy(statistics.vectors)
    with explained(folder, "written"):
        update = _holds_checkpoint(folder) and digest_in(folder) == metadata["config_sha256"]
        in_place = update or (folder.exists() and not _holds_checkpoint(folder))
        with part_folder(folder if in_place else folder.parent) as part:
            tokenizer.save(part / TOKENIZER)
            write_tensors(part / WEIGHTS, state, metadata)
            text = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
            (part / CONFIG).write_text(text, encoding="utf-8")
            if not in_place:
                put_folder(part, folder)
                return
            # A folder becomes a checkpoint with its config.json, so that comes last.
            for name in (TOKENIZER, WEIGHTS, CONFIG):
                (part / name).replace(folder / name)


def read_config(folder: str | Path) -> dict[str, Any]:
    """The checkpoint's config.json, without its weights; "about" has the facts given to `save`.

    Raises `CheckpointError` if the folder is missing, foreign or damaged.
    """
    folder = readers_path(folder)
    if not folder.exists():
        raise CheckpointError("There is no folder {folder}.", folder=folder)
    if not folder.is_dir():
        raise CheckpointError("{folder} is a file; a checkpoint is a folder.", folder=folder)
    path = folder / CONFIG
    with explained(path, "read"):
        if not path.is_file():
            raise CheckpointError(
                "{folder} is not a checkpoint: it has no {name}.", folder=folder, name=CONFIG
            )
        check_whole(path)
        try:
            config = mapping(read_value(path))
        except ValueError as error:
            raise CheckpointError("{path} is damaged: it is not valid JSON.", path=path) from error
    found = config.get("format")
    if found != FORMAT:
        if is_own(config):
            raise CheckpointError(
                "{folder} was written by another version of bert_demo ({found!r}; this one "
                "reads {expected!r}).",
                folder=folder,
                found=found,
                expected=FORMAT,
            )
        raise CheckpointError("{folder} is not one of bert_demo's checkpoints.", folder=folder)
    kinds = {"task": str, "model": dict, "tokenizer_sha256": str, "about": dict}
    for name, kind in kinds.items():
        if not isinstance(config.get(name), kind):
            raise CheckpointError(
                "{path} is damaged: {name!r} is missing or wrong.", path=path, name=name
            )
    if config["task"] not in TASKS or config.get("labels", list(LABELS)) != list(LABELS):
        raise CheckpointError("{path} is damaged: its task or labels are unknown.", path=path)
    return dict(config)


def is_own(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of a checkpoint of this project, of whatever version."""
    return str(config.get("format")).startswith("bert_demo ")


def load(folder: str | Path) -> Checkpoint:
    """Read a checkpoint, strictly; gives (model, tokenizer, config).

    Raises `CheckpointError` if the folder is missing, foreign, incomplete or damaged, or if its
    files belong to different checkpoints.
    """
    from bert_demo.model.bert import unfilled_model

    folder = readers_path(folder)
    stored = read_config(folder)
    try:
        config: BertConfig = from_dict(BertConfig, stored["model"])
    except UserError as error:
        raise CheckpointError(
            "{path} is damaged: {error}", path=folder / CONFIG, error=error
        ) from error
    tokenizer = _load_tokenizer(folder / TOKENIZER, stored["tokenizer_sha256"], config)
    model = unfilled_model(config, stored["task"])
    tied = stored["task"] == "pretraining" and config.tie_word_embeddings
    tensors, _ = read_tensors(folder / WEIGHTS, {"config_sha256": _digest(stored)})
    for name in (_COUNTS, _VECTORS):
        tensors.pop(name, None)
    shapes = {k: v.shape for k, v in model.state_dict().items() if not (tied and k == _TIED)}
    weights = as_computed(tensors, shapes, folder / WEIGHTS)
    model.load_state_dict(weights, strict=False, assign=True)
    if tied:
        model.mlm.decoder_weight = model.embeddings.word_embeddings.weight
    return Checkpoint(model.eval(), tokenizer, config)


def statistics(folder: str | Path) -> Statistics | None:
    """Of the text that a model was primed with; None of one that was not. A moment's are its run's.

    Raises `CheckpointError` if the checkpoint cannot be read.
    """
    import torch

    from bert_demo.model.beginning import Statistics

    folder = readers_path(folder)
    if folder.parent.name == MOMENTS:
        folder = folder.parent.parent
    stored = read_config(folder)
    tensors, _ = read_tensors(folder / WEIGHTS, {"config_sha256": _digest(stored)})
    counts, vectors = tensors.get(_COUNTS), tensors.get(_VECTORS)
    if counts is None:
        return None
    vocab_size, size = (stored["model"].get(name) for name in ("vocab_size", "hidden_size"))
    damaged = None
    if counts.is_floating_point() or counts.shape != (vocab_size,) or bool((counts < 0).any()):
        damaged = _COUNTS
    elif vectors is not None and (vectors.dtype, vectors.shape) != (torch.int8, (vocab_size, size)):
        damaged = _VECTORS
    if damaged is not None:
        raise CheckpointError(
            "{path} is damaged: {name!r} is missing or wrong.", path=folder / WEIGHTS, name=damaged
        )
    return Statistics(counts.long().numpy(), None if vectors is None else vectors.numpy())


def _load_tokenizer(path: Path, fingerprint: str, config: BertConfig) -> Tokenizer:
    if not path.is_file():
        raise CheckpointError(
            "The checkpoint {folder} has no {name}.", folder=path.parent, name=path.name
        )
    try:
        check_whole(path)
        tokenizer = Tokenizer.load(path)
    except UserError as error:
        raise CheckpointError(error.text) from error
    if tokenizer.fingerprint != fingerprint:
        raise CheckpointError(
            "{path} does not belong to this checkpoint; it was changed or comes from another one.",
            path=path,
        )
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            "{path} has {n:,} tokens; the model knows {rows:,}.",
            path=path,
            n=tokenizer.vocab_size,
            rows=config.vocab_size,
        )
    return tokenizer


def _describe(model: BertModel, tokenizer: Tokenizer, about: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "format": FORMAT,
        "task": model.task,
        "model": _told(model.config),
        "tokenizer_sha256": tokenizer.fingerprint,
    }
    if model.task == "nli":
        config["labels"] = list(LABELS)
    return config | {"about": dict(about)}


def _told(config: BertConfig) -> dict[str, Any]:
    """Without what is as it was before it could be chosen: a run of an earlier version that goes on
    stays the same model, and keeps its folder."""
    values, plain = dataclasses.asdict(config), BertConfig()
    same = [name for name in _CHOSEN_SINCE if values[name] == getattr(plain, name)]
    return {name: value for name, value in values.items() if name not in same}


def _digest(config: Mapping[str, Any]) -> str:
    """SHA-256 of what must fit together: shape of the model, task, vocabulary."""
    facts = {name: config[name] for name in ("model", "task", "tokenizer_sha256")}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def digest_in(folder: Path) -> str:
    """What ties the files of the checkpoint in a folder to each other."""
    return _digest(read_config(folder))


def _holds_checkpoint(folder: Path) -> bool:
    """True for a checkpoint, False for nothing; anything else is an error: it is not ours."""
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise CheckpointError("{folder} is a file; a checkpoint needs a folder.", folder=folder)
    if is_empty(folder):
        return False
    try:
        read_config(folder)
    except CheckpointError as error:
        raise CheckpointError(
            "{folder} exists and is not a checkpoint that can be replaced; give a new folder.",
            folder=folder,
        ) from error
    return True
