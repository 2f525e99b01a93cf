"""The one loop. Pretraining and fine-tuning differ in batches and loss, nothing else.

`train` yields plain dictionaries; the command line prints them, the page's worker appends them
to a file, tests collect them. Losses are means over what they are about: masked positions for
the masked LM, pairs for the sentence-level heads (never over padding, which does not exist).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from bert_demo.config import RunConfig, run_config
from bert_demo.inference.evaluation import evaluate
from bert_demo.model import checkpoint
from bert_demo.model.device import peak_memory_bytes
from bert_demo.training import distributed
from bert_demo.training.optimizers import Optimizers, recipe
from bert_demo.training.recorder import Keeper
from bert_demo.training.schedule import Clock, Event, Probe
from bert_demo.training.setup import prepare_run
from bert_demo.training.step import Gradients

_QUICK_PAIRS = 512
# Two thousand sentence pairs hold 15,000 masked words: a standard error of 0.03 nats.
_FINAL_PAIRS = {"pretraining": 2048, "nli": None}
_READ_SECONDS = 0.1


class TrainingError(Exception):
    """The run cannot go on; the message is a sentence for the person who started it."""


@dataclass
class _Readings:
    """Events of steps whose losses are still on the device.

    To read a number makes the host wait for a GPU, so there they are read some at a time.
    """

    at_once: bool
    pretraining: bool
    pairs: int
    """Of a batch."""
    _sums: list[Tensor] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)
    _read: float = 0.0

    def add(self, event: Event, sums: Tensor) -> None:
        """A step's event, and the sums (4,) over its batch that `Gradients` gives."""
        self._events.append(event)
        self._sums.append(sums)

    def due(self) -> bool:
        """Whether to read now; after the first step too, so that a curve begins at once."""
        return self.at_once or time.perf_counter() - self._read > _READ_SECONDS

    def read(self) -> Iterator[Event]:
        """The events, complete; raises `TrainingError` at a loss that is not finite."""
        if not self._events:
            return
        events, self._events = self._events, []
        rows = torch.stack(self._sums).tolist()
        self._sums = []
        self._read = time.perf_counter()
        for event, (mlm_sum, pair_sum, right, masked) in zip(events, rows, strict=True):
            if not math.isfinite(mlm_sum + pair_sum):
                raise TrainingError(
                    f"The loss is no longer a finite number at step {event['step']}; the learning "
                    f"rate is probably too high, so try a tenth of it."
                )
            pair_loss, accuracy = pair_sum / self.pairs, right / self.pairs
            if self.pretraining:
                mlm_loss = mlm_sum / max(masked, 1)
                losses = {"loss": mlm_loss + pair_loss, "mlm_loss": mlm_loss}
                losses |= {"nsp_loss": pair_loss, "nsp_accuracy": accuracy}
            else:
                losses = {"loss": pair_loss, "accuracy": accuracy}
            yield event | losses


