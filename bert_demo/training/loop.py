"""The one loop. Pretraining and fine-tuning differ in batches and loss, nothing else.

`train` yields plain dictionaries (events.py); the command line prints them, the page's worker
appends them to a file, tests collect them. Losses are means over what they are about: masked
positions for the masked LM, pairs for the sentence-level heads (never over padding, which does not
exist).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Literal, cast

from bert_demo.common.errors import Text, UserError
from bert_demo.config import RunConfig, run_config
from bert_demo.model import checkpoint
from bert_demo.model.about import read_about
from bert_demo.model.beginning import set_word_vectors
from bert_demo.model.device import peak_memory_bytes
from bert_demo.model.metrics import MAIN_LOSS
from bert_demo.training import distributed
from bert_demo.training.best import Best
from bert_demo.training.events import (
    DropoutEvent,
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
from bert_demo.training.late_dropout import LateDropout
from bert_demo.training.optimizers import Optimizers, recipe_of
from bert_demo.training.proof import proved_device
from bert_demo.training.readings import Readings
from bert_demo.training.recorder import Recorder
from bert_demo.training.schedule import Clock
from bert_demo.training.scoring import QUICK_PAIRS, Scoring, final_pairs, in_the_end
from bert_demo.training.setup import prepare_run
from bert_demo.training.step import Gradients

_SCORING_SECONDS = 60.0
"""How long scoring a finished run may take beyond its limit."""

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
        self.clock = Clock(training, steps, final_pairs(run, self.setup), moments)
        self._scoring = Scoring(run, self.setup, self.clock, self._best)
        self.gradients = Gradients(run, self.setup, world)
        self._dropout = LateDropout(run, self.setup)
        on_cpu = self.setup.device.type == "cpu"
        asks = run.next_sentence == "on"
        self._readings = Readings(on_cpu, self.setup.task, training.batch_size, asks)
        self._not_finite = False
        self._keeps_all = True
        """Whether no moment was lost so far."""

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
            self._dropout.restore(state)
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
        asked = asked or self._scoring.good_enough
        asked, seconds = self.world.agree(asked, self.clock.seconds, self.setup.device)
        self.clock.agree(seconds)
        if self.clock.spent() >= 1 or self._scoring.good_enough:
            return "completed"
        return "stopped" if asked else None

    def step(self) -> None:
        """Forward, backward and update on one batch."""
        if self._dropout.due(self.clock.step) and self.world.share(self._dropout.found):
            self._dropout.begin()
            self.gradients.forget()
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
        looks = self._dropout.to_look(self.clock.step, self.clock.spent())
        validates = looks or self.clock.validation_due()
        probes = self._probe is not None and self.clock.probe_due()
        if validates or probes or self._readings.due():
            yield from self.steps_so_far()
        if validates:
            told = self._validate(QUICK_PAIRS)
            self._best.offer(self.clock.step, self._scoring.scores)
            yield told
        if looks:
            yield from self._dropout_if_needed()
        if probes:
            yield self._ask_probe()
        yield from self.moment()
        if self._recorder.due(self.run.training.save_every_seconds):
            yield from self.steps_so_far()
            self.save()
            saved: SavedEvent = {"event": "saved", "step": self.clock.step}
            yield self._recorder.note(saved)

    def _dropout_if_needed(self) -> Iterator[DropoutEvent]:
        """Tell if dropout begins, by the scores of the last validation."""
        told = self._dropout.look(self._scoring.loss, self._scoring.loss_on)
        if told is not None:
            event: DropoutEvent = {
                "event": "dropout",
                "step": self.clock.step,
                "seconds": round(self.clock.seconds, 4),
                "message": told,
            }
            yield self._recorder.note(event)

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

    def finish(self, ends_scoring: Callable[[], bool], *, completed: bool) -> Iterator[Event]:
        """Score the model, and save it: ready for use, or to go on with where it was stopped."""
        yield from self.steps_so_far()
        scored = functools.partial(in_the_end, ends_scoring, completed=completed)

        def told() -> Iterator[Event]:
            if self._probe is not None:
                yield self._ask_probe()
            yield scored(self._validate)

        if self.world.leads:
            if compares := 0 < self._best.step < self.clock.step:
                yield from told()  # the film and the curve are of the last step
                scored(self._scoring.take_best)
            factor = None if self.run.teacher is None else scored(self._scoring.calibrate)
            if factor is not None or not compares:
                yield from told()
            if factor is not None:
                self._scoring.scores["calibration_factor"] = factor
            if completed:
                self._scoring.test(ends_scoring)
        self._save(self._scoring.scores, finished=completed)

    def save(self) -> None:
        """Write the unfinished run down, so that it can go on from here."""
        self._save({}, finished=False)

    def _save(self, scores: Scores, *, finished: bool) -> None:
        state = self.clock.state() | self._best.state() | self._dropout.state()
        last, best = self._best.apart(self.setup.model.state_dict() | self._scoring.learnt)
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
        if self._scoring.good_enough:
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
            "scores": {} if reason == "failed" else self._scoring.scores,
            "peak_memory_bytes": peak_memory_bytes(self.setup.device),
        }
        if self._best.wanted and reason != "failed":
            event["kept_step"] = self._kept_step()
        if self._not_finite:
            event["cause"] = "not_finite"
        return self._recorder.note(event)

    def _validate(self, limit: int | None) -> ValidationEvent:
        """Tell how the model scores on held-out text, on `limit` pairs or all."""
        return self._recorder.note(self._scoring.validate(self.clock.step, limit))

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
