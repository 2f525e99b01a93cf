"""People's own pairs: in every form of a table, split as given or made, no premise in two parts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS, RunConfig, TrainingConfig
from bert_demo.data import own
from bert_demo.data.own_pairs import pairs_report, take_pairs
from bert_demo.data.prepare import prepare_nli
from bert_demo.data.snli import read_snli
from bert_demo.data.tables import NoColumn
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.training.loop import train

Row = tuple[str, str, int]


def rows(premises: int = 100, begin: int = 0) -> list[Row]:
    """Three hypotheses about each premise."""
    return [
        (f"A man {n} sleeps, “deeply”.", f"He is {label} number {n}.", label)
        for n in range(begin, begin + premises)
        for label in range(3)
    ]


def parts(name: str) -> dict[str, set[Row]]:
    found = {}
    for split in ("train", "validation", "test"):
        texts = read_snli(own.file_of(name, split))
        columns = texts.premises.to_pylist(), texts.hypotheses.to_pylist(), texts.labels.tolist()
        found[split] = {*zip(*columns, strict=True)}
    return found


def parquet(path: Path, pairs: list[Row], *more: Row) -> None:
    columns = zip(*[*pairs, *more], strict=True)
    names = ("premise", "hypothesis", "label")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(zip(names, map(list, columns), strict=True))), path)


def no_premise_twice(found: dict[str, set[Row]]) -> bool:
    premises = [{premise.lower() for premise, _, _ in part} for part in found.values()]
    return not any(one & other for one, other in itertools.combinations(premises, 2))


def test_every_form_of_a_table_gives_the_same_parts(tmp_path: Path) -> None:
    pairs = rows()
    named = [(p, h, LABELS[label]) for p, h, label in pairs]
    objects = [
        dict(zip(("sentence1", "sentence2", "gold_label"), row, strict=True)) for row in named
    ]
    tabs = "\n".join(["label\tpremise\thypothesis", *(f"{n}\t{p}\t{h}" for p, h, n in named)])
    files = {
        "a.csv": "premise;hypothesis;label\n" + "\n".join(f'"{p}";{h};{n}' for p, h, n in named),
        "b.tsv": tabs,
        "c.jsonl": "\n".join(map(json.dumps, objects)),
        "d.json": json.dumps(objects),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "e.tsv").write_text(tabs.replace("\n", "\r\n"), encoding="utf-16")
    parquet(tmp_path / "f.parquet", pairs)
    kept = [parts(take_pairs(tmp_path / one)) for one in (*files, "e.tsv", "f.parquet")]
    assert all(one == kept[0] for one in kept)
    assert set().union(*kept[0].values()) == {*pairs}
    assert [len(part) for part in kept[0].values()] == [243, 27, 30]  # 9 of 90 premises, 10 of 100
    assert no_premise_twice(kept[0])


def test_columns_of_other_names_are_read_where_somebody_says_so(tmp_path: Path) -> None:
    pairs = [(p, h, LABELS[label], "not this") for p, h, label in rows()]
    names = ("Context", "claim", "Verdict", "premise")
    objects = [dict(zip(names, row, strict=True)) for row in pairs]
    files = {
        "a.csv": "\n".join(",".join(f'"{field}"' for field in row) for row in (names, *pairs)),
        "b.tsv": "\n".join("\t".join(row) for row in (names, *pairs)),
        "c.jsonl": "\n".join(map(json.dumps, objects)),
        "d.json": json.dumps(objects),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    columns = dict(zip(names, map(list, zip(*pairs, strict=True)), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "e.parquet")
    called = {"premise": "context", "hypothesis": "claim", "label": "verdict"}
    for one in (*files, "e.parquet"):
        found = parts(take_pairs(tmp_path / one, called=called))
        assert set().union(*found.values()) == {*rows()}, one
        for wrong, missing in ((None, "hypothesis"), (called | {"label": "judge"}, "judge")):
            with pytest.raises(NoColumn) as caught:
                take_pairs(tmp_path / one, called=wrong)
            assert f"there is no column '{missing}' among Context, claim" in str(caught.value)
            assert [*caught.value.columns] == [*names]


def test_an_equal_premise_is_equal_in_any_spelling(tmp_path: Path) -> None:
    pairs = rows(60) + [(p.upper().replace(" ", "  "), f"{h} Still.", n) for p, h, n in rows(60)]
    parquet(tmp_path / "twice.parquet", pairs)
    found = parts(take_pairs(tmp_path / "twice.parquet"))
    plain = {s: {(" ".join(p.split()), h, n) for p, h, n in part} for s, part in found.items()}
    assert no_premise_twice(plain) and sum(map(len, found.values())) == len(pairs)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stand-in of MultiNLI, as it lies on the Hub."""
    monkeypatch.setenv("BERT_DEMO_DATA", str(tmp_path))
    data = tmp_path / "datasets/nyu-mll/multi_nli/data"
    leak = rows(2, begin=100)  # in the training part as well as in both that are held out
    parquet(data / "train-00000-of-00002.parquet", rows(40), *leak)
    parquet(data / "train-00001-of-00002.parquet", rows(30, begin=40), ("No label.", "None.", -1))
    parquet(data / "validation_matched-00000-of-00001.parquet", rows(10, begin=100))
    parquet(data / "validation_mismatched-00000-of-00001.parquet", rows(9, begin=101))
    (data.parent / "README.md").write_text("# MultiNLI", encoding="utf-8")
    yield data


