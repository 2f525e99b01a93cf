"""The search for a learning rate in the form: what is queued, and what is shown of its end."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("gradio")

from helpers.idle_page import TOKEN, VALUES, context

from bert_demo.common.errors import Text, UserError
from bert_demo.ui.context import AppContext
from bert_demo.ui.tabs.rates import begin, result, waiting_view

__all__ = ["context"]
FOUND = {
    "rates": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    "losses": [0.0, -0.1, -0.9, -1.1, 0.6],
    "smoothed": [0.0, -0.2, -1.0, -1.1, 0.5],
    "least": 1e-2,
    "falls": True,
    "rises": True,
    "suggested": 0.0025,
    "own": 0.006,
}


def told(view: Any) -> str:
    return " ".join(str(block.get("text", "")) for block in view["blocks"])


def test_the_search_is_for_the_forms_settings(context: AppContext) -> None:
    search = begin(context, "pretraining", VALUES | {"batch_size": 64}, TOKEN)
    assert search.config.training.batch_size == 64 and search.config.corpus == "crane-world"
    assert "warms up" in told(waiting_view(context, search))
    search.began = time.monotonic()
    assert "Trying rates" in told(waiting_view(context, search))
    with pytest.raises(UserError, match="dropout is"):
        begin(context, "pretraining", VALUES | {"dropout": 7}, TOKEN)
    context.settings = replace(context.settings, public=True)
    with pytest.raises(UserError, match="own are not taken"):
        own = "own:faust-0123456789abcdef"
        begin(context, "pretraining", VALUES | {"corpus": own}, {"token": "another", "admin": ""})


def test_its_end_is_a_picture_a_sentence_and_a_rate_to_take(context: AppContext) -> None:
    search = begin(context, "pretraining", VALUES, TOKEN)
    search.end(FOUND, None)
    shown, take, rate = result(search)
    assert rate == "0.003" and take.visible
    assert "Suggested: 0.003; these settings would take 0.006." in told(shown)
    figure = shown["blocks"][1]["figure"]
    assert figure["layout"]["xaxis"]["type"] == "log"
    assert figure["layout"]["shapes"][0]["x0"] == 0.0025
    for changes, words in (
        ({"falls": False}, "falls at none"),
        ({"rises": False}, "still falls at the last rate"),
    ):
        search.end(FOUND | changes | {"suggested": None}, None)
        shown, take, rate = result(search)
        assert rate is None and not take.visible and words in told(shown)
    search.end(None, Text("The memory was not enough."))
    assert result(search)[2] is None and "memory" in told(result(search)[0])
    search.end(None, None)  # a fault of ours
    assert result(search)[0]["blocks"]
