"""How much may wait where anybody can come: names and addresses made up anew each time."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.runs.crowd import Crowd
from bert_demo.runs.queue import RunQueue
from bert_demo.runs.store import RunStore


def a_run(seconds: float | None) -> RunConfig:
    steps = 5 if seconds is None else None
    return RunConfig(training=TrainingConfig(steps=steps, budget_seconds=seconds))


def a_queue(root: Path, crowd: Crowd | None, limit: float | None = 300) -> RunQueue:
    return RunQueue(RunStore(root, admin_token="teacher"), max_run_seconds=limit, crowd=crowd)


def accepted(queue: RunQueue, run: RunConfig, addresses: list[str], tries: int) -> int:
    """How many of so many runs get in, each from somebody whom nobody has seen before."""
    names, count = itertools.count(), 0
    for address in itertools.islice(itertools.cycle(addresses), tries):
        try:
            queue.submit(run, f"the visitor {next(names)}", address=address)
            count += 1
        except UserError as error:
            assert "try again when some of them have ended" in str(error)
    return count


def test_new_names_do_not_fill_the_queue(tmp_path: Path) -> None:
    crowd = Crowd(most_seconds=3000, most_from_address=900)
    queue = a_queue(tmp_path, crowd)
    assert accepted(queue, a_run(300), ["1.2.3.4"], 20) == 3  # of 300 seconds each
    with pytest.raises(UserError, match=r"^Runs for 15 minutes wait here that came from your net"):
        queue.submit(a_run(1), "anna", address="1.2.3.4")
    assert queue.submit(a_run(1), "anna", address="5.6.7.8")


def test_new_addresses_do_not_fill_it_either(tmp_path: Path) -> None:
    queue = a_queue(tmp_path, Crowd(most_seconds=3000, most_from_address=900))
    forged = [f"10.0.0.{number}" for number in range(40)]
    assert accepted(queue, a_run(300), forged, 40) == 10
    with pytest.raises(UserError, match=r"^Runs for 50 minutes wait here already, and no more"):
        queue.submit(a_run(1), "anna", address="1.2.3.4")
    assert queue.submit(a_run(1), "teacher", address="10.0.0.1"), "the teacher always may"


def test_short_runs_are_bounded_too(tmp_path: Path) -> None:
    queue = a_queue(tmp_path, Crowd(most_seconds=600, most_from_address=300))
    assert accepted(queue, a_run(0.5), ["a"], 30) == 10
    assert accepted(queue, a_run(0.5), ["b", "c"], 30) == 10


def test_a_class_behind_one_address_fits(tmp_path: Path) -> None:
    assert accepted(a_queue(tmp_path, Crowd()), a_run(30), ["the school"], 30) == 30


def test_what_begins_or_leaves_makes_room(tmp_path: Path) -> None:
    queue = a_queue(tmp_path, Crowd(most_seconds=600, most_from_address=300))
    first = queue.submit(a_run(300), "anna", address="a")
    with pytest.raises(UserError, match="your network"):
        queue.submit(a_run(30), "ben", address="a")
    queue.request(first.id, "stop", "anna")
    again = queue.submit(a_run(300), "ben", address="a")
    with pytest.raises(UserError, match="your network"):  # going on is waiting too
        queue.request(first.id, "resume", "anna", "a")
    queue.store.claim(again.id)
    queue.request(first.id, "resume", "anna", "a")
    with pytest.raises(UserError, match="your network"):
        queue.submit(a_run(30), "carl", address="a")


def test_at_home_nothing_is_bounded_but_each_name(tmp_path: Path) -> None:
    queue = a_queue(tmp_path, None, limit=None)
    assert accepted(queue, a_run(86400), [""], 40) == 40


def test_a_run_without_a_time_gets_the_longest(tmp_path: Path) -> None:
    queue = a_queue(tmp_path, Crowd())
    run = queue.submit(a_run(None), "anna")
    assert run.config is not None
    assert run.config.training.budget_seconds == 300 and run.config.training.steps == 5
    for seconds in (301, 30 * 86400):
        with pytest.raises(UserError, match="here a run may take at most 300 seconds"):
            queue.submit(a_run(seconds), "anna")