def train(
    run: RunConfig,
    out: Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    should_stop: Callable[[], bool] | None = None,
    probe: Probe | None = None,
    world: distributed.World | None = None,
) -> Iterator[Event]:
    """Train as `run` says and yield progress events; with `out`, keep a checkpoint there.

    `world` is this process's part among several, else what torchrun says. Every process trains;
    the leader alone tells of steps, validates, probes and saves.

    Events: "start" (what will be done, baselines), "step", "validation", "probe" (what `probe`
    said of the model at this moment), "saved" and "end" (reason "completed", "stopped" or
    "failed", a message, the scores). `should_stop` is asked before every step; a stopped run
    keeps a usable checkpoint and can be resumed, with exactly the numbers of an uninterrupted
    run on a CPU when the budget is in steps or epochs.

    Raises `ValueError` (one sentence) before the first event if the run cannot start, and
    `PeerLostError` if the other processes do not come.
    """
    world = world or distributed.world()
    if out is not None and world.leads:
        checkpoint.check_writable(out, overwrite=overwrite or resume)
    setup = prepare_run(run, world)
    width, rate = setup.model.config.hidden_size, run.training.learning_rate
    numbers = recipe(run.training.recipe, run.task, width, rate)
    optimizers = Optimizers(setup.model, numbers)
    clock = Clock(run, setup)
    keeper = Keeper(run, setup, optimizers, out if world.leads else None)
    gradients = Gradients(run, setup, world)
    at_once = setup.device.type == "cpu"
    readings = _Readings(at_once, setup.task == "pretraining", run.training.batch_size)

    def noted() -> list[Event]:
        """The steps that were not told of yet, all written down before the first is."""
        events: list[Event] = []
        try:
            events.extend(readings.read())
        finally:  # those before one that is not finite too
            keeper.note_all(events)
        return events

    world.join(setup.device)
    if resume:
        clock.restore(keeper.restore(world))
    keeper.begin(clock.step)
    yield keeper.note({"event": "start", **setup.description, "step": clock.step})
    reason, message, scores = "completed", "", {}
    clock.tick()
    clock.seconds = clock.seconds if resume else 0.0
    try:
        with gradients.lanes:
            while True:
                asked = should_stop is not None and should_stop()
                asked, clock.seconds = world.agree(asked, clock.seconds, setup.device)
                if clock.spent() >= 1:
                    break
                if asked:
                    reason, message = "stopped", f"Stopped after {clock.step} steps, as asked."
                    break
                sums, rate = _step(optimizers, world, gradients, clock)
                times = clock.advance()
                if not world.leads:
                    continue
                with world.between_steps(setup.device):
                    readings.add(
                        {"event": "step", "step": clock.step, "learning_rate": rate, **times}, sums
                    )
                    asks = clock.validation_due()
                    looks = probe is not None and clock.probe_due()
                    if asks or looks or readings.due():
                        yield from noted()
                    if asks:
                        yield keeper.note(clock.validate(_QUICK_PAIRS))
                    if looks and probe is not None:
                        yield keeper.note(clock.probe(probe))
                    if keeper.due(run.training.save_every_seconds):
                        yield from noted()
                        keeper.save(clock.state(), {}, finished=False)
                        yield keeper.note({"event": "saved", "step": clock.step})
        yield from noted()
        if world.leads:
            if probe is not None:
                yield keeper.note(clock.probe(probe))
            completed = reason == "completed"
            final = clock.validate(_FINAL_PAIRS[setup.task] if completed else _QUICK_PAIRS)
            yield keeper.note(final)
            scores = {k: v for k, v in final.items() if k not in ("event", "step", "seconds")}
            if setup.test is not None and completed:
                scores["test"] = asdict(evaluate(setup.model, setup.tokenizer, setup.test))
        keeper.save(clock.state(), scores, finished=reason == "completed")
        message = message or f"Finished {clock.step} steps in {clock.seconds:.1f} s."
    except TrainingError as error:
        reason, message = "failed", str(error)
    except distributed.PeerLostError as error:
        # The step that it was lost in changed no weights.
        keeper.save(clock.state(), {}, finished=False)
        reason, message = "failed", str(error)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        reason, message = "failed", _memory_advice(run)
    except (GeneratorExit, KeyboardInterrupt):
        # Whoever was listening left: keep what was learnt, so that the run can be resumed.
        noted()
        keeper.save(clock.state(), {}, finished=False)
        raise
    end = {"event": "end", "reason": reason, "message": message, "step": clock.step}
    end |= {"seconds": round(clock.seconds, 3), "scores": scores}
    yield keeper.note(end | {"peak_memory_bytes": peak_memory_bytes(setup.device)})


def resumable(folder: Path) -> RunConfig:
    """The run whose unfinished state lies in `folder`; raises `ValueError` if there is none."""
    about = checkpoint.read_config(folder).get("about", {})
    if "run" not in about or not (folder / checkpoint.RESUME).exists():
        raise ValueError(f"{folder} holds no unfinished run, so there is nothing to resume.")
    return run_config(about["run"])


def _step(
    optimizers: Optimizers, world: distributed.World, gradients: Gradients, clock: Clock
) -> tuple[Tensor, float]:
    """Forward, backward and update on one batch; the sums over it, (4,), and the step size."""
    sums, found = gradients.of_step(clock.step)
    for parameter, grad in zip(gradients.parameters, found, strict=True):
        parameter.grad = grad
    sums = world.sum(sums)
    world.sum_gradients(gradients.parameters)
    return sums, optimizers.step(clock.spent())


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def _memory_advice(run: RunConfig) -> str:
    training = run.training
    return (
        f"The memory was not enough for batch_size {training.batch_size} and max_length "
        f"{training.max_length}; lower one of them, raise gradient_accumulation_steps "
        f"({training.gradient_accumulation_steps}) or take a smaller model."
    )
