"""Is this curve normal? From the events of a run to one named state, with one thing to try.

What is looked at, in this order; the first that holds is the answer. n is the number of steps,
and a loss is a mean over the last max(5, min(50, n / 10)) of them, a window.

diverged        the loss became infinite, or is 0.5 nats or more above that of knowing nothing
collapsed       the film's frames of the last fifth of the steps find all vectors alike:
                `COLLAPSED`; 50 steps of the book's recipe at 0.001 do so in passing, 26 to 31
rate_too_high   the loss has risen by 0.15 nats and four standard errors above its lowest window
                (since dropout began, where it did on the way); or some window is 0.1 nats and
                three standard errors above the first two steps and above knowing no context, and
                the run has not come below that since; or two steps, one of them in the later half,
                jumped by a nat and six standard deviations above the window before them
by_heart        the last two held-out losses of equally many pairs are 3% and 0.05 nats or more
                above the lowest, and the training loss is at most 80% of the held-out one
word_frequency  the masked-LM loss is less than 0.2 nats below that of word frequency
chance          a judge's loss is less than 0.05 nats below that of guessing
coin            the next-sentence loss is less than 0.01 nats below that of a coin
fine            none of these

The thresholds lie between what runs of minutes were measured to do: 27 steps of "recommended" on
Crane World end 0.15 nats below word frequency and 50 steps 0.28; AdamW at a rate of
0.03 is 0.45 nats above its beginning after 20 steps.
"""

from __future__ import annotations

import itertools
import math
import statistics
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bert_demo.common.errors import Text
from bert_demo.config import RunConfig
from bert_demo.runs.curve import Curve
from bert_demo.runs.events import COLLAPSED
from bert_demo.runs.references import references_of, usual
from bert_demo.runs.store import RunStore

Name = Literal[
    "diverged",
    "collapsed",
    "rate_too_high",
    "by_heart",
    "word_frequency",
    "chance",
    "coin",
    "fine",
]


@dataclass(frozen=True)
class Diagnosis:
    """The state that a run is in."""

    name: Name
    seen: Text
    """What the numbers say, in a sentence that begins with the state."""
    advice: Text
    """One thing to try, in a sentence."""
    usual: Text | None = None
    """What recorded runs of the same settings had there, where there are any."""


_FEWEST_STEPS = 10
_ABOVE_NOTHING = 0.5
_ALIKE_FOR = 0.2
_RISE, _RISE_ERRORS = 0.15, 4
_BEGAN, _WORSE, _WORSE_ERRORS = 2, 0.1, 3
_JUMP, _JUMP_DEVIATIONS = 1.0, 6
_HEART_RISE, _HEART_SHARE, _HEART_GAP = 0.05, 1.03, 0.8
_BELOW_FREQUENCY, _BELOW_CHANCE, _BELOW_COIN = 0.2, 0.05, 0.01
_MANY_STEPS = 1000
_NOT_FINITE = "The loss is no longer a finite number"
"""How the last message of such a run begins that version 0.1.0 trained, which named no cause."""


def diagnose(
    events: Iterable[Mapping[str, Any]], config: RunConfig | None = None
) -> Diagnosis | None:
    """The state of a run by its events so far, as `bert_demo.training.events` has them.

    By its `config` passes over the text are counted, and recorded runs of the same settings found.
    None where less than 10 steps tell of the run, or where it does not say what its loss has to
    beat.
    """
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        by_kind.setdefault(event["event"], []).append(event)
    start, end = by_kind.get("start", []), by_kind.get("end", [])
    if end and _not_finite(end[-1]):
        return _diverged(Text("Diverged: the loss is no longer a finite number."))
    main = "loss" if start and start[-1].get("task") == "nli" else "mlm_loss"
    steps = [e for e in by_kind.get("step", []) if main in e and "loss" in e]
    if not start or len(steps) < _FEWEST_STEPS or "uniform" not in start[-1].get("baselines", {}):
        return None
    batch_size = None if config is None else config.training.batch_size
    run = Curve(start[-1], steps, by_kind.get("validation", []), main, batch_size)
    frames = [frame for frame in by_kind.get("probe", []) if "alike" in frame]
    dropout = max((event["step"] for event in by_kind.get("dropout", [])), default=0)
    found = (
        _above_nothing(run)
        or _collapsed(frames)
        or _rate_too_high(run, dropout)
        or _by_heart(run)
        or _no_context(run)
        or _coin(run)
        or _fine(run)
    )
    references = [] if config is None else references_of(config)
    return replace(found, usual=usual(references, start[-1], steps, main))


