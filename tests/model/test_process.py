"""What is set while this project computes, and for how long."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bert_demo.model.threads import ShardThreads

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("GOMP_SPINCOUNT", "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "THP_MEM_ALLOC_ENABLE")

# What others' packages do is theirs, so those that are used here come first.
IMPORT_ALL = """
import ctypes, gc, importlib, os, pkgutil, signal, sys, threading
import gradio, huggingface_hub, numpy, plotly.graph_objects, pyarrow.parquet, safetensors.torch
import tokenizers, torch

def state():
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    collector = gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()
    threads = torch.get_num_threads(), threading.active_count()
    return dict(os.environ), collector, threads, handlers, torch.initial_seed()

def no_library(*arguments, **keywords):
    raise AssertionError("an import reaches for the C library, whose allocator it could set")

before = state()
ctypes.CDLL = ctypes.PyDLL = no_library
import bert_demo
names = [module.name for module in pkgutil.walk_packages(bert_demo.__path__, "bert_demo.")]
for name in names:
    if ".gpu_kernels." not in name:  # they need Triton
        importlib.import_module(name)
assert len(names) > 100
assert state() == before
"""


def run(code: str, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if k not in (*NAMES, "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=kept | environment,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_changes_nothing_in_the_process() -> None:
    run(IMPORT_ALL)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "30000 96 1"),
        ({"OMP_WAIT_POLICY": "active"}, "None 96 1"),
        (dict(zip(NAMES, ("7", "8", "0"), strict=True)), "7 8 0"),
    ],
)
def test_a_process_of_our_own_is_made_ready_before_torch(
    given: dict[str, str], expected: str
) -> None:
    code = f"""
import os, sys
import bert_demo.__main__, bert_demo.runs.peers, bert_demo.runs.worker, bert_demo.training.speed
from bert_demo.model.process import prepare_process
prepare_process()
assert "torch" not in sys.modules
print(*(os.environ.get(name) for name in {NAMES}))
"""
    assert run(code, **given).strip() == expected


@pytest.mark.parametrize("frozen", [False, True])
def test_what_is_set_for_a_computation_is_put_back(frozen: bool) -> None:
    if frozen:
        gc.freeze()
    before = torch.get_num_threads(), dict(os.environ)
    try:
        with ShardThreads(torch.device("cpu"), 1000) as threads:
            assert gc.get_freeze_count() > 1000  # Python 3.12 begins with some hundred
            parts = threads.map(lambda part: (part, torch.get_num_threads()))
        assert [part for part, _ in parts] == list(range(threads.count))
        assert sum(cores for _, cores in parts) <= before[0]
        assert (torch.get_num_threads(), dict(os.environ)) == before
        assert (gc.get_freeze_count() > 1000) == frozen
    finally:
        gc.unfreeze()
