"""Several runs beside each other, as plain data: the list, curves, differences, the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bert_demo.inference.results import Result
from bert_demo.runs.baseline import difference_from
from bert_demo.runs.facts import corpus_of, result_of, settings_of, task_of
from bert_demo.runs.record import Run
from bert_demo.runs.store import RunStore
from bert_demo.ui.parts.language import later, number, say, translate
from bert_demo.ui.parts.view import Block, chart, columns, details, heading, table, text
from bert_demo.ui.tabs.runs.curves import CURVES, RATE, Curve, overlay

MOST_CHOSEN = 8
_BEST = 10
_HEIGHT, _LOW = 340, 240
_TASKS = {"pretraining": later("pretraining"), "nli": later("fine-tuning")}
_BEST_OF = {
    "pretraining": later("Best pretraining on {corpus}"),
    "nli": later("Best fine-tuning on {corpus}"),
}
_RESULTS = {"pretraining": later("Below word frequency"), "nli": later("Test accuracy")}
_SPLITS = {"test": later("on the test split"), "validation": later("on the validation split")}


def rows(runs: Sequence[Run], baseline: Run | None = None) -> list[dict[str, Any]]:
    """The list of runs for runs.js: words to show, and under "sort" what to sort them by.

    baseline: the run to which others are compared, if one is pinned.
    """
    found = []
    for run in runs:
        result = result_of(run)
        config, status = run.config, run.status
        corpus = corpus_of(run)
        size = "" if config is None or config.task == "nli" else config.size
        task = task_of(run)
        found.append(
            {
                "id": run.id,
                "title": run.title,
                "state": status.state,
                "task": say(_TASKS.get(task, task)),
                "corpus": corpus,
                "size": size,
                "step": number(status.step),
                "seconds": _duration(status.seconds),
                "result": "" if result is None else _value(result),
                "detail": "" if result is None else _measured(run, result, baseline),
                "created": run.created,
                "note": run.note,
                "sort": {
                    "title": run.title.lower(),
                    "step": status.step,
                    "seconds": status.seconds,
                    "result": None if result is None else _order(result),
                    "created": run.created,
                },
            }
        )
    return found


def _value(result: Result) -> str:
    if result.is_loss:
        return say("loss {n}", n=f"{result.value:.2f}")
    return say("{share} right", share=f"{result.value:.1%}")


def _measured(run: Run, result: Result, baseline: Run | None) -> str:
    """What gives the value its meaning: the class's baseline, where both can be compared."""
    if baseline is not None and run.id == baseline.id:
        return say("the baseline")
    found = None if baseline is None else difference_from(run, baseline)
    if found is None or baseline is None:
        return _detail(result)
    if not result.is_loss:
        points = f"{100 * abs(found):.1f}"
        if found < 0:
            return say("{n} points below “{run}”", n=points, run=baseline.title)
        return say("{n} points above “{run}”", n=points, run=baseline.title)
    words = f"{abs(found):.3f}"
    if found > 0:
        return say("{n} nats worse than “{run}”", n=words, run=baseline.title)
    return say("{n} nats better than “{run}”", n=words, run=baseline.title)


def _detail(result: Result) -> str:
    """What gives the value its meaning."""
    if not result.is_loss:
        return say(_SPLITS[result.split])
    if result.gain is None:
        return ""
    words = f"{abs(result.gain):.2f}"
    if result.gain >= 0:
        return say("{n} below word frequency", n=words)
    return say("{n} above word frequency", n=words)


def _order(result: Result) -> float:
    """What the list is sorted by; results of the two tasks cannot be compared and stay apart."""
    if not result.is_loss:
        return 100 + result.value
    return -result.value if result.gain is None else result.gain


def chosen_ids(shown: Any) -> list[str]:
    """The runs that are ticked in a list that came from a browser."""
    chosen = shown.get("chosen") if isinstance(shown, dict) else None
    if not isinstance(chosen, list):
        return []
    return list(dict.fromkeys(name for name in chosen if isinstance(name, str)))


