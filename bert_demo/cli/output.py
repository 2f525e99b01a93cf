"""What the commands write: sentences or JSON on stdout, notes and a progress bar on stderr."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from argparse import Namespace
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from bert_demo.model import fast_paths
from bert_demo.model.metrics import BASELINES, METRICS
from bert_demo.runs.asked import NO_QUESTIONS, Questions
from bert_demo.training.events import EndEvent, Event, StartEvent, StepEvent, ValidationEvent

if TYPE_CHECKING:
    from tqdm import tqdm

    from bert_demo.runs.diagnosis import Diagnosis


def say(text: str) -> None:
    """One or more lines of the answer."""
    print(_printable(text, sys.stdout))


def note(text: str) -> None:
    """One line beside the answer: a remark or the reason of a failure."""
    print(_printable(text, sys.stderr), file=sys.stderr)


def emit(value: dict[str, Any]) -> None:
    """One JSON object on a line of its own, in ASCII, flushed so that a pipe sees it at once."""
    print(json.dumps(_plain(value), allow_nan=False), flush=True)


def answer(
    flags: Namespace,
    value: dict[str, Any],
    lines: Iterable[str],
    remarks: Iterable[str] = (),
) -> int:
    """The answer as JSON, with the remarks beside it, or in lines, with the remarks below."""
    if flags.json:
        emit(value)
    else:
        for line in lines:
            say(line)
    for remark in remarks:
        (note if flags.json else say)(f"Note: {remark}")
    return 0


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: a loss that is neither becomes null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _printable(text: str, stream: TextIO) -> str:
    """`text` without what would steer the terminal and what its encoding does not have."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    safe = "".join(
        character if character == "\n" or _is_harmless(character) else " " for character in text
    )
    return safe.encode(encoding, "backslashreplace").decode(encoding)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) not in ("Cc", "Cs")


def table(rows: list[list[str]]) -> str:
    """Columns aligned, the first to the left and the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


class TrainingReport:
    """Prints the events of a run; the bar is drawn on a terminal only."""

    def __init__(self, as_json: bool, questions: Questions = NO_QUESTIONS) -> None:
        self._json, self._questions = as_json, questions
        self._frame: Mapping[str, Any] = {}
        self._loss = "loss"
        self._bar: tqdm[NoReturn] | None = None

    def show(self, event: Event, diagnosis: Diagnosis | None = None) -> None:
        """One event of `train`; with the last one, whether the run's curve is normal."""
        if self._json:
            more = {"diagnosis": vars(diagnosis)} if diagnosis is not None else {}
            emit({**event, **more})
        elif event["event"] == "step":
            if sys.stderr.isatty():
                self._draw(event)
        elif event["event"] == "start" or event["event"] == "validation":
            if event["event"] == "start" and event.get("taught"):
                self._loss = "loss against the teacher"
            self.clear()
            say(_start(event) if event["event"] == "start" else _validation(event))
        elif event["event"] == "moment" or event["event"] == "dropout":
            self.clear()
            note(event["message"])
        elif event["event"] == "probe":
            if not self._frame:
                self.clear()
                for remark in _unread(event):
                    note(remark)
            self._frame = event
        elif event["event"] == "end":
            self.clear()
            for line in answers(self._frame, self._questions):
                say(line)
            if event["reason"] != "failed":
                say(_end(event))
                if diagnosis is not None:
                    say(f"{diagnosis.seen} {diagnosis.advice}")
                    if diagnosis.usual is not None:
                        say(diagnosis.usual)

    def clear(self) -> None:
        """Take the bar away, so that what follows has a line of its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, event: StepEvent) -> None:
        """Let the bar say how much of the expected time is over."""
        from tqdm import tqdm  # nobody without a terminal needs it

        seconds, left = event["seconds"], event.get("seconds_left")
        words = (
            f"step {event['step']}  {self._loss} {event['loss']:.3f}  "
            f"{event['examples_per_second']:,.0f} pairs/s"
        )
        if left is not None:
            words += f"  {tqdm.format_interval(round(left))} left"
        total = None if left is None else seconds + left
        if self._bar is None:
            self._bar = tqdm(
                total=total,
                initial=seconds,
                desc=words,
                bar_format="{percentage:3.0f}%|{bar:20}| {desc}",
                leave=False,
                dynamic_ncols=True,
                miniters=0,  # by time alone, as steps have no even pace
            )
        else:
            self._bar.total = total
            self._bar.set_description_str(words, refresh=False)
            self._bar.update(seconds - self._bar.n)


def answers(frame: Mapping[str, Any], questions: Questions) -> list[str]:
    """What a frame of `bert_demo.runs.film` says to questions of one's own, a line for each."""
    lines = [
        f"{blank['text']}: "
        + ", ".join(f"{word} {probability:.3f}" for word, probability in blank["words"])
        for blank in frame.get("blanks", [])
        if blank["text"] in questions.blanks
    ]
    found = frame.get("similarities") or {}
    if questions.contexts and found.get("labels") == list(questions.contexts):
        apart = frame.get("separation")
        told = "" if apart is None else f", same sense against other senses {apart:+.3f}"
        lines.append(f"{len(found['labels'])} times {found['word']!r}{told}:")
        numbers = [str(n) for n in range(1, len(found["labels"]) + 1)]
        rows = [[f"{value:.2f}" for value in row] for row in found["matrix"]]
        named = [[n, *row] for n, row in zip(numbers, rows, strict=True)]
        lines += table([["", *numbers], *named]).splitlines()
        lines += map(": ".join, zip(numbers, found["labels"], strict=True))
    return lines


