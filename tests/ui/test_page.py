"""The page in a real browser, headless: a run from Start to Stop, watched, left and found again."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers.browser import (
    Visitor,
    badge,
    chromium,
    fetch,
    press,
    served,
    stop_after,
    visit,
    wait_for,
)

pytest.importorskip("gradio")

from bert_demo.ui.parts import assets

__all__ = ["chromium", "visit"]
PANEL = "#live-pretrain"
NODE = "document.querySelector('#live-pretrain .bd-plot')"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page, with no runs yet."""
    with served(tmp_path_factory.mktemp("page")) as url:
        yield url


def points(page: Any) -> int:
    found: int = page.evaluate(f"{NODE}.data[1].x.length")
    return found


def test_nothing_is_fetched_from_elsewhere(address: str) -> None:
    text = fetch(address)
    assert "bert_demo" in text
    links = re.findall(r"(?:src|href)=[\"'](https?:[^\"']+)", text)
    assert [link for link in links if "fonts" in link or link.endswith(".js")] == []


def test_plotly_is_served_compressed_and_kept(address: str) -> None:
    place = address + assets.address("plotly.min.js")
    request = urllib.request.Request(place, headers={"Accept-Encoding": "gzip"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "immutable" in answer.headers["Cache-Control"]
        assert len(answer.read()) < 2_000_000
    with pytest.raises(urllib.error.HTTPError):
        opener.open(place.replace("plotly.min.js", "..%2Fpage.py"), timeout=30)


def test_lines_and_curves_are_named_by_what_they_are_of(
    visit: Callable[..., Visitor], address: str
) -> None:
    page = visit().open(address)
    wait_for(page, "window.bertDemo && window.bertDemo.curves")

    def figure(task: str, **start: Any) -> tuple[dict[float, str], list[str]]:
        columns = {"step": [1, 2], "loss": [1, 1], "mlm_loss": [9, 8], "nsp_loss": [0.7, 0.7]}
        columns["accuracy"] = [0.3, 0.4]
        data = {"columns": columns, "validations": [], "start": {"vocab_size": 9, **start}}
        drawn = page.evaluate(
            "([data, task]) => bertDemo.curves.figure(data, task, false, 'a', 900).layout",
            [data, task],
        )
        dashes = {shape["y0"]: shape["line"]["dash"] for shape in drawn["shapes"]}
        return dashes, [note["text"].replace("<br>", " ") for note in drawn["annotations"]]

    known = {"uniform": 9.92, "unigram": 6.67, "coin": 0.69}
    dashes, texts = figure("pretraining", baselines=known | {"unigram_train": 6.89})
    assert (dashes[6.89], dashes[6.67]) == ("dash", "dot")
    assert "word frequency, training 6.89 held out = 6.67" in texts
    # A run of an earlier version knows one of the two.
    dashes, texts = figure("pretraining", baselines=known)
    assert dashes.keys() == {9.92, 6.67, 0.69}
    assert "word frequency, held out = 6.67" in texts
    known = {"uniform": 1.1, "chance": 0.33}
    assert "<b>Loss</b>" in figure("nli", baselines=known, taught=False)[1]
    titles = figure("nli", baselines=known, taught=True)[1]
    assert "<b>Loss against the teacher; held out: against labels</b>" in titles
    assert "<b>Accuracy; on new pairs: agreement with the teacher</b>" in titles


def test_where_dropout_began_is_marked(visit: Callable[..., Visitor], address: str) -> None:
    page = visit().open(address)
    wait_for(page, "Boolean(window.bertDemo && window.bertDemo.curves && window.bertDemo.sketch)")
    steps = list(range(1, 101))
    told = {"step": 50, "seconds": 5.0, "message": "By heart."}

    def marks(until: int, by_time: bool = False) -> tuple[list[float], list[str]]:
        columns = {"step": steps[:until], "seconds": [step / 10 for step in steps[:until]]}
        columns |= {"mlm_loss": [9.0] * until, "nsp_loss": [0.7] * until}
        start = {"vocab_size": 9, "baselines": {"uniform": 9.9, "coin": 0.7}}
        data = {"columns": columns, "validations": [], "start": start, "dropout": told}
        layout, drawn = page.evaluate(
            """([data, byTime]) => {
              const figure = bertDemo.curves.figure(data, "pretraining", byTime, "a", 900);
              const host = document.createElement("div");
              bertDemo.sketch(host, figure);
              return [figure.layout, [...host.querySelectorAll("text")].map((t) => t.textContent)];
            }""",
            [data, by_time],
        )
        upright = [shape["x0"] for shape in layout["shapes"] if shape["x0"] == shape["x1"]]
        why = [note["hovertext"] for note in layout["annotations"] if "hovertext" in note]
        assert ("dropout begins" in drawn) == bool(upright)
        return upright, why

    assert marks(100) == ([50], ["By heart."])
    assert marks(100, by_time=True) == ([5.0], ["By heart."])
    assert marks(49) == ([], [])


@pytest.mark.timeout(280)
def test_a_run_is_watched_left_found_and_stopped(
    visit: Callable[..., Visitor], address: str
) -> None:
    owner = visit(viewport={"width": 1440, "height": 900})
    page = owner.open(address)
    stop_after(page, PANEL, 240, "seconds")
    press(page, "Start")
    page.locator(f"{PANEL} .js-plotly-plot .nsewdrag").first.wait_for()
    wait_for(page, f"{NODE}.data && {NODE}.data[1].x.length > 2")
    run = page.url.partition("run=")[2]
    assert run
    room = page.evaluate(
        f"parseFloat(getComputedStyle(document.querySelector('{PANEL} .bd-head')).paddingRight)"
    )
    buttons = page.locator(".bd-stage:visible .bd-controls").bounding_box()
    assert room > buttons["width"] > 3 * 96, "the headline ends before the buttons"

    # The curve grows in the same node; what the pointer is on and a zoom stay.
    page.evaluate(f"window.node = {NODE}")
    box = page.locator(f"{PANEL} .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 50)
    hovered = "document.querySelector('#live-pretrain .hoverlayer').children.length > 0"
    wait_for(page, hovered)
    before = points(page)
    wait_for(page, f"{NODE}.data[1].x.length > {before}")
    assert page.evaluate(hovered)
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 100, steps=5)
    page.mouse.up()
    wait_for(page, "window.node._fullLayout.xaxis.autorange === false")
    ranges = "JSON.stringify([node._fullLayout.xaxis.range, node._fullLayout.yaxis.range])"
    zoomed, before = page.evaluate(ranges), points(page)
    wait_for(page, f"{NODE}.data[1].x.length > {before + 1}")
    assert page.evaluate(f"window.node === {NODE}")
    assert page.evaluate(ranges) == zoomed

    # The film shows what the model believes.
    assert page.locator(f"{PANEL} .bd-blank").count() >= 5

    # A second browser sees the run and cannot stop it.
    stranger = visit(viewport={"width": 390, "height": 844})
    other = stranger.open(f"{address}?run={run}")
    other.locator(f"{PANEL} .js-plotly-plot").wait_for()
    other.get_by_text("You are watching").wait_for()
    assert other.locator("button:visible:text-is('Stop')").count() == 0
    assert other.evaluate("document.documentElement.scrollWidth") <= 390

    # A reload, even without the run in the address, finds it, still training.
    page.goto(address)
    wait_for(page, f"{NODE} && {NODE}.data && {NODE}.data[1].x.length > {before}")
    assert page.url.endswith(f"run={run}")
    badge(page, "training", PANEL)

    # Pause, go on, stop; the stranger sees it too.
    press(page, "Pause")
    badge(page, "paused", PANEL)
    paused = points(page)
    press(page, "Go on")
    wait_for(page, f"{NODE}.data[1].x.length > {paused}")
    press(page, "Stop")
    badge(page, "stopped", PANEL)
    badge(other, "stopped", PANEL)

    # What it learnt can be fine-tuned at once.
    page.get_by_role("tab", name="Fine-tune").click()
    stop_after(page, "#live-finetune", 3, "steps")
    press(page, "Start")
    badge(page, "finished", "#live-finetune")
    page.locator("#live-finetune .bd-confusion").wait_for()
    assert "test pairs" in page.locator("#live-finetune .bd-result").inner_text()


def test_the_teachers_link_gives_the_buttons(visit: Callable[..., Visitor], address: str) -> None:
    owner = visit()
    page = owner.open(address)
    stop_after(page, PANEL, 200, "seconds")
    press(page, "Start")
    badge(page, "training", PANEL)
    run = page.url.partition("run=")[2]
    teacher = visit().open(f"{address}?run={run}&admin=teacher%27s%20secret")
    teacher.locator("button:visible:text-is('Stop')").wait_for()
    assert "secret" not in teacher.url
    press(teacher, "Stop")
    badge(page, "stopped", PANEL)


def test_what_cannot_fit_is_refused_in_place(visit: Callable[..., Visitor], address: str) -> None:
    page = visit().open(address)
    page.get_by_text("Settings", exact=True).first.click()
    page.get_by_label("Model", exact=True).first.click()
    page.get_by_role("option", name="large").click()
    page.get_by_text("More settings").first.click()
    page.get_by_label("Batch size").first.fill("65536")
    page.get_by_text("this machine has").first.wait_for()


def test_every_tab_fits_a_phone_that_is_dark(visit: Callable[..., Visitor], address: str) -> None:
    page = visit(viewport={"width": 390, "height": 844}, color_scheme="dark").open(address)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", paper)[:3])) < 200
    names = page.get_by_role("tab").all_inner_texts()
    assert names[0] == "1 Pretrain" and names[-1] == "Runs"
    assert not page.get_by_label("More tabs").count(), "no tab hides in a menu"
    for name in names:
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
