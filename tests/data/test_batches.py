"""Batches: what is in them, and that a step alone decides it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bert_demo.common.errors import UserError
from bert_demo.data.batches import TrainingBatch
from bert_demo.data.nli_batches import NliBatches
from bert_demo.data.packing import pack, unpack
from bert_demo.data.pretraining_batches import PretrainingBatches
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer

WORDS = [*SPECIAL_TOKENS, *(f"w{i}" for i in range(300))]


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer.from_words(WORDS)


def a_text(lengths: list[list[int]]) -> Any:
    """Paragraphs of sentences of given lengths; every token's id is its place plus 5."""
    flat = [n for paragraph in lengths for n in paragraph]
    return SimpleNamespace(
        token_ids=np.arange(5, 5 + sum(flat), dtype=np.int32),
        sentence_offsets=np.concatenate([[0], np.cumsum(flat)]),
        paragraph_offsets=np.concatenate([[0], np.cumsum([len(p) for p in lengths])]),
    )


def pretraining(text: Any, tokenizer: Tokenizer, **changes: Any) -> PretrainingBatches:
    settings = {"batch_size": 4, "max_length": 64, "truncation": "longest_first", "seed": 0}
    return PretrainingBatches(text, tokenizer, **(settings | changes))


def sequences(batches: Any, step: int) -> list[tuple[list[int], list[int], int]]:
    """(unmasked ids, segments, label) of each pair of a step."""
    return unmasked(batches.draw(step))


def unmasked(batch: TrainingBatch) -> list[tuple[list[int], list[int], int]]:
    """(unmasked ids, segments, label) of each pair of a batch."""
    ids, types = batch.packed.input_ids.clone(), batch.packed.token_type_ids
    if batch.mlm_positions is not None:
        ids[batch.mlm_positions] = batch.mlm_labels
    bounds = itertools.pairwise(batch.packed.bounds.tolist())
    return [
        (ids[s:e].tolist(), types[s:e].tolist(), label)
        for (s, e), label in zip(bounds, batch.labels.tolist(), strict=True)
    ]


def test_next_sentences_are_next_and_others_come_from_another_paragraph(
    tokenizer: Tokenizer,
) -> None:
    lengths = [[3, 4, 5], [2, 6], [7, 3, 4, 2]]
    text = a_text(lengths)
    batches = pretraining(text, tokenizer)
    assert len(batches) == 2 + 1 + 3
    bounds = [0, 12, 20, 36]  # tokens of the three paragraphs
    truths = []
    for step in range(200):
        for ids, types, label in sequences(batches, step):
            assert ids[0] == tokenizer.cls_id and ids[-1] == tokenizer.sep_id
            middle = ids.index(tokenizer.sep_id)
            assert types == [0] * (middle + 1) + [1] * (len(ids) - middle - 1)
            first, second = ids[1:middle], ids[middle + 1 : -1]
            assert first == list(range(first[0], first[0] + len(first)))
            paragraph = [np.searchsorted(bounds, part[0] - 5, "right") for part in (first, second)]
            if label:
                assert second[0] == first[-1] + 1  # the very next token of the text
            else:
                assert paragraph[0] != paragraph[1]
            truths.append(label)
    assert abs(np.mean(truths) - 0.5) < 0.08


def test_each_epoch_shows_each_pair_once(tokenizer: Tokenizer) -> None:
    text = a_text([[3, 4, 5], [2, 6], [7, 3, 4, 2]])
    batches = pretraining(text, tokenizer, batch_size=4)
    firsts = [ids[1] for step in range(3) for ids, _, _ in sequences(batches, step)]
    counts = {first: firsts.count(first) for first in firsts}
    assert len(counts) == 6 and set(counts.values()) == {2}  # 12 draws, two epochs of 6


