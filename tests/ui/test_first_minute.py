"""The first minute: what stands in sight on arrival, and the path through the stations."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from helpers.browser import (
    ADMIN,
    BUNDLED,
    ROOT,
    Visitor,
    chromium,
    fetch,
    press,
    served,
    stop_after,
    visit,
    wait_for,
)

pytest.importorskip("gradio")

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig
from bert_demo.model.folders import METRICS
from bert_demo.ui.address import pair_of, tab_of, values_of, words_of
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts import language, live
from bert_demo.ui.serving.settings import AppSettings

__all__ = ["chromium", "visit"]
SIZES = [(1280, 720), (1440, 900), (1920, 1080), (390, 844)]
IN_SIGHT = """selector => [...document.querySelectorAll(selector)].some(node => {
  const box = node.getBoundingClientRect();
  return box.width > 0 && box.top >= 0 && box.bottom <= innerHeight && box.left >= 0
    && box.right <= innerWidth;
})"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page as one gets it, with no runs yet."""
    with served(tmp_path_factory.mktemp("first"), *BUNDLED) as url:
        yield url


@pytest.fixture
def context(tmp_path: Any) -> Iterator[AppContext]:
    made = AppContext(AppSettings(data_dir=tmp_path))
    yield made
    made.close()


def test_before_any_script_has_come_there_is_a_picture_of_the_recorded_run(
    chromium: Any, address: str
) -> None:
    for width, scheme in ((1280, "light"), (390, "dark")):
        context = chromium.new_context(
            viewport={"width": width, "height": 720}, color_scheme=scheme, java_script_enabled=False
        )
        page = context.new_page()
        page.goto(address)
        curve = page.locator(".bd-outline polyline")
        box = curve.bounding_box()
        assert box["width"] > 0.7 * min(width, 888) and box["y"] + box["height"] < 720
        assert page.locator(".bd-outline").inner_text().startswith("bert_demo")
        context.close()


def test_a_link_to_the_page_is_shown_elsewhere_with_its_own_name(address: str) -> None:
    shown = re.findall(
        r'<meta\s+(?:property="og:|name="twitter:)(\w+)" content="([^"]*)"', fetch(address)
    )
    assert shown[0] == ("title", "bert_demo") and len(shown) == 2
    assert shown[1][1].startswith("A BERT that you train")


def test_the_page_asks_at_once_for_all_of_gradios_scripts_that_it_needs(
    visit: Callable[..., Visitor], address: str
) -> None:
    """Read from what Vite leaves in Gradio's scripts, which a later Gradio may have otherwise."""
    named = set(re.findall(r"href=\"\./(assets/[\w.-]+)\"", fetch(address).split("<body")[0]))
    visitor = visit()
    page = visitor.open(address)
    page.wait_for_function("document.querySelector('#live-pretrain .bd-plot svg')")
    asked = {url.removeprefix(address) for url in visitor.asked if "/assets/" in url}
    assert {url for url in asked - named if not url.startswith("assets/index-")} == set()
    assert named - asked == set() and len(named) > 50
    assert page.locator(".bd-outline").is_hidden()


def test_who_presses_a_card_far_below_is_taken_to_the_run(
    visit: Callable[..., Visitor], address: str
) -> None:
    """What stands above the run grows while the page scrolls to it."""
    page = visit(viewport={"width": 390, "height": 844}).open(address)
    page.wait_for_function("document.querySelector('#live-pretrain .bd-plot svg')")
    page.evaluate(
        """() => {
            const live = document.getElementById("live-pretrain");
            window.scrollTo(0, document.body.scrollHeight);
            window.bertDemo.goTo(live);
            const more = document.createElement("div");
            setTimeout(() => { more.style.height = "500px"; live.before(more); }, 100);
        }"""
    )
    page.wait_for_timeout(2000)
    top = page.evaluate("document.getElementById('live-pretrain').getBoundingClientRect().top")
    assert abs(top) < 5


