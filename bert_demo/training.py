"""The one loop. Pretraining and fine-tuning differ in batches and loss, nothing else.

`train` yields plain dictionaries; the command line prints them, the page's worker appends them
to a file, tests collect them. Losses are means over what they are about: masked positions for
the masked LM, pairs for the sentence-level heads (never over padding, which does not exist).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bert_demo import checkpoint, distributed, kernels
from bert_demo.assembly import Setup, prepare_run
from bert_demo.config import RunConfig, run_config
from bert_demo.device import peak_memory_bytes
from bert_demo.keeper import Keeper
from bert_demo.lanes import Lanes, add_up
from bert_demo.model import BertModel
from bert_demo.optimizers import Optimizers, recipe
from bert_demo.predict import evaluate
from bert_demo.tokenizer import Tokenizer
from bert_demo.validation import batch_losses, validate

Event = dict[str, Any]
Probe = Callable[[BertModel, Tokenizer], dict[str, Any]]

_VALIDATIONS = 20
_VALIDATION_SHARE = 0.1
_QUICK_PAIRS = 512
# Two thousand sentence pairs hold 15,000 masked words: a standard error of 0.03 nats.
_FINAL_PAIRS = {"pretraining": 2048, "nli": None}
_PROBE_SHARE = 0.05


class TrainingError(Exception):
    """The run cannot go on; the message is a sentence for the person who started it."""


class _Clock:
    """Where the loop is, and how fast it goes."""

    def __init__(self, run: RunConfig, setup: Setup) -> None:
        self.run, self.setup = run, setup
        self.step = 0
        self.seconds = 0.0  # spent so far, validation and saving included
        self.validation_seconds = 0.0
        self.validated_at = 0.0  # part of the budget that was spent at the last validation
        self.probe_seconds = 0.0
        self.next_probe = 1
        self._last = time.perf_counter()
        self._recent: deque[tuple[int, float]] = deque(maxlen=20)

    def tick(self) -> float:
        """Add the time since the last tick; returns the seconds so far."""
        now = time.perf_counter()
        self.seconds += now - self._last
        self._last = now
        return self.seconds

    def spent(self) -> float:
        """Which part of the budget is used up, by the limit that is nearest."""
        steps, seconds = self.setup.steps, self.run.training.budget_seconds
        by_steps = 0.0 if steps is None else self.step / steps
        by_time = 0.0 if seconds is None else self.seconds / seconds
        return max(by_steps, by_time)

    def advance(self) -> dict[str, float]:
        """Count one step; returns the fields about time of its event."""
        self.step += 1
        self._recent.append((self.step, self.tick()))
        (first, begin), (last, end) = self._recent[0], self._recent[-1]
        if last == first:  # the first step: its own time is all there is
            first, begin = 0, 0.0
        rate = (last - first) / max(end - begin, 1e-9)
        steps, seconds = self.setup.steps, self.run.training.budget_seconds
        left = [] if steps is None else [(steps - self.step) / rate]
        left += [] if seconds is None else [seconds - self.seconds]
        return {
            "seconds": round(self.seconds, 4),
            "seconds_left": round(max(0.0, min(left)), 2),
            "examples_per_second": round(rate * self.run.training.batch_size, 1),
        }

    def validation_due(self) -> bool:
        """By steps if asked so, else about twenty times, never for over a tenth of the time."""
        every, spent = self.run.training.validate_every_steps, self.spent()
        if spent >= 1:
            return False  # the final one follows
        if every is not None:
            return self.step % every == 0
        if spent - self.validated_at < 1 / _VALIDATIONS:
            return False
        return self.validation_seconds <= _VALIDATION_SHARE * self.seconds

    def validate(self, limit: int | None) -> Event:
        """Score the model on held-out text, on `limit` pairs or all; returns the event."""
        before = self.tick()
        scores = validate(self.setup, limit)
        self.validation_seconds += self.tick() - before
        self.validated_at = self.spent()
        seconds = round(self.seconds, 4)
        return {"event": "validation", "step": self.step, "seconds": seconds, **scores}

    def probe_due(self) -> bool:
        """At the first steps, then ever more rarely, never for over a twentieth of the time."""
        if self.step < self.next_probe or self.spent() >= 1:
            return False
        return self.step <= 2 or self.probe_seconds <= _PROBE_SHARE * self.seconds

    def probe(self, probe: Probe) -> Event:
        """Ask `probe` about the model; returns the event."""
        before = self.tick()
        self.setup.model.eval()
        found = probe(self.setup.model, self.setup.tokenizer)
        self.probe_seconds += self.tick() - before
        self.next_probe = self.step + max(1, self.step // 20)
        return {"event": "probe", "step": self.step, "seconds": round(self.seconds, 4), **found}

    def state(self) -> dict[str, Any]:
        """What a resume has to know."""
        return {k: v for k, v in vars(self).items() if isinstance(v, int | float) and k[0] != "_"}

    def restore(self, state: dict[str, Any]) -> None:
        """The way back of `state`."""
        self.__dict__.update(state)
        self._last = time.perf_counter()


def train(
    run: RunConfig,
    out: Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    should_stop: Callable[[], bool] | None = None,
    probe: Probe | None = None,
) -> Iterator[Event]:
    """Train as `run` says and yield progress events; with `out`, keep a checkpoint there.

    Under torchrun every process trains, and the leader alone validates, probes and saves.

    Events: "start" (what will be done, baselines), "step", "validation", "probe" (what `probe`
    said of the model at this moment), "saved" and "end" (reason "completed", "stopped" or
    "failed", a message, the scores). `should_stop` is asked before every step; a stopped run
    keeps a usable checkpoint and can be resumed, with exactly the numbers of an uninterrupted
    run on a CPU when the budget is in steps or epochs.

    Raises `ValueError` (one sentence) before the first event if the run cannot start.
    """
    world = distributed.world()
    if out is not None and world.leads:
        checkpoint.check_writable(out, overwrite=overwrite or resume)
    setup = prepare_run(run, world)
    width, rate = setup.model.config.hidden_size, run.training.learning_rate
    numbers = recipe(run.training.recipe, run.task, width, rate)
    optimizers = Optimizers(setup.model, numbers)
    clock = _Clock(run, setup)
    keeper = Keeper(run, setup, optimizers, out if world.leads else None)
    lanes = Lanes(setup.device, setup.description["parameters"])
    if resume:
        clock.restore(keeper.restore(world))
    keeper.begin(clock.step)
    yield keeper.note({"event": "start", **setup.description, "step": clock.step})
    reason, message, scores = "completed", "", {}
    clock.tick()
    clock.seconds = clock.seconds if resume else 0.0
    try:
        with lanes:
            while True:
                asked = should_stop is not None and should_stop()
                asked, clock.seconds = world.agree(asked, clock.seconds, setup.device)
                if clock.spent() >= 1:
                    break
                if asked:
                    reason, message = "stopped", f"Stopped after {clock.step} steps, as asked."
                    break
                losses = _step(run, setup, optimizers, world, lanes, clock)
                times = clock.advance()
                yield keeper.note({"event": "step", "step": clock.step, **losses, **times})
                if world.leads and clock.validation_due():
                    yield keeper.note(clock.validate(_QUICK_PAIRS))
                if world.leads and probe is not None and clock.probe_due():
                    yield keeper.note(clock.probe(probe))
                if keeper.due(run.training.save_every_seconds):
                    keeper.save(clock.state(), {}, finished=False)
                    yield keeper.note({"event": "saved", "step": clock.step})
        if world.leads:
            if probe is not None:
                yield keeper.note(clock.probe(probe))
            completed = reason == "completed"
            final = clock.validate(_FINAL_PAIRS[setup.task] if completed else _QUICK_PAIRS)
            yield keeper.note(final)
            scores = {k: v for k, v in final.items() if k not in ("event", "step", "seconds")}
            if setup.test is not None and completed:
                scores["test"] = evaluate(setup.model, setup.tokenizer, setup.test)
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
    run: RunConfig,
    setup: Setup,
    optimizers: Optimizers,
    world: distributed.World,
    lanes: Lanes,
    clock: _Clock,
) -> dict[str, float]:
    """Forward, backward and update on one batch; returns its mean losses."""
    model = setup.model
    model.train()
    arrays = setup.batches.draw(clock.step)
    masked, pairs = max(arrays.masked, 1), len(arrays.labels)
    parameters = list(model.parameters())
    repeats = run.training.gradient_accumulation_steps
    used = lanes.count if pairs >= 2 * lanes.count * repeats * world.size else 1
    mine = repeats * used  # shards of this process

    def share(lane: int) -> tuple[Tensor, list[Tensor | None]]:
        """Sums of losses, and gradients, of this lane's part of the batch."""
        sums = torch.zeros(3, device=setup.device)
        grads: list[Tensor | None] = [None] * len(parameters)
        for shard in range(world.rank * mine + lane, (world.rank + 1) * mine, used):
            kernels.seed_noise(run.training.seed, clock.step, shard)
            batch = arrays.shard(shard, world.size * mine).to(setup.device)
            with setup.autocast():
                losses = batch_losses(model, batch)
                loss = losses[0] / masked + losses[1] / pairs
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
            grads = add_up([grads, found])
            sums += losses.detach()
        return sums, grads

    shares = lanes.map(share) if used == lanes.count else [share(0)]
    sums = torch.stack([sums for sums, _ in shares]).sum(0)
    for parameter, grad in zip(parameters, add_up([g for _, g in shares]), strict=True):
        parameter.grad = grad
    mlm_sum, pair_sum, right = world.sum(sums).tolist()
    if not math.isfinite(mlm_sum + pair_sum):
        raise TrainingError(
            f"The loss is no longer a finite number at step {clock.step + 1}; the learning rate "
            f"is probably too high, so try a tenth of it."
        )
    world.sum_gradients(parameters)
    rate = optimizers.step(clock.spent())
    if setup.task == "nli":
        return {"loss": pair_sum / pairs, "accuracy": right / pairs, "learning_rate": rate}
    return {
        "loss": mlm_sum / masked + pair_sum / pairs,
        "mlm_loss": mlm_sum / masked,
        "nsp_loss": pair_sum / pairs,
        "nsp_accuracy": right / pairs,
        "learning_rate": rate,
    }


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
