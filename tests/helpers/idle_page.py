"""A page's context without a page, and what a browser sends to the handlers of its form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bert_demo.ui.context import AppContext
from bert_demo.ui.parts import forms
from bert_demo.ui.serving.settings import AppSettings

TOKEN = {"token": "a browser's token", "admin": ""}
VALUES = forms.defaults("pretraining") | {"budget_kind": "steps", "budget": 5}


@pytest.fixture
def context(tmp_path: Path) -> Iterator[AppContext]:
    """A page's context whose queue never begins to work."""
    made = AppContext(AppSettings(data_dir=tmp_path, checkpoints_dir=tmp_path / "none"))
    made.measuring = False
    yield made
    made.close()
