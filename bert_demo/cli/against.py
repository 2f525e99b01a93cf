"""The command `against`: one setting both ways, in pairs of runs, and what they tell."""

from __future__ import annotations

from argparse import Namespace
from collections import defaultdict
from typing import TYPE_CHECKING

from bert_demo.cli.output import TrainingReport, emit, note, say, table
from bert_demo.cli.training import run_of
from bert_demo.common.errors import UserError
from bert_demo.inference.difference import Difference
from bert_demo.model.metrics import MAIN_LOSS
from bert_demo.training.choices import change, changed

if TYPE_CHECKING:
    from bert_demo.training.events import Event

_STEPS = 300
_MOST_ROWS = 10

Curve = list[tuple[int, float]]
"""Steps and held-out losses."""


def against_command(flags: Namespace) -> int:
    """Train both ways in turn and say how they differ; the exit code."""
    from bert_demo.training.against import against

    if len(flags.switch) > 1:
        raise UserError("Two changes at once would not tell which of them did it; give one --set.")
    name, equals, value = flags.switch[0].partition("=")
    if not equals or not value:
        raise UserError("--set is {value!r}; it must be SETTING=VALUE.", value=flags.switch[0])
    if flags.steps is None and flags.epochs is None and flags.budget_seconds is None:
        flags.steps = _STEPS
    if flags.validate_every_steps is None and flags.steps is not None:
        # Both at the same steps.
        flags.validate_every_steps = max(1, int(flags.steps) // _MOST_ROWS)
    run = run_of(flags, flags.task or "pretraining", None)
    words = str(change(run, changed(run, name, value), name))
    measure = MAIN_LOSS[run.task]
    curves: dict[tuple[int, bool], Curve] = defaultdict(list)
    report = TrainingReport(flags.json)

    def listen(pair: int, is_other: bool, event: Event) -> None:
        if event["event"] == "start" and not flags.json:
            report.clear()
            say(f"Pair {pair + 1}, {words if is_other else 'as it is'}:")
        if event["event"] == "validation":
            curves[pair, is_other].append((event["step"], event[measure]))  # type: ignore[literal-required]
        if event["event"] in ("step", "end") and not flags.json:
            report.show(event)

    try:
        found = against(
            run,
            name,
            value,
            pairs=flags.pairs,
            most_seconds=flags.most_seconds,
            out=flags.out,
            listen=listen,
        )
    finally:
        report.clear()
    sentence = str(found.sentence(words))
    if flags.json:
        told = [
            {"pair": pair + 1, "other": other, "points": points}
            for (pair, other), points in curves.items()
        ]
        emit({**found, "verdict": found.verdict, "sentence": sentence, "curves": told})
        return 0
    _tell(found, curves)
    say(sentence)
    if len(found.losses) < flags.pairs:
        note(f"There was time for {len(found.losses)} of {flags.pairs} pairs.")
    return 0


def _tell(found: Difference, curves: dict[tuple[int, bool], Curve]) -> None:
    """Both curves of the first pair, where they were scored at the same steps, and all losses."""
    own, other = curves[0, False], curves[0, True]
    if [step for step, _ in own] == [step for step, _ in other]:
        every = -(-len(own) // _MOST_ROWS)
        kept = sorted({*range(0, len(own), every), len(own) - 1})
        rows = [[f"{own[i][0]:,}", f"{own[i][1]:.3f}", f"{other[i][1]:.3f}"] for i in kept]
        say("Held-out loss of the first pair:")
        say(table([["step", "as it is", "other"], *rows]))
    losses = [
        [str(number), f"{one:.3f}", f"{two:.3f}", f"{two - one:+.3f}"]
        for number, (one, two) in enumerate(found.losses, 1)
    ]
    say("In the end:")
    say(table([["pair", "as it is", "other", "difference"], *losses]))
