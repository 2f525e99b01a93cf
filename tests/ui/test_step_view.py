"""The step that is played slowly, as Fill in the blank shows it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("gradio")

from bert_demo.common.errors import UserError
from bert_demo.inference.models import ModelShelf
from bert_demo.ui.tabs.step_view import next_pair, step_view

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
MODEL = "bundled/bert-crane-world"


def test_a_step_is_a_table_of_guesses_and_one_of_gradients(tmp_path: Path) -> None:
    shelf = ModelShelf(CHECKPOINTS, tmp_path, tmp_path)
    assert step_view(shelf, MODEL, None)["blocks"] == []
    title, words, both, how = step_view(shelf, MODEL, next_pair(None))["blocks"]
    assert title["text"] == "Step 601, slowly, on one of its 256 pairs"
    assert words["text"].count("<sep>") == 2 and "0.006" in how["text"]
    [guesses], [gradients] = both["parts"]
    assert len(guesses["rows"]) == len(guesses["tones"]) > 1
    assert all(len(row) == 3 for row in guesses["rows"])
    assert len(gradients["rows"]) == 6
    assert step_view(shelf, MODEL, 1)["blocks"][1] != words
    assert next_pair(31) == 0


def test_models_without_a_run_get_a_sentence(tmp_path: Path) -> None:
    shelf = ModelShelf(CHECKPOINTS, tmp_path, tmp_path)
    with pytest.raises(UserError, match="this is another model"):
        step_view(shelf, "bundled/bert-small-snli", 0)
    shutil.copytree(CHECKPOINTS / "bert-crane-world", tmp_path / "other")
    config = tmp_path / "other" / "config.json"
    config.write_text(config.read_text().replace('"crane-world"', '"wikitext-2"'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bert_demo.inference.words.at_hand", lambda corpus: False)
        with pytest.raises(UserError, match="not on this computer"):
            step_view(ModelShelf(tmp_path, tmp_path / "no", tmp_path / "no"), "bundled/other", 0)