@pytest.mark.parametrize(("code", "begins"), [("en", "Fine: "), ("de", "Gut: "), ("zh", "正常")])
def test_a_run_is_told_of_with_its_state(context: AppContext, code: str, begins: str) -> None:
    run = context.store.create(RunConfig(), "me")
    assert live.answer(context, {"run": run.id})["diagnosis"] is None
    run.model.mkdir(exist_ok=True)
    shutil.copy(ROOT / "checkpoints" / "bert-crane-world" / METRICS, run.model)
    language.use(code)
    try:
        told = live.answer(context, {"run": run.id})["diagnosis"]
    finally:
        language.use(language.SOURCE)
    assert told["name"] == "fine" and told["words"].startswith(begins)


def test_a_model_that_came_along_has_its_run_recorded(context: AppContext) -> None:
    for task, loss in (("pretraining", "mlm_loss"), ("nli", "loss")):
        answer = live.answer(context, {"recorded": task})
        assert answer["start"]["task"] == task and answer["end"]["reason"] == "completed"
        losses = answer["steps"][loss]
        assert losses[-1] < losses[0] and len(answer["steps"]["seconds"]) == len(losses)
    frames = live.answer(context, {"recorded": "pretraining"})["frames"]
    assert 10 <= len(frames) <= 50
    assert len(frames[0]["similarities"]["labels"]) == 24
    assert len(json.dumps(frames)) < 300_000


def test_where_nothing_is_recorded_it_is_said(tmp_path: Any) -> None:
    bare = AppContext(AppSettings(data_dir=tmp_path, checkpoints_dir=tmp_path / "none"))
    with pytest.raises(UserError, match="has kept its run"):
        live.recorded(bare, "pretraining")
    for task in (None, 3, ["nli"], "elsewhere"):
        assert "error" in live.answer(bare, {"recorded": task})
    bare.close()


def test_curves_answer_the_pointer_before_plotly_has_come(
    visit: Callable[..., Visitor], address: str
) -> None:
    page = visit(reduced_motion="reduce").page
    page.route("**/plotly.min.js*", lambda route: None)  # on its way for good
    page.goto(address)
    wait_for(page, "document.querySelectorAll('#live-pretrain .bd-sketch polyline').length > 3")
    page.locator("#live-pretrain .bd-sketch").hover(position={"x": 300, "y": 100})
    read = page.locator("#live-pretrain .bd-sketch g text")
    read.first.wait_for()
    (step,) = {text.partition("(")[2] for text in read.all_text_contents()}
    assert read.count() == 2 and 1 < int(step.rstrip(")")) < 600
    page.mouse.move(2, 2)
    read.first.wait_for(state="detached")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_on_arrival_curves_guesses_and_start_are_in_sight(
    visit: Callable[..., Visitor], address: str, width: int, height: int
) -> None:
    page = visit(viewport={"width": width, "height": height}).open(address)
    page.locator("#live-pretrain .bd-blank").first.wait_for()
    assert page.evaluate(IN_SIGHT, ".bd-first-card button")
    assert page.evaluate(IN_SIGHT, "#live-pretrain .bd-blank")
    curve = "#live-pretrain .bd-plot :is(.bd-sketch polyline, .scatterlayer path)"
    wait_for(page, f"({IN_SIGHT})({json.dumps(curve)})")
    if width >= 1200:
        assert page.evaluate(IN_SIGHT, "#live-pretrain .bd-map")
    told = "document.querySelector('#live-pretrain .bd-film-when').textContent"
    before = page.evaluate(told)
    wait_for(page, f"{told} !== {json.dumps(before)}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_loss_is_said_in_words(visit: Callable[..., Visitor], address: str) -> None:
    page = visit(reduced_motion="reduce").open(address)
    page.get_by_text("as unsure as among").wait_for()
    found = page.locator("#live-pretrain .bd-main").first.inner_text()
    loss = float(found.split("loss ")[1].split()[0])
    among = float(found.split("among ")[1].split()[0].replace(",", ""))
    assert among == pytest.approx(math.exp(loss), rel=0.05)
    page.get_by_text("What do the lines mean?").first.click()
    page.get_by_text("never looks at the sentence").wait_for()


def test_a_guess_is_answered_whenever_it_is_made(
    visit: Callable[..., Visitor], address: str
) -> None:
    page = visit(reduced_motion="reduce").open(address)
    asked = page.locator("#live-pretrain .bd-question")
    asked.get_by_text("parted first, at step").wait_for()
    asked.get_by_role("button", name="surname").click()
    told = asked.locator("p").inner_text()
    assert "parted first, at step" in told and (
        "You said “surname”" in told or "You said so" in told
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844)])
def test_the_path_leads_on_with_the_model(
    visit: Callable[..., Visitor], address: str, width: int, height: int
) -> None:
    bird = f"heron {width}"
    page = visit(viewport={"width": width, "height": height}).open(address)
    page.get_by_label("Name").first.fill(bird)
    stop_after(page, "#live-pretrain", 12, "steps")
    press(page, "Start with these settings")
    wait_for(page, "document.querySelector('#live-pretrain .bd-badge').textContent === 'finished'")
    assert page.locator("#live-pretrain .bd-title").inner_text() == bird
    run = parse_qs(urlsplit(page.url).query)["run"][0]
    press(page, "Next: look at its words →")
    page.locator("[role=tabpanel]:has(#words-result)").get_by_text(bird).first.wait_for()
    assert page.title() == "Its words · bert_demo"
    named = parse_qs(urlsplit(page.url).query)
    assert (named["run"], named["tab"]) == ([run], ["words"])
    press(page, "Next: teach it to judge →")
    station = page.locator("[role=tabpanel]:has(#live-finetune)")
    chosen = f"[...document.querySelectorAll('input')].some(i => i.value.includes('{bird} ('))"
    wait_for(page, chosen)
    assert bird in station.get_by_label("Start from").input_value()
    page.go_back()
    wait_for(page, "document.title === 'Its words · bert_demo'")
    page.go_forward()
    wait_for(page, "document.title === 'Fine-tune · bert_demo'")
    stop_after(page, "#live-finetune", 4, "steps")
    station.get_by_role("button", name="Start with these settings").click()
    station.locator(".bd-badge:not([data-state=recorded])").wait_for()  # it asks the same
    asked = station.locator(".bd-question")
    asked.get_by_role("button", name="below 45").click()
    asked.get_by_text("times in 100; a third would be chance. You said").wait_for(timeout=120_000)
    bird = station.locator(".bd-title").inner_text()
    station.get_by_role("button", name="Next: argue with it →").click()
    page.get_by_label("Hypothesis").press("Enter")
    page.locator("#nli-result").get_by_text(f"Judged by {bird}").first.wait_for()


