"""What training tells while it goes on: plain dictionaries, a line of metrics.jsonl each.

Files of earlier versions may lack some of the fields. No torch here: the page opens with this
module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeGuard, cast

from bert_demo.model.about import read_baselines, read_scores
from bert_demo.model.metrics import METRICS
from bert_demo.model.plain_json import is_number, is_whole, parse_json

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
    standard_errors: dict[str, float]
    """Of the losses and the accuracy, by their names, over samples of as many pairs."""
    constant_accuracy: float
    """The accuracy of who gives the same answer to every pair, the one that is right more often."""
    calibration_factor: float
    """By which a classifier's logits were multiplied at the end of a teacher's lessons."""
    test: dict[str, Any]
    """A finished classifier's, by `bert_demo.inference.evaluation.evaluate`."""


class Origin(TypedDict, total=False):
    """Of some runs alone."""

    left_out: int
    """Pairs without a label."""
    started_from: str
    """Folder of the checkpoint that it comes from."""
    taught: bool
    """Whether the losses of its steps are against a teacher's softened probabilities; on held-out
    text they are against the labels."""
    padded: bool
    """Whether the masked-LM losses of its steps count padding, as the book's do; those on held-out
    text never do."""


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


class MomentEvent(TypedDict):
    """The weights of this moment could not be kept, and the run goes on; of the first that failed
    alone. Of those that are kept nothing is told: they lie in the run's folder."""

    event: Literal["moment"]
    step: int
    message: str
    """A sentence for people."""


class DropoutEvent(TypedDict):
    """From the next step on the model drops activations, which it did not before."""

    event: Literal["dropout"]
    step: int
    seconds: float
    message: str
    """A sentence for people, which says why."""


class SavedEvent(TypedDict):
    """The unfinished run was saved."""

    event: Literal["saved"]
    step: int


class Kept(TypedDict, total=False):
    """Of a run that keeps its best weights."""

    kept_step: int
    """After which step the weights that it keeps were as they are."""


class Failed(TypedDict, total=False):
    """Of a run that failed."""

    cause: Literal["not_finite"]
    """What ended it, where that says something of its curve: the loss was no finite number."""


class EndEvent(Kept, Failed):
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


Event = (
    StartEvent
    | StepEvent
    | ValidationEvent
    | ProbeEvent
    | MomentEvent
    | DropoutEvent
    | SavedEvent
    | EndEvent
)

Probe = Callable[["BertModel", "Tokenizer"], dict[str, Any]]
"""Says something of a model that is being trained: plain data for JSON."""


_KINDS = ("start", "step", "validation", "probe", "moment", "dropout", "saved", "end")
_LONGEST_LINE = 1_000_000
_WHOLE = (
    *("step", "kept_step", "n", "steps", "left_out", "vocab_size", "parameters", "processes"),
    *("train_examples", "validation_examples", "truncated", "dropped", "peak_memory_bytes"),
)
_NUMBERS = ("seconds", "seconds_left", "examples_per_second", "learning_rate", "budget_seconds")
_TEXTS = (
    *("task", "corpus", "device", "precision", "source", "started_from"),
    *("reason", "cause", "message"),
)
_OPTIONAL = ("steps", "budget_seconds", "seconds_left")


def read_event(line: bytes) -> Event | None:
    """The event in a line of metrics.jsonl; None where there is none.

    Fields that are there have their types; where one has not, the whole line is left out.
    """
    try:
        event = parse_json(line[:_LONGEST_LINE].decode())
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("event") not in _KINDS or not _fits(event):
        return None
    for name in ("scores", "test"):
        if name in event:
            event[name] = read_scores(event[name])
    if "baselines" in event:
        event["baselines"] = read_baselines(event["baselines"])
    return cast(Event, event)


def _fits(event: dict[str, Any]) -> bool:
    for name, value in event.items():
        if value is None and name in _OPTIONAL:
            continue
        if (
            (name in _WHOLE and not is_whole(value))
            or (name in _NUMBERS and not is_number(value, 0))
            or (name in METRICS and not is_number(value))
            or (name in _TEXTS and not isinstance(value, str))
        ):
            return False
    return event["event"] != "probe" or _is_frame(event)


def _is_frame(event: dict[str, Any]) -> bool:
    """Whether what `bert_demo.runs.film` says in it, if it does, is drawn as it stands."""
    blanks, likeness = event.get("blanks", []), event.get("similarities")
    return (
        is_number(event.get("separation", 0))
        and isinstance(blanks, list)
        and all(map(_is_blank, blanks))
        and (likeness is None or _is_likeness(likeness))
        and all(_are_texts(event.get(name, [])) for name in ("unknown", "unasked"))
    )


def _is_blank(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("text"), str)
        and isinstance(value.get("words"), list)
        and all(
            isinstance(pair, list)
            and len(pair) == 2
            and isinstance(pair[0], str)
            and is_number(pair[1])
            for pair in value["words"]
        )
    )


def _is_likeness(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("word"), str):
        return False
    labels, senses, matrix = (value.get(name) for name in ("labels", "senses", "matrix"))
    return (
        _are_texts(labels)
        and _are_texts(senses)
        and len(labels) == len(senses)
        and isinstance(matrix, list)
        and len(matrix) == len(labels)
        and all(
            isinstance(row, list) and len(row) == len(labels) and all(map(is_number, row))
            for row in matrix
        )
    )


def _are_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
