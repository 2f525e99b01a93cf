"""What an earlier state of the project wrote still opens, goes on, and answers as it did then.

tests/kept holds tiny models (hidden size 4), runs of the page and an entry of the cache, written
before the package had its rooms; expected.json what that state's own code made of them, in fp32 on
a CPU.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bert_demo
from bert_demo.data.cache import Entry, cached
from bert_demo.model.device import fast_bf16
from bert_demo.runs.actions import request
from bert_demo.runs.store import RunStore
from bert_demo.runs.worker import work

KEPT = Path(__file__).parent / "kept"
EXPECTED: dict[str, Any] = json.loads((KEPT / "expected.json").read_text(encoding="utf-8"))
OWNER = "the owner's token"
_ROUNDING = 1e-4 if fast_bf16(torch.device("cpu")) else 0.02
MODELS = ("pretrained-pieces", "judge", *(f"runs/20260101-{name}" for name in ("aaaa", "bbbb")))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_answers_as_it_did(name: str) -> None:
    folder = KEPT / name / ("model" if name.startswith("runs/") else "")
    model, tokenizer, _ = bert_demo.load(folder)
    answers = EXPECTED[name]["answers"]
    found = bert_demo.encode(model, tokenizer, *EXPECTED["text"])
    assert list(found.tokens) == answers["tokens"]
    assert np.allclose(found.vectors.numpy(), answers["vectors"], atol=1e-4)
    if "classify" in answers:
        verdict = bert_demo.classify(model, tokenizer, "a man sleeps", "a man is awake")
        assert dict(verdict.probabilities) == pytest.approx(answers["classify"], abs=1e-4)


@pytest.mark.parametrize("name", ["20260101-bbbb", "20260101-cccc"])
def test_a_run_that_was_cut_short_goes_on_to_the_same_numbers(name: str, tmp_path: Path) -> None:
    shutil.copytree(KEPT / "runs", tmp_path / "runs")
    store = RunStore(tmp_path / "runs")
    assert store.get(name).status.state == EXPECTED[f"runs/{name}"]["state"]
    request(store, name, "resume", OWNER)
    assert store.claim(name)
    work(store.root, name, lambda: False, lambda _: None)
    done = store.get(name).status
    whole = EXPECTED[f"runs/{name}"]["resumed"]
    assert done.state == "completed", done.message
    # Muon multiplies in fp32 where bf16 is no faster, and rounds less then.
    scores = {name: done.scores[name] for name in whole[-1]["scores"]}  # there are more by now
    assert scores == pytest.approx(whole[-1]["scores"], abs=_ROUNDING)
    events, _ = store.events(name)
    losses = {e["step"]: e["loss"] for e in events if e["event"] == "step"}
    assert losses == pytest.approx(
        {e["step"]: e["loss"] for e in whole if e["event"] == "step"}, abs=_ROUNDING
    )


def test_the_page_lists_the_runs() -> None:
    runs = {run.id: run for run in RunStore(KEPT / "runs").list()}
    assert {name: run.status.state for name, run in runs.items()} == {
        "20260101-aaaa": "completed",
        "20260101-bbbb": "interrupted",
        "20260101-cccc": "paused",
    }
    assert all(run.config is not None for run in runs.values())


def test_the_cache_is_read_and_not_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(KEPT / "cache", tmp_path / "cache")
    monkeypatch.setenv("BERT_DEMO_CACHE", str(tmp_path / "cache"))
    wanted = json.loads((KEPT / "cache.json").read_text(encoding="utf-8"))

    def make_anew() -> Entry:
        raise AssertionError("the entry was not found")

    entry = cached(wanted["name"], wanted["facts"], make_anew)
    assert entry.meta == wanted["meta"]
    for name, array in wanted["arrays"].items():
        assert entry.arrays[name].tolist() == array["values"]
        assert entry.arrays[name].dtype.str == array["dtype"]
