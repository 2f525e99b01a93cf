"""One's own text and questions on the page: what it tells, whom it refuses, what is gone when."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from helpers.browser import Visitor, chromium, press, served, stop_after, visit, wait_for

from bert_demo.common.corpus_names import own_task
from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.data import own
from bert_demo.data.tables import NoColumn
from bert_demo.runs.actions import request
from bert_demo.runs.store import RunStore
from bert_demo.ui.api import Api
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts import forms, own_text
from bert_demo.ui.parts.own_text import MOST_AN_HOUR, MOST_BYTES, bring
from bert_demo.ui.serving.settings import AppSettings
from bert_demo.ui.tabs.training_handlers import described, foretell, start_run
from bert_demo.ui.told import public_event, status_of

__all__ = ["chromium", "visit"]
BROWSER = {"token": "mine", "admin": ""}
OTHER = {"token": "yours", "admin": ""}


def told(seed: int) -> str:
    """A text of a few hundred sentences about a bank."""
    draw, words = random.Random(seed), ("old", "new", "red", "bank", "boat", "child", "tree")
    sentences = (
        f"The {' '.join(draw.choices(words, k=5))} was seen {n} times." for n in range(400)
    )
    return "\n\n".join(" ".join(four) for four in zip(*[sentences] * 4, strict=True))


Page = Callable[..., AppContext]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    made = []

    def make(**settings: Any) -> AppContext:
        context = AppContext(AppSettings(data_dir=tmp_path, checkpoints_dir=tmp_path, **settings))
        context.measuring = False
        made.append(context)
        return context

    yield make
    for name in own.brought():
        own.forget(name)


def form(corpus: str) -> dict[str, Any]:
    return forms.defaults("pretraining") | {"corpus": corpus, "budget_kind": "steps", "budget": 50}


def test_a_text_is_described_before_the_run_and_gone_after_the_last(page: Page) -> None:
    context = page()
    name = bring(context, "pretraining", told(1), "My tales.md")
    assert name.startswith("own:My-tales-") and own.brought() == [name]
    shown, command = foretell(context, "pretraining", form(name))
    facts = dict(shown["facts"])
    assert facts["Text"].endswith("tokens") and "bank" in facts["Words with several senses"]
    assert facts["Commonest words"].split()[0] in ("the", "was") and not shown["refusal"]
    assert "Too little text: it will be learnt by heart" in shown["note"]
    assert f"--corpus {name}" in command
    nothing, _ = foretell(context, "pretraining", form(forms.OWN))
    assert nothing["refusal"].startswith("Paste your own text")

    runs = [start_run(context, "pretraining", form(name), who) for who in (BROWSER, OTHER)]
    assert runs[0].title == "tiny on My-tales"
    # Whoever knows the whole name can learn from the text, so others are not told of it.
    said = status_of(context, runs[0])["settings"]["corpus"]
    assert said == public_event(context, {"event": "start", "corpus": name})["corpus"] == "My-tales"
    request(context.store, runs[0].id, "delete", "mine")
    assert own.is_here(name)
    request(context.store, runs[1].id, "delete", "yours")
    assert not own.is_here(name)


def table(rows: int = 90) -> str:
    """Pairs, three about each premise."""
    lines = ["premise,hypothesis,label"]
    for n in range(rows):
        label = ("entailment", "neutral", "contradiction")[n % 3]
        lines.append(f"The boat {n // 3} is red.,Thing {n} is true.,{label}")
    return "\n".join(lines)


def test_pairs_are_described_and_fine_tuned_on(page: Page) -> None:
    context = page()
    name = bring(context, "nli", table(), "judged")
    assert own_task(name) == "nli"
    values = forms.defaults("nli") | {"corpus": name, "start_from": None}
    assert foretell(context, "nli", values)[0]["refusal"].startswith("Choose a pretrained model")
    run = RunConfig("nli", name, start_from="x", training=TrainingConfig(steps=1))
    lines, remarks = described(run, None)
    assert [words for _, words in lines] == [
        "75 pairs: 25 entailment, 25 neutral, 25 contradiction",
        "6 pairs: 2 entailment, 2 neutral, 2 contradiction",
        "9 pairs: 3 entailment, 3 neutral, 3 contradiction",
    ]
    assert remarks == []
    found = Api(context).take_text(table(), "judged.csv", "nli")
    assert found["corpus"] == name and found["facts"]["Train"] == lines[0][1]
    for wrong, words in (
        ("a,b\n1,2", "line 1: there is no column 'premise'"),
        ("premise,hypothesis,label\na,b,maybe", "line 2: the label is 'maybe'"),
    ):
        with pytest.raises(UserError) as caught:
            bring(context, "nli", wrong, "judged")
        assert str(caught.value).startswith("judged.csv, ") and words in str(caught.value)
    with pytest.raises(UserError, match="task is 'poem'"):
        Api(context).take_text("x", task="poem")


def test_a_table_of_other_columns_says_which_it_has(page: Page) -> None:
    api = Api(page())
    stories = "id;story\n" + "\n".join(f"{n};{one}" for n, one in enumerate(told(5).split("\n\n")))
    verdicts = table().replace("premise,hypothesis,label", "context,claim,label")
    objects = "\n".join(
        json.dumps({"body": one, "n": n}) for n, one in enumerate(told(6).split("\n\n"))
    )
    for given, title, task, columns, words in (
        (stories, "tales.csv", "pretraining", {"text": "story"}, "with the text: id, story."),
        (objects, "", "pretraining", {"text": "Body"}, "with the text: body, n."),
        (
            verdicts,
            "",
            "nli",
            {"premise": "context", "hypothesis": "claim"},
            "no column 'premise' among context, claim, label; there must be",
        ),
    ):
        with pytest.raises(NoColumn) as caught:
            api.take_text(given, title, task)
        assert words in str(caught.value) and "/" not in str(caught.value)
        assert own_task(api.take_text(given, title, task, columns)["corpus"]) == task
    for wrong in (["story"], {"story": "text"}, {"text": 3}, "story"):
        with pytest.raises(UserError, match=r"^columns is .* for: text\.$"):
            api.take_text(stories, "tales.csv", columns=wrong)  # type: ignore[arg-type]


def test_a_form_comes_back_with_ones_own_text_while_it_is_there(page: Page) -> None:
    home, public, said = page(), page(public=True), list[str]()
    name = bring(home, "pretraining", told(7), "tales")
    kept = own_text.own_corpus(home, "pretraining", {"corpus": name}, said.append)
    assert kept is not None and kept.value == name and ("tales", name) in kept.choices
    for context, task, stored in (
        (home, "nli", {"corpus": name}),
        (public, "pretraining", {"corpus": name}),
        *((home, "pretraining", odd) for odd in ({"corpus": ["x"]}, {"corpus": "snli"}, [], None)),
    ):
        assert own_text.own_corpus(context, task, stored, said.append) is None
    assert said == []
    own.forget(name)
    assert own_text.own_corpus(home, "pretraining", {"corpus": name}, said.append) is None
    assert said == [
        "The text tales is not in this computer's cache any more; give its files again."
    ]


def test_what_the_command_line_took_in_stays(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "tales.txt"
    path.write_text(told(2), encoding="utf-8")
    name, context = own_text.take_text(path), page()
    assert bring(context, "pretraining", told(2), "tales") == name and own.brought() == []
    run = start_run(context, "pretraining", form(name), BROWSER)
    request(context.store, run.id, "delete", "mine")
    assert own.is_here(name)
    own.forget(name)


def test_visitors_of_a_public_page_bring_none_unless_the_teacher_allows_it(page: Page) -> None:
    home, public, allowed = page(), page(public=True), page(public=True, own_text=True)
    name = bring(home, "pretraining", told(3), "")
    refusal = "Texts of one's own are not taken on this page; the teacher decides."
    for wish in (
        lambda: bring(public, "pretraining", told(3), ""),
        lambda: start_run(public, "pretraining", form(name), BROWSER),
        lambda: Api(public).take_text(told(3)),
        lambda: Api(public).start_run(corpus=name, settings={"steps": 2}),
    ):
        with pytest.raises(UserError) as caught:
            wish()
        assert str(caught.value) == refusal
    assert foretell(public, "pretraining", form(name))[0] == {"refusal": refusal}
    assert public.store.list() == []
    found = Api(allowed).take_text(told(3), "x")
    assert own_task(found["corpus"]) == "pretraining"
    assert found["remarks"][0].startswith("Too little text")
    run = Api(allowed).start_run(corpus=found["corpus"], settings={"steps": 2})
    assert allowed.store.get(run["run"]).config.corpus == found["corpus"]  # type: ignore[union-attr]
    request(allowed.store, run["run"], "delete", run["token"])


def test_bytes_number_and_time_are_bounded(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    context = page(public=True, own_text=True)
    for wrong, words in (
        (None, "Paste a text first"),
        (" \n", "Paste a text first"),
        (["a"], "Paste a text first"),
        ("é" * (MOST_BYTES // 2 + 1), "The text has 4.0 MB; the page reads 4 at most"),
        ("a\0b" * 50, "pasted-text.txt is no text"),
        ("One sentence.", "The text pasted-text has too little text"),
    ):
        with pytest.raises(UserError) as caught:
            bring(context, "pretraining", wrong, "", "1.2.3.4")
        assert words in str(caught.value) and "/" not in str(caught.value)
    names = [
        bring(context, "pretraining", told(10 + n), "../../x\n.csv.txt", "5.6.7.8")
        for n in range(MOST_AN_HOUR)
    ]
    assert len({*names}) == MOST_AN_HOUR and all(own_task(one) for one in names)
    with pytest.raises(UserError, match="10 texts came from your network within an hour"):
        bring(context, "pretraining", told(99), "", "5.6.7.8")
    bring(context, "pretraining", told(99), "", "9.9.9.9")

    monkeypatch.setattr(own_text, "MOST_TEXTS", MOST_AN_HOUR + 1)
    with pytest.raises(UserError, match="as many as there can be"):
        bring(context, "pretraining", told(98), "")
    # Those that no run has used for an hour make room.
    used = context.queue.submit(RunConfig(corpus=names[0]), "mine", None, 1.0, "")
    monkeypatch.setattr(own, "age_seconds", lambda name: 4000.0)
    kept = bring(context, "pretraining", told(98), "")
    assert {*own.brought()} == {names[0], kept}
    request(context.store, used.id, "delete", "mine")
    monkeypatch.setattr(own_text, "_MOST_SECONDS", 0.0)
    with pytest.raises(UserError, match="took longer than 0 seconds"):
        bring(context, "pretraining", told(97), "")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def address(root: Path, chromium: Any) -> Iterator[str]:
    with served(root) as url:
        yield url


def test_somebody_gives_a_file_and_starts(
    address: str, root: Path, visit: Callable[..., Visitor]
) -> None:
    page = visit().open(address)
    form = page.locator("[role=tabpanel]:has(#live-pretrain)")
    form.get_by_text("Settings", exact=True).click()
    form.get_by_label("Corpus").click()
    page.get_by_role("option", name="Your own text").click()
    box = form.locator(".bd-own")
    file = root / "Märchen.txt"
    file.write_bytes(told(4).encode("utf-16"))
    box.locator("input[type=file]").set_input_files(file)
    press(page, "Read this text")
    form.get_by_text("Words with several senses").wait_for()
    form.get_by_text("Too little text: it will be learnt by heart").wait_for()
    assert form.get_by_label("Corpus").input_value() == "Märchen" and not box.is_visible()
    press(page, "Start with these settings")
    form.get_by_role("button", name="Stop", exact=True).wait_for()
    (run,) = RunStore(root / "runs").list()
    assert run.config is not None and run.config.corpus.startswith("own:Märchen-")
    press(page, "Stop")
    own.forget(run.config.corpus)


def test_somebody_says_which_column_is_the_text_and_finds_it_again(
    address: str, root: Path, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(viewport={"width": 390, "height": 844})
    page = visitor.open(address)
    form = page.locator("[role=tabpanel]:has(#live-pretrain)")
    form.get_by_text("Settings", exact=True).click()
    form.get_by_label("Corpus").click()
    page.get_by_role("option", name="Your own text").click()
    box, file = form.locator(".bd-own"), root / "letters.csv"
    rows = (f'{n},"{one}"' for n, one in enumerate(told(8).split("\n\n")))
    file.write_text("\n".join(["from,body", *rows]), encoding="utf-8")
    box.locator("input[type=file]").set_input_files(file)
    press(page, "Read this text")
    box.get_by_text("name one of these as the column with the text: from, body.").wait_for()
    box.get_by_label("Column with the text").click()
    page.get_by_role("option", name="body").click()
    press(page, "Read this text")
    form.get_by_text("Words with several senses").wait_for()
    wait_for(page, "localStorage['bert_demo pretraining'].includes('own:letters-')")
    visitor.leave_for(address)
    form.get_by_text("Settings", exact=True).click()
    wait_for(page, "document.querySelector('[aria-label=Corpus]').value === 'letters'")
    form.get_by_text("Words with several senses").wait_for()
    (name,) = own.brought()
    own.forget(name)
    visitor.leave_for(address)
    page.get_by_text("The text letters is not in this computer's cache any more").wait_for()


def test_the_film_shows_what_somebody_asked(
    address: str, root: Path, visit: Callable[..., Visitor]
) -> None:
    visitor = visit()
    page = visitor.open(address)
    form = page.locator("[role=tabpanel]:has(#live-pretrain)")
    stop_after(page, "#live-pretrain", 2, "steps")
    form.get_by_text("Your own questions").click()
    form.get_by_label("Sentences with a blank").fill("the crane ate my ___ today")
    form.get_by_label("A word for the map").fill("crane")
    texts = ("a crane flew over my marsh", "the crane lifted my steel", "my crane stood on one leg")
    form.get_by_label("Texts with this word").fill("\n".join(texts))
    wait_for(page, "localStorage['bert_demo questions']?.includes('one leg')")
    press(page, "Start with these settings")
    # Of the eight blanks one's own comes first, in sight, with five guesses.
    first = form.locator(".bd-blank").first
    first.get_by_text("the crane ate my").wait_for()
    assert first.locator(".bd-blank-text").inner_text() == "the crane ate my ? today"
    assert first.locator("li").count() == 5 and form.locator(".bd-blank").count() == 8
    form.get_by_text("3 times “crane”, by their vectors").wait_for()
    assert [*form.locator("svg title").all_text_contents()] == [*texts]
    wait_for(page, "document.querySelector('#live-pretrain .bd-badge').textContent === 'finished'")
    run = RunStore(root / "runs").list()[0]
    assert run.questions.blanks == ("the crane ate my <mask> today",)
    # It is asked after a reload too, and of whoever watches.
    visitor.leave_for(address)
    form.locator(".bd-blank").first.get_by_text("the crane ate my").wait_for()
    form.get_by_text("Your own questions").click()
    assert form.get_by_label("Texts with this word").input_value() == "\n".join(texts)
