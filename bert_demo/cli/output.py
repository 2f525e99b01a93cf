"""What the commands write: sentences or JSON on stdout, notes and a progress bar on stderr."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from bert_demo.model import fast_paths
from bert_demo.model.metrics import BASELINES, METRICS
from bert_demo.training.events import EndEvent, Event, StartEvent, StepEvent, ValidationEvent

if TYPE_CHECKING:
    from tqdm import tqdm


def say(text: str) -> None:
    """One or more lines of the answer."""
    print(_printable(text, sys.stdout))


def note(text: str) -> None:
    """One line beside the answer: a remark or the reason of a failure."""
    print(_printable(text, sys.stderr), file=sys.stderr)


def emit(value: dict[str, Any]) -> None:
    """One JSON object on a line of its own, in ASCII, flushed so that a pipe sees it at once."""
    print(json.dumps(_plain(value), allow_nan=False), flush=True)


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

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._bar: tqdm[NoReturn] | None = None

    def show(self, event: Event) -> None:
        """One event of `train`."""
        if self._json:
            emit(dict(event))
        elif event["event"] == "step":
            if sys.stderr.isatty():
                self._draw(event)
        elif event["event"] == "start" or event["event"] == "validation":
            self.clear()
            say(_start(event) if event["event"] == "start" else _validation(event))
        elif event["event"] == "end":
            self.clear()
            if event["reason"] != "failed":
                say(_end(event))

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
            f"step {event['step']}  loss {event['loss']:.3f}  "
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


def _validation(event: ValidationEvent) -> str:
    scores = [
        f"{METRICS[name].title} {value:.3f}" for name, value in event.items() if name in METRICS
    ]
    return f"step {event['step']}, {event['seconds']:.0f} s: validation {', '.join(scores)}"


def _end(event: EndEvent) -> str:
    test = event["scores"].get("test")
    if test is None:
        return event["message"]
    return f"{event['message']}\nTest accuracy {test['accuracy']:.4f} on {test['n']:,} pairs."


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
    named = (f"{value:.3f} ({BASELINES[name]})" for name, value in event["baselines"].items())
    lines.append(f"To beat: {', '.join(named)}.")
    return "\n".join(lines)
