"""Prepared corpora and their cache: right, shared, and rebuilt when anything is wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bert_demo.common.errors import UserError
from bert_demo.data import cache
from bert_demo.data.locate import CorpusUnavailable
from bert_demo.data.prepare import prepare_nli, prepare_text
from bert_demo.data.tokenizer import Tokenizer

TEXT = [
    " The crane flew over the river . The crane landed . It ate . \n",
    " A crane lifts the <unk> . The driver waits . \n",
    " = Heading = \n",
] * 6
WIKITEXT = "datasets/Salesforce/wikitext/wikitext-2-v1"
SNLI = "datasets/stanfordnlp/snli/plain_text"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small mirror of the Hub, and an empty cache in tmp_path/cache."""
    folder = tmp_path / "hub"
    for split in ("train", "validation", "test"):
        name = f"{split}-00000-of-00001.parquet"
        (folder / WIKITEXT).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": TEXT}), folder / WIKITEXT / name)
        (folder / SNLI).mkdir(parents=True, exist_ok=True)
        pairs = {
            "premise": ["The crane's flying.", "A driver waits.", "The river"],
            "hypothesis": ["It flew.", "The driver isn't here.", "x"],
            "label": [0, 2, -1],
        }
        pq.write_table(pa.table(pairs), folder / SNLI / name)
    monkeypatch.setenv("BERT_DEMO_DATA", str(folder))
    monkeypatch.setenv("BERT_DEMO_CACHE", str(tmp_path / "cache"))
    return folder


def _entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "prepared").iterdir())


