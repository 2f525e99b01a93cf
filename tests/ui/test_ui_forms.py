"""The page's handlers as plain functions: forms, estimates, who may do what, what watchers get."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from bert_demo.cli import commands, parser
from bert_demo.cli import training as cli_training
from bert_demo.common.errors import UserError
from bert_demo.common.fields import settings_of
from bert_demo.common.groups import TEACHING_SETTINGS
from bert_demo.config import RunConfig, TrainingConfig, command_line
from bert_demo.model.folders import METRICS
from bert_demo.training import cost
from bert_demo.training.cost import Observation, Speed
from bert_demo.ui import page
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts import forms, live
from bert_demo.ui.parts.exercises import EXERCISES
from bert_demo.ui.parts.setting_words import BIRDS
from bert_demo.ui.serving.settings import AppSettings, from_args
from bert_demo.ui.tabs import training_handlers

TOKEN = {"token": "a browser's token", "admin": ""}
OTHER = {"token": "another browser", "admin": ""}
SPEED = Speed("cpu", 16 * 10**9, "fp32", False, (2e-4, 1e-11, 2e-9, 2e-11, 1e-9, 3e-9, 1e-11, 2e-8))


@pytest.fixture
def context(tmp_path: Path) -> Iterator[AppContext]:
    """A page's context whose queue never begins to train."""
    made = AppContext(
        AppSettings(
            data_dir=tmp_path, checkpoints_dir=tmp_path / "none", admin_token="teacher's secret"
        )
    )
    yield made
    made.close()


def filled(task: str = "pretraining", **changes: Any) -> dict[str, Any]:
    return forms.defaults(task) | changes


# The form


@pytest.mark.parametrize("task", ["pretraining", "nli"])
def test_every_setting_is_asked_for_once_or_left_out_on_purpose(task: str) -> None:
    names = forms.names(task)
    assert len(names) == len(set(names))
    known = {item.name for config in (RunConfig, TrainingConfig) for item in settings_of(config)}
    left_out = known - set(names)
    assert "task" in left_out and set(forms.BUDGETS) <= left_out
    assert set(names) - known == {forms.BUDGET, forms.BUDGET_KIND}
    if task == "pretraining":
        assert left_out == {"task", "start_from", *TEACHING_SETTINGS, *forms.BUDGETS}


def test_an_untouched_form_is_a_run() -> None:
    run = forms.read("pretraining", forms.defaults("pretraining"))
    assert (run.task, run.corpus, run.size) == ("pretraining", "crane-world", "tiny")
    assert run.training.budget_seconds == 30 and run.training.steps is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"batch_size": "many"}, "batch_size is 'many'"),
        (
            {"corpus": "snli"},
            "for pretraining it must be one of: wikitext-2, wikitext-2-snli, crane-world",
        ),
        ({"hidden_size": 130, "num_attention_heads": 4}, "does not divide"),
        ({forms.BUDGET: None}, "after how many seconds"),
        ({forms.BUDGET_KIND: "years"}, "what ends the run"),
        ({forms.BUDGET: -3}, "budget_seconds is -3"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ],
)
def test_wrong_fields_are_answered_with_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=r"[.]$") as error:
        run = forms.read("pretraining", filled(**changes))
        run.model_config(2608)
    assert sentence in str(error.value)


def test_fine_tuning_asks_for_a_checkpoint() -> None:
    with pytest.raises(UserError, match="Choose a pretrained model"):
        forms.read("nli", forms.defaults("nli"))


def test_the_books_run_is_the_books() -> None:
    run = forms.read("pretraining", forms.preset("pretraining", "The book's run", {}))
    training = run.training
    assert (run.corpus, run.size, training.recipe) == ("wikitext-2", "tiny", "d2l")
    assert (training.steps, training.batch_size, training.max_length) == (50, 512, 64)
    assert training.budget_seconds is None
    values = forms.preset("nli", "The book's run", {"start_from": "some/where"})
    run = forms.read("nli", values)
    assert (run.start_from, run.corpus) == ("some/where", "snli")
    assert (run.training.epochs, run.training.batch_size, run.training.max_length) == (5, 512, 128)


def test_the_books_mistakes_are_runs_in_its_recipe_that_differ_in_the_rate() -> None:
    cards = EXERCISES["pretraining"]
    runs = [forms.read("pretraining", forms.preset("pretraining", name, {})) for name in cards]
    books = [run for run in runs if run.training.recipe == "d2l" and run.corpus == "crane-world"]
    assert [run.training.learning_rate for run in books] == [0.01, 0.001, None]
    assert [run.padding_in_loss for run in books] == ["off", "off", "on"]
    assert {run.training.steps for run in books} == {50}
    static, dynamic = (run for run in runs if run.training.epochs)
    assert static == replace(dynamic, masking="static")
    start = {"start_from": "some/where"}
    pairs = [forms.read("nli", forms.preset("nli", name, start)) for name in EXERCISES["nli"]]
    assert [run.training.truncation for run in pairs] == ["longest_first", "ratio"]
    with pytest.raises(UserError, match="There is no preset"):
        forms.preset("nli", next(iter(cards)), {})


