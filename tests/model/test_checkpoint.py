"""What is saved comes back: weights in 32, 16 and 8 bits, settings, the state of a run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.checkpoints import BATCH, CONFIG, TIED, TOKENIZER, complaint, holds, new_model, saved
from safetensors.torch import load_file

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS, BertConfig
from bert_demo.model import checkpoint, unfinished
from bert_demo.model.beginning import Statistics
from bert_demo.model.rounding import round_rows, unround_rows
from bert_demo.model.stored_weights import Storage, storage_of


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