def test_a_step_is_drawn_again_exactly_and_masks_change(tokenizer: Tokenizer) -> None:
    text = a_text([[9, 9], [9, 9]])
    one, two = (pretraining(text, tokenizer) for _ in range(2))
    one.draw(0)
    for name in ("mlm_positions", "mlm_labels", "labels"):
        assert torch.equal(getattr(one.draw(7), name), getattr(two.draw(7), name))
    assert torch.equal(one.draw(7).packed.input_ids, two.draw(7).packed.input_ids)
    assert (one.draw(7).packed.order == two.draw(7).packed.order).all()
    masks = {tuple(one.draw(step).packed.input_ids.tolist()) for step in range(10)}
    assert len(masks) == 10
    other = pretraining(text, tokenizer, seed=1)
    assert not torch.equal(other.draw(7).packed.input_ids, one.draw(7).packed.input_ids)


def by_example(batches: PretrainingBatches, steps: int) -> list[dict[int, Any]]:
    """Of each step, by example: label, ids as they are shown, places and ids to be guessed."""
    found = []
    for step in range(steps):
        plan, batch = batches.plan(step), batches.draw(step)
        assert batch.mlm_positions is not None and batch.mlm_labels is not None
        asked = torch.full_like(batch.packed.input_ids, -1)
        asked[batch.mlm_positions] = batch.mlm_labels
        lengths = plan.lengths.tolist()
        columns = plan.labels, batch.packed.input_ids.split(lengths), asked.split(lengths)
        rows = zip(*columns, strict=True)
        shown = [(int(label), ids.tolist(), what.tolist()) for label, ids, what in rows]
        found.append(dict(zip(plan.examples.tolist(), shown, strict=True)))
    return found


@pytest.mark.parametrize("truncation", ["longest_first", "drop"])
def test_static_masks_and_pairs_are_the_same_in_every_epoch(
    tokenizer: Tokenizer, truncation: str
) -> None:
    text = a_text([[9, 7, 8], [6, 9], [7, 3, 40, 2]] * 3)
    settings = {"max_length": 32, "truncation": truncation, "batch_size": 1000}
    count = len(pretraining(text, tokenizer, **settings))
    settings["batch_size"] = count  # a step is an epoch
    first, second = by_example(pretraining(text, tokenizer, **settings, static=True), 2)
    assert first == second and list(first) != list(second)
    parts = by_example(pretraining(text, tokenizer, **settings | {"batch_size": 3}, static=True), 9)
    for part in parts:
        assert part == {example: first[example] for example in part}
    other = by_example(pretraining(text, tokenizer, **settings, static=True, seed=1), 1)[0]
    fresh, again = by_example(pretraining(text, tokenizer, **settings), 2)
    assert len({str(fresh), str(again), str(first), str(other)}) == 4


def test_static_masks_are_each_pairs_own_and_the_share_asked_for(tokenizer: Tokenizer) -> None:
    text = a_text([[10, 10]] * 500)
    text.token_ids[:] = 7  # so that pairs differ in their masks alone
    batches = pretraining(text, tokenizer, batch_size=500, static=True)
    rows = by_example(batches, 1)[0].values()
    masks = {tuple(place for place, was in enumerate(asked) if was >= 0) for _, _, asked in rows}
    assert len(masks) > 250
    assert sum(was >= 0 for _, _, asked in rows for was in asked) / 10_000 == pytest.approx(
        0.15, abs=0.012
    )
    assert sum(label for label, _, _ in rows) / 500 == pytest.approx(0.5, abs=0.08)


def test_long_pairs_are_cut_and_counted(tokenizer: Tokenizer) -> None:
    text = a_text([[40, 50], [5, 5]])
    batches = pretraining(text, tokenizer, max_length=32)
    assert batches.truncated == 1
    assert max(len(ids) for step in range(9) for ids, _, _ in sequences(batches, step)) == 32


def test_dropping_is_the_books_way(tokenizer: Tokenizer) -> None:
    text = a_text([[4, 5, 40, 6], [5, 50], [3, 3], [60, 2]])
    batches = pretraining(text, tokenizer, max_length=32, truncation="drop", batch_size=8)
    assert len(batches) == 2 and (batches.truncated, batches.dropped) == (0, 4)
    for step in range(30):
        for ids, _, label in sequences(batches, step):
            assert len(ids) <= 32
            first = ids[1 : ids.index(tokenizer.sep_id)]
            assert len(first) in (3, 4), "only the first sentences of pairs that fit"
            assert label in (0, 1)