def test_a_preset_undoes_what_was_changed() -> None:
    changed = filled(hidden_size=512, learning_rate=0.5, seed=9)
    values = forms.preset("pretraining", "Start: 30 seconds", changed)
    assert values["hidden_size"] is None and values["learning_rate"] is None


@pytest.mark.parametrize("task", ["pretraining", "nli"])
def test_the_command_line_makes_the_same_run(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = {"start_from": "a folder/model"} if task == "nli" else {"size": "small"}
    values = filled(task, seed=7, precision="fp32", dropout=0.25, max_length=32, **start)
    run = forms.read(task, values)
    words = shlex.split(command_line(run, "out"))
    assert words[:3] == ["python", "-m", "bert_demo"]
    seen: list[argparse.Namespace] = []
    for name in ("pretrain", "finetune"):
        monkeypatch.setattr(commands, name, lambda arguments: seen.append(arguments) or 0)
    assert parser.main(words[3:]) == 0
    assert cli_training.run_of(seen[0], task, None) == run


# Before a run


def test_an_estimate_speaks_of_this_machine(context: AppContext) -> None:
    context.speed = SPEED
    shown, command = training_handlers.foretell(context, "pretraining", filled())
    facts = dict(shown["facts"])
    assert facts["Time"] == "about 30 seconds"
    assert "GB" in facts["Memory"] and int(facts["Parameters"].replace(",", "")) > 500_000
    assert shown["refusal"] == ""
    assert command.startswith("python -m bert_demo pretrain --corpus crane-world")


def test_what_cannot_fit_is_refused_in_words(context: AppContext) -> None:
    huge = filled(size="large", max_length=512, batch_size=65536)
    shown, _ = training_handlers.foretell(context, "pretraining", huge)
    assert "BERT-large at length 512 and batch 65536 needs about" in shown["refusal"]
    assert "this machine has" in shown["refusal"]
    with pytest.raises(UserError, match="this machine has"):
        training_handlers.start_run(context, "pretraining", huge, TOKEN)
    assert context.store.list() == []


def test_a_card_says_what_its_run_would_take(context: AppContext) -> None:
    context.speed = SPEED
    shown = training_handlers.in_short(context, "pretraining", "Start: 30 seconds", {})
    assert re.fullmatch(r"about [\d,]+ steps here, 0\.\d GB", shown)
    assert training_handlers.in_short(context, "nli", "Start: 30 seconds", {}) == "", "of no model"


@pytest.mark.parametrize(
    "kept",
    [
        *("", "{}", "[]", "null", '{"name": 3}', "[" * 2000, '{"name": "x"}'),
        *(
            json.dumps({"name": "", "pretraining": "", "nli": "", "questions": questions})
            for questions in (3, "[", '["a", 3]', '["a", 3, {}]', "[" * 2000)
        ),
    ],
)
def test_what_a_browser_kept_of_a_form_cannot_hurt(context: AppContext, kept: str) -> None:
    values = page.restore(context, kept, "token")
    expected = [v for task in forms.PRESETS for v in (None, *forms.defaults(task).values())]
    assert len(values) == len(expected) - 1 + 3, "the model to start from is chosen elsewhere"
    assert values[0] in BIRDS


def test_questions_are_kept_and_asked(context: AppContext) -> None:
    typed = ["a ___ flies\n___ is red", "crane", "crane one\ntwo crane\ncrane three"]
    kept = {"name": "", "pretraining": "", "nli": "", "questions": json.dumps(typed)}
    values = page.restore(context, json.dumps(kept), "token")
    place = 1 + len(forms.names("pretraining"))
    assert values[place : place + 3] == typed
    start = functools.partial(
        training_handlers.start_run, context, "pretraining", filled(budget=2), TOKEN
    )
    run = start(asked=typed)
    assert run.questions.blanks == ("a <mask> flies", "<mask> is red")
    assert run.questions.contexts == ("crane one", "two crane", "crane three")
    for wrong, reason in ((["no gap", "", ""], "no blank"), ([3, "", ""], "must be text")):
        with pytest.raises(UserError, match=reason):
            start(asked=wrong)


def test_a_form_comes_back_as_it_was_left() -> None:
    left = filled(size="small", batch_size=64, budget=7, corpus="wikitext-2")
    assert forms.restored("pretraining", json.loads(json.dumps(left))) == left
    odd = {name: value for name in left for value in (["x"],)}
    assert forms.restored("pretraining", odd) == forms.defaults("pretraining")


def test_two_runs_of_one_name_can_be_told_apart() -> None:
    assert training_handlers.free_title("heron", ["swift"]) == "heron"
    assert training_handlers.free_title("heron", ["heron", "heron 2"]) == "heron 3"


@pytest.mark.parametrize("task", ["pretraining", "nli"])
@pytest.mark.parametrize(
    "value", [[], {}, ["x"], {"a": 1}, True, "x", -1, float("inf"), "9" * 9000]
)
def test_whatever_a_field_is_sent_gets_a_sentence(
    context: AppContext, task: str, value: Any
) -> None:
    for name in forms.names(task):
        with contextlib.suppress(UserError):
            shown, _ = training_handlers.foretell(context, task, filled(task, **{name: value}))
            assert shown["refusal"] == "" or shown["refusal"].endswith(".")
            training_handlers.start_run(
                context, task, filled(task, **{name: value}), {"token": name}
            )


def test_what_takes_longer_than_its_budget_is_refused_in_words(
    context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "total_memory_bytes", lambda: 10**12)
    monkeypatch.setattr("bert_demo.ui.context.available_memory_bytes", lambda: 10**12)
    large = filled(size="large", max_length=512, batch_size=512)
    with pytest.raises(UserError, match="has not been measured yet"):
        training_handlers.start_run(context, "pretraining", large, TOKEN)
    context.speed = SPEED
    shown, _ = training_handlers.foretell(context, "pretraining", large)
    assert "One step of BERT-large at length 512 and batch 512 takes about" in shown["refusal"]
    with pytest.raises(UserError, match="the budget is 30 seconds"):
        training_handlers.start_run(context, "pretraining", large, TOKEN)
    # Without a time of its own a run gets all that there is here.
    by_steps = filled(size="large", batch_size=512, budget=10**6, budget_kind="steps")
    assert training_handlers.foretell(context, "pretraining", by_steps)[0]["refusal"] == ""
    context.queue.max_run_seconds = 20
    assert (
        "the budget is 20 seconds"
        in (training_handlers.foretell(context, "pretraining", by_steps)[0]["refusal"])
    )
    assert context.store.list() == []


def test_what_others_hold_of_the_memory_is_not_there(
    context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bert_demo.ui.context.available_memory_bytes", lambda: 10**8)
    context.speed = SPEED
    with pytest.raises(UserError, match=r"memory 0\.1 GB are free now"):
        training_handlers.start_run(context, "pretraining", filled(), TOKEN)


def test_past_runs_correct_the_estimate() -> None:
    run = RunConfig(training=TrainingConfig(steps=100, batch_size=64))
    plain = cost.estimate(run, SPEED)
    assert plain.pairs_per_second is not None and plain.seconds is not None
    half = Observation(run, plain.pairs_per_second / 2)
    corrected = cost.estimate(run, SPEED, [half])
    assert corrected.pairs_per_second == pytest.approx(plain.pairs_per_second / 2)
    assert corrected.seconds == pytest.approx(plain.seconds * 2)


def test_a_time_budget_says_how_far_it_reaches() -> None:
    run = RunConfig(training=TrainingConfig(budget_seconds=60, batch_size=64))
    found = cost.estimate(run, SPEED)
    assert found.seconds == 60
    assert found.steps is not None and found.pairs_per_second is not None
    assert found.steps * 64 / found.pairs_per_second == pytest.approx(60, rel=0.1)


# Whose run it is


def start(context: AppContext, browser: dict[str, str] = TOKEN) -> str:
    return training_handlers.start_run(context, "pretraining", filled(), browser).id


def test_only_its_browser_and_the_teacher_control_a_run(context: AppContext) -> None:
    shown = {"run": start(context)}
    with pytest.raises(UserError, match="Only the browser that started"):
        training_handlers.request(context, shown, "stop", OTHER)
    buttons = training_handlers.controls(context, shown, OTHER)
    assert [button.visible for button in buttons[:3]] == [False, False, False]
    assert "You are watching" in buttons[3]
    teacher = {"token": "the teacher's browser", "admin": "teacher's secret"}
    for browser in (TOKEN, teacher):
        assert training_handlers.controls(context, shown, browser)[2].visible
    training_handlers.request(context, shown, "stop", teacher)
    assert context.store.get(shown["run"]).status.state == "stopped"


def test_a_browser_without_a_name_starts_nothing(context: AppContext) -> None:
    for browser in (None, {}, {"token": ""}, "x"):
        with pytest.raises(UserError, match="Reload the page"):
            training_handlers.start_run(context, "pretraining", filled(), browser)


def test_the_address_finds_the_run_and_the_browser_its_own(context: AppContext) -> None:
    fresh, nothing = page.arrive(context, None, "")
    assert len(fresh["token"]) > 15 and nothing is None
    mine, theirs = start(context), start(context, OTHER)
    _, found = page.arrive(context, TOKEN, f"?run={theirs}")
    assert found is not None and found.id == theirs
    _, found = page.arrive(context, TOKEN, "?run=../../etc")
    assert found is None, "a sentence, not another run"
    _, found = page.arrive(context, TOKEN, 3)
    assert found is not None and found.id == mine


def test_the_teachers_link_is_believed_only_with_the_right_token(context: AppContext) -> None:
    stored, _ = page.arrive(context, TOKEN, "?admin=guess")
    assert stored == TOKEN
    stored, _ = page.arrive(context, TOKEN, "?admin=teacher%27s%20secret")
    assert stored == TOKEN | {"admin": "teacher's secret"}
    again, _ = page.arrive(context, stored, "")
    assert again == stored


# What watchers are told


def write_events(context: AppContext, run: str, events: list[dict[str, Any]]) -> None:
    model = context.store.get(run).model
    model.mkdir(exist_ok=True)
    text = "".join(json.dumps(event) + "\n" for event in events)
    with (model / METRICS).open("a", encoding="utf-8") as file:
        file.write(text)


def steps(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {"event": "step", "step": n, "seconds": n / 10, "mlm_loss": 9 - n / 1e4, "nsp_loss": 0.7}
        for n in range(first, last + 1)
    ]


def test_a_watcher_gets_what_is_new(context: AppContext) -> None:
    run = start(context)
    first = live.answer(context, {"run": run, "after": 0})
    assert first["status"]["state"] == "queued" and first["status"]["place"] == 1
    write_events(context, run, [{"event": "start", "step": 0}, *steps(1, 3)])
    second = live.answer(context, {"run": run, "after": first["after"]})
    second = live.answer(context, {"run": run, "after": 0}) if second["rewind"] else second
    assert second["steps"]["step"] == [1, 2, 3] and second["start"]["step"] == 0
    write_events(context, run, [*steps(4, 4), {"event": "end", "reason": "completed"}])
    third = live.answer(context, {"run": run, "after": second["after"]})
    assert third["steps"]["step"] == [4] and third["end"]["reason"] == "completed"
    assert third["start"] is None


def test_who_waits_is_told_for_how_long(context: AppContext) -> None:
    start(context)
    later = start(context, OTHER)
    status = live.answer(context, {"run": later, "after": 0})["status"]
    assert status["message"] == "Place 2 in the queue, about 30 seconds to wait."


def test_who_comes_late_gets_a_long_run_in_few_points(context: AppContext) -> None:
    run = start(context)
    write_events(context, run, steps(1, 20_000))
    sent = live.answer(context, {"run": run, "after": 0})["steps"]
    assert 1000 < len(sent["step"]) <= 6001
    assert (sent["step"][0], sent["step"][-1]) == (1, 20_000)


@pytest.mark.parametrize("asked", [None, "x", {}, {"run": "../x"}, {"run": 3}, {"run": "nobody"}])
def test_odd_questions_are_answered_with_a_sentence(context: AppContext, asked: Any) -> None:
    assert live.answer(context, asked)["error"].endswith(".")


# Flags


def test_flags_come_before_the_environment(tmp_path: Path) -> None:
    environ = {"BERT_DEMO_PORT": "7001", "BERT_DEMO_SHARE": "true", "BERT_DEMO_HOST": "0.0.0.0"}
    settings = from_args(["--port", "7002", "--data-dir", str(tmp_path)], environ)
    assert (settings.port, settings.share, settings.host) == (7002, True, "0.0.0.0")
    assert settings.data_dir == tmp_path
    assert from_args(["--no-share"], environ).share is False


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--port", "0"], "port is '0'; it must be from 1 to 65535."),
        (["--port", "many"], "port is 'many'; it must be a whole number."),
        (["--max-run-seconds", "nan"], "max_run_seconds is 'nan'; it must be at least 1."),
        (["--admin-token", "short"], "admin_token is too short"),
    ],
)
def test_wrong_flags_are_answered_with_a_sentence(argv: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=r"[.]$") as error:
        from_args(argv, {})
    assert sentence in str(error.value)


def test_the_auth_file_is_names_and_passwords(tmp_path: Path) -> None:
    path = tmp_path / "people"
    path.write_text("# class\nanna: with:colon\n\nben:b\n", encoding="utf-8")
    assert AppSettings(auth_file=path).logins() == [("anna", " with:colon"), ("ben", "b")]
    path.write_text("anna\n", encoding="utf-8")
    with pytest.raises(UserError, match="Line 1"):
        AppSettings(auth_file=path).logins()
    with pytest.raises(UserError, match="cannot be read"):
        AppSettings(auth_file=tmp_path / "none").logins()
