"""Checkpoints: what is saved comes back, and what is wrong gets a sentence."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS, BertConfig
from bert_demo.data import files
from bert_demo.data.packing import pack
from bert_demo.data.tokenizer import Tokenizer
from bert_demo.model import checkpoint, unfinished
from bert_demo.model.beginning import Statistics
from bert_demo.model.bert import BertModel
from bert_demo.model.checkpoint import CheckpointError
from bert_demo.model.rounding import round_rows, unround_rows
from bert_demo.model.stored_weights import Storage, storage_of

WORDS = ["<unk>", "<pad>", "<mask>", "<cls>", "<sep>", "a", "crane", "is", "flying", "."]
CONFIG = BertConfig(
    vocab_size=len(WORDS),
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=8,
)
TIED = replace(CONFIG, tie_word_embeddings=True, embedding_layer_norm=True, hidden_act="gelu")
TOKENIZER = Tokenizer.from_words(WORDS)
BATCH = pack([([3, 5, 6, 4], [0, 0, 0, 0]), ([3, 6, 4], [0, 0, 0])])


def new_model(seed: int = 0, config: BertConfig = CONFIG, task: str = "pretraining") -> BertModel:
    torch.manual_seed(seed)
    return BertModel(config, task).eval()


def saved(folder: Path, seed: int = 0, **kwargs: Any) -> BertModel:
    model = new_model(seed, **kwargs)
    checkpoint.save(folder, model, TOKENIZER, {"seed": seed})
    return model


def holds(folder: Path, model: BertModel) -> bool:
    """Whether loading gives exactly this model."""
    found = checkpoint.load(folder).model.state_dict()
    wanted = model.state_dict()
    return found.keys() == wanted.keys() and all(torch.equal(found[k], wanted[k]) for k in wanted)


def complaint(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The one sentence that `function` answers with."""
    with pytest.raises(CheckpointError) as caught:
        function(*args, **kwargs)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


@pytest.mark.parametrize("config", [CONFIG, TIED], ids=["book", "tied"])
@pytest.mark.parametrize("task", ["pretraining", "nli"])
def test_what_is_saved_comes_back(tmp_path: Path, config: BertConfig, task: str) -> None:
    model = saved(tmp_path / "new" / "one", config=config, task=task)
    before = torch.get_rng_state()
    loaded, tokenizer, found = checkpoint.load(tmp_path / "new" / "one")
    assert torch.equal(torch.get_rng_state(), before)
    assert found == config and loaded.task == task and not loaded.training
    assert tokenizer.fingerprint == TOKENIZER.fingerprint
    with torch.no_grad():
        assert torch.equal(loaded(BATCH), model(BATCH))
    if task == "pretraining":
        same = loaded.mlm.decoder_weight is loaded.embeddings.word_embeddings.weight
        assert same == config.tie_word_embeddings
    loaded.train()
    loaded(BATCH).sum().backward()  # its weights can be trained


def test_loading_imports_nothing_heavy(tmp_path: Path) -> None:
    saved(tmp_path)
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from bert_demo.model import bert, checkpoint\n"
        "before = set(sys.modules)\n"
        "checkpoint.load(sys.argv[1])\n"
        "print(len(set(sys.modules) - before))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parents[2])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert int(done.stdout) < 100  # PyTorch's compiler would be 800, and seconds


def test_the_folder_can_be_read_by_people(tmp_path: Path) -> None:
    saved(tmp_path / "one", seed=3, task="nli")
    files = {path.name for path in (tmp_path / "one").iterdir()}
    assert files == {"config.json", "tokenizer.json", "model.safetensors"}
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    config = json.loads((tmp_path / "one" / "config.json").read_text(encoding="utf-8"))
    assert config == checkpoint.read_config(tmp_path / "one")
    assert config["labels"] == list(LABELS) and config["about"] == {"seed": 3}
    assert config["model"]["hidden_size"] == 8 and config["task"] == "nli"
    if os.name == "posix":
        modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "one").iterdir()}
        assert len(modes) == 1  # none is hidden from others who may read the rest


def test_a_tied_matrix_is_stored_once(tmp_path: Path) -> None:
    saved(tmp_path / "one", config=TIED)
    names = load_file(tmp_path / "one" / "model.safetensors").keys()
    assert "mlm.decoder_weight" not in names
    assert "embeddings.word_embeddings.weight" in names


