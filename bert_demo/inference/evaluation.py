"""How good a classifier is on many labelled pairs.

Letters: N pairs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS
from bert_demo.data import interruption
from bert_demo.data.nli_batches import NliBatches
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference.calibration import calibration_error, standard_error
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


@dataclass(frozen=True)
class Judged:
    """What a classifier says of labelled pairs, one by one."""

    logits: npt.NDArray[np.float32]
    """(N, 3)"""
    alone: npt.NDArray[np.float32]
    """(N, 3): of the same pairs with every premise left empty."""
    labels: npt.NDArray[np.int64]
    """(N): the true ones."""
    left_out: int
    truncated: int
    seconds: float
    """As `Evaluation` has these three."""


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
    return scores_of(judge_pairs(model, tokenizer, data, truncation=truncation))


def judge_pairs(
    model: BertModel,
    tokenizer: Tokenizer,
    data: TokenizedNli,
    *,
    truncation: str = "longest_first",
    progress: Callable[[int], None] | None = None,
) -> Judged:
    """What `evaluate` counts, before it is counted; the arguments and errors are the same.

    Args:
        progress: told, by threads, each number of pairs that was judged; in all it is 2 N.
    """
    check_classifier(model)
    if not len(data.labels):
        raise UserError("There are no labelled pairs to evaluate on.")
    begin = time.perf_counter()
    batches = whole_pairs(model, tokenizer, data, truncation=truncation)
    logits = nli_logits(model, batches, progress=progress)
    seconds = time.perf_counter() - begin
    alone = whole_pairs(model, tokenizer, _without_premises(data), truncation=truncation)
    return Judged(
        logits,
        nli_logits(model, alone, progress=progress),
        np.asarray(data.labels, dtype=np.int64),
        data.left_out,
        batches.truncated,
        seconds,
    )


def scores_of(judged: Judged) -> Evaluation:
    """The scores of these verdicts."""
    labels, count = judged.labels, len(judged.labels)
    confusion = confusion_of(labels, judged.logits.argmax(-1))
    accuracy = float(confusion.trace() / count)
    return Evaluation(
        accuracy=accuracy,
        hypothesis_only_accuracy=float(np.mean(judged.alone.argmax(-1) == labels)),
        standard_error=standard_error(accuracy, count),
        constant_accuracy=float(confusion.sum(1).max() / count),
        ece=calibration_error(judged.logits, labels),
        n=count,
        left_out=judged.left_out,
        truncated=judged.truncated,
        confusion=confusion.tolist(),
        per_label={label: _scores(confusion, i) for i, label in enumerate(LABELS)},
        seconds=judged.seconds,
        examples_per_second=count / judged.seconds,
    )


def confusion_of(
    labels: npt.NDArray[np.int64], verdicts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """(3, 3) counts: a row a true label, a column a verdict."""
    cells = np.bincount(labels * len(LABELS) + verdicts, minlength=len(LABELS) ** 2)
    return cells.reshape(len(LABELS), len(LABELS))


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
    model: BertModel,
    batches: NliBatches,
    *,
    low_precision: bool = False,
    progress: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """(N, 3): what a classifier gives for each pair of `batches`, computed in threads.

    `low_precision`: in bf16, for whoever needs it sooner rather than to the last digit.
    `progress` is told, by these threads, how many pairs were judged since they last told it.
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
                if progress is not None:
                    progress(len(places))

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