def _forbid_building(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("built again")

    monkeypatch.setattr(Tokenizer, "encode_batch", fail)


def test_text_round_trip(mirror: Path) -> None:
    text, tokenizer, report = prepare_text("wikitext-2", min_frequency=1)
    offsets = text.sentence_offsets
    sentences = [" ".join(tokenizer.tokens(text.token_ids[a:b])) for a, b in pairwise(offsets)]
    assert sentences[:3] == ["the crane flew over the river", "the crane landed", "it ate ."]
    assert sentences[3] == "a crane lifts the <unk>"
    assert text.paragraph_offsets.tolist()[:3] == [0, 3, 5]
    assert len(text) == 6 * (2 + 1) == report.counts["pairs"]
    assert text.token_ids.dtype == np.uint16
    assert report.counts["unknown_tokens"] == 6
    assert report.origin == "local mirror"
    assert report.sentence().startswith("WikiText-2, train (local mirror): 12 paragraphs, 30 sent")


def test_nli_round_trip(mirror: Path) -> None:
    _, tokenizer, _ = prepare_text("wikitext-2", min_frequency=1)
    nli, report = prepare_nli("snli", "validation", tokenizer)
    assert len(nli) == 2 and nli.left_out == 1 == report.counts["left_out"]
    assert nli.labels.tolist() == [0, 2] and nli.labels.dtype == np.int8
    first = nli.hypothesis_ids[nli.hypothesis_offsets[0] : nli.hypothesis_offsets[1]]
    assert first.tolist() == tokenizer.encode("It flew.")
    last = nli.premise_ids[nli.premise_offsets[1] : nli.premise_offsets[2]]
    assert last.tolist() == tokenizer.encode("A driver waits.")
    assert report.sentence().startswith("SNLI, validation (local mirror): 2 pairs, 1 left out")


def test_the_second_time_comes_from_the_cache(
    mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, tokenizer, report = prepare_text("wikitext-2")
    nli, nli_report = prepare_nli("snli", "train", tokenizer)
    _forbid_building(monkeypatch)
    again, same, report_again = prepare_text("wikitext-2")
    assert isinstance(again.token_ids, np.memmap)
    assert np.array_equal(again.token_ids, text.token_ids)
    assert (same.fingerprint, report_again) == (tokenizer.fingerprint, report)
    nli_again, nli_report_again = prepare_nli("snli", "train", same)
    assert np.array_equal(nli_again.premise_ids, nli.premise_ids)
    assert nli_report_again == nli_report


def test_another_setting_file_or_vocabulary_is_another_entry(mirror: Path, tmp_path: Path) -> None:
    _, tokenizer, _ = prepare_text("wikitext-2")
    _, wordpiece, _ = prepare_text("wikitext-2", vocabulary="wordpiece", vocab_size=120)
    prepare_text("wikitext-2", min_frequency=2)
    assert wordpiece.kind == "wordpiece"
    prepare_nli("snli", "test", tokenizer)
    prepare_nli("snli", "test", wordpiece)
    assert len(_entries(tmp_path)) == 5
    path = mirror / WIKITEXT / "train-00000-of-00001.parquet"
    pq.write_table(pa.table({"text": TEXT[:2]}), path)
    changed, _, _ = prepare_text("wikitext-2")
    assert len(changed) == 3
    assert len(_entries(tmp_path)) == 6


def test_validation_uses_the_vocabulary_of_train(mirror: Path) -> None:
    _, trained, _ = prepare_text("wikitext-2")
    _, tokenizer, report = prepare_text("wikitext-2", "validation")
    assert tokenizer.fingerprint == trained.fingerprint
    assert report.split == "validation"


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "meta", "html"])
def test_a_damaged_entry_is_built_again(
    damage: str, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, _, _ = prepare_text("wikitext-2")
    expected = np.array(text.token_ids)
    del text
    (folder,) = _entries(tmp_path)
    ids, meta = folder / "token_ids.npy", folder / "meta.json"
    contents = ids.read_bytes()
    if damage == "truncate":
        ids.write_bytes(contents[:-7])
    elif damage == "flip":
        ids.write_bytes(contents[:-3] + bytes([contents[-3] ^ 1]) + contents[-2:])
    elif damage == "remove":
        ids.unlink()
    elif damage == "meta":
        meta.write_text(meta.read_text(encoding="utf-8")[:40], encoding="utf-8")
    else:
        ids.write_text("<html>", encoding="utf-8")
    again, _, _ = prepare_text("wikitext-2")
    assert np.array_equal(again.token_ids, expected)
    assert _entries(tmp_path) == [folder]
    _forbid_building(monkeypatch)
    prepare_text("wikitext-2")


def test_a_cache_that_cannot_be_written_is_no_error(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv("BERT_DEMO_CACHE", str(blocked))
    text, tokenizer, _ = prepare_text("wikitext-2")
    assert len(text) == 18
    assert len(prepare_nli("snli", "train", tokenizer)[0]) == 2


def test_a_full_disk_is_no_error_and_leaves_nothing(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert len(prepare_text("wikitext-2")[0]) == 18
    assert _entries(tmp_path) == []


def test_the_loser_of_a_race_takes_the_winners_entry(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = ["a"]
    winner = cache.Entry({"x": np.arange(3)}, {"by": "winner"})
    loser = cache.Entry({"x": np.arange(3)}, {"by": "loser"})

    def build() -> cache.Entry:
        cache.cached("race", facts, lambda: winner)
        return loser

    assert cache.cached("race", facts, build).meta == {"by": "winner"}
    assert len(_entries(tmp_path)) == 1


def test_many_processes_may_build_at_once(mirror: Path, tmp_path: Path) -> None:
    code = (
        "from bert_demo.data.prepare import prepare_text\n"
        "text, tokenizer, _ = prepare_text('wikitext-2')\n"
        "print(len(text), tokenizer.fingerprint)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(set(answers)) == 1 and answers[0].startswith("18 ")
    assert len(_entries(tmp_path)) == 1


def test_what_a_killed_process_left_is_removed(mirror: Path, tmp_path: Path) -> None:
    old, new = (
        tmp_path / "cache/prepared" / name for name in (".bert_demo-part-a", ".bert_demo-part-b")
    )
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "token_ids.npy").write_bytes(b"half")
    hours_ago = time.time() - 3 * 3600
    os.utime(old, (hours_ago, hours_ago))
    prepare_text("wikitext-2")
    assert not old.exists() and new.exists()


def test_empty_arrays_are_cached_too(mirror: Path) -> None:
    entry = cache.Entry({"x": np.zeros(0, np.uint16)}, {})
    for _ in range(2):
        assert cache.cached("empty", [], lambda: entry).arrays["x"].shape == (0,)


def test_a_corpus_that_is_nowhere_says_what_to_do(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERT_DEMO_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with pytest.raises(CorpusUnavailable, match="crane-world"):
        prepare_text("wikitext-2")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"corpus": "wikitext-9"}, "corpus is 'wikitext-9'"),
        ({"corpus": "wikitext-2", "split": "dev"}, "split is 'dev'"),
        ({"corpus": "wikitext-2", "vocabulary": "bpe"}, "vocabulary is 'bpe'"),
        ({"corpus": "wikitext-2", "min_frequency": 0}, "min_frequency is 0"),
        ({"corpus": "wikitext-2", "vocabulary": "wordpiece", "vocab_size": 9}, "vocab_size is 9"),
    ],
)
def test_wrong_names_and_numbers_get_a_sentence(
    arguments: dict[str, Any], sentence: str, mirror: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        prepare_text(**arguments)


def test_crane_world_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BERT_DEMO_DATA", raising=False)
    monkeypatch.setenv("BERT_DEMO_CACHE", str(tmp_path))
    text, tokenizer, report = prepare_text("crane-world", "validation")
    assert report.origin == "built in" and len(text) > 100
    nli, nli_report = prepare_nli("crane-world", "validation", tokenizer)
    assert len(nli) > 100 and set(nli.labels.tolist()) == {0, 1, 2}
    # What pretraining has seen is what fine-tuning reads: hardly a word is unknown.
    assert nli_report.counts["unknown_tokens"] < 0.01 * nli_report.counts["tokens"]
    assert report.counts["unknown_tokens"] < 0.01 * report.counts["tokens"]


def test_the_real_corpora_have_the_books_sizes(real_data: Path) -> None:
    text, tokenizer, report = prepare_text("wikitext-2")
    assert tokenizer.vocab_size == 20_256
    assert (report.counts["sentences"], len(text)) == (74_631, 59_135)
    assert len(text.token_ids) == 1_926_788
    nli, _ = prepare_nli("snli", "test", tokenizer)
    assert (len(nli), nli.left_out) == (9_824, 176)
