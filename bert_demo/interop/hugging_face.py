"""BERT as Hugging Face keeps it becomes a checkpoint of this project.

Read are `config.json`, the weights (safetensors, or PyTorch's file as tensors alone, in one file
or several) and `tokenizer.json` or `vocab.txt`. The architecture is that of Devlin et al. (2019)
as `transformers` computes it; whatever it computes otherwise is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bert_demo.common.errors import Text, UserError
from bert_demo.config import LABELS, BertConfig
from bert_demo.inference.report import Report
from bert_demo.interop import names
from bert_demo.interop.hf_tokenizer import read_tokenizer, vocabulary_file
from bert_demo.interop.model_files import ModelFiles, Progress
from bert_demo.model import checkpoint
from bert_demo.model.bert import unfilled_model

# What `transformers` assumes where config.json says nothing.
_DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,
}

_TITLES = {
    "albert": "ALBERT",
    "deberta": "DeBERTa",
    "deberta-v2": "DeBERTa",
    "distilbert": "DistilBERT",
    "electra": "ELECTRA",
    "gpt2": "GPT-2",
    "modernbert": "ModernBERT",
    "mpnet": "MPNet",
    "roberta": "RoBERTa",
    "xlm-roberta": "XLM-RoBERTa",
}

_EXACT_GELU = "gelu_python"  # the same function as "gelu", by another way

_ENCODER = ("embeddings.", "encoder.", "pooler.")
_SEED = 0  # the same import always gives the same checkpoint, new weights included


@dataclass(frozen=True, eq=False)
class ImportedHf(Report):
    """What was found in a model of Hugging Face's: the shape as `BertConfig` has it, and more."""

    task: str
    """One of `bert_demo.config.TASKS`, by the heads that the file has."""
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    hidden_act: str
    layer_norm_eps: float
    initializer_range: float
    parameters: int
    """How many numbers the model has learnt, its heads included."""
    untrained_heads: list[str]
    """Parts that the file does not have, so that they are new: "pooler", "nsp"."""
    left_out: list[str]
    """Parts that the file has and this project does not use."""
    labels: list[str] | None
    """What the rows of its classifier mean, in their order there; None where none is used."""
    source: str
    """Name of the folder or repository that it came from."""
    revision: str | None
    """The Hub's commit; None for a folder."""
    out: str
    """Folder of the checkpoint that was made."""

    @property
    def notes(self) -> list[Text]:
        """Sentences on what is not as one may expect."""
        if "classifier" not in self.left_out:
            return []
        return [
            Text(
                "Its classifier is left out, as config.json does not say which of its labels are "
                "entailment, neutral and contradiction; --labels names three in their order."
            )
        ]


def import_hf(
    source: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    labels: str | Sequence[str] | None = None,
    only_hub: bool = False,
    progress: Progress | None = None,
) -> ImportedHf:
    """Make a checkpoint in `out` from a BERT of Hugging Face's (Devlin et al. 2019).

    The task follows from the heads that the file has: a masked-LM head makes it "pretraining",
    a classifier over entailment, neutral and contradiction "nli", nothing of the kind "encoder".
    The next-sentence classes and the labels change places to this project's order.

    Args:
        source: a folder, or a repository of the Hub ("google-bert/bert-base-uncased", or the
            address of its page).
        overwrite: replace a checkpoint that is in `out` already.
        labels: what the classifier's three labels are, in their order there, whatever config.json
            calls them: "contradiction,entailment,neutral", or a list.
        only_hub: `source` is a repository even where a folder has its name.
        progress: told what is being done, perhaps from another thread.

    Raises:
        UserError: no such source; no network; a model that is not a BERT; files that are
            missing, damaged or dangerous; a folder that cannot be written.
    """
    named = None if labels is None else _order(labels)
    checkpoint.check_writable(out, overwrite=overwrite)
    files = ModelFiles(source, progress, only_hub=only_hub)
    theirs = files.json("config.json")
    _check_kind(theirs, files.name)
    tokenizer = read_tokenizer(files, theirs)
    state = names.modern(files.weights())
    if progress is not None:
        progress(Text("Making the checkpoint"), None)
    classes = state["classifier.weight"].shape[0] if "classifier.weight" in state else 0
    if named is not None and classes != len(LABELS):
        raise UserError(
            "{source} has no classifier with three labels that --labels could name.",
            source=files.name,
        )
    order = named or _label_order(theirs) if classes == len(LABELS) else None
    task = _task(state, order)
    config = _config(theirs, state, task, files.name)
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(
            "{source} has {n:,} tokens but weights for {rows:,}.",
            source=f"{vocabulary_file(files).name} of {files.name}",
            n=tokenizer.vocab_size,
            rows=config.vocab_size,
        )
    weights, untrained = _renamed(state, config, task, files.name)
    model = unfilled_model(config, task)
    for name, expected in model.state_dict().items():
        if weights[name].shape != expected.shape:
            raise UserError(
                "{source} does not fit its config.json: {part} is {shape}, it should be "
                "{expected}.",
                source=files.name,
                part=name,
                shape=tuple(weights[name].shape),
                expected=tuple(expected.shape),
            )
    if task == "nli":
        for name in ("classifier.weight", "classifier.bias"):
            weights[name] = weights[name][order]
    if task == "pretraining":
        for name in ("nsp.weight", "nsp.bias"):
            weights[name] = names.swapped(weights[name])
    model.load_state_dict(weights, assign=True)
    if task == "pretraining" and config.tie_word_embeddings:
        model.mlm.decoder_weight = model.embeddings.word_embeddings.weight
    report = ImportedHf(
        task,
        **{name: getattr(config, name) for name in _DEFAULTS},
        parameters=sum(value.numel() for value in model.parameters()),
        untrained_heads=untrained,
        left_out=sorted({name.rpartition(".")[0] for name in state}),
        labels=None if order is None else [LABELS[order.index(row)] for row in range(len(order))],
        source=files.name,
        revision=files.revision,
        out=str(out),
    )
    kept = {name: value for name, value in report.items() if name != "out"}
    checkpoint.save(out, model, tokenizer, {"imported": "Hugging Face", **kept})
    return report


