"""How good a model was when it was last measured: one number out of the scores of its run.

No torch here: the page opens with this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bert_demo.model.metrics import ACCURACY, MLM_LOSS


@dataclass(frozen=True)
class Result:
    """A classifier's accuracy, or the masked-LM loss of a pretrained model."""

    value: float
    """A share from 0 to 1 for a classifier; else nats for each masked token."""
    split: str
    """The text that it was measured on, none of which it learnt from: "test" or "validation"."""
    n: int | None
    """On how many pairs, where that is known."""
    is_loss: bool
    baseline: float | None = None
    """For a loss: that of guessing by word frequency, the unigram entropy, in nats."""

    @property
    def gain(self) -> float | None:
        """How many nats a loss is below that of guessing by word frequency; None if unknown."""
        return None if self.baseline is None or not self.is_loss else self.baseline - self.value

    @property
    def rank(self) -> float | None:
        """What ranks runs, more being better; None for what cannot be compared between runs."""
        if self.is_loss:
            return self.gain
        return self.value if self.split == "test" else None


def read_result(task: str, scores: Any, baselines: Any = None) -> Result | None:
    """The result in a run's `scores` and `baselines`, as a checkpoint keeps them; None if unknown.

    Accuracy counts on the test split, where it was measured there, else on the validation split.
    """
    if task == "nli":
        for split, found in (("test", _part(scores, "test")), ("validation", scores)):
            accuracy, n = _part(found, ACCURACY.name), _part(found, "n")
            if isinstance(accuracy, float):
                return Result(accuracy, split, n if isinstance(n, int) else None, is_loss=False)
        return None
    loss, n = _part(scores, MLM_LOSS.name), _part(scores, "n")
    baseline = _part(baselines, str(MLM_LOSS.baseline))
    if not isinstance(loss, float):
        return None
    pairs = n if isinstance(n, int) else None
    known = baseline if isinstance(baseline, float) else None
    return Result(loss, "validation", pairs, is_loss=True, baseline=known)


def _part(values: Any, name: str) -> Any:
    """values[name], or None where it is missing or these are no values."""
    return values.get(name) if isinstance(values, Mapping) else None
