"""Checkpoints of Dive into Deep Learning (D2L 15.10 and 16.7) become this project's own.

A classifier that somebody fine-tuned as in 16.7 comes the same way as the book's own models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS as OWN_LABELS
from bert_demo.config import BertConfig
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.report import Report
from bert_demo.interop import untrusted
from bert_demo.interop.d2l_files import BOOK_MODELS, VOCABULARY, find, read
from bert_demo.model import checkpoint
from bert_demo.model.bert import unfilled_model

LABELS = ("entailment", "contradiction", "neutral")
"""What the book's classifier means by 0, 1 and 2 (D2L 15.4), which is not our own order."""


_LAYER = re.compile(r"encoder\.blks\.(\d+)\.")


@dataclass(frozen=True, eq=False)
class ImportedD2l(Report):
    """What was found in a checkpoint of the book: the shape as `BertConfig` has it, and more."""

    task: str
    """ "nli" for a `BERTClassifier`, else "pretraining"."""
    labels: list[str] | None
    """What a classifier's rows mean, in the book's order; None for a pretrained model."""
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    num_attention_heads: int
    heads_from: str
    """How the number of heads was decided, in words."""
    parameters: int
    """How many numbers the model has learnt, its heads included."""
    source: str
    """Name of the zip or folder that it came from."""
    out: str
    """Folder of the checkpoint that was made."""


def import_d2l(
    source: str | Path,
    out: str | Path,
    *,
    num_attention_heads: int | None = None,
    overwrite: bool = False,
) -> ImportedD2l:
    """Make a checkpoint in `out` from one of the book's (D2L 15.8 to 15.10, 16.7).

    A `BERTClassifier` becomes a judge, whose labels are put into this project's order.

    Args:
        source: the zip, its unpacked folder, or "bert.small" or "bert.base", which are
            downloaded from the book's address and checked by their SHA-1.
        num_attention_heads: the weights do not tell. Left out, the book's two models have
            theirs, any other gets hidden_size / 64, BERT's own ratio.
        overwrite: replace a checkpoint that is in `out` already.

    Raises:
        UserError: a source that is missing, damaged, dangerous or not the book's; heads that
            do not divide the hidden size; a folder that cannot be written.
    """
    checkpoint.check_writable(out, overwrite=overwrite)
    path = find(source)
    names, words, state = read(path)
    sizes = _sizes(state, path)
    heads, reason = _heads(sizes["hidden_size"], [*names, str(source)], num_attention_heads)
    try:
        config = BertConfig(**sizes, num_attention_heads=heads)
    except UserError as error:
        raise UserError(
            "{file} cannot be imported: {error} ({heads} heads: {reason}; "
            "--num-attention-heads sets another number)",
            file=path.name,
            error=error,
            heads=heads,
            reason=reason,
        ) from error
    tokenizer = Tokenizer.from_words(words)
    if tokenizer.vocab_size != config.vocab_size:
        raise UserError(
            "{file} has {n:,} words in {vocabulary} but weights for {rows:,}.",
            file=path.name,
            n=tokenizer.vocab_size,
            vocabulary=VOCABULARY,
            rows=config.vocab_size,
        )
    task = "nli" if "output.weight" in state else "pretraining"
    model = unfilled_model(config, task)
    weights = _renamed(state, config.num_hidden_layers, task, path)
    for name, expected in model.state_dict().items():
        if weights[name].shape != expected.shape:
            raise UserError(
                "{file} is not a BERT of the book: {name} is {shape}, {expected} would fit the "
                "rest.",
                file=path.name,
                name=name,
                shape=tuple(weights[name].shape),
                expected=tuple(expected.shape),
            )
    if task == "nli":
        for name in ("classifier.weight", "classifier.bias"):
            weights[name] = weights[name][[LABELS.index(label) for label in OWN_LABELS]]
    model.load_state_dict(weights, assign=True)
    report = ImportedD2l(
        task=task,
        labels=list(LABELS) if task == "nli" else None,
        **sizes,
        num_attention_heads=heads,
        heads_from=reason,
        parameters=sum(p.numel() for p in model.parameters()),
        source=untrusted.plain(path.name),
        out=str(out),
    )
    checkpoint.save(out, model, tokenizer, {"imported": "D2L", **report})
    return report


