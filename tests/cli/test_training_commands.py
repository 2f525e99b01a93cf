"""`pretrain` and `finetune` as a shell calls them: output, resuming, Ctrl-C, failures."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.command_line import HOW, ROOT, SMALL, Run, refused

import bert_demo
from bert_demo.cli import output
from bert_demo.training import loop
from bert_demo.training.cost import Speed


def test_pretrain_writes_one_json_object_a_line(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text, err = run("pretrain", *SMALL, "--steps", 2, "--out", out, "--json")
    assert (code, err) == (0, "")
    events = [json.loads(line) for line in text.splitlines()]
    names = [event["event"] for event in events]
    assert (names[0], names[-1]) == ("start", "end")
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == [1, 2]
    assert {"loss", "mlm_loss", "nsp_loss", "nsp_accuracy", "seconds_left"} <= set(steps[0])
    assert events[-1]["reason"] == "completed"
    model, tokenizer, config = bert_demo.load(out)
    assert (config.hidden_size, config.num_hidden_layers, model.task) == (16, 1, "pretraining")
    assert tokenizer.vocab_size == events[0]["vocab_size"] == config.vocab_size


def test_pretrain_in_words(run: Run, trained: Path) -> None:
    code, text, err = run("pretrain", *SMALL, "--steps", 2, "--overwrite", "--out", trained)
    assert (code, err) == (0, "")
    assert "Crane World" in text
    assert "To beat: " in text
    assert "Finished 2 steps" in text
    assert str(trained) in text


def test_a_run_that_will_not_go_well_is_told_beforehand(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = (2e-4, 1e-6, 2e-9, 2e-11, 1e-9, 3e-9, 1e-11, 2e-8)  # a very slow machine's
    slow = Speed("cpu", 16 * 10**9, "fp32", False, prices)
    monkeypatch.setattr("bert_demo.training.speed.kept_speed", lambda: slow)
    words = ["pretrain", "--budget-seconds", "1", "--steps", "1", "--batch-size", "8"]
    code, _, errors = run(*words, "--out", str(tmp_path / "slow"))
    assert code == 0 and re.search(r"One step of BERT-tiny .* takes about \d+ seconds here", errors)
    monkeypatch.setattr("bert_demo.model.device.available_memory_bytes", lambda: 0)
    monkeypatch.setattr("bert_demo.model.device.memory_held", lambda processes: 0)
    code, _, errors = run(*words, "--out", str(tmp_path / "small"))
    assert code == 0 and "memory 0.0 GB are free now" in errors
    huge = ["pretrain", "--model", "large", "--batch-size", "65536", "--max-length", "512"]
    refused(run(*huge, "--steps", "1", "--out", str(tmp_path / "huge")), "this machine has")
    assert not (tmp_path / "huge").exists()


def test_finetune_evaluate_and_classify(run: Run, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "judge"
    flags = ["--from", trained, "--corpus", "crane-world", *HOW, "--steps", 1]
    code, told, _ = run("finetune", *flags, "--out", out)
    assert code == 0
    code, text, err = run("evaluate", "--model", out, "--data", "crane-world:test", "--json")
    assert (code, err) == (0, "")
    result = json.loads(text)
    assert sum(map(sum, result["confusion"])) == result["n"] > 100
    right = sum(result["confusion"][i][i] for i in range(3))
    assert result["accuracy"] == pytest.approx(right / result["n"])
    words = f"ccuracy {result['accuracy']:.4f} on {result['n']:,} pairs"
    assert f"Test a{words}." in told
    code, text, _ = run("evaluate", "--model", out, "--data", "crane-world", "--device", "cpu")
    assert code == 0
    assert f"A{words} " in text
    for name in ("standard_error", "constant_accuracy", "ece"):
        assert f"{result[name]:.4f}" in text, name
    assert "Expected calibration error (ECE)" in text and "Standard error" in told


def test_a_students_losses_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    report = output.TrainingReport(as_json=False)
    facts = {"source": "", "parameters": 1, "vocab_size": 1, "train_examples": 1, "truncated": 0}
    facts |= {
        "dropped": 7,
        "validation_examples": 1,
        "processes": 1,
        "device": "cpu",
        "precision": "fp32",
    }
    step = {"step": 1, "seconds": 1.0, "loss": 0.5, "examples_per_second": 1.0}
    report.show({"event": "start", **facts, "baselines": {}, "taught": True})
    report.show({"event": "step", "seconds_left": 1.0, **step})
    report.clear()
    told, drawn = capsys.readouterr()
    assert "against the teacher's softened probabilities" in told
    assert "7 pairs are too long and are left out." in told
    assert "loss against the teacher 0.500" in drawn


def test_resume_goes_on_with_the_saved_settings(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert run("pretrain", *SMALL, "--steps", 3, "--out", whole)[0] == 0
    pressed = press_ctrl_c_at(monkeypatch, step=1)
    code, text, err = run("pretrain", *SMALL, "--steps", 3, "--out", halves)
    assert code == 130
    assert "--resume goes on" in err
    monkeypatch.setattr(loop, "train", pressed)
    refused(run("finetune", "--resume", "--out", halves), "started with pretrain")
    code, text, err = run("pretrain", "--resume", "--out", halves)
    assert (code, err) == (0, "")
    assert "Finished 3 steps" in text
    one, other = (bert_demo.load(folder)[0].state_dict() for folder in (whole, halves))
    assert all(torch.equal(one[name], other[name]) for name in one)
    refused(run("pretrain", "--resume", "--out", halves), "nothing to resume")


def press_ctrl_c_at(monkeypatch: pytest.MonkeyPatch, *, step: int, times: int = 1) -> Any:
    """Makes `train` receive Ctrl-C after that step; gives the untouched `train`."""
    real = loop.train

    def interrupted(*arguments: Any, **named: Any) -> Any:
        for event in real(*arguments, **named):
            yield event
            if event["event"] == "step" and event["step"] == step:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop, "train", interrupted)
    return real


def test_ctrl_c_twice_stops_at_once_and_keeps_the_checkpoint(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)
    press_ctrl_c_at(monkeypatch, step=1, times=2)
    code, _, err = run("pretrain", *SMALL, "--steps", 50, "--out", tmp_path / "out", "--json")
    assert code == 130
    assert err.splitlines()[-1] == "Stopped by Ctrl-C."
    assert signal.getsignal(signal.SIGINT) is before
    bert_demo.load(tmp_path / "out")


def test_ctrl_c_in_other_commands(
    run: Run, pretrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bert_demo.model.checkpoint, "load", interrupted)
    result = run("encode", "--model", pretrained, "--text", "a crane")
    assert result == (130, "", "Stopped by Ctrl-C.\n")


def test_what_the_system_refuses_is_a_sentence(
    run: Run, pretrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "model.safetensors")

    monkeypatch.setattr(bert_demo.model.checkpoint, "load", full)
    code, out, err = run("encode", "--model", pretrained, "--text", "a crane")
    assert (code, out) == (1, "")
    assert err == "The system refused: No space left on device (model.safetensors).\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other words for a broken pipe")
def test_a_reader_that_leaves_early_gets_no_traceback(pretrained: Path) -> None:
    asked = ["encode", "--model", str(pretrained), "--text", "a crane", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bert_demo", *asked],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
    process.stderr.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process alone")
def test_ctrl_c_from_a_terminal(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "bert_demo", "pretrain", *SMALL, "--json"]
    process = subprocess.Popen(
        [*command, "--steps", "100000", "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    alarm = threading.Timer(100, process.kill)
    alarm.start()
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "step":
            break
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate()
    alarm.cancel()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert json.loads(rest.splitlines()[-1])["reason"] == "stopped"
    bert_demo.load(out)


def test_a_failed_run_is_exit_code_1(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        yield {"event": "end", "reason": "failed", "message": "The loss is odd.", "step": 0}

    monkeypatch.setattr(loop, "train", failing)
    arguments = ("pretrain", "--steps", 1, "--out", tmp_path / "out")
    assert run(*arguments) == (1, "", "The loss is odd.\n")
    code, text, err = run(*arguments, "--json")
    assert (code, err) == (1, "The loss is odd.\n")
    assert json.loads(text)["reason"] == "failed"


def test_numbers_that_json_does_not_have_become_null(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit({"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": -float("inf")}})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": {"d": None}}


def test_the_bar_appears_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = {
        "event": "step",
        "step": 30,
        "seconds": 60.0,
        "seconds_left": 20.0,
        "loss": 7.0,
        "examples_per_second": 512.0,
    }
    output.TrainingReport(as_json=False).show(step)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    report = output.TrainingReport(as_json=False)
    report.show(step)
    report.clear()
    drawn, cleared, _ = capsys.readouterr().err[1:].split("\r")
    bar, words = drawn.rstrip().rsplit("| ", 1)
    assert bar.startswith(" 75%|") and words == "step 30  loss 7.000  512 pairs/s  00:20 left"
    assert not cleared.strip() and len(drawn) <= len(cleared) <= 99
    output.TrainingReport(as_json=True).show(step)
    assert capsys.readouterr().err == ""