@pytest.mark.parametrize(("storage", "share"), [("fp16", 0.55), ("int8", 0.36)])
def test_fewer_bits_take_less_room_and_load_as_fp32(
    tmp_path: Path, storage: Storage, share: float
) -> None:
    """A row of eight weights and its scale take 10 bytes of 32; what is no matrix, half."""
    model = new_model(config=replace(CONFIG, vocab_size=2000))
    size = model.config.hidden_size
    vectors = np.arange(2000 * size, dtype=np.int64).astype(np.int8).reshape(2000, size)
    known = Statistics(np.arange(2000), vectors)
    checkpoint.save(tmp_path / "full", model, TOKENIZER, {}, statistics=known)
    checkpoint.save(tmp_path / "less", model, TOKENIZER, {}, storage=storage, statistics=known)
    full, less = (tmp_path / name / "model.safetensors" for name in ("full", "less"))
    room = known.counts.size * 4 + vectors.size  # the statistics are whole in both
    assert less.stat().st_size - room < share * (full.stat().st_size - room)
    assert (storage_of(full), storage_of(less)) == ("fp32", storage)
    found = checkpoint.statistics(tmp_path / "less")
    assert found is not None and np.array_equal(found.counts, known.counts)
    assert found.vectors is not None and np.array_equal(found.vectors, vectors)
    loaded = checkpoint.load(tmp_path / "less").model
    for mine, original in zip(loaded.parameters(), model.parameters(), strict=True):
        assert mine.dtype == torch.float32 and mine.requires_grad
        rounded = original.half().float()
        if storage == "int8" and original.ndim == 2:
            rounded = unround_rows(*round_rows(original.detach()))
        assert torch.equal(mine, rounded)


@pytest.mark.parametrize("config", [CONFIG, TIED], ids=["book", "tied"])
@pytest.mark.parametrize("task", ["pretraining", "nli", "encoder"])
def test_eight_bits_change_a_model_once(tmp_path: Path, config: BertConfig, task: str) -> None:
    model = new_model(config=config, task=task)
    stored = []
    for name in ("one", "two"):
        checkpoint.save(tmp_path / name, model, TOKENIZER, {}, storage="int8")
        model = checkpoint.load(tmp_path / name).model
        stored.append(load_file(tmp_path / name / "model.safetensors"))
    assert stored[0].keys() == stored[1].keys()
    for name, value in stored[0].items():
        assert value.dtype == stored[1][name].dtype and torch.equal(value, stored[1][name]), name
    whole = stored[0]["embeddings.word_embeddings.weight"].float()
    scales = stored[0]["embeddings.word_embeddings.weight.scale"].float()
    assert torch.equal(model.embeddings.word_embeddings.weight, whole * scales[:, None])
    if task == "pretraining":
        same = model.mlm.decoder_weight is model.embeddings.word_embeddings.weight
        assert same == config.tie_word_embeddings


def test_an_unknown_storage_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="storage is 'int4'; it must be one of: fp32, fp16, int8"):
        checkpoint.save(tmp_path / "new", new_model(), TOKENIZER, {}, storage="int4")  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_a_later_save_updates_and_keeps_what_it_does_not_own(tmp_path: Path) -> None:
    saved(tmp_path / "one", seed=0)
    (tmp_path / "one" / "metrics.jsonl").write_text("{}\n", encoding="utf-8")
    other = saved(tmp_path / "one", seed=1)
    assert holds(tmp_path / "one", other)
    assert checkpoint.read_config(tmp_path / "one")["about"] == {"seed": 1}
    assert (tmp_path / "one" / "metrics.jsonl").exists()


def test_another_models_checkpoint_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    saved(folder)
    unfinished.save_resume(folder, {"x": torch.ones(2)}, {"step": 1})
    (folder / "metrics.jsonl").write_text("{}\n", encoding="utf-8")
    other = saved(folder, config=TIED)
    assert holds(folder, other)
    assert not (folder / "metrics.jsonl").exists()
    assert unfinished.load_resume(folder) is None
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    checkpoint.check_writable(tmp_path)
    assert holds(tmp_path, saved(tmp_path))


# An unfinished run's state.


def test_the_state_of_a_run_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    model = saved(folder, config=TIED)
    assert unfinished.load_resume(folder) is None
    flat = torch.arange(10.0)
    tensors = {
        **model.state_dict(),  # two names for the tied matrix
        "moment": flat[2:6],
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "low": torch.ones(3, dtype=torch.bfloat16),
        "nothing": torch.empty(0),
        "count": torch.tensor(7),
    }
    unfinished.save_resume(folder, tensors, {"step": 3, "seconds": 0.1, "place": [1, None]})
    loaded = unfinished.load_resume(folder)
    assert loaded is not None
    found, state = loaded
    assert state == {"step": 3, "seconds": 0.1, "place": [1, None]}
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert torch.equal(found[name], value) and found[name].dtype == value.dtype
    words = "embeddings.word_embeddings.weight"
    assert found["mlm.decoder_weight"].data_ptr() == found[words].data_ptr()
    stored = load_file(folder / "resume.safetensors")
    assert "mlm.decoder_weight" not in stored
    unfinished.remove_resume(folder)
    unfinished.remove_resume(folder)
    assert unfinished.load_resume(folder) is None


