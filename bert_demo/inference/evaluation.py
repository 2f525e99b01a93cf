"""How good a classifier is on many labelled pairs.

Letters: N pairs.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from bert_demo.config import LABELS, UserError
from bert_demo.data import interruption
from bert_demo.data.batches import NliBatches
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.calibration import calibration_error
from bert_demo.inference.predict import by_length, check_classifier, evaluating
from bert_demo.inference.report import Report
from bert_demo.model.bert import BertModel
from bert_demo.model.threads import ShardThreads

if TYPE_CHECKING:
    from bert_demo.data.prepare import TokenizedNli


@dataclass(frozen=True, eq=False)
class LabelScores(Report):
    """How well one label is told from the others; shares are from 0 to 1, 0 where undefined."""

    n: int
    """Pairs whose true label it is."""
    precision: float
    """Share of the verdicts with this label that are right."""
    recall: float
    """Share of the pairs of this label that are found."""
    f1: float
    """Harmonic mean of precision and recall."""


@dataclass(frozen=True, eq=False)
class Evaluation(Report):
    """Scores of a classifier on labelled pairs."""

    accuracy: float
    """Share of the verdicts that are right, from 0 to 1."""
    hypothesis_only_accuracy: float
    """The same with every premise left empty: what is guessed from the hypotheses' words."""
    standard_error: float
    """Of the accuracy, over samples of as many pairs."""
    constant_accuracy: float
    """That of who gives the most frequent label to every pair."""
    ece: float
    """Expected calibration error, from 0 to 1: `bert_demo.inference.calibration`."""
    n: int
    """Pairs with a label."""
    left_out: int
    """Pairs without one, which count nowhere else."""
    truncated: int
    """Pairs that were longer than the model reads, and cut."""
    confusion: list[list[int]]
    """3 x 3 counts: a row a true label, a column a verdict, both in the order of `LABELS`."""
    per_label: dict[str, LabelScores]
    seconds: float
    """For the pairs as they are, without cutting their text into tokens."""
    examples_per_second: float


def evaluate(
    model: BertModel,
    tokenizer: Tokenizer,
    data: TokenizedNli,
    *,
    truncation: str = "longest_first",
) -> Evaluation:
    """Score a classifier on labelled pairs, such as `tokenize_nli` gives (D2L 16.7).

    Args:
        truncation: what happens to a pair longer than the model reads, as `TrainingConfig` has it.

    Raises:
        UserError: no pairs with a label; a model without a classifier.
    """
    check_classifier(model)
    if not len(data.labels):
        raise UserError("There are no labelled pairs to evaluate on.")
    begin = time.perf_counter()
    batches = whole_pairs(model, tokenizer, data, truncation=truncation)
    count = len(data.labels)
    logits, labels = nli_logits(model, batches), np.asarray(data.labels, dtype=np.int64)
    cell = labels * len(LABELS) + logits.argmax(-1)
    confusion = np.bincount(cell, minlength=len(LABELS) ** 2).reshape(len(LABELS), len(LABELS))
    seconds = time.perf_counter() - begin
    alone = whole_pairs(model, tokenizer, _without_premises(data), truncation=truncation)
    guessed = nli_logits(model, alone).argmax(-1)
    accuracy = float(confusion.trace() / count)
    return Evaluation(
        accuracy=accuracy,
        hypothesis_only_accuracy=float(np.mean(guessed == labels)),
        standard_error=math.sqrt(accuracy * (1 - accuracy) / count),
        constant_accuracy=float(confusion.sum(1).max() / count),
        ece=calibration_error(logits, labels),
        n=count,
        left_out=data.left_out,
        truncated=batches.truncated,
        confusion=confusion.tolist(),
        per_label={label: _scores(confusion, i) for i, label in enumerate(LABELS)},
        seconds=seconds,
        examples_per_second=count / seconds,
    )


def _without_premises(data: TokenizedNli) -> TokenizedNli:
    """As `classify_all` reads a hypothesis alone: <cls> <sep> hypothesis <sep>."""
    return replace(data, premise_offsets=np.zeros_like(data.premise_offsets))


def whole_pairs(
    model: BertModel,
    tokenizer: Tokenizer,
    data: TokenizedNli,
    *,
    truncation: str = "longest_first",
) -> NliBatches:
    """The pairs of `data` as long as the model reads them, to be asked for by `nli_logits`."""
    longest = model.config.max_position_embeddings
    return NliBatches(
        data, tokenizer, batch_size=1, max_length=longest, truncation=truncation, seed=0
    )


def nli_logits(
    model: BertModel, batches: NliBatches, *, low_precision: bool = False
) -> npt.NDArray[np.float32]:
    """(N, 3): what a classifier gives for each pair of `batches`, computed in threads.

    `low_precision`: in bf16, for whoever needs it sooner rather than to the last digit.
    """
    result = np.empty((len(batches), len(LABELS)), dtype=np.float32)
    chosen = list(by_length(batches.lengths(np.arange(len(batches)))))
    device = model.device
    threads = ShardThreads(device, sum(p.numel() for p in model.parameters()))
    check = interruption.checker()

    def work(thread: int) -> None:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=low_precision):
            for places in chosen[thread :: threads.count]:  # by length: they end together
                check()
                pairs = np.asarray(places)
                packed = batches.at(pairs, 0).to(device).packed
                logits = model.nli_logits(model(packed, packed.cls_positions))
                result[pairs[packed.order]] = logits.float().cpu().numpy()

    with evaluating(model), threads:
        threads.map(work)
    return result


def _scores(confusion: npt.NDArray[np.int64], label: int) -> LabelScores:
    hits = float(confusion[label, label])
    true, said = float(confusion[label].sum()), float(confusion[:, label].sum())
    return LabelScores(
        n=int(true),
        precision=hits / said if said else 0.0,
        recall=hits / true if true else 0.0,
        f1=2 * hits / (true + said) if true + said else 0.0,
    )