@pytest.mark.parametrize("room", [10, 12])
def test_dropping_never_cuts_a_pair(room: int, tokenizer: Tokenizer) -> None:
    # Of a hundred sentences one or none fits beside the first, so a few draws hardly find it.
    text = a_text([[6, 1], [9] * 50, [8] * 49 + [room - 9], [9] * 2])
    batches = pretraining(text, tokenizer, max_length=room, truncation="drop", batch_size=64)
    for step in range(20):
        plan = batches.plan(step)
        whole = {*np.diff(text.sentence_offsets).tolist()}
        assert {*plan.first.lengths, *plan.second.lengths} <= whole
        assert plan.lengths.max() <= room
        ends = dict(zip(text.sentence_offsets, text.sentence_offsets[1:], strict=False))
        for side in (plan.first, plan.second):
            assert all(ends[s] - s == n for s, n in zip(side.starts, side.lengths, strict=True))


def test_a_pair_that_nothing_else_fits_is_dropped(tokenizer: Tokenizer) -> None:
    text = a_text([[20, 2], [5, 10], [6, 9]])
    batches = pretraining(text, tokenizer, max_length=25, truncation="drop", batch_size=8)
    assert (len(batches), batches.dropped) == (2, 1)  # 20 and 2 fit, 20 and 5 do not
    assert all(20 not in batches.plan(step).first.lengths for step in range(20))


def test_what_does_not_follow_is_of_the_same_corpus(tokenizer: Tokenizer) -> None:
    text = a_text([[1, 1], [2, 2, 2], [1, 2], *[[3, 3]] * 2, *[[4, 5, 4]] * 4])
    corpora = np.array([0, 3, 5, 9])
    batches = pretraining(text, tokenizer, batch_size=64, corpora=corpora)
    seen = set()
    for step in range(20):
        plan = batches.plan(step)
        paragraph = [
            np.searchsorted(text.sentence_offsets[text.paragraph_offsets], side.starts, "right")
            for side in (plan.first, plan.second)
        ]
        assert ((paragraph[0] == paragraph[1]) == (plan.labels == 1)).all()
        of = [np.searchsorted(corpora, np.array(side) - 1, "right") for side in paragraph]
        assert (of[0] == of[1]).all()
        seen |= {*zip(paragraph[0][plan.labels == 0], paragraph[1][plan.labels == 0], strict=True)}
    assert len(seen) == 3 * 2 + 2 * 1 + 4 * 3, "every other paragraph of the corpus"


def test_one_corpus_is_drawn_from_as_before_there_were_several(tokenizer: Tokenizer) -> None:
    text = a_text([[3, 4, 5], [2, 6], [7, 3, 4, 2]])
    batches = pretraining(text, tokenizer, batch_size=6)
    given = pretraining(text, tokenizer, batch_size=6, corpora=np.array([0, 3]))
    for step in range(5):
        generator = np.random.Generator(np.random.SFC64([0, step, 2]))
        is_next, other = generator.random(6) < 0.5, generator.integers(0, 2, 6)
        plan, same = batches.plan(step), given.plan(step)
        assert (plan.labels == is_next[plan.order]).all()
        own = np.searchsorted(text.sentence_offsets[[3, 5]], plan.first.starts, "right")
        drawn = other[plan.order] + (other[plan.order] >= own)
        found = np.searchsorted(text.sentence_offsets[[3, 5]], plan.second.starts, "right")
        assert (found == np.where(plan.labels == 1, own, drawn)).all()
        assert (plan.second.starts == same.second.starts).all()


def test_each_corpus_needs_two_paragraphs(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="two paragraphs"):
        pretraining(a_text([[3, 3]] * 3), tokenizer, corpora=np.array([0, 2, 3]))


def test_shards_make_up_the_whole(tokenizer: Tokenizer) -> None:
    text = a_text([[3, 4, 5], [2, 6], [7, 3, 4, 2]])
    batches = pretraining(text, tokenizer, batch_size=7)
    plan, whole = batches.plan(0), batches.draw(0)
    parts = [batches.lay_out(plan.shard(i, 3)) for i in range(3)]
    assert [len(part.packed) for part in parts] == [3, 2, 2]
    masks = [int(part.count_masks()) for part in parts]
    assert sum(masks) == whole.count_masks() == batches.count_masks(plan) > 0

    def masked_rows(batch: TrainingBatch) -> list[tuple[int, ...]]:
        rows = batch.packed.input_ids.split(batch.packed.bounds.diff().tolist())
        return [tuple(row.tolist()) for row in rows]

    for i, part in enumerate(parts):
        assert unmasked(part) == unmasked(whole)[i::3]
        assert masked_rows(part) == masked_rows(whole)[i::3]


