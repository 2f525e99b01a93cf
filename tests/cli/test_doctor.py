"""The doctor tells the truth, in words and as JSON, and nothing makes it fall over."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.version import Version

from bert_demo.cli import doctor
from bert_demo.model import device as hardware
from bert_demo.model import fast_paths
from bert_demo.model.compiled import library
from bert_demo.training import proof


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    library.load()  # in the session's cache, so that this one is empty
    folder = tmp_path / "cache"
    monkeypatch.setenv("BERT_DEMO_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("BERT_DEMO_DATA", raising=False)
    return folder


def text_of(report: dict[str, Any]) -> str:
    return "\n".join(doctor.lines(report))


def test_report_is_json_and_matches_this_computer(cache: Path, tmp_path: Path) -> None:
    report = doctor.report(tmp_path / "none")
    assert json.loads(json.dumps(report)) == report
    # A package of PyPI does not say which CUDA it was built for, as "+cu130" does.
    assert Version(report["packages"]["torch"]).public == Version(torch.__version__).public
    assert report["threads"] == torch.get_num_threads()
    assert report["blocks"] == (library.load() or "compiled")
    assert [d["device"] for d in report["devices"]] == [str(d) for d in hardware.devices()]
    assert [d["auto"] for d in report["devices"]].count(True) == 1
    assert report["devices"][-1]["fast_bf16"] is hardware.fast_bf16(torch.device("cpu"))
    assert report["corpora"]["snli"] == "the Hub (not here yet)"
    text = text_of(report)
    assert "SNLI         from the Hub (not here yet)" in text
    assert "Crane World  built in" in text
    assert "none in ./checkpoints yet" in text
    assert "Problem" not in text


def test_blocks_are_told_of(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "load", lambda: None)
    assert "Blocks       compiled for this processor" in text_of(doctor.report(tmp_path))
    monkeypatch.setattr(library, "load", lambda: "there is no C++ compiler")
    assert "a quarter slower: there is no C++ compiler" in text_of(doctor.report(tmp_path))


def test_gpus_that_train_together_are_told_of(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cards, told in (([0], False), ([0, 2], True)):
        monkeypatch.setattr(hardware, "cards", lambda cards=cards: cards)
        text = text_of(doctor.report(tmp_path))
        assert ("the page trains on cuda:0, cuda:2; torchrun does" in text) == told
        assert ("Together" in text) == told


def test_cache_is_measured(cache: Path, tmp_path: Path) -> None:
    assert doctor.report(tmp_path)["cache"] == {"folder": str(cache), "bytes": 0, "writable": True}
    (cache / "prepared").mkdir(parents=True)
    (cache / "prepared" / "ids.npy").write_bytes(bytes(1_234_567))
    assert doctor.report(tmp_path)["cache"]["bytes"] == 1_234_567
    assert f"{cache}, 1 MB" in text_of(doctor.report(tmp_path))


def test_cache_that_cannot_be_written(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be written: set BERT_DEMO_CACHE" in text_of(doctor.report(tmp_path))


def test_checkpoints_good_and_bad(cache: Path, tmp_path: Path) -> None:
    model = {"num_hidden_layers": 2, "hidden_size": 128, "vocab_size": 20256}
    contents = {
        "mine": json.dumps({"task": "pretraining", "model": model}),
        "broken": '{"task": ',
        "foreign": json.dumps({"model_type": "bert"}),
        "list": "[]",
    }
    for name, content in contents.items():
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / name / "config.json").write_text(content)
    (tmp_path / "checkpoints" / "empty").mkdir()
    report = doctor.report(tmp_path / "checkpoints")
    assert [bool(found["error"]) for found in report["checkpoints"]] == [True, True, True, False]
    assert "mine: pretraining, 2 layers of 128, 20256 words" in text_of(report)


def test_torch_that_is_missing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    report = doctor.report(tmp_path)
    assert report["devices"] == []
    assert "torch does not work here: " in text_of(report)


def test_gpu_that_cannot_be_used(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(device: torch.device) -> tuple[int, int]:
        if device.type == "cuda":
            raise RuntimeError("CUDA error: all devices are busy\nmore lines")
        return 1, 2

    here = [torch.device("cuda:0"), torch.device("cpu")]
    monkeypatch.setattr(hardware, "devices", lambda: here)
    monkeypatch.setattr(hardware, "memory_bytes", busy)
    report = doctor.report(tmp_path)
    assert report["devices"][0]["error"] == "CUDA error: all devices are busy"
    assert "cannot be used: CUDA error: all devices are busy" in text_of(report)


def test_what_a_gpu_proved_is_told_of(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = torch.device("cuda:0")
    monkeypatch.setattr(hardware, "devices", lambda: [cuda, torch.device("cpu")])
    monkeypatch.setattr(hardware, "memory_bytes", lambda device: (1, 2))
    monkeypatch.setattr(hardware, "device_name", lambda device: "NVIDIA T4")
    monkeypatch.setattr(hardware, "fast_bf16", lambda device: False)

    def prove(device: torch.device) -> dict[str, float]:
        fast_paths.switch_off(fast_paths.FLASH, device, "no kernel image is available")
        return {fast_paths.DEVICE: 2e-7, fast_paths.BF16: 0.05}

    monkeypatch.setattr(proof, "prove", prove)
    try:
        report = doctor.report(tmp_path)
    finally:
        proof.forget()
    assert json.loads(json.dumps(report)) == report
    assert report["switched_off"] == {"flash": "no kernel image is available"}
    text = text_of(report)
    assert "with the largest difference: the GPU itself 2e-07, bf16 5e-02" in text
    assert "Switched off here: FlashAttention (no kernel image is available)." in text
    assert "Switched off" not in text_of(report | {"switched_off": {}})


def test_size_words() -> None:
    sizes = (0, 999, 1000, 25_276_514_304)
    assert [doctor._size(n) for n in sizes] == ["0 bytes", "999 bytes", "1 kB", "25.3 GB"]
