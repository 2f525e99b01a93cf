"""The page for everybody: axe-core on each tab, keys, print, forced colours, small files."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers.browser import BUNDLED, Visitor, chromium, fetch, served, visit, wait_for

pytest.importorskip("gradio")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

__all__ = ["chromium", "visit"]
# Gradio's own: what waits for an answer is pale for a moment.
STILL = "!document.querySelector('.pending, .generating, .translucent')"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("everybody"), *BUNDLED) as url:
        yield url


@pytest.mark.timeout(280)
@pytest.mark.parametrize(("width", "height", "scheme"), [(1280, 720, "light"), (390, 844, "dark")])
def test_axe_finds_nothing_on_any_tab(
    visit: Callable[..., Visitor], address: str, width: int, height: int, scheme: str
) -> None:
    size = {"width": width, "height": height}
    page = visit(viewport=size, color_scheme=scheme, reduced_motion="reduce").open(address)
    found = []
    for name in page.get_by_role("tab").all_inner_texts():
        page.get_by_role("tab", name=name).click()
        for _ in range(3):  # on a slow machine an answer may begin to be waited for in between
            page.wait_for_timeout(1500)
            wait_for(page, STILL)
            results = axe.Axe().run(page, options={"resultTypes": ["violations"]})
            if not results.response["violations"]:
                break
        found += [
            f"{name}: {v['id']}: {v['nodes'][0]['html']}" for v in results.response["violations"]
        ]
    assert found == []


def test_arrow_keys_go_from_tab_to_tab(visit: Callable[..., Visitor], address: str) -> None:
    page = visit().open(address)
    page.get_by_role("tab").first.focus()
    page.keyboard.press("ArrowRight")
    wait_for(page, "document.title === 'Its words · bert_demo'")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    wait_for(page, "document.title === 'Runs · bert_demo'")


def test_the_first_key_leads_past_the_form(visit: Callable[..., Visitor], address: str) -> None:
    page = visit().open(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the curves"


def test_print_has_curves_and_film_on_one_sheet(
    visit: Callable[..., Visitor], address: str
) -> None:
    page = visit(viewport={"width": 794, "height": 1123}, reduced_motion="reduce").open(address)
    page.locator("#live-pretrain .js-plotly-plot").wait_for()
    page.emulate_media(media="print")
    assert not page.locator(".bd-first-card button").first.is_visible()
    bottom = page.evaluate(
        "Math.max(...['.bd-plot', '.bd-senses', '.bd-guesses'].map((name) =>"
        " document.querySelector('#live-pretrain ' + name).getBoundingClientRect().bottom))"
    )
    assert bottom < 1123


def test_forced_colours_leave_the_bars(visit: Callable[..., Visitor], address: str) -> None:
    page = visit(forced_colors="active", reduced_motion="reduce").open(address)
    bar = page.locator("#live-pretrain .bd-fill").first
    bar.wait_for(state="attached")
    colour: Any = bar.evaluate("node => getComputedStyle(node).backgroundColor")
    assert colour != "rgba(0, 0, 0, 0)"


def test_what_is_sent_is_small_and_kept(address: str) -> None:
    assert "page.js" in fetch(address).partition("</head>")[0]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def asked(path: str) -> Any:
        request = urllib.request.Request(address + path, headers={"Accept-Encoding": "gzip"})
        return opener.open(request, timeout=30)

    with asked("") as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert len(answer.read()) < 80_000
    with opener.open(address, timeout=30) as answer:
        script = answer.read().decode().partition('src="./assets/')[2].partition('"')[0]
    with asked(f"assets/{script}") as answer:
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] == "gzip"
