"""What the commands write: sentences or JSON on stdout, notes and a progress bar on stderr."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

_BASELINES = {
    "uniform": "every guess as likely as another",
    "unigram": "guessing by word frequency",
    "coin": "tossing a coin for the next sentence",
    "chance": "the share that guessing gets right",
}


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

    def show(self, event: dict[str, Any]) -> None:
        """One event of `train`."""
        if self._json:
            emit(event)
        elif event["event"] == "step":
            if sys.stderr.isatty():
                self._draw(event)
        elif event["event"] in ("start", "validation", "end"):
            self.clear()
            if event.get("reason") != "failed":
                say(_sentence(event))

    def clear(self) -> None:
        """Take the bar away, so that what follows has a line of its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, event: dict[str, Any]) -> None:
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


def _sentence(event: dict[str, Any]) -> str:
    if event["event"] == "start":
        return _start(event)
    if event["event"] == "validation":
        names = ("mlm_loss", "nsp_loss", "nsp_accuracy", "loss", "accuracy")
        scores = (f"{_words(name)} {event[name]:.3f}" for name in names if name in event)
        return f"step {event['step']}, {event['seconds']:.0f} s: validation {', '.join(scores)}"
    test = event.get("scores", {}).get("test")
    if test is None:
        return str(event["message"])
    return f"{event['message']}\nTest accuracy {test['accuracy']:.4f} on {test['n']:,} pairs."


def _start(event: dict[str, Any]) -> str:
    many = f"{event['processes']} processes on " if event["processes"] > 1 else ""
    lines = [
        str(event["source"]),
        f"{event['parameters']:,} parameters, {event['vocab_size']:,} different tokens, "
        f"{event['train_examples']:,} pairs to learn from and {event['validation_examples']:,} to "
        f"validate on; {many}{event['device']}, {event['precision']}.",
    ]
    if event.get("truncated"):
        lines.append(f"{event['truncated']:,} pairs are too long and are cut.")
    baselines = event.get("baselines") or {}
    if baselines:
        named = (f"{value:.3f} ({_BASELINES[name]})" for name, value in baselines.items())
        lines.append(f"To beat: {', '.join(named)}.")
    return "\n".join(lines)


def _words(name: str) -> str:
    return name.replace("_", " ").replace("mlm", "masked-LM").replace("nsp", "next-sentence")
