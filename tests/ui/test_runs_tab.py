"""The Runs tab's handlers as plain functions: the list, curves, the best, downloads, deletion."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.inference.models import ModelShelf
from bert_demo.interop.sharing import metrics_csv
from bert_demo.runs.curve import smooth
from bert_demo.runs.facts import result_of
from bert_demo.runs.owners import owner_of
from bert_demo.runs.record import Run
from bert_demo.runs.store import RunStore
from bert_demo.runs.worker import work
from bert_demo.training.recorder import read_metrics
from bert_demo.ui.context import AppContext
from bert_demo.ui.serving.settings import AppSettings
from bert_demo.ui.tabs.runs import curves, tab, views
from bert_demo.ui.tabs.runs.downloads import pack_metrics, pack_model

SMALL = RunConfig(
    hidden_size=32,
    num_attention_heads=1,
    num_hidden_layers=1,
    intermediate_size=64,
    training=TrainingConfig(steps=12, batch_size=16, validate_every_steps=4),
)
MINE = {"token": "my own token", "admin": ""}


def trained(store: RunStore, config: RunConfig, title: str) -> Run:
    run = store.create(config, MINE["token"], title)
    work(store.root, run.id, lambda: False, lambda answer: None)
    return store.get(run.id)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pretraining runs, a fine-tuned one and one that has not begun."""
    root = tmp_path_factory.mktemp("page")
    store = RunStore(root / "runs")
    first = trained(store, SMALL, "first <b>run</b>")
    faster = replace(SMALL, training=replace(SMALL.training, learning_rate=0.003, steps=6))
    trained(store, faster, "second")
    judge = RunConfig(
        task="nli", start_from=str(first.model), training=TrainingConfig(steps=3, batch_size=16)
    )
    trained(store, judge, "judge")
    store.create(SMALL, "somebody else", "waiting")
    return root


@pytest.fixture
def context(root: Path, tmp_path: Path) -> AppContext:
    made = AppContext(AppSettings(data_dir=root, checkpoints_dir=tmp_path, admin_token="teacher!"))
    assert isinstance(made.shelf, ModelShelf)
    return made


def named(context: AppContext, title: str) -> Run:
    return next(run for run in context.store.list() if run.title.startswith(title))


def test_the_list_shows_every_run_and_whose_it_is(context: AppContext) -> None:
    shown = tab.listing(context, ["gone", named(context, "judge").id], MINE)
    by_title = {row["title"]: row for row in shown["rows"]}
    assert set(by_title) == {"first <b>run</b>", "second", "judge", "waiting"}
    assert shown["chosen"] == [named(context, "judge").id]
    assert shown["locked"] == [by_title["waiting"]["id"]]
    assert by_title["waiting"]["id"] not in shown["mine"] and len(shown["mine"]) == 3
    assert by_title["waiting"]["sort"]["result"] is None
    assert by_title["judge"]["result"].endswith("% right")
    assert by_title["judge"]["detail"] == "on the test split"
    assert by_title["second"]["state"] == "completed" and by_title["second"]["step"] == "6"
    everything = tab.listing(context, [], {"token": "x", "admin": "teacher!"})
    assert everything["locked"] == [], "the teacher may delete them"
    assert everything["mine"] == [], "yet they are not the teacher's"


def test_results_are_what_the_runs_measured(context: AppContext) -> None:
    run = named(context, "first")
    events = read_metrics(run.model)
    baseline = events[0]["baselines"]["unigram"]
    loss = [e for e in events if e["event"] == "validation"][-1]["mlm_loss"]
    result = result_of(run)
    assert result is not None and result.gain == result.rank == pytest.approx(baseline - loss)
    (row,) = (row for row in views.rows([run]))
    assert row["result"] == f"loss {loss:.2f}" and row["sort"]["result"] == result.gain


def test_the_best_come_first_and_corpora_stay_apart(context: AppContext) -> None:
    tables = [block for block in views.best(context.store.list()) if block["kind"] == "table"]
    assert [block["caption"] for block in tables] == [
        "Best pretraining on Crane World",
        "Best fine-tuning on Crane World",
    ]
    gains = [float(row[2].split()[0]) for row in tables[0]["rows"]]
    assert gains == sorted(gains, reverse=True) and len(gains) == 2
    ((place, title, accuracy, *_),) = tables[1]["rows"]
    assert (place, title) == (1, "judge") and accuracy.endswith("%")


def test_no_run_yet_is_said() -> None:
    (block,) = views.best([])
    assert "No run has come to its end" in block["text"]


def test_curves_of_several_runs_lie_in_one_figure(context: AppContext) -> None:
    ids = [named(context, title).id for title in ("first", "second", "judge")]
    shown = tab.side_by_side(context, ids, "seconds")
    parts = [part for b in shown["blocks"] if b["kind"] == "columns" for part in b["parts"]]
    charts = {part[0]["key"]: part[0]["figure"] for part in parts}
    assert set(charts) == {"runs-mlm_loss", "runs-nsp_loss", "runs-loss", "runs-accuracy"}
    first, marks, second, _ = charts["runs-mlm_loss"]["data"]
    events = read_metrics(named(context, "first").model)
    assert first["x"] == [e["seconds"] for e in events if e["event"] == "step"]
    validations = [e for e in events if e["event"] == "validation"]
    assert marks["y"] == pytest.approx([e["mlm_loss"] for e in validations], rel=1e-4)
    assert first["name"] == "1. first &lt;b&gt;run&lt;/b&gt;"
    assert first["line"]["color"] != second["line"]["color"]
    (line,) = charts["runs-mlm_loss"]["layout"]["shapes"]
    assert line["y0"] == pytest.approx(events[0]["baselines"]["unigram"], abs=1e-3)
    assert charts["runs-accuracy"]["data"][0]["name"].startswith("3. judge")
    folds = [b for b in shown["blocks"] if b["kind"] == "details"]
    rates = folds[0]["blocks"][0]["figure"]["data"][0]["y"]
    told = [e["learning_rate"] for e in events if e["event"] == "step"]
    assert rates == pytest.approx(told, rel=1e-4)
    again = tab.side_by_side(context, ids, "step", logarithmic=True)
    first, second = (part[0] for part in again["blocks"][0]["parts"])
    assert first["figure"]["layout"]["yaxis"]["type"] == "log"
    assert all(part["figure"]["layout"]["xaxis"]["type"] == "log" for part in (first, second))


