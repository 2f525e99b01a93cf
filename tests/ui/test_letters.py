"""What people typed is shown letter for letter, wherever it is shown: escaped exactly once."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from helpers.browser import ADMIN, Visitor, chromium, press, served, visit, wait_for
from hypothesis import given
from hypothesis import strategies as st

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.runs.store import RunStore
from bert_demo.runs.worker import work
from bert_demo.ui.parts.figures import heat_map, plain, word_map
from bert_demo.ui.serving.strangers import refusal

__all__ = ["chromium", "visit"]

NASTY = """<b>O'x"&</b>&lt;%{x}"""
"""Markup, both quotes, an entity, what Plotly fills in: short enough for a legend."""
SMALL = RunConfig(
    hidden_size=32,
    num_attention_heads=1,
    num_hidden_layers=1,
    intermediate_size=64,
    training=TrainingConfig(steps=4, batch_size=16),
)

# As in plotly.js, src/lib/svg_text_utils.js.
_ENTITIES = {"mu": "μ", "amp": "&", "lt": "<", "gt": ">", "nbsp": "\xa0", "times": "\xd7"}
_ENTITIES |= {"plusmn": "\xb1", "deg": "\xb0"}


def as_plotly_shows(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        name = found[1]
        if name.startswith("#"):
            return chr(int(name[2:], 16) if name[1] == "x" else int(name[1:]))
        return _ENTITIES.get(name, found[0])

    assert not re.search("[<>]", text), "that could be a tag"
    return re.sub(r"&(#\d+|#x[\da-fA-F]+|[a-z]+);", character, text)


typed = st.one_of(st.text(max_size=60), st.text("<>&;\"'abq#x2 %{}ltquo", max_size=60))


@given(typed)
def test_plotly_shows_what_was_typed(words: str) -> None:
    assert as_plotly_shows(plain(words)) == words
    heat = heat_map([[1, 0], [0, 1]], [words, "x"])["data"][0]
    assert as_plotly_shows(heat["pairs"][0]) == f"1. {words}"
    (trace,) = word_map([[0, 1]], [1, 0], [words], [words[:24]])["data"]
    assert as_plotly_shows(trace["customdata"][0]) == f"1. {words}"
    assert as_plotly_shows(trace["name"]) == words[:24] or not words


@given(typed)
def test_a_message_on_the_page_is_html_and_for_a_program_it_is_not(words: str) -> None:
    error = UserError("No {name}.", name=words)
    shown = refusal(error, as_html=True).message
    assert html.unescape(shown) == f"No {words}." and not re.search("[<>]", shown)
    assert refusal(error, as_html=False).message == f"No {words}."


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page over two pretrained models of one name, a judge, and a run whose weights are lost."""
    folder = tmp_path_factory.mktemp("letters")
    store = RunStore(folder / "runs")
    first = store.create(SMALL, "somebody", NASTY)
    judge = RunConfig(
        task="nli", start_from=str(first.model), training=TrainingConfig(steps=2, batch_size=16)
    )
    seed = replace(SMALL, training=replace(SMALL.training, seed=1))
    for config in (seed, judge):
        store.create(config, "somebody", NASTY)
    for run in store.list()[::-1]:
        work(store.root, run.id, lambda: False, lambda answer: None)
    lost = store.create(SMALL, "somebody", f"lost {NASTY}")
    work(store.root, lost.id, lambda: False, lambda answer: None)
    (lost.model / "model.safetensors").unlink()
    with served(folder) as url:
        yield url


def shown(page: Any, place: str, words: str = NASTY) -> None:
    """Wait until some element of that selector has exactly these letters in its text."""
    wait_for(
        page,
        f"[...document.querySelectorAll({json.dumps(place)})]"
        f".some((node) => node.textContent.includes({json.dumps(words)}))",
    )


def go_to(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name).click()


@pytest.mark.timeout(240)
def test_a_title_and_a_sentence_are_shown_as_they_are_typed(
    visit: Callable[..., Visitor], address: str
) -> None:
    page = visit(viewport={"width": 1440, "height": 1000}).open(f"{address}?admin={ADMIN}")
    go_to(page, "Runs")
    shown(page, "#runs-list td a")
    for tick in page.locator("#runs-list tbody input").all():
        tick.check()
    shown(page, ".legendtext", NASTY)
    shown(page, ".bv-table th")  # what differs
    shown(page, ".bv-table td")  # the best
    press(page, "Prepare downloads")
    shown(page, ".toast-body", "lost <b>")  # quoted as in Python, with its backslashes
    assert page.locator(".toast-body b").count() == 0
    page.locator("#runs-list td a").filter(has_not_text="lost").last.click()
    page.wait_for_load_state()
    shown(page, ".bd-title")

    go_to(page, "2 Its words")
    shown(page, "#words-result .bv-heading")
    panel = page.locator("[role=tabpanel]:has(#words-result)")
    for row, field in enumerate(("text", "sense")):
        panel.locator(f".bc-{field}").nth(row).fill(f"{NASTY} crane" if field == "text" else NASTY)
    press(page, "Compare")
    shown(page, "#words-result .legendtext")
    shown(page, "#words-result .bv-table td", f"{NASTY} crane")

    go_to(page, "4 Argue")
    shown(page, "#nli-result .bv-muted")  # judged by
    panel = page.locator("[role=tabpanel]:has(#nli-result)")
    for label in ("Premise", "Hypothesis"):
        panel.get_by_role("textbox", name=re.compile(f"^{label}")).fill(NASTY)
    press(page, "Ask the model")
    shown(page, "#nli-result .bv-table td")
    go_to(page, "Fill in the blank")
    panel = page.locator("[role=tabpanel]:has(#blank-result)")
    panel.get_by_role("textbox", name=re.compile("^Text")).fill(f"{NASTY} <mask>")
    press(page, "Fill in")
    shown(page, "#blank-result .bv-strong")
    panel.get_by_label("Model", exact=True).click()
    shown(page, "[role=option]")
