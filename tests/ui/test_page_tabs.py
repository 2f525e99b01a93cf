"""The tabs over trained models in a real browser: fine-tune, words, pairs, blanks, runs."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import (
    ADMIN,
    Visitor,
    badge,
    chromium,
    press,
    served,
    stop_after,
    visit,
    wait_for,
)

pytest.importorskip("gradio")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

import bert_demo
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.runs.store import RunStore
from bert_demo.runs.worker import work

__all__ = ["chromium", "visit"]

SMALL = RunConfig(
    hidden_size=32,
    num_attention_heads=1,
    num_hidden_layers=2,
    intermediate_size=64,
    training=TrainingConfig(steps=8, batch_size=16, validate_every_steps=4),
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page over two pretrained models and a fine-tuned one, none of them the visitor's."""
    folder = tmp_path_factory.mktemp("tabs")
    store = RunStore(folder / "runs")
    first = store.create(SMALL, "somebody", "first")
    longer = replace(SMALL, training=replace(SMALL.training, steps=12))
    judge = RunConfig(
        task="nli", start_from=str(first.model), training=TrainingConfig(steps=3, batch_size=16)
    )
    runs = [first, store.create(longer, "somebody", "longer")]
    runs.append(store.create(judge, "somebody", "judge"))
    for run in runs:
        work(store.root, run.id, lambda: False, lambda answer: None)
    with served(folder) as url:
        yield url


