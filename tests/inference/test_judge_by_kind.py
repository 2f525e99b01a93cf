"""The bundled judge on pairs written by hand (traps.tsv), by kind: a report, and what holds today.

    python -m bert_demo evaluate --model checkpoints/bert-small-snli --details \
        --data tests/inference/traps.tsv

They are never for training, and share no sentence with Crane World or with the generated traps.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bert_demo.data.crane_world.nli import generate_nli
from bert_demo.data.snli import NliTexts, read_pairs_file
from bert_demo.data.traps.pairs import trap_pairs
from bert_demo.inference.failures import Failures, find_failures
from bert_demo.model import checkpoint

HERE = Path(__file__).resolve().parent
JUDGE = HERE.parents[1] / "checkpoints/bert-small-snli"


@pytest.fixture(scope="module")
def texts() -> NliTexts:
    return read_pairs_file(HERE / "traps.tsv")


def reported(texts: NliTexts) -> Failures:
    model, tokenizer, _ = checkpoint.load(JUDGE)
    found = find_failures(model, tokenizer, texts)
    for part in found.slices["kind"]:
        rights = [f"{row[i]} of {sum(row)}" for i, row in enumerate(part.confusion)]
        print(f"{part.name}: {part.accuracy:.2f} ({', '.join(rights)})")
    return found


def test_the_list_is_balanced_and_nobody_learns_from_it(texts: NliTexts) -> None:
    assert texts.kinds is not None
    counts = Counter(zip(texts.kinds, texts.labels.tolist(), strict=True))
    assert set(counts.values()) == {3} and len(counts) == 21
    ours = {*texts.premises.to_pylist(), *texts.hypotheses.to_pylist()}
    spelt = {text.lower().replace(" .", ".") for pair in generate_nli("train") for text in pair[:2]}
    assert not spelt & {text.lower() for text in ours}
    traps = trap_pairs()
    assert not ours & {*traps.premises.to_pylist(), *traps.hypotheses.to_pylist()}


def test_the_judge_by_kind_on_the_list(texts: NliTexts) -> None:
    by_kind = {part.name: part for part in reported(texts).slices["kind"]}
    assert by_kind["plain"].accuracy > 0.7
    # It takes a denial for what is denied: the book's lesson on what it has learnt instead.
    assert by_kind["negation"].accuracy < by_kind["plain"].accuracy


def test_the_judge_by_kind_on_generated_traps() -> None:
    """What a rule of thumb looks like: right where it happens to be, wrong where it does not."""
    by_kind = {part.name: part for part in reported(trap_pairs()).slices["kind"]}
    parts = np.array(by_kind["parts of sentences"].confusion) / 120
    assert parts[0, 0] > 0.8 and parts[1, 1] < 0.1 and parts[2, 2] < 0.1
    assert by_kind["plain"].accuracy > 0.7