def _sizes(state: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """The shape of the model, read from its tensors."""

    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        value = state.get(name)
        if value is None or value.dim() != dimensions:
            problem = "is missing" if value is None else f"has the shape {tuple(value.shape)}"
            raise UserError(
                "{path} is not a BERT of the book: {name} {problem}.",
                path=path,
                name=name,
                problem=problem,
            )
        return tuple(value.shape)

    vocab_size, hidden_size = shape("encoder.token_embedding.weight", 2)
    return {
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "num_hidden_layers": len({m[1] for name in state if (m := _LAYER.match(name))}),
        "intermediate_size": shape("encoder.blks.0.ffn.dense1.weight", 2)[0],
        "max_position_embeddings": shape("encoder.pos_embedding", 3)[1],
        "type_vocab_size": shape("encoder.segment_embedding.weight", 2)[0],
    }


def _heads(hidden_size: int, names: list[str], asked: int | None) -> tuple[int, str]:
    """How many heads, and why."""
    if asked is not None:
        return asked, "as asked for"
    for name, book in BOOK_MODELS.items():
        if hidden_size == book.hidden_size and any(n.startswith(name) for n in names):
            return book.heads, f"known for the book's {name}"
    return max(1, hidden_size // 64), "hidden_size / 64, because the file does not say"


def _renamed(state: Mapping[str, Tensor], layers: int, task: str, path: Path) -> dict[str, Tensor]:
    """The book's parameters under this project's names; raises if any is missing or left over."""
    left = dict(state)

    def take(name: str) -> Tensor:
        if name not in left:
            raise UserError(
                "{path} is not a BERT of the book: {name} is missing.", path=path, name=name
            )
        return left.pop(name)

    modules = {"pooler": "hidden.0"}
    if task == "nli":
        modules["classifier"] = "output"
    else:
        modules |= {"mlm.dense": "mlm.mlp.0", "mlm.norm": "mlm.mlp.2", "nsp": "nsp.output"}
    weights = {
        "embeddings.word_embeddings.weight": take("encoder.token_embedding.weight"),
        "embeddings.token_type_embeddings.weight": take("encoder.segment_embedding.weight"),
        "embeddings.position_embeddings.weight": take("encoder.pos_embedding").flatten(0, 1),
    }
    if task == "pretraining":
        weights["mlm.decoder_weight"] = take("mlm.mlp.3.weight")
        weights["mlm.decoder_bias"] = take("mlm.mlp.3.bias")
    for number in range(layers):
        ours, theirs = f"layers.{number}", f"encoder.blks.{number}"
        modules |= {
            f"{ours}.attention_output": f"{theirs}.attention.W_o",
            f"{ours}.attention_norm": f"{theirs}.addnorm1.ln",
            f"{ours}.intermediate": f"{theirs}.ffn.dense1",
            f"{ours}.output": f"{theirs}.ffn.dense2",
            f"{ours}.output_norm": f"{theirs}.addnorm2.ln",
        }
        for kind in ("weight", "bias"):
            parts = [take(f"{theirs}.attention.W_{letter}.{kind}") for letter in "qkv"]
            if len({part.shape for part in parts}) != 1:
                raise UserError(
                    "{path} is not a BERT of the book: {theirs} has odd shapes.",
                    path=path,
                    theirs=theirs,
                )
            weights[f"{ours}.qkv.{kind}"] = torch.stack(parts).flatten(0, 1)
    for own, book in modules.items():
        for kind in ("weight", "bias"):
            weights[f"{own}.{kind}"] = take(f"{book}.{kind}")
    if left:
        raise UserError(
            "{path} is not a BERT of the book: it has an unknown {part}.", path=path, part=min(left)
        )
    return weights