def test_masked_positions_point_at_what_was_there(tokenizer: Tokenizer) -> None:
    batch = pretraining(a_text([[30, 30], [30, 30]]), tokenizer).draw(3)
    ids = batch.packed.input_ids
    changed = ids[batch.mlm_positions] != batch.mlm_labels
    assert changed.float().mean() > 0.5
    assert not set(batch.mlm_labels.tolist()) & {tokenizer.cls_id, tokenizer.sep_id}


def test_each_word_is_masked_or_not_whatever_the_others_are(tokenizer: Tokenizer) -> None:
    batches = pretraining(a_text([[1, 1], [1, 1]]), tokenizer, batch_size=1)
    drawn = [batches.draw(step).mlm_positions for step in range(2000)]
    places = [tuple(positions.tolist()) for positions in drawn if positions is not None]
    shares = {found: places.count(found) / 2000 for found in set(places)}
    # Two words between <cls>, <sep> and <sep>: none of them, one or both.
    expected = {(): 0.85**2, (1,): 0.85 * 0.15, (3,): 0.85 * 0.15, (1, 3): 0.15**2}
    assert shares == pytest.approx(expected, abs=0.03)


def test_nli_pairs_keep_their_labels(tokenizer: Tokenizer) -> None:
    premises, hypotheses = [3, 9, 4], [2, 5, 6]
    data: Any = SimpleNamespace(
        premise_ids=np.arange(10, 26),
        premise_offsets=np.concatenate([[0], np.cumsum(premises)]),
        hypothesis_ids=np.arange(100, 113),
        hypothesis_offsets=np.concatenate([[0], np.cumsum(hypotheses)]),
        labels=np.array([2, 0, 1], dtype=np.int8),
        targets=None,
    )
    settings: dict[str, Any] = {"batch_size": 3, "truncation": "longest_first", "seed": 0}
    batches = NliBatches(data, tokenizer, max_length=12, **settings)
    assert batches.truncated == 2  # 9 + 5 and 4 + 6 are over 9
    found = {ids[1]: (ids, label) for ids, _, label in sequences(batches, 0)}
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    assert found[10] == ([cls, 10, 11, 12, sep, 100, 101, sep], 2)
    # Book 16.7: one token at a time from the longer, so 9 + 5 becomes 4 + 5 (ties cut the second).
    ids, label = found[13]
    assert label == 0 and len(ids) == 12


def test_validation_spreads_over_the_data(tokenizer: Tokenizer) -> None:
    batches = pretraining(a_text([[2] * 20 for _ in range(5)]), tokenizer, batch_size=6)
    sizes = [len(batch.labels) for batch in batches.all_in_order()]
    assert sum(sizes) == len(batches) == 95
    limited = list(batches.all_in_order(10))
    assert [len(a.labels) for a in limited] == [6, 4]


def test_text_too_short_is_said(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="two paragraphs"):
        pretraining(a_text([[3, 4]]), tokenizer)


def test_pack_and_unpack_are_inverse() -> None:
    rows = [([1, 2, 3], [0, 0, 1]), ([4], [0]), ([5, 6, 7], [0, 1, 1]), ([8, 9], [0, 0])]
    batch = pack(rows)
    assert batch.groups == ((1, 1), (1, 2), (2, 3)) and batch.max_length == 3
    assert [part.tolist() for part in unpack(batch.input_ids, batch)] == [ids for ids, _ in rows]
    places = [part.tolist() for part in unpack(batch.position_ids, batch)]
    assert places == [[0, 1, 2], [0], [0, 1, 2], [0, 1]]
    assert batch.input_ids[batch.cls_positions].tolist() == [4, 8, 1, 5]
    assert batch.to(torch.device("cpu")).input_ids.dtype == torch.int64