def compare(
    store: RunStore, runs: Sequence[Run], by: str, *, logarithmic: bool = False
) -> list[Block]:
    """Curves of the chosen runs over "step" or "seconds", and how their settings differ."""
    blocks = [
        block
        for task in CURVES
        if any(task_of(run) == task for run in runs)
        for block in _curves(store, task, runs, by, logarithmic)
    ]
    found = differences(runs)
    if len(runs) > 1:
        blocks.append(heading(say("What is different about them")))
        if found:
            names = [say("Setting"), *(f"{i}. {run.title}" for i, run in enumerate(runs, 1))]
            caption = say("Settings in which the chosen runs differ")
            blocks.append(table(caption, names, found))
        else:
            blocks.append(text(say("Their settings are the same.")))
    return blocks


def _curves(
    store: RunStore, task: str, runs: Sequence[Run], by: str, logarithmic: bool
) -> list[Block]:
    """Curves of those of the runs that are of this task; `runs` tell their colours."""
    of_task = [run for run in runs if task_of(run) == task]
    events = {run.id: store.events(run.id)[0] for run in of_task}
    places = [runs.index(run) for run in of_task]

    def drawn(curve: Curve, height: int = _HEIGHT) -> Block:
        words = say("{measure}, {task}", measure=say(curve.title), task=say(_TASKS[task]))
        figure = overlay(of_task, events, curve, by, places, logarithmic=logarithmic)
        key = f"runs-{curve.metric.name}" + (f"-{task}" if curve is RATE else "")
        return chart(key, figure, words, height)

    return [
        columns(*([drawn(curve)] for curve in CURVES[task])),
        details(say(RATE.title), drawn(RATE, _LOW)),
    ]


def differences(runs: Sequence[Run]) -> list[list[str]]:
    """Rows [setting, value of each run], only where they are not all the same."""
    described = [settings_of(run) for run in runs]
    names = dict.fromkeys(name for values in described for name in values)
    found = []
    for name in names:
        values = [_words(settings.get(name)) for settings in described]
        if len(set(values)) > 1:
            found.append([name, *values])
    return found


def best(runs: Sequence[Run]) -> list[Block]:
    """Tables of the best runs that are over: one for each corpus, one for fine-tuning on each."""
    blocks = []
    over = [run for run in runs if run.status.state in ("completed", "stopped")]
    for task in CURVES:
        groups: dict[str, list[tuple[float, Run]]] = {}
        for run in over:
            result = result_of(run) if task_of(run) == task else None
            if result is not None and result.rank is not None:
                groups.setdefault(corpus_of(run), []).append((result.rank, run))
        for corpus in sorted(groups):
            ranked = sorted(groups[corpus], key=lambda item: (-item[0], item[1].created))[:_BEST]
            ranking = [
                [
                    place,
                    run.title,
                    f"{score:.1%}" if task == "nli" else say("{n} nats", n=f"{score:.3f}"),
                    "" if run.config is None else translate(run.config.training.recipe),
                    _duration(run.status.seconds),
                ]
                for place, (score, run) in enumerate(ranked, 1)
            ]
            caption = say(_BEST_OF[task], corpus=corpus)
            names = [
                say("Place"),
                say("Run"),
                say(_RESULTS[task]),
                say("Recipe"),
                say("Training time"),
            ]
            blocks.append(table(caption, names, ranking, numbers=(0, 2, 4)))
    if not blocks:
        blocks.append(text(say("No run has come to its end yet."), "muted"))
    return blocks


def _words(value: Any) -> str:
    if value is None:
        return say("not set")
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, float):
        return f"{value:g}"
    return number(value) if isinstance(value, int) else str(value)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return say("{n} s", n=f"{seconds:.0f}")
    if seconds < 7200:
        return say("{n} min", n=f"{seconds / 60:.0f}")
    return say("{n} h", n=f"{seconds / 3600:.1f}")