def _check_kind(theirs: Mapping[str, Any], source: str) -> None:
    """Refuse what is not a BERT, or one that computes something else."""
    if checkpoint.is_own(theirs):
        raise UserError(
            "{source} is a checkpoint of bert_demo already; use it as it is.", source=source
        )
    kind, built = theirs.get("model_type"), theirs.get("architectures")
    first = str(built[0]) if isinstance(built, list) and built else None
    if kind is None and first is not None and not re.match("Bert(Model|For|LMHead)", first):
        kind = first
    if kind not in (None, "bert"):
        title = _TITLES.get(str(kind), str(kind))
        raise UserError(
            "{source} is a model of the kind {kind}, not a BERT.", source=source, kind=title
        )
    if theirs.get("is_decoder") or theirs.get("add_cross_attention"):
        raise UserError(
            "{source} is a BERT made into a decoder, which reads only to the left.", source=source
        )
    positions = theirs.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise UserError(
            "{source} has position embeddings of the type {positions!r}; only 'absolute', "
            "BERT's own, can be read.",
            source=source,
            positions=positions,
        )


def _config(
    theirs: Mapping[str, Any], state: Mapping[str, Tensor], task: str, source: str
) -> BertConfig:
    values = {name: theirs.get(name, value) for name, value in _DEFAULTS.items()}
    if values["hidden_act"] == _EXACT_GELU:
        values["hidden_act"] = "gelu"
    tied = theirs.get("tie_word_embeddings", True) is not False
    table, decoder = state.get("embeddings.word_embeddings.weight"), state.get(names.DECODER)
    if task == "pretraining" and table is not None and decoder is not None:
        tied = tied and torch.equal(table, decoder)
    try:
        return BertConfig(**values, embedding_layer_norm=True, tie_word_embeddings=tied)
    except UserError as error:
        raise UserError(
            "{source} cannot be imported: {error}", source=source, error=error
        ) from error


def _label_order(theirs: Mapping[str, Any]) -> list[int] | None:
    """For each of `LABELS` its row in their classifier; None where the names are others."""
    named = theirs.get("id2label")
    if not isinstance(named, Mapping):
        return None
    rows = {str(label).strip().lower(): str(row) for row, label in named.items()}
    order = [rows.get(label, "") for label in LABELS]
    return [int(row) for row in order] if sorted(order) == ["0", "1", "2"] else None


def _order(labels: str | Sequence[str]) -> list[int]:
    """The same from names in the order of the rows; `UserError` for others than the three."""
    given = labels.split(",") if isinstance(labels, str) else list(labels)
    rows = [str(label).strip().lower() for label in given]
    if sorted(rows) != sorted(LABELS):
        raise UserError(
            "labels is {value!r}; it must be entailment, neutral and contradiction in the order of "
            "the classifier, with commas.",
            value=labels,
        )
    return [rows.index(label) for label in LABELS]


def _task(state: Mapping[str, Tensor], order: list[int] | None) -> str:
    if order is not None:
        return "nli"
    return "pretraining" if "cls.predictions.bias" in state else "encoder"


def _renamed(
    state: dict[str, Tensor], config: BertConfig, task: str, source: str
) -> tuple[dict[str, Tensor], list[str]]:
    """(their weights under our names, new parts); what `state` keeps was not used."""

    def take(name: str) -> Tensor:
        if name not in state:
            raise UserError(
                "{source} is not a whole BERT: {part} is missing.", source=source, part=name
            )
        return state.pop(name)

    layers, hidden = config.num_hidden_layers, config.hidden_size
    draws, std = torch.Generator().manual_seed(_SEED), config.initializer_range or 0.02
    untrained = []
    for part, theirs, rows in (
        ("pooler", "pooler.dense", hidden),
        ("nsp", "cls.seq_relationship", 2),
    ):
        wanted = part == "pooler" or task == "pretraining"
        if wanted and f"{theirs}.weight" not in state:
            untrained.append(part)
            state[f"{theirs}.weight"] = torch.randn(rows, hidden, generator=draws) * std
            state[f"{theirs}.bias"] = torch.zeros(rows)
    if task == "pretraining" and config.tie_word_embeddings:
        state[names.DECODER] = state.get("embeddings.word_embeddings.weight", torch.empty(0))
    weights = {ours: take(theirs) for ours, theirs in names.tensors(layers, task).items()}
    for ours, parts in names.qkv(layers).items():
        values = [take(part) for part in parts]
        if len({value.shape for value in values}) != 1:
            raise UserError(
                "{source} is not a whole BERT: {part} has an odd shape.",
                source=source,
                part=parts[0],
            )
        weights[ours] = torch.stack(values).flatten(0, 1)
    unknown = [name for name in state if name.startswith(_ENCODER)]
    if unknown:
        raise UserError(
            "{source} is not a plain BERT: it has an unknown {part}.",
            source=source,
            part=min(unknown),
        )
    return weights, untrained
