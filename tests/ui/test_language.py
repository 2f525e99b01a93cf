"""The page in other languages: whole catalogues, translated sentences, and a page in Chinese."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import said
from helpers.browser import BUNDLED, ROOT, Visitor, chromium, served, visit, wait_for

pytest.importorskip("gradio")

from bert_demo.common.errors import Text, UserError
from bert_demo.config import LABELS, RunConfig, TrainingConfig, run_config
from bert_demo.data.prepare import SourceReport
from bert_demo.inference.models import ModelShelf
from bert_demo.interop.addresses import repo_id
from bert_demo.interop.known import KNOWN_MODELS
from bert_demo.runs.record import Run, Status
from bert_demo.runs.store import RunStore, default_title
from bert_demo.ui.parts import assets, forms, language
from bert_demo.ui.serving.settings import from_args

__all__ = ["chromium", "visit"]
OTHERS = [code for code in language.available() if code != language.SOURCE]
PLACES = re.compile(r"\{(\w+)(![rs])?(:[^{}]+)?\}")


def places(text: str) -> list[tuple[str, ...]]:
    """What stands in braces: names, and how their values are written."""
    return sorted(PLACES.findall(text))


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    yield
    language.use(language.SOURCE)


@pytest.fixture(scope="module")
def keys() -> set[str]:
    return said.keys()


def test_there_are_three_languages() -> None:
    assert language.available() == ["de", "en", "zh"]
    assert from_args([], {}).language == "en"
    assert from_args([], {"BERT_DEMO_LANGUAGE": "zh"}).language == "zh"
    with pytest.raises(UserError, match=r"^language is 'fr'; it must be one of: de, en, zh\.$"):
        from_args(["--language", "fr"], {})


@pytest.mark.parametrize("code", OTHERS)
def test_a_catalogue_has_every_text_and_no_other(code: str, keys: set[str]) -> None:
    words = language.catalogue(code)
    assert sorted(keys - words.keys()) == []
    assert sorted(words.keys() - keys) == []
    for text, translation in words.items():
        assert places(text) == places(translation), text
        assert translation.strip(), text
        assert text.count("<br>") >= translation.count("<br>"), text


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_can_be_said(code: str, keys: set[str]) -> None:
    language.use(code)
    for text in keys:
        said = Text(text, **{name: 42 for name, *_ in places(text)})
        assert "{" not in language.translate(said)


def test_no_component_has_words_that_cannot_be_translated() -> None:
    assert said.unsaid() == []


def test_english_is_as_it_is_written(keys: set[str]) -> None:
    for text in keys:
        said = Text(text, **{name: 4200 for name, *_ in places(text)})
        assert language.say(text) == language.translate(text) == text
        assert language.translate(said) == language.say(text, **said.values) == said
    assert language.number(1234567) == "1,234,567"


def error_of(call: Callable[[], object]) -> UserError:
    with pytest.raises(UserError) as caught:
        call()
    return caught.value


def test_errors_of_the_engine_are_said_in_german(tmp_path: Path) -> None:
    language.use("de")
    store, shelf = RunStore(tmp_path), ModelShelf(tmp_path, tmp_path)
    expected: dict[Callable[[], object], str] = {
        lambda: TrainingConfig(steps=1, batch_size=0): (
            "batch_size ist 0; es muss eine ganze Zahl von 1 bis 65\u202f536 sein."
        ),
        lambda: TrainingConfig(steps=1, recipe="fast"): (
            "recipe ist 'fast'; es muss eines sein von: d2l, recommended."
        ),
        lambda: RunConfig(task="nli", corpus="wikitext-2", start_from="x"): (
            "corpus ist 'wikitext-2'; für nli muss es eines sein von: snli, crane-world."
        ),
        lambda: run_config({"colour": 1}): "RunConfig hat keine Einstellung 'colour'.",
        lambda: store.get("nothing"): (
            "Den Lauf 'nothing' gibt es nicht; vielleicht wurde er gelöscht."
        ),
        lambda: shelf.load("run/none"): (
            "Ein Modell 'run/none' gibt es hier nicht; eines aus der Liste wählen."
        ),
        lambda: repo_id("a b"): (
            "'a b' ist kein Name eines Repository; er muss owner/name sein, etwa "
            "google-bert/bert-base-uncased."
        ),
        lambda: forms.read("pretraining", {"budget_kind": "steps"}): (
            "Die Länge des Laufs angeben (Schritte)."
        ),
    }
    for call, german in expected.items():
        assert language.translate(error_of(call)) == german


def test_what_the_engine_says_of_runs_and_models_is_said_in_german(tmp_path: Path) -> None:
    language.use("de")
    run = Run("id", tmp_path, tmp_path, "t", None, None, 0.0, None, Status("failed"))
    report = SourceReport(
        "crane-world", "train", Text("built in"), "", {"paragraphs": 8000, "left_out": 1}
    )
    store = RunStore(tmp_path)
    kept = store.create(RunConfig(), "token")
    store.set_status(kept.id, message=report.sentence())
    entry = ModelShelf(ROOT / "checkpoints", tmp_path).entry("bundled/bert-small-snli")
    source = "Crane World, Training (eingebaut): 8\u202f000 Absätze, 1 ausgelassen."
    expected = [
        (
            Text("The app ended in the middle of this run. {left}", left=run.what_is_left),
            "Die Anwendung endete mitten in diesem Lauf. Vom Training ist noch nichts gesichert; "
            "er kann von vorn beginnen.",
        ),
        (report.sentence(), source),
        (RunStore(tmp_path).get(kept.id).status.message, source),  # after a restart
        (entry.origin, "feinabgestimmt auf SNLI, 550 Schritte"),
        (entry.size, "6 Schichten mit 320, 9,6 Millionen Parameter"),
        (entry.score, "Test: Genauigkeit 83,8% auf 9\u202f824 Paaren."),
        (KNOWN_MODELS[-1].what, "BERT selbst, 12 Schichten mit 768"),
        (LABELS[0], "Folgerung"),
    ]
    for english, german in expected:
        assert language.translate(english) == german


@pytest.mark.parametrize(
    "text", ["", "Ada's run, 2", "he came. She left", "{} {n}", "x" * 5000, "a is b is c" * 150]
)
def test_what_nobody_translated_stays(text: str) -> None:
    language.use("de")
    assert language.translate(text) == text


def test_a_run_gets_its_name_in_the_page_s_language() -> None:
    title = default_title(RunConfig())
    assert title == "tiny on crane-world"
    language.use("de")
    assert language.translate(title) == "tiny auf crane-world"


def test_scripts_get_their_own_words_and_another_address() -> None:
    english = assets.head()
    language.use("zh")
    assert assets.head() != english
    first, _, scripts = assets.bundle().partition("\n")
    sent = json.loads(first.removeprefix("window.bertDemo = ").removesuffix(";"))
    assert sent["language"] == "zh"
    assert sent["translations"]["Play"] == "播放"
    assert all(f'"{key}"' in scripts for key in sent["translations"])


# English words that the page shows in many places; sentences to read and names of models have them.
COMMON = (
    "start|stop|pause|model|models|words?|loss|layers?|steps?|seconds?|minutes?|premise|hypothesis|"
    "run|runs|training|held|waiting|finished|entailment|neutral|contradiction|sense|context|blank|"
    "memory|device|speed|settings?|choose|the|of|about|accuracy|pretrain|compare|delete|right"
)
VISIBLE = """
([common, allowed]) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const word = new RegExp(`\\\\b(${common})\\\\b`, "i"), found = [];
  while (walker.nextNode()) {
    const { parentElement: parent, textContent: text } = walker.currentNode;
    if (word.test(text) && parent.offsetParent && !parent.closest(allowed)) found.push(text.trim());
  }
  return found;
}
"""
ALLOWED = (
    "script, style, .bd-blank, .gallery, .table-wrap, #nli-result td, "
    "#blank-result .bv-strong, #blank-result .bv-spoken, #blank-result .bv-label"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page in Chinese, over the models that come along."""
    with served(tmp_path_factory.mktemp("zh"), "--language", "zh", *BUNDLED) as url:
        yield url


