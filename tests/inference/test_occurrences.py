"""Where a model met a word: counted and compared as by going through its text by hand."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.data.prepare import prepare_text
from bert_demo.inference import occurrences as met
from bert_demo.inference.predict import encode
from bert_demo.inference.words import word_count, word_places

FOLDER = Path(__file__).resolve().parents[2] / "checkpoints/bert-crane-world"
TEXT = "the crane lifted a heavy container"


@pytest.fixture(scope="module")
def crane() -> Any:
    return bert_demo.load(FOLDER)[:2]


def sentences(tokenizer: Any, word: str) -> list[tuple[list[str], int]]:
    """Every place of the word in the training text: the sentence, and where in it."""
    text, _, _ = prepare_text("crane-world", "train", tokenizer=tokenizer)
    bounds = text.sentence_offsets.tolist()
    found = []
    for begin, end in itertools.pairwise(bounds):
        words = tokenizer.tokens(text.token_ids[begin:end].tolist())
        found += [(words, i) for i, other in enumerate(words) if other == word]
    return found


def test_the_nearest_are_those_found_by_going_through_the_text(
    crane: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(met, "MOST_LOOKED_AT", 40)
    model, tokenizer = crane
    found = met.occurrences(model, tokenizer, "crane", TEXT, "crane-world", top=3)
    assert found is not None and found.corpus == "Crane World" and found.looked_at == 40
    everywhere = sentences(tokenizer, "crane")
    assert found.count == len(everywhere)
    count = word_count("crane", tokenizer, "pretraining", "crane-world")
    assert count is not None and (count.count, count.tokens) == (found.count, found.tokens)
    chosen = [everywhere[i] for i in np.linspace(0, len(everywhere) - 1, 40).astype(int)]
    vectors = []
    for words, at in chosen:
        encoding = encode(model, tokenizer, " ".join(words))
        assert encoding.tokens[1:-1] == words
        vectors.append(encoding.vectors[1 + at])
    stacked = torch.stack(vectors)
    query = encode(model, tokenizer, TEXT).vectors[2] - stacked.mean(0)
    near = torch.cosine_similarity(stacked - stacked.mean(0), query, dim=1)
    expected = {" ".join(chosen[i][0]): float(near[i]) for i in near.argsort().tolist()}
    best = sorted(expected.items(), key=lambda item: -item[1])[:3]
    assert [one.sentence for one in found.nearest] == [sentence for sentence, _ in best]
    assert [one.nearness for one in found.nearest] == pytest.approx([n for _, n in best], abs=1e-4)


def test_sentences_come_once_the_nearest_first(crane: Any) -> None:
    found = bert_demo.occurrences(
        *crane, "crane", "a surname : mr crane wrote a letter", "crane-world"
    )
    assert found is not None and found.looked_at <= met.MOST_LOOKED_AT < found.count
    assert all("crane" in one.sentence.split() for one in found.nearest)
    nearness = [one.nearness for one in found.nearest]
    assert nearness == sorted(nearness, reverse=True)
    assert len({one.sentence for one in found.nearest}) == len(found.nearest) == 5


def test_places_are_where_the_word_is(crane: Any) -> None:
    found = word_places("crane", crane[1], "pretraining", "crane-world")
    assert found is not None and len(found.places) > 0
    assert set(crane[1].tokens(found.ids[found.places].tolist())) == {"crane"}


def test_honest_where_nothing_can_be_told(crane: Any) -> None:
    for corpus in (None, "one's own", "snli"):
        assert bert_demo.occurrences(*crane, "crane", TEXT, corpus) is None
    found = bert_demo.occurrences(*crane, "xyzzy", "the xyzzy is here", "crane-world")
    assert found is not None and (found.count, found.looked_at, found.nearest) == (0, 0, [])
    with pytest.raises(UserError, match="does not have the word"):
        bert_demo.occurrences(*crane, "heron", TEXT, "crane-world")
    pair = bert_demo.occurrences(*crane, "crane", f"the dog is old <sep> {TEXT}", "crane-world")
    assert pair is not None and pair.nearest
