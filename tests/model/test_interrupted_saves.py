"""Saves that are killed, and folders that cannot be written, leave a checkpoint whole."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from helpers.checkpoints import CONFIG, TIED, TOKENIZER, complaint, holds, new_model, saved

from bert_demo.config import BertConfig
from bert_demo.data import files
from bert_demo.model import checkpoint, unfinished
from bert_demo.model.bert import BertModel


def command_of(script: str, folder: Path) -> list[str]:
    """Python in a process of its own, which finds the tests' helpers; argv[1] is `folder`."""
    tests = Path(__file__).parents[1]
    finding = "import sys; sys.path[:0] = sys.argv[2:]\n"
    return [sys.executable, "-c", finding + script, str(folder), str(tests), str(tests.parent)]


class Killed(BaseException):
    """Stands for the end of the process: nothing after it runs."""


def killed_at_move(
    monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[], object]
) -> bool:
    """Run `action` and die before its move number `number`; False if it has fewer."""
    left = number

    def dying(move: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return move(*args)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying(Path.replace))
        patch.setattr(Path, "rename", dying(Path.rename))
        # The dead do not clean up either.
        patch.setattr(files.shutil, "rmtree", lambda *_, **__: None)
        try:
            action()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("config", [CONFIG, TIED], ids=["update", "replacement"])
def test_a_save_killed_at_any_moment_leaves_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: BertConfig
) -> None:
    for number in range(1, 10):
        folder = tmp_path / f"run{number}"
        old, new = saved(folder, seed=1), new_model(2, config)

        def save(folder: Path = folder, new: BertModel = new) -> None:
            checkpoint.save(folder, new, TOKENIZER, {})

        if not killed_at_move(monkeypatch, number, save):
            break
        assert holds(folder, old) or holds(folder, new)
        checkpoint.read_config(folder)
        checkpoint.check_writable(folder, overwrite=True)
        save()
        assert holds(folder, new)
    assert number == (4 if config is CONFIG else 3)


def test_a_first_save_that_is_killed_leaves_nothing_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "one"
    assert killed_at_move(monkeypatch, 1, lambda: saved(folder))
    assert "no folder" in complaint(checkpoint.load, folder)
    checkpoint.check_writable(folder)
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    os.utime(left[0], (1, 1))
    assert holds(folder, saved(folder))
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_resume_state_that_is_killed_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path)
    unfinished.save_resume(tmp_path, {"x": torch.zeros(2)}, {"step": 1})
    assert killed_at_move(
        monkeypatch, 1, lambda: unfinished.save_resume(tmp_path, {"x": torch.ones(2)}, {"step": 2})
    )
    loaded = unfinished.load_resume(tmp_path)
    assert loaded is not None and loaded[1] == {"step": 1}


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL here")
def test_a_process_killed_while_it_saves_leaves_a_checkpoint(tmp_path: Path) -> None:
    script = (
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from bert_demo.model import checkpoint, unfinished\n"
        "from helpers.checkpoints import CONFIG, TOKENIZER, new_model\n"
        "model = new_model(config=replace(CONFIG, vocab_size=50_000))\n"
        "folder = Path(sys.argv[1])\n"
        "for number in range(10**6):\n"
        "    checkpoint.save(folder, model, TOKENIZER, {'number': number})\n"
        "    unfinished.save_resume(folder, dict(model.named_parameters()), {'number': number})\n"
    )
    folder = tmp_path / "one"
    process = subprocess.Popen(command_of(script, folder))

    def saves() -> int:
        number: int = checkpoint.read_config(folder)["about"]["number"]
        return number

    try:
        deadline = time.monotonic() + 90
        while not (folder / "resume.safetensors").exists() or saves() < 3:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert checkpoint.load(folder).config.vocab_size == 50_000
    loaded = unfinished.load_resume(folder)
    assert loaded is not None
    number = checkpoint.read_config(folder)["about"]["number"]
    assert 0 <= number - loaded[1]["number"] <= 1


def test_a_reader_beside_a_writer_always_finds_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "one"
    old, new = saved(folder, seed=1), new_model(2, TIED)
    rename, seen = Path.rename, []

    def watched(self: Path, target: Path) -> Path:
        seen.append(holds(folder, old))
        moved = rename(self, target)
        seen.append(holds(folder, old) or holds(folder, new))
        return moved

    monkeypatch.setattr(Path, "rename", watched)
    checkpoint.save(folder, new, TOKENIZER, {})
    assert seen == [True] * 4


def test_a_checkpoint_is_not_replaced_unasked(tmp_path: Path) -> None:
    model = saved(tmp_path / "one")
    assert "already" in complaint(checkpoint.check_writable, tmp_path / "one")
    checkpoint.check_writable(tmp_path / "one", overwrite=True)
    assert holds(tmp_path / "one", model)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_never_touched(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    message = complaint(checkpoint.check_writable, tmp_path, overwrite=overwrite)
    assert "is not a checkpoint" in message and "new folder" in message
    complaint(saved, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text", encoding="utf-8")
    for folder in (file, file / "below", file / "far" / "below"):
        assert f"{file} is a file" in complaint(checkpoint.check_writable, folder)
        complaint(saved, folder)
    assert file.read_text(encoding="utf-8") == "text"


def test_a_name_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for name in ("a\0b", "x" * 300):
        complaint(checkpoint.check_writable, tmp_path / name)
        complaint(checkpoint.load, tmp_path / name)


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    checkpoint.check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert "permission denied" in complaint(checkpoint.check_writable, tmp_path / "one")
        assert "permission denied" in complaint(saved, tmp_path / "one")
    finally:
        tmp_path.chmod(0o700)


FAULTS = [
    (errno.EACCES, "permission denied"),
    (errno.EROFS, "read-only file system"),
    (errno.ENOSPC, "no space left on device"),
]


@pytest.mark.parametrize(("code", "words"), FAULTS)
def test_a_folder_without_room_or_permission_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def failing(**_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(checkpoint.tempfile, "TemporaryFile", failing)
    message = complaint(checkpoint.check_writable, tmp_path / "one")
    assert words in message and "one" in message


@pytest.mark.parametrize(("code", "words"), FAULTS)
@pytest.mark.parametrize("broken", ["mkdir", "write_text", "replace", "save_file"])
def test_a_disk_that_fails_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, code: int, words: str
) -> None:
    folder = tmp_path / "one"
    old = saved(folder, seed=1)

    def failing(*_: Any, **__: Any) -> None:
        if broken == "save_file":  # how safetensors says it
            raise files.SafetensorError(f"Error while serializing: I/O error (os error {code})")
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch if broken == "save_file" else Path, broken, failing)
        assert words in complaint(saved, folder, seed=2)
        if broken != "write_text":
            assert words in complaint(unfinished.save_resume, folder, {"x": torch.ones(1)}, {})
    assert holds(folder, old)
    assert unfinished.load_resume(folder) is None
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="file size limits as Linux has")
def test_a_disk_that_fills_up_while_writing_gets_a_sentence(tmp_path: Path) -> None:
    # A real failure in the middle of a real write: no file may grow beyond 64 kB.
    script = (
        "import resource, signal\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from helpers.checkpoints import CONFIG, complaint, saved\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n"
        "print(complaint(saved, Path(sys.argv[1]), config=replace(CONFIG, vocab_size=50_000)))\n"
    )
    folder = tmp_path / "one"
    command = command_of(script, folder)
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot be written: file too large." in done.stdout
    assert list(tmp_path.iterdir()) == []
