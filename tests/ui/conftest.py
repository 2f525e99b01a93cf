"""Small models on a shelf, as the page has them."""

from __future__ import annotations

import pytest
from helpers.small_shelf import make

from bert_demo.inference.models import ModelShelf


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ModelShelf:
    root = tmp_path_factory.mktemp("shelf")
    run = {"run": {"corpus": "crane-world"}, "step": 7}
    make(root / "checkpoints/crane", 2, "pretraining", **run)
    make(root / "checkpoints/deep", 3, "pretraining")
    test = {"test": {"accuracy": 0.8125, "n": 2000}}
    make(root / "checkpoints/nli", 2, "nli", **run, scores=test)
    make(root / "runs/mine/model", 1, "pretraining")
    return ModelShelf(root / "checkpoints", root / "runs")