def test_the_teachers_code_leaves_the_address_at_once(
    visit: Callable[..., Visitor], address: str
) -> None:
    page = visit().page
    page.goto(f"{address}?admin={ADMIN}")
    page.locator(".bd-first-card button").first.wait_for()
    assert ADMIN not in page.url


def test_presenting_leaves_the_picture(visit: Callable[..., Visitor], address: str) -> None:
    page = visit(viewport={"width": 1920, "height": 1080}).page
    page.goto(f"{address}?present=1")
    page.locator("#live-pretrain .bd-blank").first.wait_for()
    assert not page.locator(".bd-first-card button").first.is_visible()
    sizes = page.evaluate(
        "[...document.querySelectorAll('#live-pretrain :is(p, span, li, button, h2, h4)')]"
        ".filter(n => n.offsetWidth && n.textContent.trim())"
        ".map(n => parseFloat(getComputedStyle(n).fontSize))"
    )
    assert min(sizes) >= 18
    page.keyboard.press("Escape")
    page.locator(".bd-first-card button").first.wait_for()


def test_what_was_drawn_of_a_curve_stays(visit: Callable[..., Visitor], address: str) -> None:
    page = visit().open(address)
    values = [math.sin(i) + i / 50 for i in range(300)]
    smooth = "([all, n]) => window.bertDemo.curves.smooth(all.slice(0, n))"
    assert page.evaluate(smooth, [values, 300])[:120] == page.evaluate(smooth, [values, 120])