def _not_finite(end: Mapping[str, Any]) -> bool:
    return end.get("cause") == "not_finite" or end.get("message", "").startswith(_NOT_FINITE)


def _line(run: Curve) -> float | None:
    """The loss of who knows no context, less what may be noise or the easiest few words."""
    if run.main == "loss":
        return run.baselines["uniform"] - _BELOW_CHANCE
    frequency = run.baselines.get("unigram_train", run.baselines.get("unigram"))
    return None if frequency is None else frequency - _BELOW_FREQUENCY


def _diverged(seen: Text) -> Diagnosis:
    return Diagnosis("diverged", seen, Text("Try a tenth of the learning rate."))


def _above_nothing(run: Curve) -> Diagnosis | None:
    nothing = run.baselines["uniform"]
    if run.loss < nothing + _ABOVE_NOTHING:
        return None
    return _diverged(
        Text(
            "Diverged: the loss is {loss:.1f}; whoever knows nothing has {nothing:.1f}.",
            loss=run.loss,
            nothing=nothing,
        )
    )


def _collapsed(frames: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    alike = itertools.takewhile(lambda frame: frame["alike"] >= COLLAPSED, reversed(frames))
    last = [*alike]
    if not last or last[0]["step"] - last[-1]["step"] < _ALIKE_FOR * last[0]["step"]:
        return None
    return Diagnosis(
        "collapsed",
        Text(
            "Collapsed: all its vectors are alike (mean cosine {n:.2f}).",
            n=last[0]["alike"],
        ),
        Text("Try a tenth of the learning rate, or the recommended recipe."),
    )


def _rate_too_high(run: Curve, dropout: int) -> Diagnosis | None:
    seen = _risen(run, dropout) or _worse(run) or _jumps(run)
    if seen is None:
        return None
    rate = max(step.get("learning_rate", 0.0) for step in run.steps) / 3
    advice = Text("Try a third of the learning rate, {rate:g}.", rate=float(f"{rate:.1g}"))
    return Diagnosis("rate_too_high", seen, advice)


def _risen(run: Curve, dropout: int) -> Text | None:
    now = run.last("loss")
    lowest = min([now, *run.windows("loss", dropout)])  # of which there is none at first
    error = run.noise("loss") * math.sqrt(2 / run.window)
    if now - lowest <= max(_RISE, _RISE_ERRORS * error):
        return None
    return Text(
        "Learning rate too high: the loss rose from {low:.2f} to {now:.2f}.", low=lowest, now=now
    )


def _worse(run: Curve) -> Text | None:
    began = statistics.fmean(step[run.main] for step in run.steps[:_BEGAN])
    highest, line = max(run.windows(run.main)), _line(run)
    error = run.noise(run.main) * math.sqrt(1 / _BEGAN + 1 / run.window)
    if (
        line is None
        or run.loss <= line
        or highest - max(began, line) <= max(_WORSE, _WORSE_ERRORS * error)
    ):
        return None
    return Text(
        "Learning rate too high: the loss rose to {high:.2f}; it began at {began:.2f}.",
        high=highest,
        began=began,
    )


def _jumps(run: Curve) -> Text | None:
    losses = [step["loss"] for step in run.steps]
    window, jumps, noise = run.window, [], run.noise("loss")
    before = math.fsum(losses[:window])
    for i in range(window, len(losses)):
        if losses[i] - before / window > _JUMP + _JUMP_DEVIATIONS * noise:
            jumps.append(i)
        before += losses[i] - losses[i - window]
    if len(jumps) < 2 or jumps[-1] < len(losses) / 2:
        return None
    return Text(
        "Learning rate too high: the loss jumped {n} times, last at step {step:,}.",
        n=len(jumps),
        step=run.steps[jumps[-1]]["step"],
    )


def _much_surer_of_its_text(run: Curve) -> bool:
    """Than of held-out text, where the two losses can be compared."""
    if not run.held_out or run.is_apart:
        return False
    now: float = run.held_out[-1][run.main]
    return run.loss <= _HEART_GAP * now


def _by_heart(run: Curve) -> Diagnosis | None:
    if len(run.held_out) < 3 or not _much_surer_of_its_text(run):
        return None
    best = min(run.held_out, key=lambda v: v[run.main])
    lowest, now = best[run.main], run.held_out[-1][run.main]
    risen = max(lowest + _HEART_RISE, lowest * _HEART_SHARE)
    if any(v[run.main] < risen for v in run.held_out[-2:]):
        return None
    passes = run.passes(best["step"])
    after = (
        Text("step {n:,}", n=best["step"])
        if passes is None
        else Text("{n:.1f} passes over the text", n=passes)
    )
    return Diagnosis(
        "by_heart",
        Text(
            "Learning by heart since {after}: held-out loss rose from {low:.2f} to {now:.2f}, "
            "training loss is {loss:.2f}.",
            after=after,
            low=lowest,
            now=now,
            loss=run.loss,
        ),
        Text("Stop there, keep the best weights, or give it more text."),
    )


def _no_context(run: Curve) -> Diagnosis | None:
    loss, line = run.loss, _line(run)
    if run.is_apart:
        if not run.held_out:
            return None
        loss = run.held_out[-1][run.main]
    if line is None or loss <= line:
        return None
    few = len(run.steps) < _MANY_STEPS
    more = Text("Give it more steps, some hundred.")
    if run.main == "loss":
        seen = Text(
            "Still guessing: the loss is {loss:.2f}, and guessing has {line:.2f}.",
            loss=loss,
            line=run.baselines["uniform"],
        )
        longer = Text("Start from a model that was pretrained longer.")
        return Diagnosis("chance", seen, more if few else longer)
    frequency = line + _BELOW_FREQUENCY
    seen = (
        Text(
            "Still at word frequency: loss {loss:.2f}, and frequency alone has {line:.2f}.",
            loss=loss,
            line=frequency,
        )
        if loss < frequency + _BELOW_FREQUENCY
        else Text(
            "Not even word frequency yet: loss {loss:.2f}, and frequency alone has {line:.2f}.",
            loss=loss,
            line=frequency,
        )
    )
    other = Text("Try the recommended recipe, or a third of the learning rate.")
    return Diagnosis("word_frequency", seen, more if few else other)


def _coin(run: Curve) -> Diagnosis | None:
    coin = run.baselines.get("coin")
    if coin is None or any("nsp_loss" not in step for step in run.steps[-run.window :]):
        return None
    loss = run.last("nsp_loss")
    if loss <= coin - _BELOW_COIN:
        return None
    return Diagnosis(
        "coin",
        Text(
            "Next sentence still a coin: its loss is {loss:.2f}, as of a coin; words are learnt "
            "already.",
            loss=loss,
        ),
        Text("Give it twice the steps: it comes after the words."),
    )


def _fine(run: Curve) -> Diagnosis:
    seen = (
        Text("Fine: it judges better than by guessing.")
        if run.main == "loss"
        else Text("Fine: it guesses masked words by what stands around them.")
    )
    return Diagnosis("fine", seen, _further(run))


def _further(run: Curve) -> Text:
    losses = [v[run.main] for v in run.held_out]
    if _much_surer_of_its_text(run):
        return Text(
            "It is much surer of what it learns from, {loss:.2f}, than of held-out text, "
            "{now:.2f}: more text leads further than more steps.",
            loss=run.loss,
            now=losses[-1],
        )
    # One more or less is noise.
    if len(losses) > 3 and min(losses[-3:]) > min(losses[:-3]):
        return Text("The held-out loss no longer falls; more text or a larger model leads further.")
    return Text("More steps lead further.")


class Diagnoses:
    """What was found last of the runs that many watch: each is looked at once a second at most."""

    _FRESH_SECONDS = 1.0
    _KEPT = 64

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._found: OrderedDict[str, tuple[float, int, Diagnosis | None]] = OrderedDict()

    def of(self, run_id: str) -> Diagnosis | None:
        """The state of a run; of one that has ended by all its events."""
        events, cursor = self._store.events(run_id)
        now = time.monotonic()
        with self._lock:
            made, then, found = self._found.get(run_id, (-math.inf, -1, None))
            over = bool(events) and events[-1]["event"] == "end"
            if cursor == then or (now - made < self._FRESH_SECONDS and not over):
                return found
            found = diagnose(events, self._store.get(run_id).config)
            self._found[run_id] = now, cursor, found
            self._found.move_to_end(run_id)
            while len(self._found) > self._KEPT:
                self._found.popitem(last=False)
            return found
