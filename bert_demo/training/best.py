"""The weights with the lowest held-out loss so far, for a run that keeps those.

One copy of the weights is held beside the model, and goes into what a resume needs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from bert_demo.common.errors import Text
from bert_demo.model.bert import BertModel
from bert_demo.training.events import Scores


class Best:
    """Of a model under training: after which step its weights were the best, and a copy of them.

    measure: the loss that tells, by its name among the scores; wanted: whether any are kept.
    """

    def __init__(self, model: BertModel, measure: str, *, wanted: bool) -> None:
        self.wanted, self._model, self._measure = wanted, model, measure
        self.step, self._loss = 0, math.inf
        """0 until some were offered."""
        self._weights: Mapping[str, Tensor] = {}
        """By the names of `state_dict`, where tied ones are one tensor."""
        self._losses: tuple[float, float] | None = None
        """Theirs and that of the last step's, on the same pairs, once they are in the model and
        the last ones here."""

    @property
    def taken(self) -> bool:
        """Whether the model has them, instead of the last step's."""
        return self._losses is not None

    def offer(self, step: int, scores: Scores) -> None:
        """Copy the model's weights, which have these scores, if none were better."""
        loss = self.loss(scores)
        if self.wanted and loss < self._loss:  # never where it is not a number
            self.step, self._loss = step, loss
            self._weights = {}  # there are two copies at no time
            self._weights = copy.deepcopy(dict(self._model.state_dict()))

    def take(self, last: Scores, score: Callable[[int], Scores]) -> Scores:
        """Put them into the model in place of the last step's if they are better.

        last: what the model scores; score: what it does on so many pairs. Returns the scores of
        the weights that the model has then.
        """
        self._exchange()
        try:
            found = score(last["n"])
        except BaseException:
            self._exchange()
            raise
        if self.loss(found) < self.loss(last):
            self._losses = self.loss(found), self.loss(last)
            return found
        self._exchange()
        return last

    def loss(self, scores: Scores) -> float:
        """The loss that tells, in nats."""
        found: float = scores[self._measure]  # type: ignore[literal-required]
        return found

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, parameter in self._model.named_parameters():  # where tied ones come once
            here = parameter.clone()
            parameter.copy_(self._weights[name])
            self._weights[name].copy_(here)

    def apart(self, own: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """The last step's weights and the best ones, where the model has `own`."""
        return (self._weights, own) if self.taken else (own, self._weights)

    def state(self) -> dict[str, Any]:
        """What a resume has to know beside the weights, as plain data."""
        return {"best": {"step": self.step, "loss": self._loss}} if self.step else {}

    def restore(self, state: dict[str, Any], weights: Mapping[str, Tensor]) -> None:
        """The way back; takes its part out of a loop's state."""
        found = state.pop("best", None)
        if self.wanted and found is not None:
            self.step, self._loss, self._weights = found["step"], found["loss"], weights

    def said(self, ended: Text) -> Text:
        """How a run ended, and which weights it kept."""
        if not self.wanted:
            return ended
        if self._losses is None:
            return Text(
                "{ended} Kept the last weights: no validation before found better ones.",
                ended=ended,
            )
        best, last = self._losses
        return Text(
            "{ended} Kept the weights of step {step:,}: held-out loss {best:.2f}, at the end "
            "{last:.2f}.",
            ended=ended,
            step=self.step,
            best=best,
            last=last,
        )
