"""The class's baseline: who may pin it, and what every other run then shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("gradio")

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.runs.baseline import pinned
from bert_demo.runs.record import Status, write_status
from bert_demo.ui.context import AppContext
from bert_demo.ui.serving.settings import AppSettings
from bert_demo.ui.tabs.runs.tab import listing, pin_baseline

PUPIL = {"token": "a pupil", "admin": ""}
TEACHER = {"token": "a browser", "admin": "the teacher"}


@pytest.fixture
def context(tmp_path: Path) -> Iterator[AppContext]:
    settings = AppSettings(data_dir=tmp_path, checkpoints_dir=tmp_path, admin_token="the teacher")
    made = AppContext(settings)
    yield made
    made.close()


def a_run(context: AppContext, title: str, loss: float | None, length: int = 64) -> str:
    training = TrainingConfig(steps=1, max_length=length)
    run = context.store.create(RunConfig(training=training), "a pupil", title)
    if loss is not None:
        scores = {"mlm_loss": loss, "n": 9}
        write_status(run.folder, Status("completed", step=1, scores=scores))
    return run.id


def details(context: AppContext) -> dict[str, str]:
    return {row["title"]: row["detail"] for row in listing(context, [], PUPIL)["rows"]}


def test_every_run_shows_its_difference(context: AppContext) -> None:
    first = a_run(context, "first", 3.0)
    a_run(context, "better", 2.877)
    a_run(context, "worse", 3.5)
    a_run(context, "shorter pairs", 2.0, length=32)
    waiting = a_run(context, "waiting", None)
    before = details(context)
    pin_baseline(context, [first], PUPIL)  # at home anybody may
    assert details(context) == before | {
        "first": "the baseline",
        "better": "0.123 nats better than “first”",
        "worse": "0.500 nats worse than “first”",
    }
    with pytest.raises(UserError, match="waiting has no result yet"):
        pin_baseline(context, [waiting], PUPIL)
    with pytest.raises(UserError, match="Tick the one run"):
        pin_baseline(context, [first, waiting], PUPIL)
    pin_baseline(context, [first], PUPIL)  # once more lets go of it
    assert details(context) == before and pinned(context.store) is None


def test_on_a_public_page_the_teacher_pins(context: AppContext) -> None:
    context.settings = replace(context.settings, public=True)
    run = a_run(context, "first", 3.0)
    with pytest.raises(UserError, match="Only the teacher pins"):
        pin_baseline(context, [run], PUPIL)
    pin_baseline(context, [run], TEACHER)
    assert details(context) == {"first": "the baseline"}
    context.queue.request(run, "delete", "the teacher")
    assert pinned(context.store) is None