def test_recorded_runs_lie_behind_a_run_as_if_of_its_length(
    visit: Callable[..., Visitor], address: str
) -> None:
    page = visit().open(address)
    band = """([steps, whole]) => {
      const n = [...Array(steps).keys()], ones = n.map(() => 1);
      const bands = { mlm_loss: [[3, 2], [4, 3]], nsp_loss: [[1, 0.5], [1.2, 0.7]] };
      const later = { mlm_loss: [[3, 1], [4, 1]], nsp_loss: [[1, 0.1], [1.2, 0.1]] };
      const references = [{ steps: [200, 400], runs: 3, bands: later },
        { steps: [50, 100], runs: 3, bands }];
      const columns = { step: n.map((i) => i + 1), mlm_loss: ones, nsp_loss: ones };
      const data = { columns, validations: [], references, start: { steps: whole } };
      const drawn = window.bertDemo.curves.figure(data, "pretraining", false, "a", 800);
      return drawn.traces.filter((t) => t.name === "normal").map((t) => [t.x, t.y]);
    }"""
    # 200 steps are in the middle between 100 and 400; this run has come to step 150, or to its end.
    assert page.evaluate(band, [150, 200]) == [[[100, 100], [3, 4]], [[100, 100], [1, 1.2]]]
    assert page.evaluate(band, [200, 200])[0] == [[100, 200, 200, 100], [3, 1.5, 2, 4]]
    assert page.evaluate(band, [105, 105])[0][1] == pytest.approx([3, 1.96, 2.93, 4], abs=0.01)
    assert page.evaluate(band, [400, 430])[0] == [[215, 215], [3, 4]]
    assert page.evaluate(band, [90, 450]) == page.evaluate(band, [50, 90]) == []


def test_the_sense_that_parts_first(visit: Callable[..., Visitor], address: str) -> None:
    """Two senses of two texts each: "b" is apart for good from the second frame on, "a" never."""
    page = visit().open(address)

    def frame(step: int, within_a: float, within_b: float) -> dict[str, Any]:
        matrix = [[1.0, within_a, 0.3, 0.3], [within_a, 1.0, 0.3, 0.3]]
        matrix += [[0.3, 0.3, 1.0, within_b], [0.3, 0.3, within_b, 1.0]]
        found = {"senses": ["a", "a", "b", "b"], "labels": list("wxyz"), "matrix": matrix}
        return {"step": step, "similarities": found}

    first = "frames => window.bertDemo.partedFirst(frames)"
    frames = [frame(1, 0.9, 0.3), frame(5, 0.3, 0.9), frame(9, 0.3, 0.9)]
    assert page.evaluate(first, frames)["sense"] == "b"
    assert page.evaluate(first, frames)["step"] == 5
    assert page.evaluate(first, frames[:2]) is None, "one frame is no lasting difference"
    assert page.evaluate(first, []) is None


@pytest.mark.timeout(120)
def test_a_link_shows_the_same_elsewhere(visit: Callable[..., Visitor], address: str) -> None:
    visitor = visit()
    page = visitor.page
    pair = urlencode({"premise": "two dogs run", "hypothesis": "three dogs run"})
    page.goto(f"{address}?tab=nli&model=bundled/bert-small-snli&{pair}")
    page.locator("#nli-result td", has_text="three dogs run").first.wait_for()
    assert page.title() == "Argue · bert_demo"
    words = urlencode({"list": "bank", "layer": "1", "models": '["bundled/bert-crane-world"]'})
    visitor.leave_for(f"{address}?tab=words&{words}")
    page.locator("#words-result .bv-strong", has_text="'bank'").wait_for()
    page.get_by_text("layer 1 of 2").first.wait_for()


def test_what_a_link_names_and_is_not_there_gets_a_sentence(
    visit: Callable[..., Visitor], address: str
) -> None:
    page = visit().page
    page.goto(f"{address}?run=20200101-gone")
    page.get_by_text("The run that the link names is not here").wait_for()


@pytest.mark.parametrize(
    "search",
    [
        "",
        "?",
        "?tab=../x",
        "?models=[[[",
        "?models=7&layer=x",
        "?contexts=[1]&list=none",
        "?" * 9999,
    ],
)
def test_a_strange_link_hurts_nothing(context: AppContext, search: str) -> None:
    values = values_of(search)
    told: list[str] = []
    assert tab_of(values, told.append) is None
    assert bool(told) == ("=../x" in search)
    told.clear()
    assert len(words_of(context.shelf, values, told.append)) == 5
    assert len(pair_of(context.shelf, values, told.append)) == 3
    assert bool(told) == ("=[1]" in search)