def test_multinli_is_split_as_given_and_leaks_nothing(mirror: Path) -> None:
    name = take_pairs("hub:nyu-mll/multi_nli")
    found = parts(name)
    assert found["test"] == {*rows(9, begin=101)}
    assert found["validation"] == {*rows(1, begin=100)}
    assert found["train"] == {*rows(70)} and no_premise_twice(found)
    lines, remarks = pairs_report(name)
    assert lines[0][1] == "210 pairs: 70 entailment, 70 neutral, 70 contradiction"
    assert [str(one) for one in remarks] == [
        "Numbers were read as labels: 0 entailment, 1 neutral, 2 contradiction.",
        "1 pairs without a label are left out.",
        f"{6 + 27} pairs are not learnt from, as their premise is held out.",
    ]
    # A test without labels, as MultiNLI's authors keep theirs, changes nothing.
    parquet(mirror / "test.parquet", [("Hidden.", "Hidden too.", -1)])
    assert parts(take_pairs("hub:nyu-mll/multi_nli")) == found


def test_parts_that_are_missing_are_made(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    parquet(folder / "train.parquet", rows(50))
    parquet(folder / "dev.parquet", rows(7, begin=50))
    found = parts(take_pairs(folder))
    assert found["validation"] == {*rows(7, begin=50)}
    assert len(found["test"]) == 15 and len(found["train"]) == 135 and no_premise_twice(found)


def test_a_run_learns_from_them(mirror: Path, tmp_path: Path) -> None:
    for _ in train(
        RunConfig(hidden_size=16, training=TrainingConfig(steps=1, batch_size=8)),
        tmp_path / "words",
    ):
        pass
    name = take_pairs("hub:nyu-mll/multi_nli")
    training = TrainingConfig(steps=2, batch_size=8)
    run = RunConfig("nli", name, start_from=str(tmp_path / "words"), training=training)
    events = [*train(run, tmp_path / "judge")]
    assert events[-1]["event"] == "end" and events[-1]["reason"] == "completed"
    assert events[-1]["scores"]["test"]["n"] == 27  # type: ignore[typeddict-item]
    with pytest.raises(UserError, match="for pretraining it must be one of"):
        RunConfig(corpus=name)
    nli, report = prepare_nli(name, "test", Tokenizer.from_words(SPECIAL_TOKENS))
    assert np.bincount(nli.labels).tolist() == [9, 9, 9]
    assert report.sentence().startswith("multi_nli, test (one's own): 27 pairs")


def test_too_few_pairs_get_a_sentence(tmp_path: Path) -> None:
    parquet(tmp_path / "few.parquet", rows(2))
    with pytest.raises(UserError, match="has too little text: 2 different"):
        take_pairs(tmp_path / "few.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="cannot be read"):
        take_pairs(tmp_path / "bad.parquet")
