"""Shared fixtures: where the real data is, and a cache that no test shares with the user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bert_demo.training import speed
from bert_demo.training.cost import Speed


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests never read or write the user's cache of prepared corpora; those that run side by side
    have one.

    How fast the machine is stands in it, so that no page of a test measures that while others
    test.
    """
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    cache.mkdir(mode=0o700, exist_ok=True)
    os.environ["BERT_DEMO_CACHE"] = str(cache)
    prices = (2e-4, 1e-11, 2e-9, 2e-11, 1e-9, 3e-9, 1e-11, 2e-8)
    speed.keep(Speed("cpu", 16 * 10**9, "fp32", False, prices))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder laid out like the Hub with real WikiText-2 and SNLI; skips where it is missing."""
    value = os.environ.get("BERT_DEMO_DATA")
    if not value:
        pytest.skip("BERT_DEMO_DATA is not set, so there is no real text to test on")
    folder = Path(value)
    if not (folder / "datasets").is_dir():
        pytest.skip(f"BERT_DEMO_DATA ({folder}) has no folder 'datasets'")
    return folder.resolve()


@pytest.fixture(scope="session")
def d2l_checkpoint(real_data: Path) -> Path:
    """Folder with a real checkpoint of the book and the numbers it gives; beside the corpora."""
    folder = real_data.parent / "d2l"
    if not (folder / "bert.small.torch.zip").is_file():
        pytest.skip(f"no bert.small.torch.zip in {folder}")
    return folder
