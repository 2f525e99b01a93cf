"""The run that a class measures its own against: one, named in a file beside the runs."""

from __future__ import annotations

from bert_demo.common.errors import UserError
from bert_demo.model.folders import read_json
from bert_demo.runs.facts import result_of, settings_of, task_of
from bert_demo.runs.record import Run, write_json
from bert_demo.runs.store import RunStore

_FILE = ".baseline.json"


def pinned(store: RunStore) -> Run | None:
    """The baseline; None where none is pinned, or it was deleted."""
    name = (read_json(store.root / _FILE) or {}).get("run")
    try:
        return store.get(name) if isinstance(name, str) else None
    except UserError:
        return None


def pin(store: RunStore, run_id: str) -> Run | None:
    """Make a run the baseline, or let go of it where it is; gives the baseline there is then.

    Raises `UserError` for a run that is not there or has no result yet.
    """
    run, before = store.get(run_id), pinned(store)
    if before is not None and before.id == run.id:
        write_json(store.root / _FILE, {})
        return None
    if result_of(run) is None:
        raise UserError("{title} has no result yet; pin a run that is done.", title=run.title)
    write_json(store.root / _FILE, {"run": run.id})
    return run


def difference_from(run: Run, baseline: Run) -> float | None:
    """By how much a run's result is above the baseline's: nats of loss, or a share of accuracy.

    None where they are not of the same question: another task, text, vocabulary or length.
    """
    own, other = result_of(run), result_of(baseline)
    if own is None or other is None or own.split != other.split or run.id == baseline.id:
        return None
    if run.config is None or baseline.config is None or task_of(run) != task_of(baseline):
        return None
    if run.config.corpus != baseline.config.corpus:
        return None
    one, two = settings_of(run), settings_of(baseline)
    if any(one.get(name) != two.get(name) for name in ("vocab_size", "max_length", "truncation")):
        return None
    return own.value - other.value