def go_to(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def write(panel: Any, label: str, text: str) -> None:
    panel.get_by_role("textbox", name=re.compile(f"^{label}")).fill(text)


def spoken(page: Any, where: str) -> str:
    """What a screen reader is told of the result in `where`, once there is one."""
    wait_for(page, f"document.querySelector('{where} .bv-spoken')?.textContent")
    text: str = page.locator(f"{where} .bv-spoken").first.text_content()
    return text


@pytest.mark.timeout(180)
def test_a_model_is_fine_tuned_and_tested(visit: Callable[..., Visitor], address: str) -> None:
    page = visit().open(address)
    go_to(page, "Fine-tune")
    stop_after(page, "#live-finetune", 3, "steps")
    press(page, "Start")
    badge(page, "finished", "#live-finetune")
    result = page.locator("#live-finetune .bd-result")
    result.wait_for()
    said = re.search(r"On ([\d,]+) test pairs", result.inner_text())
    assert said is not None
    pairs = int(said[1].replace(",", ""))
    cells = result.locator(".bd-confusion td:not(:first-child), .bd-confusion td.bd-right")
    counts = [int(text.replace(",", "")) for text in cells.all_inner_texts() if text]
    assert len(counts) == 9 and sum(counts) == pairs
    right = result.locator(".bd-right").all_inner_texts()
    share = sum(int(text.replace(",", "")) for text in right) / pairs
    assert f"{share:.1%}" in result.inner_text()


def test_cranes_are_compared_layer_by_layer(visit: Callable[..., Visitor], address: str) -> None:
    page = visit(viewport={"width": 1440, "height": 1000}).open(address)
    go_to(page, "2 Its words")
    page.locator("#words-result .bv-plot[data-key='map-1'] .main-svg").first.wait_for()
    columns = page.locator("#words-result .bv-columns").first
    titles = columns.locator(".bv-column > .bv-heading").all_inner_texts()
    assert len(titles) == 2 and titles[1] == f"{titles[0]}, untrained"
    panel = page.locator("[role=tabpanel]:has(#words-result)")
    figure = "document.querySelector('#words-result [data-key=\"map-0\"]')"
    wait_for(page, f"{figure}.data")
    deepest = page.evaluate(f"(window.node = {figure}).data[0].x[0]")
    panel.get_by_role("slider", name="Layer").press("ArrowLeft")
    wait_for(page, f"{figure}.data[0].x[0] !== {deepest}")
    assert page.evaluate(f"{figure} === window.node"), "drawn anew in place"
    page.get_by_text("layer 1 of 2").first.wait_for()
    page.get_by_role("button", name="Follow one “crane” through the layers").click()
    page.locator(
        "#words-follow .bf-tokens .bd-choice[aria-pressed=true]", has_text="crane"
    ).wait_for()
    page.locator("#words-follow select").select_option(index=1)
    page.get_by_text("Where did it meet such a “crane”?").click()
    page.locator("#words-follow .bv-table td", has_text="crane").last.wait_for()
    write(panel, "Word", "platypus")
    press(page, "Compare")
    wait_for(page, "document.querySelector('#words-result .bv-alert')")
    assert "does not have the word 'platypus'" in spoken(page, "#words-result")


def test_a_pair_is_judged_both_ways(visit: Callable[..., Visitor], address: str) -> None:
    page = visit().open(address)
    go_to(page, "4 Argue")
    before = spoken(page, "#nli-result")
    assert re.match(r"The model says: it (follows|is left open|is contradicted) \(", before)
    panel = page.locator("[role=tabpanel]:has(#nli-result)")
    write(panel, "Premise", "two men are sleeping")
    write(panel, "Hypothesis", "nobody is awake")
    panel.get_by_label("it is contradicted").check()
    press(page, "Ask the model")
    page.locator("#nli-result td", has_text="two men are sleeping").first.wait_for()
    shares = page.locator("#nli-result .bv-bars").first.locator(".bv-share").all_inner_texts()
    assert sum(float(share.strip("<% ")) for share in shares) == pytest.approx(100, abs=0.3)
    fills = page.locator("#nli-result .bv-bars").first.locator(".bv-fill")
    colours = fills.evaluate_all("nodes => nodes.map((n) => getComputedStyle(n).backgroundColor)")
    assert len(set(colours)) == 3, "each label has a colour of its own"
    press(page, "Swap")
    page.locator("#nli-result td:first-child", has_text="nobody is awake").first.wait_for()
    # What carried the verdict follows it, and a change is judged by one click.
    page.locator("#nli-result .bv-word", has_text="nobody").first.wait_for()
    page.get_by_role("button", name="Negate: “not” put").wait_for()
    page.get_by_role("button", name="Swap the texts").click()
    page.locator("#nli-result td:first-child", has_text="two men are sleeping").first.wait_for()
    # The same pair, put to the model as it was before its first step; the tally stays.
    page.locator("#nli-moments input").press("Home")
    page.locator("#nli-result", has_text="Judged by judge @0").wait_for()
    page.locator("#nli-result .bv-word", has_text="nobody").first.wait_for()
    assert not page.locator("#nli-result td", has_text="judge @0").count()


def test_blanks_are_filled(visit: Callable[..., Visitor], address: str) -> None:
    page = visit().open(address)
    go_to(page, "Fill in the blank")
    assert "<mask>" not in spoken(page, "#blank-result")
    panel = page.locator("[role=tabpanel]:has(#blank-result)")
    write(panel, "Text", "the crane")
    press(page, "Add a blank")
    press(page, "Fill in")
    wait_for(
        page,
        "/^the crane \\S+$/.test(document.querySelector('#blank-result .bv-spoken').textContent)",
    )
    assert page.locator("#blank-result .bv-bar").count() == 8
    # The same, asked of the model as it was before its first step, and at its end again.
    page.locator("#blank-moments input").press("Home")
    page.locator("#blank-result", has_text="@0, pretrained on Crane World").wait_for()
    page.locator("#blank-moments", has_text="after step 0").wait_for()
    page.locator("#blank-moments input").press("End")
    page.locator("#blank-result", has_text="@0").wait_for(state="detached")
    # One token is followed, and then another one, without the rest being folded away.
    row = page.locator("#blank-follow .bf-tokens .bd-choice")
    wait_for(page, "document.querySelectorAll('#blank-follow .bf-tokens .bd-choice').length === 5")
    page.get_by_text("Follow one token through the layers").click()
    row.nth(1).click()
    page.get_by_text("“the” from layer to layer").wait_for()
    page.locator("#blank-follow .bf-head").first.click()
    page.locator("#blank-follow .bf-large", has_text="head 1").wait_for()
    assert row.nth(1).get_attribute("aria-pressed") == "true"
    # The same head of the same token, as it began.
    page.locator("#blank-follow .bf-choices .bd-choice", has_text="Layer 1").click()
    page.locator("#blank-follow .bf-large", has_text="Layer 1").wait_for()
    page.evaluate("document.querySelector('#blank-follow .bf-large').dataset.old = 1")
    page.locator("#blank-moments input").press("Home")
    page.locator("#blank-follow .bf-large:not([data-old])", has_text="Layer 1, head 1").wait_for()
    assert page.locator("#blank-follow .bf-all-place").inner_text() == "the"
    # The step that the run took from there, on a pair of its own batch; and its last one.
    press(page, "Play one training step slowly")
    page.locator("#blank-step", has_text="Step 1, slowly, on one of its 16 pairs").wait_for()
    page.locator("#blank-moments input").press("End")
    page.locator("#blank-step", has_text="Step 1, slowly").wait_for(state="detached")
    page.locator("#blank-step .bv-heading").wait_for()


def test_runs_are_compared_taken_home_and_deleted(
    visit: Callable[..., Visitor], address: str, tmp_path: Path
) -> None:
    page = visit(accept_downloads=True).open(f"{address}?admin={ADMIN}")
    go_to(page, "Runs")
    page.get_by_label("Tick longer").wait_for()
    names = "#runs-list tbody td:nth-child(2) a"
    page.locator("#runs-list th[data-column=title] button").click()
    titles = page.locator(names).all_inner_texts()
    assert titles == sorted(titles) and {"first", "judge", "longer"} <= set(titles)
    page.locator("#runs-list th[data-column=title] button").click()
    assert page.locator(names).all_inner_texts() == titles[::-1]

    page.get_by_label("Tick first").check()
    page.get_by_label("Tick longer").check()
    figure = "document.querySelector('[data-key=\"runs-mlm_loss\"]')"
    wait_for(page, f"{figure} && {figure}.data && {figure}.data.length === 4")
    page.locator("td", has_text=re.compile("^steps$")).wait_for()
    page.get_by_text("Best pretraining on Crane World").first.wait_for()

    page.get_by_label("Tick longer").uncheck()
    press(page, "Prepare downloads")
    files = {}
    for kind in ("zip", "csv"):
        with page.expect_download() as caught:
            page.locator(f"a[download$='.{kind}']").first.click()
        files[kind] = tmp_path / caught.value.suggested_filename
        caught.value.save_as(files[kind])
    with zipfile.ZipFile(files["zip"]) as archive:
        assert not any("moments" in name for name in archive.namelist())
        archive.extractall(tmp_path)
        folder = tmp_path / archive.namelist()[0].partition("/")[0]
    model, tokenizer, config = bert_demo.load(folder)
    assert bert_demo.encode(model, tokenizer, "a crane").vectors.shape[1] == config.hidden_size
    with files["csv"].open(newline="") as file:
        steps = [row["step"] for row in csv.DictReader(file) if row["event"] == "step"]
    assert steps == [str(i) for i in range(1, 9)]

    page.get_by_label("Tick first").uncheck()
    page.get_by_label("Tick longer").check()
    page.once("dialog", lambda dialog: dialog.accept())
    press(page, "Delete")
    page.get_by_label("Tick longer").wait_for(state="detached")
    assert "longer" not in page.locator(names).all_inner_texts()


def test_the_last_score_of_a_run_stands_for_itself(
    visit: Callable[..., Visitor], address: str
) -> None:
    page = visit().open(address)
    scores = [
        {"step": 5, "seconds": 1, "mlm_loss": 7, "nsp_loss": 0.7, "n": 512},
        {"step": 9, "seconds": 2, "mlm_loss": 6, "nsp_loss": 0.7, "n": 512},
        {"step": 9, "seconds": 3, "mlm_loss": 6.2, "nsp_loss": 0.7, "n": 1500},
    ]
    figure = "window.bertDemo.curves.figure"
    data = "{columns: {step: [9], mlm_loss: [6], nsp_loss: [0.7]}, validations: scores}"
    drawn = page.evaluate(
        f"(scores) => {figure}({data}, 'pretraining', false, 'run', 1000)"
        ".traces.map(({name, x, y, xaxis, yaxis, marker}) => [name, yaxis, x, y, marker?.symbol])",
        scores,
    )
    upper = {name: (x, y, mark) for name, axis, x, y, mark in drawn if axis == "y"}
    assert upper["held out"] == ([5], [7], "circle"), "the rough score of the same step is gone"
    assert upper["at the end"] == ([9], [6.2], "diamond")
