"""What a run's model scores: on the way on some held-out pairs, in the end on all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar, cast

from torch import Tensor

from bert_demo.config import RunConfig
from bert_demo.data.batches import Batches
from bert_demo.data.interruption import Interrupted, interruptible
from bert_demo.inference.evaluation import evaluate
from bert_demo.training.best import Best
from bert_demo.training.events import Scores, ValidationEvent
from bert_demo.training.schedule import Clock
from bert_demo.training.setup import Setup
from bert_demo.training.validation import calibrate, validate

QUICK_PAIRS = 512
"""Of held-out text, during a run and where one is stopped; a finished one is scored on all."""
T = TypeVar("T")


def final_pairs(run: RunConfig, setup: Setup) -> int:
    """How many pairs are scored in the end, those counted twice that are scored twice."""
    passes = 1 + (run.teacher is not None) + (run.training.keep == "best")
    test = 0 if setup.test is None else 2 * len(setup.test)  # also without premises
    return passes * len(setup.validation) + test


def in_the_end(
    ends_scoring: Callable[[], bool], score: Callable[[int | None], T], *, completed: bool
) -> T:
    """`score` of all pairs; of some where the run was stopped, or the scoring is."""
    if completed:
        with contextlib.suppress(Interrupted), interruptible(ends_scoring):
            return score(None)
    return score(QUICK_PAIRS)


class Scoring:
    """The scores of one run's model. Limits are in pairs; None means all of them."""

    def __init__(self, run: RunConfig, setup: Setup, clock: Clock, best: Best) -> None:
        self._run, self._setup, self._clock, self._best = run, setup, clock, best
        self.scores: Scores = {}
        """Of the last validation."""
        self.good_enough = False
        """Whether one had the loss that the run ends at."""
        self.learnt: dict[str, Tensor] = {}
        """Tensors as the last step left them, where more was done to them since."""

    def validate(self, step: int, limit: int | None) -> ValidationEvent:
        """Tell how the model scores on held-out text."""
        self.scores = self._on(self._setup.validation, limit)
        enough, loss = self._run.training.stop_at_loss, self.loss
        # The score of all held-out text, in the end, may be another.
        self.good_enough = self.good_enough or (enough is not None and loss <= enough)
        seconds = round(self._clock.seconds, 4)
        event = {"event": "validation", "step": step, "seconds": seconds}
        return cast(ValidationEvent, event | self.scores)

    @property
    def loss(self) -> float:
        """Of the last validation, in nats."""
        return self._best.loss(self.scores)

    def loss_on(self, text: Batches) -> float:
        """The same loss on other text, of as many pairs as during a run."""
        return self._best.loss(self._on(text, QUICK_PAIRS))

    def take_best(self, limit: int | None) -> None:
        """Let the model have the better weights, the best or the last, by the pairs of the last
        validation or `limit` of them; the scores are theirs then."""

        def of_held_out(limit: int | None) -> Scores:
            return self._on(self._setup.validation, limit)

        less = limit is not None and limit < self.scores["n"]
        self.scores = self._best.take(of_held_out(limit) if less else self.scores, of_held_out)

    def calibrate(self, limit: int | None) -> float:
        """Make a classifier as sure as it is right, by the factor that is returned."""
        classifier = self._setup.model.classifier.state_dict(prefix="classifier.")
        self.learnt = {name: tensor.clone() for name, tensor in classifier.items()}
        with self._setup.autocast():
            return calibrate(self._setup.model, self._setup.validation, limit)

    def test(self, ends_scoring: Callable[[], bool]) -> None:
        """Score a classifier on the test split too, if there is one and time for it."""
        if self._setup.test is None:
            return
        with contextlib.suppress(Interrupted), interruptible(ends_scoring):
            found = evaluate(self._setup.model, self._setup.tokenizer, self._setup.test)
            self.scores["test"] = asdict(found)

    def _on(self, text: Batches, limit: int | None) -> Scores:
        pairs = len(text) if limit is None else min(limit, len(text))
        with self._clock.validating(pairs), self._setup.autocast():
            return validate(self._setup.model, text, limit)
