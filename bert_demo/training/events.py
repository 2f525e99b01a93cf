"""What training tells while it goes on: plain dictionaries, a line of metrics.jsonl each.

Files of earlier versions may lack some of the fields. No torch here: the page opens with this
module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from bert_demo.data.tokenizer import Tokenizer
    from bert_demo.model.bert import BertModel


class Losses(TypedDict, total=False):
    """Means over a batch, by the names in `bert_demo.model.metrics`: "loss" and "accuracy" of a
    classifier; of pretraining the others, with "loss" as their sum."""

    loss: float
    mlm_loss: float
    nsp_loss: float
    nsp_accuracy: float
    accuracy: float


class Scores(Losses, total=False):
    """The same on held-out text."""

    n: int
    """Pairs that were scored."""
    test: dict[str, Any]
    """A finished classifier's, by `bert_demo.inference.predict.evaluate`."""


class Origin(TypedDict, total=False):
    """Of a fine-tuned model alone."""

    left_out: int
    """Pairs without a label."""
    started_from: str
    """Folder of the checkpoint that it comes from."""


class SwitchedOff(TypedDict, total=False):
    """Where some way to compute did not hold."""

    switched_off: dict[str, str]
    """By the names in `bert_demo.model.fast_paths`: the reason."""


class Facts(Origin, SwitchedOff):
    """What will be done, as a checkpoint keeps it."""

    task: str
    corpus: str
    vocab_size: int
    parameters: int
    device: str
    """As torch names it, such as "cuda:0"."""
    precision: str
    """"fp32" or "bf16"."""
    processes: int
    train_examples: int
    validation_examples: int
    truncated: int
    """Pairs that are too long and are cut."""
    dropped: int
    """Pairs that are too long and are left out."""
    steps: int | None
    """How many the budget allows; None where only time limits it. Not kept in a checkpoint."""
    budget_seconds: float | None
    source: str
    """A sentence about the text and where it came from."""
    baselines: dict[str, float]
    """By the names in `bert_demo.model.metrics.BASELINES`."""


class StartEvent(Facts):
    """Comes first."""

    event: Literal["start"]
    step: int
    """Steps done before, by the run that this one goes on with."""


class Times(TypedDict):
    """How far a run is after a step."""

    seconds: float
    """Of training so far, with validations and saves, without waiting in a queue."""
    seconds_left: float
    examples_per_second: float
    """Pairs a second over the last steps."""


class StepEvent(Times, Losses):
    """One step is done."""

    event: Literal["step"]
    step: int
    """1 after the first."""
    learning_rate: float


class ValidationEvent(Scores):
    """The model was scored on held-out text."""

    event: Literal["validation"]
    step: int
    seconds: float


class ProbeEvent(TypedDict):
    """What the run's probe said of the model; its own fields come beside these."""

    event: Literal["probe"]
    step: int
    seconds: float


class SavedEvent(TypedDict):
    """The unfinished run was saved."""

    event: Literal["saved"]
    step: int


class EndEvent(TypedDict):
    """Comes last, unless whoever listens leaves before."""

    event: Literal["end"]
    reason: Literal["completed", "stopped", "failed"]
    message: str
    """A sentence for people."""
    step: int
    seconds: float
    scores: Scores
    """Empty for a run that failed."""
    peak_memory_bytes: int


Event = StartEvent | StepEvent | ValidationEvent | ProbeEvent | SavedEvent | EndEvent

Probe = Callable[["BertModel", "Tokenizer"], dict[str, Any]]
"""Says something of a model that is being trained: plain data for JSON."""
