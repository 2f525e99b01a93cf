"""The commands as a shell calls them, most in this process: help, wrong flags, the small ones."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.command_line import ROOT, SMALL, Run, refused
from safetensors.torch import load_file

import bert_demo
from bert_demo.cli import commands
from bert_demo.common.corpus_names import NLI_CORPORA, PRETRAINING_CORPORA

COMMANDS_TEXT = """
pretrain finetune against find-rate evaluate encode compare classify fill-mask
import-d2l import-hf export-hf publish fetch bundle prepare doctor
"""
COMMANDS = COMMANDS_TEXT.split()


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
