"""The commands as a shell calls them, nearly all in this process: `main(argv)`."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import bert_demo
from bert_demo.cli import commands, output, parser
from bert_demo.common.corpus_names import NLI_CORPORA, PRETRAINING_CORPORA
from bert_demo.config import LABELS, BertConfig
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.model.bert import BertModel
from bert_demo.model.checkpoint import read_config, save
from bert_demo.training import loop
from bert_demo.training.cost import Speed

ROOT = Path(__file__).resolve().parents[2]
TEXT = "a crane is flying driver came he just left man sleeping nobody outside . ,"
WORDS = [*SPECIAL_TOKENS, *TEXT.split()]
HOW_TEXT = "--batch-size 16 --max-length 32 --device cpu --precision fp32"
SHAPE_TEXT = "--hidden-size 16 --num-attention-heads 2 --num-hidden-layers 1 --intermediate-size 16"
COMMANDS_TEXT = """
pretrain finetune against find-rate evaluate encode compare classify fill-mask
import-d2l import-hf export-hf publish fetch bundle prepare doctor
"""
HOW = HOW_TEXT.split()
SMALL = [*SHAPE_TEXT.split(), *HOW]
COMMANDS = COMMANDS_TEXT.split()

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; gives its exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = parser.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def refused(result: tuple[int, str, str], *words: str) -> None:
    """Exit code 2, one sentence on stderr, nothing on stdout."""
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.endswith(".\n")
    for word in words:
        assert word in err


def saved(folder: Path, task: str) -> Path:
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_words(WORDS)
    model = BertModel(BertConfig(len(WORDS), 16, 2, 2, 16, 64), task)
    save(folder, model, tokenizer, {})
    return folder


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "pretrained", "pretraining")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "classifier", "nli")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint made by the command, two steps old."""
    out = tmp_path_factory.mktemp("runs") / "trained"
    assert parser.main(["pretrain", *SMALL, "--steps", "2", "--out", str(out)]) == 0
    return out


# This against that.


def test_against_says_what_pairs_of_runs_tell(run: Run) -> None:
    flags = ["--set", "mask-share=0.9", "--pairs", "2", *SMALL, "--steps", "4"]
    code, out, _ = run("against", *flags)
    assert code == 0 and "Held-out loss of the first pair:" in out
    assert out.splitlines()[-1].startswith("mask_share 0.9 instead of 0.15: ")
    code, out, _ = run("against", *flags, "--json")
    answer = json.loads(out)
    assert code == 0 and len(answer["losses"]) == 2 and answer["sentence"] and answer["spread"] > 0
    # At each of four steps, the last of which is scored in the end.
    assert [len(one["points"]) for one in answer["curves"]] == [4] * 4


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--set", "norm"], "SETTING=VALUE"),
        (["--set", "corpus=snli"], "cannot be tried against"),
        (["--set", "norm=beside"], "norm is 'beside'"),
        (["--set", "norm=before", "--set", "positions=none"], "Two changes at once"),
        (["--set", "norm=before", "--pairs", "0"], "pairs is 0"),
    ],
)
def test_what_cannot_be_tried_against_gets_a_sentence(
    flags: list[str], word: str, run: Run
) -> None:
    refused(run("against", *flags), word)


# Help and wrong flags.