def test_a_wrong_state_of_a_run_is_noticed(tmp_path: Path) -> None:
    saved(tmp_path / "one")
    saved(tmp_path / "other", config=TIED)
    unfinished.save_resume(tmp_path / "one", {"x": torch.ones(999)}, {"step": 1})
    resume = tmp_path / "one" / "resume.safetensors"
    shutil.copy(resume, tmp_path / "other")
    assert "another checkpoint" in complaint(unfinished.load_resume, tmp_path / "other")
    resume.write_bytes(resume.read_bytes()[:-5])
    assert "damaged" in complaint(unfinished.load_resume, tmp_path / "one")
    message = complaint(unfinished.save_resume, tmp_path / "nowhere", {}, {})
    assert "no folder" in message


# Interrupted saves.


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
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from test_checkpoint import *\n"
        "model = new_model(config=replace(CONFIG, vocab_size=50_000))\n"
        "folder = Path(sys.argv[1])\n"
        "for number in range(10**6):\n"
        "    checkpoint.save(folder, model, TOKENIZER, {'number': number})\n"
        "    unfinished.save_resume(folder, dict(model.named_parameters()), {'number': number})\n"
    )
    folder, here = tmp_path / "one", Path(__file__).parent
    command = [sys.executable, "-c", script, str(folder), str(here), str(here.parents[1])]
    process = subprocess.Popen(command)

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


