"""A checkpoint of this project becomes a folder that Hugging Face's `transformers` loads.

config.json            the shape, the class that it is for, the names of its labels
model.safetensors      the weights under their names there, fp32
tokenizer.json         the vocabulary and its rules
tokenizer_config.json  which tokens are special, and the rules once more
vocab.txt              the vocabulary for older versions, if there are pieces of words
README.md              the model card
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS, VERSION, BertConfig
from bert_demo.data import wordpiece
from bert_demo.data.files import (
    CheckpointError,
    explained,
    is_empty,
    part_folder,
    put_folder,
    readers_path,
    write_tensors,
    writers_path,
)
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.report import Report
from bert_demo.interop import names
from bert_demo.interop.card import model_card
from bert_demo.model import checkpoint
from bert_demo.model.about import About, read_about
from bert_demo.model.bert import BertModel

_CONFIG, _TOKENIZER_CONFIG, _CARD = "config.json", "tokenizer_config.json", "README.md"
_VOCABULARY = "vocab.txt"
_MARK = "bert_demo_version"  # tells that the folder is an export, which may be replaced

_ARCHITECTURES = {
    "pretraining": "BertForPreTraining",
    "nli": "BertForSequenceClassification",
    "encoder": "BertModel",
}
_SAME = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "hidden_act",
    "layer_norm_eps",
    "tie_word_embeddings",
)
_USAGE = {
    "pretraining": """\
from transformers import pipeline

fill = pipeline("fill-mask", "this-folder")
print(fill(f"a {fill.tokenizer.mask_token} is flying"))""",
    "nli": """\
from transformers import pipeline

