"""Another title and a note for a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig
from bert_demo.runs.actions import rename
from bert_demo.runs.owners import NotAllowed
from bert_demo.runs.store import RunStore


def test_an_owner_renames_a_run_and_nobody_else(tmp_path: Path) -> None:
    store = RunStore(tmp_path, admin_token="teacher!")
    run = store.create(RunConfig(), "anna", "first")
    found = rename(store, run.id, "anna", " second\n<b>run</b> ", "with \x07 pre-norm")
    assert (found.title, found.note) == ("second <b>run</b>", "with pre-norm")
    assert found.owner == run.owner and found.config == run.config and found.status == run.status
    assert [one.note for one in store.list()] == ["with pre-norm"]
    for token in ("bert", "", None):
        with pytest.raises(NotAllowed, match="can rename it"):
            rename(store, run.id, token, "mine now", "")
    kept = rename(store, run.id, "teacher!", "", "")
    assert (kept.title, kept.note) == ("second <b>run</b>", "")
    with pytest.raises(UserError, match="no run"):
        rename(store, "20200101-none", "anna", "x", "")