def test_differences_name_only_what_differs(context: AppContext) -> None:
    runs = [named(context, "first"), named(context, "second")]
    assert views.differences(runs) == [
        ["steps", "12", "6"],
        ["learning_rate", "not set", "0.003"],
    ]
    assert views.differences(runs[:1]) == []
    apart = views.differences([runs[0], named(context, "judge")])
    found = {name: values for name, *values in apart}
    assert found["start_from"] == ["not set", runs[0].id], "a path of this computer is shown"


def test_smoothing_keeps_a_constant_and_begins_at_the_first_value() -> None:
    assert smooth([2.0] * 50) == pytest.approx([2.0] * 50)
    values = [5.0, 1.0, 1.0, 1.0]
    smoothed = smooth(values)
    assert smoothed[0] == 5.0
    assert smoothed == sorted(smoothed, reverse=True) and smoothed[-1] < 1.5


def test_long_runs_are_thinned_to_what_can_be_seen(context: AppContext) -> None:
    run = named(context, "first")
    events = [
        {"event": "step", "step": i, "seconds": i / 10, "mlm_loss": 7 - i / 10_000}
        for i in range(1, 20_001)
    ]
    curve = curves.CURVES["pretraining"][0]
    line = curves.overlay([run], {run.id: events}, curve, "step", [0])["data"][0]
    assert len(line["x"]) <= 402
    assert (line["x"][0], line["x"][-1]) == (1, 20_000)


@pytest.mark.parametrize("shown", [None, {}, {"chosen": "x"}, {"chosen": [1, None, {}]}, []])
def test_nothing_ticked_says_what_to_do(context: AppContext, shown: Any) -> None:
    chosen = views.chosen_ids(shown)
    assert chosen == []
    assert "Tick runs" in tab.side_by_side(context, chosen, None)["blocks"][0]["text"]


def test_names_from_outside_are_checked(context: AppContext) -> None:
    with pytest.raises(UserError, match="not the name of a run"):
        tab.side_by_side(context, ["../../etc"], "step")
    assert tab.delete_runs(context, ["../../etc"], MINE) != []


def test_a_model_taken_home_loads_and_tells_nothing_of_its_owner(
    context: AppContext, tmp_path: Path, root: Path
) -> None:
    run = named(context, "judge")
    path = pack_model(run, tmp_path)
    again = tmp_path / "again"
    again.mkdir()
    assert pack_model(run, again).read_bytes() == path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        content = b"".join(archive.read(name) for name in names)
        archive.extractall(tmp_path)
    assert names == [
        f"judge-{run.id}/{name}"
        for name in ("config.json", "tokenizer.json", "model.safetensors", "README.txt")
    ]
    for secret in (str(root), owner_of(MINE["token"]), MINE["token"], str(Path.home())):
        assert secret.encode() not in content
    model, tokenizer, _ = bert_demo.load(tmp_path / f"judge-{run.id}")
    assert bert_demo.classify(model, tokenizer, "a man sleeps", "a man is awake").label


def test_a_run_without_a_model_says_so(context: AppContext, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'waiting' has no model"):
        pack_model(named(context, "waiting"), tmp_path)


def test_numbers_come_as_a_table(context: AppContext, tmp_path: Path) -> None:
    run = named(context, "first")
    events = read_metrics(run.model)
    table = list(csv.DictReader(io.StringIO(metrics_csv(events))))
    steps = [row for row in table if row["event"] == "step"]
    assert [float(row["mlm_loss"]) for row in steps] == [
        e["mlm_loss"] for e in events if e["event"] == "step"
    ]
    assert {row["event"] for row in table} == {"step", "validation"}
    path = pack_metrics(run, events, tmp_path)
    assert path.read_bytes().decode() == metrics_csv(events)


def test_files_for_a_download_do_not_stay(context: AppContext) -> None:
    shown = {"chosen": [named(context, "first").id, named(context, "waiting").id]}
    answers: Iterator[Any] = tab.packed(context)(shown)
    files = [Path(name) for name in next(answers)["value"]]
    assert [path.suffix for path in files] == [".zip", ".csv", ".csv"]
    assert files[0].name.startswith("first-b-run-b-")
    assert all(path.is_file() for path in files)
    assert list(answers) == []
    assert not any(path.exists() for path in files)
    with pytest.raises(gr.Error, match="Tick the runs"):
        next(tab.packed(context)(None))


def test_only_the_owner_or_the_teacher_deletes(context: AppContext) -> None:
    mine = context.store.create(SMALL, MINE["token"], "mine")
    other = context.store.create(SMALL, "another", "other")
    (refused,) = tab.delete_runs(context, [mine.id, other.id], MINE)
    assert refused.startswith(other.id) and "Only the browser" in refused
    left = {run.id for run in context.store.list()}
    assert mine.id not in left and other.id in left
    assert tab.delete_runs(context, [other.id], {"token": "", "admin": "teacher!"}) == []
    assert other.id not in {run.id for run in context.store.list()}
    with pytest.raises(UserError, match="Tick the runs"):
        tab.delete_runs(context, [], MINE)
