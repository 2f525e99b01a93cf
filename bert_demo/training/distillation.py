"""A student learns from a teacher's verdicts (Hinton et al. 2015).

The teacher, a larger model that was fine-tuned before, says of each pair how likely every label
is. That tells a student more than one label does, and a teacher judges new pairs too, which
people have not labelled (data/new_pairs.py).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bert_demo.common.errors import UserError
from bert_demo.data.cache import Entry, cached
from bert_demo.data.files import file_identity
from bert_demo.data.new_pairs import pair_anew
from bert_demo.data.prepare import SourceReport, TokenizedNli, prepare_pairs, tokenize_nli
from bert_demo.data.readers import nli_source
from bert_demo.data.snli import NliTexts, concatenated
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.evaluation import nli_logits, whole_pairs
from bert_demo.model import checkpoint
from bert_demo.model.device import fast_bf16

_TEMPERATURE = 2.0
"""Softens a teacher's certainty, so that the student sees what it thinks of the other labels."""


def taught_pairs(
    corpus: str, tokenizer: Tokenizer, teacher: Path, new_pairs: int, device: torch.device
) -> tuple[TokenizedNli, SourceReport]:
    """The training pairs of `corpus` and `new_pairs` more, with what the teacher says of each.

    The first time a teacher judges every pair, which takes a while; its verdicts are cached. A
    labelled pair keeps its label, a new one gets the teacher's.

    Raises:
        UserError: a teacher that cannot be read or was not fine-tuned.
    """
    if checkpoint.read_config(teacher)["task"] != "nli":
        raise UserError(
            "The teacher {teacher} judges no pairs; it must be a fine-tuned model.", teacher=teacher
        )
    source = nli_source(corpus, "train")
    texts: list[NliTexts] = []

    def read() -> NliTexts:
        if not texts:
            labelled = source.read()
            new = [pair_anew(labelled, new_pairs)] if new_pairs else []
            texts.append(concatenated([labelled, *new]))
        return texts[0]

    wider = dataclasses.replace(source, identity=[*source.identity, new_pairs], read=read)
    data, report = prepare_pairs(corpus, "train", wider, tokenizer)
    files = [
        file_identity(teacher / checkpoint.CONFIG),
        file_identity(teacher / checkpoint.WEIGHTS),
    ]

    def judge() -> Entry:
        return Entry({"logits": _judge(teacher, read(), device)}, {})

    facts: list[Any] = ["verdicts", wider.identity, files]
    logits = np.array(cached(f"{corpus}-verdicts", facts, judge).arrays["logits"])
    targets = torch.softmax(torch.from_numpy(logits) / _TEMPERATURE, -1).numpy()
    labels = np.array(data.labels)
    unknown = labels < 0
    labels[unknown] = logits[unknown].argmax(-1)
    if unknown.any():
        new = {"pairs": len(data), "new_pairs": int(unknown.sum())}
        report = dataclasses.replace(report, counts=new | report.counts)
    return dataclasses.replace(data, labels=labels, targets=targets), report


def _judge(teacher: Path, texts: NliTexts, device: torch.device) -> npt.NDArray[np.float32]:
    """(N, 3): the teacher's logits, in bf16 where that is faster."""
    model, tokenizer, _ = checkpoint.load(teacher)
    model.to(device)
    batches = whole_pairs(model, tokenizer, tokenize_nli(texts, tokenizer))
    return nli_logits(model, batches, low_precision=fast_bf16(device))