judge = pipeline("text-classification", "this-folder")
print(judge({"text": "He sleeps.", "text_pair": "He is awake."}, top_k=None))""",
    "encoder": """\
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("this-folder")
model = AutoModel.from_pretrained("this-folder")
print(model(**tokenizer("a crane is flying", return_tensors="pt")).last_hidden_state)""",
}
_WHOLE_WORDS = (
    "Its vocabulary has whole words, and `transformers` cannot follow all the rules by which "
    "bert_demo cuts typed text into them: there it splits at white space and puts into lower case, "
    "no more. Text whose words and punctuation marks stand between spaces gets the same ids. "
    "`AutoTokenizer` loads it; `BertTokenizer` would cut it in yet another way."
)

_FIXED_POSITIONS = (
    "Its positions ({positions}) were not learnt. `transformers` keeps them as weights like all "
    "others: the numbers are the same, but further training there would change them."
)

_NO_NEXT_SENTENCE = "Its next-sentence head was not trained: the run left that question out."

_OTHER_RULES = (
    "Its rules for cutting text are not those of BERT's own classes: `AutoTokenizer` loads it, and "
    "`BertTokenizer` would cut text otherwise."
)


@dataclass(frozen=True, eq=False)
class Exported(Report):
    """What was written for `transformers`."""

    architecture: str
    """The class there that loads it: "BertForPreTraining"."""
    parameters: int
    """How many numbers the model has learnt, its heads included."""
    files: list[str]
    notes: list[str]
    """Sentences on what is not the same there."""
    out: str
    """Folder that holds the files."""


def export_hf(folder: str | Path, out: str | Path, *, overwrite: bool = False) -> Exported:
    """Write the checkpoint in `folder` to `out` in Hugging Face's form.

    "pretraining" becomes BertForPreTraining, "nli" BertForSequenceClassification and "encoder"
    BertModel, with the same numbers. `out` is complete or as it was.

    Args:
        overwrite: replace an earlier export that is in `out`.

    Raises:
        UserError: a model that `transformers` does not have: of the book's architecture, or with
            LayerNorm before each sublayer.
        CheckpointError: `folder` holds no checkpoint that loads, or `out` cannot be written.
    """
    target = writers_path(out)
    _check_target(target, overwrite)
    model, tokenizer, config = checkpoint.load(folder)
    if not config.embedding_layer_norm:
        raise UserError(
            "{folder} has the book's architecture, with no LayerNorm after the embeddings, "
            "which Hugging Face's BERT cannot do without; only models of the recommended "
            "recipe can be exported.",
            folder=folder,
        )
    if config.norm != "after":
        raise UserError(
            "{folder} has norm {norm!r}, LayerNorm before each sublayer, which Hugging Face's BERT "
            "does not have; only models with norm 'after' can be exported.",
            folder=folder,
            norm=config.norm,
        )
    notes = [_WHOLE_WORDS] if tokenizer.kind == "word" else []
    if tokenizer.kind == "wordpiece" and wordpiece.bert_rules(tokenizer.rules) is None:
        notes.append(_OTHER_RULES)
    about = read_about(checkpoint.read_config(folder))
    notes += _about_new_parts(about)
    if config.positions != "learned":
        notes.append(_FIXED_POSITIONS.format(positions=config.positions))
    if model.task == "pretraining" and about.settings.get("next_sentence") == "off":
        notes.append(_NO_NEXT_SENTENCE)
    card = model_card(readers_path(folder), notes=notes, usage=_USAGE[model.task])
    with explained(target, "written"), part_folder(target.parent) as part:
        new = part / "new"
        new.mkdir()
        write_tensors(new / checkpoint.WEIGHTS, _weights(model), {"format": "pt"})
        tokenizer.save(new / checkpoint.TOKENIZER)
        _write(new / _CONFIG, _config(model, tokenizer))
        _write(new / _TOKENIZER_CONFIG, _tokenizer_config(tokenizer, config))
        lines = tokenizer.tokens(range(tokenizer.vocab_size))
        if tokenizer.kind == "wordpiece" and not any("\n" in line for line in lines):
            text = "".join(f"{line}\n" for line in lines)
            (new / _VOCABULARY).write_text(text, encoding="utf-8", newline="\n")
        (new / _CARD).write_text(card, encoding="utf-8")
        files = sorted(path.name for path in new.iterdir())
        put_folder(new, target)
    return Exported(
        architecture=_ARCHITECTURES[model.task],
        parameters=sum(value.numel() for value in model.parameters()),
        files=files,
        notes=notes,
        out=str(out),
    )


def _check_target(target: Path, overwrite: bool) -> None:
    """Only an earlier export is ever replaced."""
    with explained(target, "written"):
        if not target.exists():
            return
        if not target.is_dir():
            raise CheckpointError("{target} is a file; an export needs a folder.", target=target)
        if is_empty(target):
            return
        try:
            earlier = _MARK in json.loads((target / _CONFIG).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, TypeError):
            earlier = False
        if not earlier:
            raise CheckpointError(
                "{target} exists and is not an export that can be replaced; give a new folder.",
                target=target,
            )
        if not overwrite:
            raise CheckpointError(
                "{target} holds an export already; give another folder, or --overwrite.",
                target=target,
            )


def _config(model: BertModel, tokenizer: Tokenizer) -> dict[str, Any]:
    values: dict[str, Any] = {
        "architectures": [_ARCHITECTURES[model.task]],
        "model_type": "bert",
        **{name: getattr(model.config, name) for name in _SAME},
        # What new heads start with there; 0, PyTorch's own way here, would leave them at zero.
        "initializer_range": model.config.initializer_range or 0.02,
        "pad_token_id": tokenizer.pad_id,
        "dtype": "float32",
        _MARK: VERSION,
    }
    if model.task == "nli":
        values["problem_type"] = "single_label_classification"
        values["id2label"] = {str(row): label for row, label in enumerate(LABELS)}
        values["label2id"] = {label: row for row, label in enumerate(LABELS)}
    return values


def _tokenizer_config(tokenizer: Tokenizer, config: BertConfig) -> dict[str, Any]:
    unk, pad, mask, cls, sep = tokenizer.special_tokens
    rules = wordpiece.bert_rules(tokenizer.rules)
    return {
        # BERT's own classes take their rules from here; the general one takes tokenizer.json as it
        # is, whatever its rules.
        **({"tokenizer_class": "PreTrainedTokenizerFast"} if rules is None else rules),
        "model_max_length": config.max_position_embeddings,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "unk_token": unk,
        "pad_token": pad,
        "mask_token": mask,
        "cls_token": cls,
        "sep_token": sep,
    }


def _weights(model: BertModel) -> dict[str, Tensor]:
    """The model's weights under Hugging Face's names."""
    state = model.state_dict()
    tied = model.task == "pretraining" and model.config.tie_word_embeddings
    if tied:
        del state["mlm.decoder_weight"]
    if model.task == "pretraining":
        for name in ("nsp.weight", "nsp.bias"):
            state[name] = names.swapped(state[name])
    layers = model.config.num_hidden_layers
    found: dict[str, Tensor] = {}
    for ours, theirs in names.tensors(layers, model.task).items():
        if ours in state:
            found[theirs] = state[ours]
    for ours, parts in names.qkv(layers).items():
        found |= zip(parts, torch.chunk(state[ours], len(parts)), strict=True)
    if model.task == "pretraining" and not tied:
        found["cls.predictions.decoder.bias"] = state["mlm.decoder_bias"].clone()
    if model.task == "encoder":
        return found
    encoder = ("embeddings.", "encoder.", "pooler.")
    return {names.ENCODER * n.startswith(encoder) + n: value for n, value in found.items()}


def _about_new_parts(about: About) -> list[str]:
    parts = ", ".join(about.untrained_heads)
    return [f"Not trained, because it was imported without them: {parts}."] if parts else []


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
