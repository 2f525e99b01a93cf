"""A command run in this process, and models for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command_line import SMALL, Run, saved

from bert_demo.cli import parser


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; gives its exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = parser.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


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
