"""The one loop. Pretraining and fine-tuning differ in batches and loss, nothing else.

`train` yields plain dictionaries (events.py); the command line prints them, the page's worker
appends them to a file, tests collect them. Losses are means over what they are about: masked
positions for the masked LM, pairs for the sentence-level heads (never over padding, which does not
exist).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal, TypeVar, cast

from torch import Tensor

from bert_demo.common.errors import Text, UserError
from bert_demo.config import RunConfig, run_config
from bert_demo.data.interruption import Interrupted, interruptible
from bert_demo.inference.evaluation import evaluate
from bert_demo.model import checkpoint
from bert_demo.model.about import read_about
from bert_demo.model.beginning import set_word_vectors
from bert_demo.model.device import peak_memory_bytes
from bert_demo.model.metrics import MAIN_LOSS
from bert_demo.training import distributed
from bert_demo.training.best import Best
from bert_demo.training.events import (
    EndEvent,
    Event,
    MomentEvent,
    Probe,
    ProbeEvent,
    SavedEvent,
    Scores,
    StartEvent,
    StepEvent,
    ValidationEvent,
)
from bert_demo.training.failures import NotFiniteError, memory_advice, out_of_memory
from bert_demo.training.optimizers import Optimizers, recipe_of
from bert_demo.training.proof import proved_device
from bert_demo.training.readings import Readings
from bert_demo.training.recorder import Recorder
from bert_demo.training.schedule import Clock
from bert_demo.training.setup import prepare_run
from bert_demo.training.step import Gradients
from bert_demo.training.validation import calibrate, validate

_QUICK_PAIRS = 512
"""Of held-out text, during a run and where one is stopped; a finished one is scored on all."""
_SCORING_SECONDS = 60.0
"""How long scoring a finished run may take beyond its limit."""
T = TypeVar("T")

Reason = Literal["completed", "stopped", "failed"]


def train(
    run: RunConfig,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    should_stop: Callable[[], bool] | None = None,
    probe: Probe | None = None,
    world: distributed.World | None = None,
    most_seconds: float | None = None,
) -> Generator[Event, None, None]:
    """Train as `run` says and yield progress events; with `out`, keep a checkpoint there.

    `world` is this process's part among several, else what torchrun says. Every process trains;
    the leader alone tells of steps, validates, probes and saves.

    Events: "start" (what will be done, baselines), "step", "validation", "probe" (what `probe`
    said of the model at this moment), "saved" and "end" (reason "completed", "stopped" or
    "failed", a message, the scores). `should_stop` is asked before every step; a stopped run
    keeps a usable checkpoint and can be resumed, with exactly the numbers of an uninterrupted
    run on a CPU when the budget is in steps or epochs. `most_seconds` is a limit for preparing and
    training together: what the one takes is missing from the other's budget. A run that is asked
    to stop while it is scored in the end, or takes a minute longer than its limit, is scored on
    fewer pairs.

    Raises `UserError` (one sentence) before the first event if the run cannot start, `Interrupted`
    where its preparation is `interruptible` and no longer wanted, and `PeerLostError` if the other
    processes do not come.
    """
    began = time.perf_counter()
    world = world or distributed.world()
    folder = None if out is None else Path(out)
    if folder is not None and world.leads:
        checkpoint.check_writable(folder, overwrite=overwrite or resume)
    loop = _Loop(run, folder, world, probe)

    def ends_scoring() -> bool:
        late = time.perf_counter() - began - _SCORING_SECONDS
        wished = should_stop is not None and should_stop()
        return wished or (most_seconds is not None and late > most_seconds)

    left = None if most_seconds is None else most_seconds - (time.perf_counter() - began)
    yield loop.start(resume, left)
    loop.clock.start()
    reason: Reason
    try:
        with loop.gradients.threads:
            if world.leads:
                with world.between_steps(loop.setup.device):
                    yield from loop.moment()
            while (ended := loop.ended(should_stop)) is None:
                loop.step()
                if world.leads:
                    with world.between_steps(loop.setup.device):
                        yield from loop.what_is_due()
        yield from loop.finish(ends_scoring, completed=ended == "completed")
        reason, message = ended, loop.farewell(ended)
    except (NotFiniteError, distributed.PeerLostError, MemoryError, RuntimeError) as error:
        reason, message = "failed", loop.explained(error)
    except (GeneratorExit, KeyboardInterrupt):
        # Whoever was listening left: keep what was learnt, so that the run can be resumed.
        loop.steps_so_far()
        loop.save()
        raise
    yield loop.end(reason, message)


class _Loop:
    """A run's parts, and what is done with them."""

    def __init__(
        self, run: RunConfig, out: Path | None, world: distributed.World, probe: Probe | None
    ) -> None:
        training = run.training
        self.run, self.world, self._probe = run, world, probe
        proved_device(training.device, alone=world.size == 1)
        self.setup = prepare_run(run, world)
        wanted = training.keep == "best"
        self._best = Best(self.setup.model, MAIN_LOSS[run.task], wanted=wanted)
        width = self.setup.model.config.hidden_size
        numbers = recipe_of(run, width)
        self._optimizers = Optimizers(self.setup.model, numbers)
        self._recorder = Recorder(run, self.setup, self._optimizers, out if world.leads else None)
        steps, moments = self.setup.facts["steps"], self._recorder.moments
        self.clock = Clock(training, steps, self._final_pairs(), moments)
        self.gradients = Gradients(run, self.setup, world)
        on_cpu = self.setup.device.type == "cpu"
        asks = run.next_sentence == "on"
        self._readings = Readings(on_cpu, self.setup.task, training.batch_size, asks)
        self._scores: Scores = {}
        """Of the last validation."""
        self._good_enough = self._not_finite = False
        self._keeps_all = True
        """Whether no moment was lost so far."""
        self._learnt: dict[str, Tensor] = {}
        """Tensors as the last step left them, where more was done to them since."""

    def start(self, resume: bool, seconds_left: float | None) -> StartEvent:
        """Meet the other processes, which have no longer than the leader, and go back to where an
        unfinished run was."""
        self.world.join(self.setup.device)
        seconds_left = self.world.share(seconds_left)
        if seconds_left is not None:
            self.setup.facts["budget_seconds"] = self.clock.limit(seconds_left)
        if resume:
            state, best = self._recorder.restore(self.world)
            self._best.restore(state, best)
            self.clock.restore(state)
        elif self.world.size > 1 and self.run.start_from is None and self.run.counts_words:
            # Processors of another kind may count a last digit otherwise, or all signs.
            statistics = self.world.share(self.setup.statistics)
            if statistics is not None and statistics.vectors is not None:
                set_word_vectors(self.setup.model, statistics.vectors)
        self._recorder.begin(self.clock.step)
        event: StartEvent = {"event": "start", **self.setup.facts, "step": self.clock.step}
        return self._recorder.note(event)

    def ended(
        self, should_stop: Callable[[], bool] | None
    ) -> Literal["completed", "stopped"] | None:
        """Whether the budget is spent or somebody asked to stop; all processes agree."""
        asked = should_stop is not None and should_stop()
        asked = asked or self._good_enough
        asked, seconds = self.world.agree(asked, self.clock.seconds, self.setup.device)
        self.clock.agree(seconds)
        if self.clock.spent() >= 1 or self._good_enough:
            return "completed"
        return "stopped" if asked else None

    def step(self) -> None:
        """Forward, backward and update on one batch."""
        sums, found = self.gradients.of_step(self.clock.step)
        for parameter, grad in zip(self.gradients.parameters, found, strict=True):
            parameter.grad = grad
        sums = self.world.sum(sums)
        self.world.sum_gradients(self.gradients.parameters)
        rate = self._optimizers.step(self.clock.spent())
        times = self.clock.advance()
        if self.world.leads:
            event = {"event": "step", "step": self.clock.step, "learning_rate": rate, **times}
            self._readings.add(cast(StepEvent, event), sums)

    def what_is_due(self) -> Iterator[Event]:
        """The events after a step: itself, and what is done between this step and the next."""
        validates = self.clock.validation_due()
        probes = self._probe is not None and self.clock.probe_due()
        if validates or probes or self._readings.due():
            yield from self.steps_so_far()
        if validates:
            told = self._validate(_QUICK_PAIRS)
            self._best.offer(self.clock.step, self._scores)
            yield told
        if probes:
            yield self._ask_probe()
        yield from self.moment()
        if self._recorder.due(self.run.training.save_every_seconds):
            yield from self.steps_so_far()
            self.save()
            saved: SavedEvent = {"event": "saved", "step": self.clock.step}
            yield self._recorder.note(saved)

    def moment(self) -> Iterator[MomentEvent]:
        """Keep the weights, if that is due, for questions that come later."""
        if not self.clock.moment_due():
            return
        step = self.clock.step
        with self.clock.keeping():
            lost = self._recorder.keep(step, self.clock.seconds)
        if lost is not None and self._keeps_all:
            self._keeps_all = False
            event: MomentEvent = {"event": "moment", "step": step, "message": lost}
            yield self._recorder.note(event)

    def steps_so_far(self) -> list[StepEvent]:
        """The steps that were not told of yet, all written down before the first is told."""
        events: list[StepEvent] = []
        try:
            events.extend(self._readings.read())
        finally:  # those before one that is not finite too
            self._recorder.note_all(events)
        return events

    def _final_pairs(self) -> int:
        """How many pairs `finish` scores, those counted twice that are scored twice."""
        passes = 1 + (self.run.teacher is not None) + self._best.wanted
        test = 0 if self.setup.test is None else 2 * len(self.setup.test)  # also without premises
        return passes * len(self.setup.validation) + test

    def finish(self, ends_scoring: Callable[[], bool], *, completed: bool) -> Iterator[Event]:
        """Score the model, and save it: ready for use, or to go on with where it was stopped."""
        yield from self.steps_so_far()

        def scored(score: Callable[[int | None], T]) -> T:
            if completed:
                with contextlib.suppress(Interrupted), interruptible(ends_scoring):
                    return score(None)
            return score(_QUICK_PAIRS)

        def told() -> Iterator[Event]:
            if self._probe is not None:
                yield self._ask_probe()
            yield scored(self._validate)

        if self.world.leads:
            if compares := 0 < self._best.step < self.clock.step:
                yield from told()  # the film and the curve are of the last step
                self._scores = scored(self._take_best)
            factor = None
            if self.run.teacher is not None:
                classifier = self.setup.model.classifier.state_dict(prefix="classifier.")
                self._learnt = {name: tensor.clone() for name, tensor in classifier.items()}
                factor = scored(self._calibrate)
            if factor is not None or not compares:
                yield from told()
            if factor is not None:
                self._scores["calibration_factor"] = factor
            if self.setup.test is not None and completed:
                model, tokenizer = self.setup.model, self.setup.tokenizer
                with contextlib.suppress(Interrupted), interruptible(ends_scoring):
                    self._scores["test"] = asdict(evaluate(model, tokenizer, self.setup.test))
        self._save(self._scores, finished=completed)

    def save(self) -> None:
        """Write the unfinished run down, so that it can go on from here."""
        self._save({}, finished=False)

    def _save(self, scores: Scores, *, finished: bool) -> None:
        state = self.clock.state() | self._best.state()
        last, best = self._best.apart(self.setup.model.state_dict() | self._learnt)
        self._recorder.save(
            state, scores, finished=finished, step=self._kept_step(), last=last, best=best
        )

    def _kept_step(self) -> int:
        """After which step the model's weights were as they are."""
        return self._best.step if self._best.taken else self.clock.step

    def farewell(self, reason: Reason) -> Text:
        """What to say of a run that ended as it should."""
        return self._best.said(self._how_it_ended(reason))

    def _how_it_ended(self, reason: Reason) -> Text:
        if reason == "stopped":
            return Text("Stopped after {n} steps, as asked.", n=self.clock.step)
        if self._good_enough:
            return Text(
                "Reached a held-out loss of {loss:g} after {n} steps, in {seconds:.1f} s.",
                loss=self.run.training.stop_at_loss,
                n=self.clock.step,
                seconds=self.clock.seconds,
            )
        return Text(
            "Finished {n} steps in {seconds:.1f} s.", n=self.clock.step, seconds=self.clock.seconds
        )

    def explained(self, error: Exception) -> Text:
        """What to say of a run that this error ended; raises it again if it is a bug."""
        if isinstance(error, distributed.PeerLostError):
            self.save()  # the step that it was lost in changed no weights
        self._not_finite = isinstance(error, NotFiniteError)
        if isinstance(error, UserError):
            return error.text
        if not out_of_memory(error):
            raise error
        return memory_advice(self.run)

    def end(self, reason: Reason, message: Text) -> EndEvent:
        """The last event."""
        event: EndEvent = {
            "event": "end",
            "reason": reason,
            "message": message,
            "step": self.clock.step,
            "seconds": round(self.clock.seconds, 3),
            "scores": {} if reason == "failed" else self._scores,
            "peak_memory_bytes": peak_memory_bytes(self.setup.device),
        }
        if self._best.wanted and reason != "failed":
            event["kept_step"] = self._kept_step()
        if self._not_finite:
            event["cause"] = "not_finite"
        return self._recorder.note(event)

    def _scored(self, limit: int | None) -> Scores:
        """The model on held-out text, on `limit` pairs or all."""
        every = len(self.setup.validation)
        validating = self.clock.validating(every if limit is None else min(limit, every))
        with validating, self.setup.autocast():
            return validate(self.setup.model, self.setup.validation, limit)

    def _calibrate(self, limit: int | None) -> float:
        with self.setup.autocast():
            return calibrate(self.setup.model, self.setup.validation, limit)

    def _take_best(self, limit: int | None) -> Scores:
        """The scores of the better weights, which the model then has: the best or the last, by
        the pairs of the last validation or `limit` of them."""
        less = limit is not None and limit < self._scores["n"]
        return self._best.take(self._scored(limit) if less else self._scores, self._scored)

    def _validate(self, limit: int | None) -> ValidationEvent:
        """Tell how the model scores on held-out text, on `limit` pairs or all."""
        self._scores = self._scored(limit)
        enough, loss = self.run.training.stop_at_loss, self._best.loss(self._scores)
        # The score of all held-out text, in the end, may be another.
        self._good_enough = self._good_enough or (enough is not None and loss <= enough)
        seconds = round(self.clock.seconds, 4)
        event = {"event": "validation", "step": self.clock.step, "seconds": seconds}
        return self._recorder.note(cast(ValidationEvent, event | self._scores))

    def _ask_probe(self) -> ProbeEvent:
        """What the probe says of the model."""
        assert self._probe is not None
        with self.clock.probing():
            self.setup.model.eval()
            found = self._probe(self.setup.model, self.setup.tokenizer)
        seconds = round(self.clock.seconds, 4)
        event = {"event": "probe", "step": self.clock.step, "seconds": seconds, **found}
        return self._recorder.note(cast(ProbeEvent, event))


def resumable(folder: Path) -> RunConfig:
    """The run whose unfinished state lies in `folder`; raises `UserError` if there is none."""
    about = read_about(checkpoint.read_config(folder))
    if not about.settings or not (folder / checkpoint.RESUME).exists():
        raise UserError(
            "{folder} holds no unfinished run, so there is nothing to resume.", folder=folder
        )
    return run_config(about.settings)