@pytest.mark.timeout(280)
def test_the_page_is_chinese_throughout(visit: Callable[..., Visitor], address: str) -> None:
    page = visit(viewport={"width": 1440, "height": 1000}).open(address)
    page.set_default_timeout(120_000)  # a whole run comes first
    assert page.evaluate("document.documentElement.lang") == "zh"
    tabs = page.get_by_role("tab").all_inner_texts()
    assert tabs == ["1 预训练", "2 它的词", "3 微调", "4 辩论", "填空", "训练记录"]

    def english() -> list[Any]:
        shown: list[Any] = page.evaluate(VISIBLE, [COMMON, ALLOWED])
        return shown

    panel = page.locator("[role=tabpanel]:has(#live-pretrain)")
    panel.get_by_text("设置", exact=True).click()
    panel.get_by_label("训练长度").fill("1")
    panel.get_by_label("单位").click()
    page.get_by_role("option", name="步").click()
    panel.get_by_role("button", name="开始", exact=True).click()
    wait_for(page, "document.querySelector('#live-pretrain .bd-badge').textContent === '已完成'")
    page.locator("#live-pretrain .bd-blank").first.wait_for()
    assert english() == []

    for tab, result in (("4 辩论", "#nli-result"), ("填空", "#blank-result")):
        page.get_by_role("tab", name=tab).click()
        wait_for(page, f"document.querySelector('{result} .bv-spoken')?.textContent")
        assert english() == []
    labels = page.locator("#nli-result .bv-bars").first.locator(".bv-label")
    assert labels.all_text_contents() == ["能推出", "无法确定", "相矛盾"]

    page.get_by_role("tab", name="2 它的词").click()
    wait_for(page, "document.querySelector('#words-result .bv-spoken')?.textContent")
    page.get_by_role("tab", name="训练记录").click()
    page.get_by_label("勾选").first.check()
    page.locator("[data-key='runs-mlm_loss'] .main-svg").first.wait_for()
    assert english() == []
