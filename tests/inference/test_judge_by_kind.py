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
from helpers.pairs import every

import bert_demo
from bert_demo.data.crane_world.nli import generate_nli
from bert_demo.data.snli import NliTexts, read_pairs_file
from bert_demo.data.traps.pairs import trap_pairs
from bert_demo.inference.failures import Failures, find_failures
from bert_demo.inference.predict import classify_all
from bert_demo.model import checkpoint
from bert_demo.ui.tabs.nli_examples import EXAMPLES

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
    by_kind = {part.name: part.accuracy for part in reported(texts).slices["kind"]}
    assert min(by_kind[name] for name in ("plain", "negation", "some and all")) > 0.85
    assert np.mean(list(by_kind.values())) > 0.85  # a third would be chance


def test_the_judge_by_kind_on_generated_traps() -> None:
    """It has learnt logic from other templates and words."""
    by_kind = {part.name: part.accuracy for part in reported(every(trap_pairs(), 4)).slices["kind"]}
    assert min(by_kind.values()) > 0.7 and np.mean(list(by_kind.values())) > 0.83


def test_the_examples_of_the_page() -> None:
    judge = bert_demo.load(JUDGE)[:2]
    pairs = [example for kind in EXAMPLES.values() for example in kind]
    verdicts = classify_all(*judge, [(one.premise, one.hypothesis) for one in pairs])
    assert [verdict.label for verdict in verdicts] == [one.right for one in pairs]
