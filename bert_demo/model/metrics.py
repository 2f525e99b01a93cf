"""What the scores of a model are called, what they mean, and what they are measured against.

Events of training, a checkpoint's scores, tables and curves all use these names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One number that tells how good a model is, a mean over what it is about."""

    name: str
    """Among an event's or a checkpoint's scores."""
    title: str
    """In the middle of a sentence."""
    unit: str
    """"nats" of a loss, of which less is better, or "share", from 0 to 1, of which more is."""
    baseline: str | None
    """The one of `BASELINES` that it has to beat."""


LOSS = Metric("loss", "loss", "nats", "uniform")
MLM_LOSS = Metric("mlm_loss", "masked-LM loss", "nats", "unigram")
NSP_LOSS = Metric("nsp_loss", "next-sentence loss", "nats", "coin")
NSP_ACCURACY = Metric("nsp_accuracy", "next-sentence accuracy", "share", None)
ACCURACY = Metric("accuracy", "accuracy", "share", "chance")

METRICS = {m.name: m for m in (LOSS, MLM_LOSS, NSP_LOSS, NSP_ACCURACY, ACCURACY)}
"""By name, in the order of columns. `LOSS` is what training makes small: in pretraining the sum of
both losses."""

MAIN_LOSS = {"pretraining": MLM_LOSS.name, "nli": LOSS.name}
"""The loss by which runs of a task are watched and compared. Not the next-sentence question: it may
be the very thing that a run leaves out."""

BASELINES = {
    "uniform": "every guess as likely as another",
    "unigram": "guessing by word frequency on held-out text",
    "unigram_train": "guessing by word frequency on the training text",
    "coin": "tossing a coin for the next sentence",
    "chance": "the share that guessing gets right",
}
"""Who knows nothing of context, by name, and how he guesses."""