def _unread(frame: Mapping[str, Any]) -> list[str]:
    """What of one's own questions this model cannot read."""
    found = []
    if "unknown" in frame:
        found.append(f"The model does not know {', '.join(frame['unknown'])}: it reads <unk>.")
    if "unasked" in frame:
        found.append(f"The model cannot be asked: {'; '.join(frame['unasked'])}.")
    return found


def scored(scores: Mapping[str, Any]) -> str:
    """Scores on held-out text with their standard errors, as `bert_demo.training.validation` has
    them, and the constant answer."""
    errors = scores.get("standard_errors", {})
    words = [
        f"{METRICS[name].title} {value:.3f}" + (f" ± {errors[name]:.3f}" if name in errors else "")
        for name, value in scores.items()
        if name in METRICS
    ]
    if "constant_accuracy" in scores:
        words[-1] += f" (always the same answer {scores['constant_accuracy']:.3f})"
    return ", ".join(words)


def certainty(scores: Mapping[str, Any]) -> list[str]:
    """How far the accuracy of an `evaluate` can be trusted, and its probabilities, in a line."""
    if "ece" not in scores:
        return []
    return [
        f"Standard error {scores['standard_error']:.4f}; always the same answer "
        f"{scores['constant_accuracy']:.4f}. Expected calibration error (ECE) {scores['ece']:.4f}."
    ]


def to_beat(baselines: Mapping[str, float]) -> str:
    """What losses and accuracies are measured against."""
    named = (f"{value:.3f} ({BASELINES[name]})" for name, value in baselines.items())
    return f"To beat: {', '.join(named)}."


def _validation(event: ValidationEvent) -> str:
    return (
        f"step {event['step']}, {event['seconds']:.0f} s: validation on {event['n']:,} pairs, "
        f"{scored(event)}"
    )


def _end(event: EndEvent) -> str:
    test = event["scores"].get("test")
    if test is None:
        return event["message"]
    accuracy = f"Test accuracy {test['accuracy']:.4f} on {test['n']:,} pairs."
    return "\n".join([event["message"], accuracy, *certainty(test)])


def _start(event: StartEvent) -> str:
    many = f"{event['processes']} processes on " if event["processes"] > 1 else ""
    lines = [
        event["source"],
        f"{event['parameters']:,} parameters, {event['vocab_size']:,} different tokens, "
        f"{event['train_examples']:,} pairs to learn from and {event['validation_examples']:,} to "
        f"validate on; {many}{event['device']}, {event['precision']}.",
    ]
    if "switched_off" in event:
        lines.append(fast_paths.told(event["switched_off"]))
    if event["truncated"]:
        lines.append(f"{event['truncated']:,} pairs are too long and are cut.")
    if event["dropped"]:
        lines.append(f"{event['dropped']:,} pairs are too long and are left out.")
    lines.append(to_beat(event["baselines"]))
    if event.get("taught"):
        lines.append(
            "The loss of a step is against the teacher's softened probabilities, and no loss "
            "against labels, which validation has."
        )
    if event.get("padded"):
        lines.append(
            "The masked-LM loss of a step counts padding too, as the book's does; that of a "
            "validation does not."
        )
    return "\n".join(lines)
