"""`make space-check`: this repository passes, and each thing that a Space refuses is found."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bert_demo.ui import space_check

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("README.md", "requirements.txt", "constraints.txt", "app.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_this_repository_is_a_space(capsys: pytest.CaptureFixture[str]) -> None:
    code = space_check.main([str(ROOT)])
    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("---\ntitle", "title", "does not begin with"),
        ("title: bert_demo", "title: [", "not YAML"),
        ("title: bert_demo\n", "", "title is missing"),
        ("sdk: gradio", "sdk: docker", "sdk is 'docker'"),
        ("header: mini", "header: mini\nhedaer: mini", "'hedaer' is no setting"),
        ("colorTo: green", "colorTo: orange", "colorTo is 'orange'"),
        ('python_version: "3.12"', "python_version: 3.12", "put it in quotes"),
        ('python_version: "3.12"', 'python_version: "3.13"', "python_version is 3.13"),
        ("app_file: app.py", "app_file: main.py", "main.py, which is not there"),
        ("Pretrain, probe", "Pretrain, then look into, probe", "is the most"),
        ("- stanfordnlp/snli", "- snli", "owner/name"),
        ("header: mini", "header: wide", "header is 'wide'"),
        ("emoji: ", "emoji: no", "emoji"),
    ],
)
def test_front_matter_that_is_refused(copy: Path, old: str, new: str, words: str) -> None:
    change(copy / "README.md", old, new)
    found = list(space_check.front_matter(copy))
    assert any(words in line for line in found), found


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("requirements.txt", "torch>=2.8", "torch==2.13.0", "leaves out torch 2.8.0"),
        ("requirements.txt", "torch>=2.8", "torch>=2.8,<2.11", "leaves out torch 2.11.0"),
        ("requirements.txt", "torch>=2.8", "torch>=2.8\npydantic>=2.13", "pydantic 2.12.5"),
        ("requirements.txt", "numpy", "--index-url x\nnumpy", "not a plain requirement"),
        ("requirements.txt", "numpy", "thing @ git+https://x.example/y\nnumpy", "an address"),
        ("requirements.txt", "numpy", "nothing-tested\nnumpy", "no tested version"),
        ("constraints.txt", "pydantic==2.12.5", "pydantic==2.14.0", "caps it at 2.12.5"),
        ("constraints.txt", "plotly==7.1.0", "plotly==6.0.0", "leaves out"),
        ("README.md", "sdk_version: 6.31.0", "sdk_version: 6.30.0", "sdk_version is 6.30.0"),
    ],
)
def test_requirements_that_do_not_resolve(
    copy: Path, name: str, old: str, new: str, words: str
) -> None:
    assert list(space_check.requirements(copy)) == []
    change(copy / name, old, new)
    found = list(space_check.requirements(copy))
    assert any(words in line for line in found), found


def test_a_file_over_10_mb_is_found(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "small.bin").write_bytes(b"x")
    assert list(space_check.sizes(tmp_path)) == []
    with (tmp_path / "large model.bin").open("wb") as file:
        file.truncate(11 * 1024 * 1024)
    (found,) = space_check.sizes(tmp_path)
    assert "large model.bin has 11.0 MB" in found


@pytest.mark.parametrize(
    "fetch",
    [
        "import urllib.request; urllib.request.urlopen('http://example.invalid')",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
    ],
)
def test_an_app_that_fetches_at_import_is_found(
    copy: Path, fetch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (copy / "app.py").write_text(fetch + "\n", encoding="utf-8")
    (found,) = space_check.imports(copy)
    assert "socket." in found and "was called" in found


def test_the_exit_code_says_so(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space_check, "imports", lambda root: [])
    assert space_check.main([str(copy)]) == 1
    assert "no git repository" in capsys.readouterr().out