# Folders that cannot be written.


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
        "import resource, signal, sys; sys.path[:0] = sys.argv[2:]\n"
        "from test_checkpoint import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n"
        "print(complaint(saved, Path(sys.argv[1]), config=replace(CONFIG, vocab_size=50_000)))\n"
    )
    folder, here = tmp_path / "one", Path(__file__).parent
    command = [sys.executable, "-c", script, str(folder), str(here), str(here.parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot be written: file too large." in done.stdout
    assert list(tmp_path.iterdir()) == []


# Folders that cannot be read.


def test_a_folder_that_is_no_checkpoint_gets_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    for path, words in [
        (tmp_path / "none", "no folder"),
        (file, "is a file"),
        (tmp_path / "empty", "not a checkpoint"),
    ]:
        for read in (checkpoint.load, checkpoint.read_config):
            assert words in complaint(read, path)
            assert words in complaint(read, str(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"<!doctype html>", "not valid JSON"),
        (b"[]", "not one of bert_demo's"),
        (b'{"model_type": "bert", "hidden_size": 768}', "not one of bert_demo's"),
        (b'{"format": "bert_demo 9"}', "another version"),
        (b'{"format": "bert_demo 1"}', "damaged"),
    ],
)
def test_a_configuration_that_is_not_ours_gets_a_sentence(
    tmp_path: Path, content: bytes, words: str
) -> None:
    saved(tmp_path)
    (tmp_path / "config.json").write_bytes(content)
    for read in (checkpoint.load, checkpoint.read_config):
        assert words in complaint(read, tmp_path)
    # What cannot be read is not replaced either: it may be somebody's.
    complaint(checkpoint.check_writable, tmp_path, overwrite=True)


def edited(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["model"].update(num_attention_heads=4),  # same shapes
        lambda config: config["model"].update(hidden_size=7),
        lambda config: config["model"].update(hidden_size="wide"),
        lambda config: config["model"].update(colour="red"),
        lambda config: config["model"].pop("vocab_size"),
        lambda config: config.update(task="nli"),
        lambda config: config.update(task="poetry"),
        lambda config: config.update(model=3),
        lambda config: config.update(labels=["neutral"]),
        lambda config: config.pop("about"),
        lambda config: config.update(tokenizer_sha256="0" * 64),
    ],
)
def test_a_configuration_that_was_changed_is_noticed(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    saved(tmp_path)
    edited(tmp_path, change)
    complaint(checkpoint.load, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    saved(tmp_path)
    (tmp_path / name).unlink()
    assert f"no {name}" in complaint(checkpoint.load, tmp_path)
    (tmp_path / name).mkdir()
    assert f"no {name}" in complaint(checkpoint.load, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_noticed(tmp_path: Path, name: str, share: float) -> None:
    saved(tmp_path)
    whole = (tmp_path / name).read_bytes()
    # JSON may end with a line break that nobody misses.
    (tmp_path / name).write_bytes(whole[: int(share * (len(whole) - 1))])
    assert name in complaint(checkpoint.load, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_of_another_checkpoint_is_noticed(tmp_path: Path, name: str) -> None:
    saved(tmp_path / "one")
    words = Tokenizer.from_words([*WORDS[:-1], "!"])
    checkpoint.save(tmp_path / "other", new_model(1), words, {})
    shutil.copy(tmp_path / "other" / name, tmp_path / "one" / name)
    message = complaint(checkpoint.load, tmp_path / "one")
    assert "another" in message


def weights_with(change: Callable[[dict[str, Tensor]], Any], folder: Path) -> None:
    """Weights that claim to belong here, changed inside."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    digest = checkpoint._digest(checkpoint.read_config(folder))
    save_file(tensors, path, {"config_sha256": digest})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("pooler.bias"), "misses tensor 'pooler.bias'"),
        (lambda t: t.update(extra=torch.ones(1)), "unknown tensor 'extra'"),
        (lambda t: t.update({"pooler.bias": torch.ones(9)}), "(9,)"),
        (lambda t: t.update({"pooler.bias": torch.ones(8, dtype=torch.int64)}), "int64"),
    ],
)
def test_wrong_tensors_are_named(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], Any], words: str
) -> None:
    saved(tmp_path)
    weights_with(change, tmp_path)
    assert words in complaint(checkpoint.load, tmp_path)


MATRIX, SCALE = "pooler.weight", "pooler.weight.scale"
VECTOR = "pooler.bias"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop(SCALE), f"misses tensor '{SCALE}'"),
        (lambda t: t.pop(MATRIX), f"tensor '{MATRIX}"),
        (lambda t: t.update({MATRIX: torch.ones(8, 8)}), f"unknown tensor '{SCALE}'"),
        (lambda t: t.update({MATRIX: torch.ones(8, 9).char()}), "(8, 9) torch.int8"),
        (lambda t: t.update({MATRIX: torch.ones(8).char()}), "(8,) torch.int8"),
        (lambda t: t.update({MATRIX: torch.ones(8, 8).byte()}), f"'{SCALE}'"),
        (lambda t: t.update({SCALE: torch.ones(9)}), f"'{SCALE}' as (9,)"),
        (lambda t: t.update({SCALE: torch.ones(8, 1)}), f"'{SCALE}' as (8, 1)"),
        (lambda t: t.update({SCALE: torch.tensor(1.0)}), f"'{SCALE}' as ()"),
        (lambda t: t.update({SCALE: torch.ones(8).char()}), f"'{SCALE}' as (8,) torch.int8"),
        (lambda t: t[SCALE].__setitem__(3, float("nan")), f"'{MATRIX}' that are infinite or none"),
        (lambda t: t[SCALE].__setitem__(3, float("inf")), f"'{MATRIX}' that are infinite or none"),
        (lambda t: t[SCALE].fill_(3e38), f"'{MATRIX}' that are infinite or none"),
        (lambda t: t.update({VECTOR: torch.ones(8).char()}), f"'{VECTOR}' as (8,) torch.int8"),
        (
            lambda t: t.update({f"{VECTOR}.scale": torch.ones(8)}),
            f"unknown tensor '{VECTOR}.scale'",
        ),
        (lambda t: t.update({f"{SCALE}.scale": torch.ones(8)}), f"unknown tensor '{SCALE}.scale'"),
        (lambda t: t.update({"extra": torch.ones(2, 2).char()}), "unknown tensor 'extra'"),
    ],
)
def test_wrong_tensors_in_eight_bits_are_named(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], Any], words: str
) -> None:
    checkpoint.save(tmp_path, new_model(), TOKENIZER, {}, storage="int8")
    weights_with(change, tmp_path)
    assert words in complaint(checkpoint.load, tmp_path)


def test_weights_without_our_mark_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file(load_file(path), path)
    assert "does not belong" in complaint(checkpoint.load, tmp_path)
    torch.save({"a": torch.ones(2)}, path)  # a pickle is not even opened
    assert "damaged" in complaint(checkpoint.load, tmp_path)


def test_a_vocabulary_larger_than_the_model_is_refused(tmp_path: Path) -> None:
    model = new_model(config=replace(CONFIG, vocab_size=8))
    checkpoint.save(tmp_path, model, TOKENIZER, {})
    assert "10 tokens" in complaint(checkpoint.load, tmp_path)