def test_help_names_every_command(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert re.findall(r"^    ([a-z]\S*)", out, re.MULTILINE) == COMMANDS
    for name in COMMANDS:
        code, text, _ = run(name, "--help")
        assert code == 0
        assert "--json" in text
        assert callable(getattr(commands, name.replace("-", "_")))


def test_version(run: Run) -> None:
    assert run("--version")[:2] == (0, f"bert_demo {bert_demo.__version__}\n")


def test_help_from_a_shell_waits_for_no_large_package() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "bert_demo", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pretrain" in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "bert_demo.cli.parser" in imported
    assert not imported & {"torch", "numpy", "pyarrow", "tokenizers", "huggingface_hub"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["encode"],
        ["encode", "--model", "m"],
        ["encode", "--model", "m", "--text"],
        ["encode", "--mod", "m", "--text", "t"],
        ["pretrain", "--out", "o", "--colour", "red"],
        ["fill-mask", "--model", "m", "--text", "a <mask>", "--top", "many"],
        ["import-d2l", "x.zip", "--out", "o", "--num-attention-heads", "two"],
    ],
)
def test_wrong_flags_get_a_sentence(arguments: list[str], run: Run) -> None:
    refused(run(*arguments), "--help")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("", "budget"),
        ("--steps 0", "steps is '0'; it must be a whole number from 1"),
        ("--steps -5", "steps is '-5'"),
        ("--steps 2.5", "steps is '2.5'"),
        ("--steps many", "steps is 'many'"),
        ("--steps 99999999999999999999", "from 1 to 10,000,000"),
        ("--steps 1e400", "steps is '1e400'"),
        ("--steps 1 --batch-size 0", "batch_size is '0'"),
        ("--steps 1 --batch-size -1", "batch_size is '-1'"),
        ("--steps 1 --max-length 7", "max_length is '7'"),
        ("--steps 1 --learning-rate nan", "learning_rate is 'nan'"),
        ("--steps 1 --learning-rate inf", "learning_rate is 'inf'"),
        ("--steps 1 --learning-rate -0.1", "learning_rate is '-0.1'"),
        ("--steps 1 --dropout 1", "dropout is '1'"),
        ("--epochs 0", "epochs is '0'"),
        ("--budget-seconds -3", "budget_seconds is '-3'"),
        ("--steps 1 --model huge", "it must be one of: tiny, small, base, large"),
        ("--steps 1 --recipe mine", "recipe is 'mine'"),
        ("--steps 1 --corpus snli", "corpus is 'snli'; for pretraining"),
        ("--steps 1 --corpus moon", "corpus is 'moon'"),
        ("--steps 1 --device abacus", "device is 'abacus'"),
        ("--steps 1 --batch-size 2 --gradient-accumulation-steps 3", "cannot be more than"),
        ("--steps 1 --hidden-size 100 --num-attention-heads 3", "does not divide"),
        ("--steps 1 --wordpieces 5", "wordpieces is '5'"),
    ],
)
def test_wrong_settings_get_a_sentence_and_leave_nothing(
    flags: str, words: str, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    refused(run("pretrain", "--out", out, *flags.split()), words)
    assert not out.exists()


def test_finetune_needs_a_checkpoint(run: Run, classifier: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(run("finetune", "--steps", 1, "--out", out), "checkpoint to start from")
    refused(run("finetune", "--from", tmp_path / "no", "--steps", 1, "--out", out), "no folder")
    refused(run("finetune", "--from", ROOT, "--steps", 1, "--out", out), "is not a checkpoint")
    refused(run("pretrain", "--from", classifier, "--steps", 1, "--out", out), "fine-tuned")
    refused(run("finetune", "--model", "tiny", "--out", out), "--model")


# The output folder.


def test_an_output_folder_that_cannot_be_used(run: Run, classifier: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    for out, words in (
        (classifier, "holds a checkpoint already"),
        (file, "is a file"),
        (file / "below", "is a file"),
        (other, "not a checkpoint"),
    ):
        refused(run("pretrain", "--steps", 1, "--out", out), words)
    assert file.read_text() == "mine"
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


# Training, for real and small.


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


def test_evaluate_scores_a_pretrained_model_on_a_whole_split(run: Run, trained: Path) -> None:
    asked = ("evaluate", "--model", trained, "--text")
    code, text, err = run(*asked, "crane-world:validation", "--json")
    assert (code, err) == (0, "")
    found, kept = json.loads(text), read_config(trained)["about"]
    # The same pairs and masks as at the end of its run, which may have been in bf16.
    assert found["n"] == kept["scores"]["n"] == kept["facts"]["validation_examples"]
    assert found["mlm_loss"] == pytest.approx(kept["scores"]["mlm_loss"], abs=0.02)
    assert found["baselines"] == kept["facts"]["baselines"]
    code, text, _ = run(*asked, "crane-world")
    assert f"masked-LM loss {found['mlm_loss']:.3f} ± " in text
    assert f"always the same answer {found['constant_accuracy']:.3f}" in text
    assert "guessing by word frequency on held-out text" in text
    assert run(*asked, "crane-world:test", "--json")[1] != json.dumps(found)
    refused(run(*asked, "snli"), "corpus is 'snli'")
    refused(run(*asked[:-1], "--data", "crane-world", "--text", "crane-world"), "not allowed")


def test_evaluate_scores_a_model_that_came_without_a_run(run: Run, pretrained: Path) -> None:
    code, text, _ = run("evaluate", "--model", pretrained, "--text", "crane-world", "--json")
    assert code == 0 and json.loads(text)["n"] == 1554


def test_evaluate_asks_a_classifier_no_blanks(run: Run, classifier: Path) -> None:
    asked = ("evaluate", "--model", classifier, "--text", "crane-world")
    refused(run(*asked), "guesses no masked words")


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


# Asking a model.


def test_encode_gives_tokens_shape_and_vectors(run: Run, pretrained: Path) -> None:
    asked = ("encode", "--model", pretrained, "--json", "--text")
    code, text, err = run(*asked, "a crane is flying")
    assert (code, err) == (0, "")
    result = json.loads(text)
    assert list(result) == ["tokens", "shape", "vectors"]
    assert result["tokens"] == ["<cls>", "a", "crane", "is", "flying", "<sep>"]
    assert result["shape"] == [1, 6, 16]
    assert torch.tensor(result["vectors"]).shape == (1, 6, 16)
    result = json.loads(run(*asked, "a crane driver came", "--pair", "he just left")[1])
    assert result["shape"] == [1, 10, 16]
    model, tokenizer, _ = bert_demo.load(pretrained)
    vectors = bert_demo.encode(model, tokenizer, "a crane driver came", "he just left").vectors
    torch.testing.assert_close(torch.tensor(result["vectors"][0]), vectors)


def test_encode_in_words(run: Run, pretrained: Path) -> None:
    code, text, _ = run("encode", "--model", pretrained, "--text", "a Krane, a crane")
    assert code == 0
    lines = text.splitlines()
    assert lines[0].startswith("Shape: 1 x 7 x 16")
    model, tokenizer, _ = bert_demo.load(pretrained)
    wanted = bert_demo.encode(model, tokenizer, "a Krane, a crane").vectors[6 - 1, :3]
    assert lines[7].split() == ["crane", *(f"{value:.4f}" for value in wanted.tolist())]
    assert lines[-1] == "Note: 'Krane' is unknown to this model, which reads <unk> instead."


def test_notes_stay_out_of_json(run: Run, pretrained: Path) -> None:
    asked = ("encode", "--model", pretrained, "--json", "--text")
    code, text, err = run(*asked, "one two three four five six crane " * 2000)
    assert code == 0
    assert json.loads(text)["shape"] == [1, 64, 16]
    assert "Note: The text is longer than the model reads; its last 13,938 tokens" in err
    assert "'one', 'two', 'three', 'four', 'five' and others are unknown" in err


def test_compare(run: Run, pretrained: Path) -> None:
    texts = ["a crane is flying", "a crane driver came <sep> he just left", "a man, a crane"]
    flags = [part for text in texts for part in ("--text", text)]
    asked = ("compare", "--model", pretrained, "--word", "crane", *flags)
    code, text, err = run(*asked, "--json")
    assert (code, err) == (0, "")
    result = json.loads(text)
    assert result["contexts"] == texts
    for name in ("similarities", "centred_similarities"):
        table = torch.tensor(result[name])
        torch.testing.assert_close(table.diagonal(), torch.ones(3))
        torch.testing.assert_close(table, table.T)
    code, text, _ = run(*asked)
    assert code == 0
    assert f"{result['similarities'][0][1]:.3f}" in text
    assert f"{result['centred_similarities'][0][1]:.3f}" in text
    code, text, _ = run(
        "compare", "--model", pretrained, "--word", "krane", *("--text", "Krane") * 2
    )
    assert code == 0
    assert "mean vector" not in text
    assert "Note: 'krane' is unknown" in text
    refused(run(*asked, "--text", "a man"), "'a man' does not have the word 'crane'")

    senses = [part for sense in ("bird", "machine", "bird") for part in ("--sense", sense)]
    _, text, _ = run(*asked, *senses)
    assert "cannot be told: it takes two or more contexts in each of two senses" in text
    assert "eparation" not in text
    assert json.loads(run(*asked, *senses, "--json")[1])["separation"] is None
    refused(run(*asked, *senses[:4]), "2 senses for 3 contexts")
    more = ("--text", "the crane", "--sense", "machine")
    apart = json.loads(run(*asked, *senses, *more, "--json")[1])["separation"]
    assert apart["difference"] == pytest.approx(apart["within"] - apart["between"])
    assert f"Sense separation {apart['difference']:+.2f}" in run(*asked, *senses, *more)[1]
    refused(run(*asked[:7]), "two or more texts")


def test_classify(run: Run, pretrained: Path, classifier: Path) -> None:
    pair = ("--premise", "a man is sleeping", "--hypothesis", "a man is flying")
    code, text, err = run("classify", "--model", classifier, *pair, "--json")
    assert (code, err) == (0, "")
    result = json.loads(text)
    assert list(result) == ["label", "probabilities"]
    assert tuple(result["probabilities"]) == LABELS
    assert sum(result["probabilities"].values()) == pytest.approx(1)
    code, text, _ = run("classify", "--model", classifier, *pair)
    assert code == 0
    assert text.startswith(f"The verdict is {result['label']}.\n")
    refused(run("classify", "--model", pretrained, *pair), "fine-tune it first")


def test_fill_mask(run: Run, pretrained: Path, classifier: Path) -> None:
    asked = ("fill-mask", "--model", pretrained, "--text", "a <mask> is [MASK] krane")
    code, text, err = run(*asked, "--json", "--top", 2)
    assert code == 0
    assert err == "Note: 'krane' is unknown to this model, which reads <unk> instead.\n"
    blanks = json.loads(text)["masks"]
    assert [len(blank) for blank in blanks] == [2, 2]
    code, text, _ = run(*asked)
    assert code == 0
    assert text.splitlines()[1].split() == [
        blanks[0][0]["token"],
        f"{blanks[0][0]['probability']:.4f}",
    ]
    assert "Blank 2:" in text
    refused(run("fill-mask", "--model", pretrained, "--text", "a crane"), "write <mask>")
    refused(run(*asked, "--top", 0), "top is 0")
    refused(run("fill-mask", "--model", classifier, "--text", "<mask>"), "cannot fill")


@pytest.mark.parametrize("text", ["", "  \t\n", "\x00"])
def test_empty_text_gets_a_sentence(
    text: str, run: Run, pretrained: Path, classifier: Path
) -> None:
    refused(run("encode", "--model", pretrained, "--text", text), "empty")
    refused(run("encode", "--model", pretrained, "--text", "a", "--pair", text), "empty")
    refused(run("fill-mask", "--model", pretrained, "--text", text), "empty")
    pair = ("--premise", text, "--hypothesis", "a man")
    refused(run("classify", "--model", classifier, *pair), "empty")
    refused(
        run("compare", "--model", pretrained, "--word", text, "--text", "a", "--text", "b"),
        "word",
    )


@pytest.mark.parametrize(
    "text",
    [
        "👩\u200d🔬 🏗️",
        "İstanbul'da ığüşöç",
        "起重机在飞",
        "두루미가 난다",
        "a\x1b[31mcrane\x07",
        "crane \udce9\ud83d",
        "\u202eenarc",
    ],
)
def test_any_text_is_answered(text: str, run: Run, pretrained: Path, classifier: Path) -> None:
    for extra in ([], ["--json"]):
        results = [
            run("encode", "--model", pretrained, "--text", text, *extra),
            run("fill-mask", "--model", pretrained, "--text", f"<mask> {text}", *extra),
            run("classify", "--model", classifier, "--premise", text, "--hypothesis", text, *extra),
        ]
        for code, out, err in results:
            assert code == 0
            assert "\x1b" not in out + err
            (out + err).encode()  # no lone surrogate is left
            if extra:
                assert out.isascii()
                json.loads(out)


def test_a_terminal_without_unicode_can_show_everything(pretrained: Path) -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "bert_demo",
            "encode",
            "--model",
            str(pretrained),
            "--text",
            "鹤 飞",
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        check=True,
    )
    assert rb"\u9e64" in result.stdout


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_broken_checkpoint_gets_a_sentence(name: str, run: Run, tmp_path: Path) -> None:
    folder = saved(tmp_path / "broken", "pretraining")
    asked = ("encode", "--model", folder, "--text", "a crane")
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    refused(run(*asked))
    (folder / name).unlink()
    refused(run(*asked), name)
    refused(run("encode", "--model", tmp_path / "no", "--text", "a"), "no folder")


# Labelled pairs from a file.


def test_evaluate_reads_peoples_own_files(run: Run, classifier: Path, tmp_path: Path) -> None:
    rows = [("a man is sleeping", "nobody is sleeping", "contradiction"), ("a man", "a man", "0")]
    tsv = tmp_path / "pairs.tsv"
    lines = ["premise\thypothesis\tlabel", *("\t".join(row) for row in rows)]
    tsv.write_text("\n".join(lines), encoding="utf-8")
    jsonl = tmp_path / "pairs.jsonl"
    names = ("premise", "hypothesis", "label")
    jsonl.write_text(
        "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows),
        encoding="utf-8",
    )
    results = []
    for file in (tsv, jsonl):
        code, text, _ = run("evaluate", "--model", classifier, "--data", file, "--json")
        assert code == 0
        results.append(json.loads(text))
    assert results[0]["n"] == results[1]["n"] == 2
    assert results[0]["confusion"] == results[1]["confusion"]
    model, tokenizer, _ = bert_demo.load(classifier)
    verdicts = [bert_demo.classify(model, tokenizer, *row[:2]).label for row in rows]
    hits = (verdicts[0] == "contradiction") + (verdicts[1] == "entailment")
    assert results[0]["accuracy"] == hits / 2


def test_evaluate_says_where_a_judge_fails(run: Run, classifier: Path, tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    rows = [
        "a man is sleeping,nobody is sleeping,contradiction,negation",
        "two dogs,three dogs,contradiction,numbers",
        "a man,a man,entailment,plain",
    ]
    table.write_text("\n".join(["premise,hypothesis,label,Kind", *rows]), encoding="utf-8")
    asked = ("evaluate", "--model", classifier, "--data", table, "--details")
    code, text, _ = run(*asked, "--json")
    found = json.loads(text)
    assert code == 0 and found["n"] == 3
    kinds = found["slices"]["kind"]
    assert [(part["name"], part["n"]) for part in kinds] == [
        ("negation", 1),
        ("numbers", 1),
        ("plain", 1),
    ]
    behind = {(cell["label"], cell["verdict"]): cell["pairs"] for cell in found["cells"]}
    for i, label in enumerate(LABELS):
        for j, verdict in enumerate(LABELS):
            assert len(behind[label, verdict]) == found["confusion"][i][j]
    assert {pair["kind"] for cell in behind.values() for pair in cell} == {
        "negation",
        "numbers",
        "plain",
    }
    assert sum(part["n"] for part in found["calibration"]) == 3
    code, text, _ = run(*asked)
    assert code == 0
    for words in ("By kind:", "By negation:", "in the hypothesis alone", "How sure it is"):
        assert words in text
    code, text, _ = run(*asked[:3], "--data", "crane-world:validation", "--details")
    assert code == 0 and "Crane World, validation (built in)." in text and "By kind" not in text
    refused(run("evaluate", "--model", classifier, "--text", "crane-world", "--details"), "--data")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("premise\tlabel\na man\t0\n", "hypothesis"),
        ("premise\thypothesis\tlabel\na man\ta man\tmaybe\n", "maybe"),
        ("", ""),
        ("<html><body>404</body></html>", ""),
    ],
)
def test_evaluate_refuses_a_wrong_file(
    text: str, words: str, run: Run, classifier: Path, tmp_path: Path
) -> None:
    file = tmp_path / "pairs.tsv"
    file.write_text(text, encoding="utf-8")
    refused(run("evaluate", "--model", classifier, "--data", file), words)


def test_evaluate_refuses_what_is_not_there(
    run: Run, pretrained: Path, classifier: Path, tmp_path: Path
) -> None:
    asked = ("evaluate", "--model", classifier, "--data")
    refused(run(*asked, tmp_path / "no.tsv"), "no.tsv")
    refused(run(*asked, tmp_path), str(tmp_path))
    refused(run(*asked, "crane-world:dev"), "dev")
    refused(run(*asked, "crane-world", "--device", "abacus"), "abacus")
    refused(run("evaluate", "--model", pretrained, "--data", "crane-world"), "fine-tune it first")


# The other commands.


def test_a_checkpoint_of_the_book(run: Run, d2l_checkpoint: Path, tmp_path: Path) -> None:
    source, out = d2l_checkpoint / "bert.small.torch.zip", tmp_path / "book"
    code, text, err = run("import-d2l", source, "--out", out, "--json")
    assert (code, err) == (0, "")
    assert json.loads(text)["num_attention_heads"] == 4
    wanted = load_file(d2l_checkpoint / "bert.small.expected.safetensors")
    asked = ("encode", "--model", out, "--json", "--text")
    for name, texts in (
        ("flying", ["a crane is flying"]),
        ("driver", ["a crane driver came", "--pair", "he just left"]),
    ):
        found = json.loads(run(*asked, *texts)[1])
        vectors = torch.tensor(found["vectors"][0])
        torch.testing.assert_close(vectors, wanted[f"{name}.encoded"], rtol=1e-4, atol=1e-4)
    refused(run("import-d2l", source, "--out", out), "holds a checkpoint already")
    code, text, _ = run("import-d2l", source, "--out", out, "--overwrite")
    assert code == 0
    assert "hidden size: 256" in text


def test_what_is_no_checkpoint_of_the_book(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "bert.small.torch.zip"
    page.write_text("<html>403</html>")
    for source in (page, tmp_path / "no.zip", tmp_path):
        refused(run("import-d2l", source, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_prepare_and_doctor(run: Run, real_data: Path) -> None:
    code, text, err = run("prepare", "--json")
    assert (code, err) == (0, "")
    reports = [json.loads(line) for line in text.splitlines()]
    assert {(r["corpus"], r["split"]) for r in reports} == {
        *((text, s) for text in PRETRAINING_CORPORA for s in ("train", "validation")),
        *((pairs, s) for pairs in NLI_CORPORA for s in ("train", "validation", "test")),
    }
    code, text, _ = run("prepare")
    assert code == 0
    assert "WikiText-2, train (local mirror)" in text
    assert "SNLI, test (local mirror): 9,824 pairs" in text


def test_prepare_says_what_could_not_be_had(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERT_DEMO_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    code, text, err = run("prepare")
    assert code == 1
    assert "Crane World, test (built in)" in text
    assert "--corpus crane-world" in err


def test_doctor(run: Run) -> None:
    code, text, err = run("doctor", "--json")
    assert (code, err) == (0, "")
    assert "cpu" in text
    assert len(text.splitlines()) == 1
    assert "Python" in run("doctor")[1]
