"""The part "Try against": pairs of runs in the queue, and the answer that they give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("gradio")

from helpers.idle_page import TOKEN, VALUES, context

from bert_demo.common.errors import UserError
from bert_demo.common.groups import COMPARED_SETTINGS
from bert_demo.runs.pairs import two_ways
from bert_demo.runs.record import Status, write_status
from bert_demo.ui.context import AppContext
from bert_demo.ui.tabs.against import answer_words, queue_pairs, told, values_of
from bert_demo.ui.tabs.runs.tab import side_by_side

__all__ = ["context"]


def ask(context: AppContext, name: Any, value: Any, count: Any = 1, **changes: Any) -> Any:
    return queue_pairs(context, "pretraining", VALUES | changes, name, value, count, TOKEN)


def done(context: AppContext, losses: dict[tuple[str, int], float]) -> None:
    """End the runs of which (norm, seed) is known, with that held-out loss."""
    for run in context.store.list():
        assert run.config is not None
        loss = losses.get((run.config.norm, run.config.training.seed))
        if loss is not None:
            write_status(run.folder, Status("completed", step=5, scores={"mlm_loss": loss, "n": 9}))


def test_pairs_are_ordinary_runs_and_their_answer_is_a_sentence(context: AppContext) -> None:
    ways = ask(context, "norm", "before", 3)
    runs = context.store.list()
    assert {(r.config.norm, r.config.training.seed) for r in runs if r.config} == {
        (norm, seed) for norm in ("after", "before") for seed in (0, 1, 2)
    }
    assert len({run.title for run in runs}) == 6
    assert answer_words(ways, runs) == ""
    shown, more = told(context, ways)
    assert more and "6 runs wait or train" in shown["blocks"][0]["text"]
    done(context, {("after", 0): 5.0, ("before", 0): 4.9})
    assert "One pair says nothing of noise" in answer_words(ways, context.store.list())
    done(
        context,
        {("after", 1): 5.1, ("before", 1): 4.98, ("after", 2): 5.2, ("before", 2): 5.06},
    )
    sentence = answer_words(ways, context.store.list())
    assert sentence == (
        "LayerNorm, before each sublayer instead of after each sublayer: 0.120 nats better, "
        "3 pairs of runs, 0.020 apart."
    )
    assert told(context, ways)[1] is False
    # The same stands in Runs above the curves of these runs, and of nothing else.
    ids = [run.id for run in context.store.list()]
    assert sentence in str(side_by_side(context, ids, "step"))
    ask(context, "positions", "none")
    everything = [run.id for run in context.store.list()]
    assert sentence not in str(side_by_side(context, everything, "step"))


def test_a_further_pair_takes_the_next_seed(context: AppContext) -> None:
    ask(context, "norm", "before", 1, seed=4)
    ask(context, "norm", "before", 2, seed=4)
    seeds = [run.config.training.seed for run in context.store.list() if run.config]
    assert sorted(seeds) == [4, 4, 5, 5, 6, 6]


def test_visitors_have_the_limits_that_they_have_anyhow(
    context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context.settings = replace(context.settings, public=True)
    with pytest.raises(UserError, match="At most 2 of your runs may wait here at a time"):
        ask(context, "norm", "before", 2)
    assert context.store.list() == []
    ask(context, "norm", "before")
    with pytest.raises(UserError, match="At most 2 of your runs"):
        ask(context, "positions", "none")
    assert len(context.store.list()) == 2


def test_of_a_pair_that_cannot_be_queued_nothing_is_left(
    context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context.store.max_runs_per_owner = 1
    with pytest.raises(UserError):
        ask(context, "norm", "before")
    assert context.store.list() == []


@pytest.mark.parametrize(
    ("name", "value", "count", "sentence"),
    [
        ("corpus", "wikitext-2", 1, "'corpus' cannot be tried against"),
        (["norm"], "before", 1, "cannot be tried against"),
        ("norm", "beside", 1, "norm is 'beside'; it must be one of"),
        ("norm", {"a": 1}, 1, "norm|None"),
        ("norm", "after", 1, "Both ways are the same"),
        ("norm", "before", 1000, "pairs is 1000; it must be"),
        ("norm", "before", "many", "pairs is 'many'; it must be"),
        ("mask_share", "2", 1, "mask_share is '2'; it must be a number from"),
        ("batch_size", 10**9, 1, "batch_size is"),
    ],
)
def test_whatever_is_sent_gets_a_sentence(
    context: AppContext, name: Any, value: Any, count: Any, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        ask(context, name, value, count)
    assert context.store.list() == []


def test_two_ways_are_told_by_the_one_setting_that_differs(context: AppContext) -> None:
    ways = ask(context, "mask_share", "0.4")
    runs = context.store.list()
    found = two_ways(runs)
    assert found is not None and found.name == "mask_share" and found == ways
    assert two_ways(runs[:1]) is None
    ask(context, "mask_share", "0.4", max_length=32)  # differs in that too
    assert two_ways(context.store.list()[:3]) is None


def test_every_setting_that_can_be_tried_has_values_to_try() -> None:
    for name in COMPARED_SETTINGS["pretraining"]:
        assert values_of("pretraining", name), name
