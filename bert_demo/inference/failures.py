"""Where a classifier fails: which sorts of pairs are hard for it, whether it is as sure as it is
right, and the pairs behind each cell of its confusion matrix.

    model, tokenizer, _ = bert_demo.load("my-judge")
    found = bert_demo.find_failures(model, tokenizer, read_pairs_file("my-pairs.csv"))
    found.slices["negation"][1].accuracy
    found.pairs("contradiction", "entailment")[0].premise

Letters: N pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from bert_demo.common.errors import Text, UserError
from bert_demo.config import LABELS
from bert_demo.data.prepare import tokenize_nli
from bert_demo.data.snli import NliTexts
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.inference import slices
from bert_demo.inference.calibration import CalibrationBin, calibration_curve, standard_error
from bert_demo.inference.evaluation import (
    Evaluation,
    Judged,
    confusion_of,
    judge_pairs,
    scores_of,
)
from bert_demo.inference.report import Report
from bert_demo.model.bert import BertModel


@dataclass(frozen=True, eq=False)
class Slice(Report):
    """The pairs of one sort; shares are from 0 to 1."""

    name: Text
    """"11 to 20 words"."""
    n: int
    accuracy: float
    standard_error: float
    """Of the accuracy, over samples of as many pairs."""
    hypothesis_only_accuracy: float
    """The accuracy with every premise left empty."""
    constant_accuracy: float
    """That of who gives these pairs' most frequent label to each."""
    confusion: list[list[int]]
    """3 x 3 counts: a row a true label, a column a verdict, both in the order of `LABELS`."""


@dataclass(frozen=True, eq=False)
class JudgedPair(Report):
    """One pair and what was said of it."""

    premise: str
    hypothesis: str
    label: str
    """The true one."""
    verdict: str
    confidence: float
    """The verdict's probability."""
    kind: str | None
    """What its source calls such pairs."""


@dataclass(frozen=True)
class Failures:
    """Scores of a classifier, sort by sort and pair by pair."""

    scores: Evaluation
    slices: dict[str, list[Slice]]
    """By "length", "overlap", "negation" and "numbers", and by "kind" where the source has kinds:
    the sorts of `bert_demo.inference.slices` that have pairs."""
    calibration: list[CalibrationBin]
    texts: NliTexts = field(repr=False)
    judged: Judged = field(repr=False)

    def pairs(
        self, label: str, verdict: str, *, kind: str | None = None, most: int | None = None
    ) -> list[JudgedPair]:
        """The pairs behind one cell, the surest verdicts first: those of a true label (a name of
        `LABELS`) that were given this verdict.

        Args:
            kind: those of this kind alone.
            most: no more than this many.

        Raises:
            UserError: a name that is no label.
        """
        for name in (label, verdict):
            if name not in LABELS:
                raise UserError(
                    "{name!r} is no label; it must be one of: {labels}.",
                    name=name,
                    labels=", ".join(LABELS),
                )
        verdicts, kinds = self.judged.logits.argmax(-1), self.texts.kinds
        inside = (self.judged.labels == LABELS.index(label)) & (verdicts == LABELS.index(verdict))
        if kind is not None:
            inside &= np.array([one == kind for one in kinds or [""] * len(verdicts)])
        sure = self.probabilities.max(-1)
        places = np.flatnonzero(inside)
        places = places[np.argsort(-sure[places], kind="stable")][:most]
        return [
            JudgedPair(
                self.texts.premises[place].as_py(),
                self.texts.hypotheses[place].as_py(),
                label,
                verdict,
                float(sure[place]),
                None if kinds is None else kinds[place],
            )
            for place in places.tolist()
        ]

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """(N, 3), in the order of `LABELS`."""
        return torch.softmax(torch.from_numpy(self.judged.logits).double(), -1).numpy()


def find_failures(
    model: BertModel,
    tokenizer: Tokenizer,
    texts: NliTexts,
    *,
    progress: Callable[[int], None] | None = None,
) -> Failures:
    """Judge labelled pairs, such as `read_pairs_file` gives, in one pass, and look where it fails.

    Args:
        progress: told, by threads, each number of pairs that was judged; in all it is 2 N, for
            every hypothesis is judged alone too.

    Raises:
        UserError: no pairs with a label; a model without a classifier.
    """
    judged = judge_pairs(model, tokenizer, tokenize_nli(texts, tokenizer), progress=progress)
    sorts = {
        "length": slices.by_length(texts),
        "overlap": slices.by_overlap(texts),
        "negation": slices.by_negation(texts),
        "numbers": slices.by_numbers(texts),
    }
    if texts.kinds is not None:
        sorts["kind"] = slices.by_kind(texts)
    return Failures(
        scores_of(judged),
        {sort: [_slice(judged, *part) for part in parts] for sort, parts in sorts.items()},
        calibration_curve(judged.logits, judged.labels),
        texts,
        judged,
    )


def _slice(judged: Judged, name: Text, chosen: npt.NDArray[np.bool_]) -> Slice:
    labels = judged.labels[chosen]
    confusion = confusion_of(labels, judged.logits[chosen].argmax(-1))
    n = len(labels)
    accuracy = float(confusion.trace() / n)
    return Slice(
        name,
        n,
        accuracy,
        standard_error(accuracy, n),
        float(np.mean(judged.alone[chosen].argmax(-1) == labels)),
        float(confusion.sum(1).max() / n),
        confusion.tolist(),
    )
