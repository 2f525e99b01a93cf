"""The part "Where it fails": tables and their bounds, jobs behind the page, and it in a browser."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import BUNDLED, ROOT, Visitor, chromium, press, served, visit

pytest.importorskip("gradio")

from bert_demo.common.errors import Text, UserError
from bert_demo.config import LABELS
from bert_demo.data import interruption
from bert_demo.data.snli import NliTexts, pairs
from bert_demo.inference.models import ModelShelf
from bert_demo.ui.serving import judging
from bert_demo.ui.serving.judging import Job, Judging, Table
from bert_demo.ui.tabs import fails_tables
from bert_demo.ui.tabs.fails import outcome
from bert_demo.ui.tabs.fails_view import behind_view, matrix_view, shown_pairs, worst

__all__ = ["chromium", "visit"]
JUDGE = "bundled/bert-small-snli"
ROWS = [
    ("A man is playing a guitar.", "A man is making music.", 0),
    ("A man is playing a guitar.", "The man is asleep.", 2),
    ("A man is playing a guitar.", "The man is famous.", 1),
    # As tables are: one label is wrong.
    ("The children are eating.", "The children are eating.", 2),
]
CSV = "premise,hypothesis,label\n" + "\n".join(f"{p},{h},{LABELS[n]}" for p, h, n in ROWS)


def sent(name: str, content: bytes) -> str:
    return json.dumps({"name": name, "data": base64.b64encode(content).decode()})


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ModelShelf:
    return ModelShelf(ROOT / "checkpoints", tmp_path_factory.mktemp("runs"))


@pytest.fixture
def jobs(shelf: ModelShelf) -> Iterator[Judging]:
    found = Judging(shelf)
    yield found
    found.close()


def table(stamp: str = "a", read: Callable[[], NliTexts] = lambda: pairs(ROWS)) -> Table:
    return Table(Text("mine.csv"), stamp, read, most_rows=10, most_seconds=60)


def ended(job: Job) -> Job:
    end = time.monotonic() + 180  # it gives way to all else, and tests run side by side
    while not job.over:
        assert time.monotonic() < end
        time.sleep(0.01)
    return job


# Tables.


@pytest.mark.parametrize("visitor", [True, False])
def test_one_s_own_table_is_read_as_on_the_command_line(visitor: bool) -> None:
    pasted = fails_tables.table("own", CSV, "", visitor=visitor)
    wide = sent("C:/mine.csv", CSV.replace("\n", "\r\n").encode("utf-16"))
    dropped = fails_tables.table("own", "not this", wide, visitor=visitor)
    assert "mine.csv" in dropped.name
    for one in (pasted, dropped):
        assert one.read().premises.to_pylist() == [row[0] for row in ROWS]
        assert one.read().labels.tolist() == [row[2] for row in ROWS]
    again = fails_tables.table("own", CSV, "", visitor=visitor)
    assert again.stamp == pasted.stamp != dropped.stamp
    lines = "\n".join(json.dumps({"premise": p, "hypothesis": h, "label": n}) for p, h, n in ROWS)
    assert len(fails_tables.table("own", lines, "", visitor=visitor).read()) == 4
    other = CSV.replace("premise,hypothesis", "context,claim")
    called = {"premise": "context", "hypothesis": "claim", "label": "label"}
    named = fails_tables.table("own", other, "", called, visitor=visitor)
    assert named.read().labels.tolist() == [row[2] for row in ROWS]
    assert named.stamp not in (pasted.stamp, fails_tables.table("own", CSV, "", visitor=True).stamp)
    assert pasted.most_rows == (10_000 if visitor else 100_000)
    assert pasted.most_seconds == (120 if visitor else None)


@pytest.mark.parametrize(
    ("on", "pasted", "dropped", "words"),
    [
        ("own", "", "", "Drop a table"),
        ("own", None, None, "Drop a table"),
        ("../x", "", "", "from the list"),
        (["own"], "", "", "from the list"),
        ("own", "premise,label\na,0", "", "pasted table.csv, line 1: there is no column"),
        ("own", "", sent("x.exe", b"MZ"), "x.exe must end in one of"),
        ("own", "", sent("mine.tsv", b"premise\thypothesis\tlabel\n\xff\xfe"), "mine.tsv, line 2"),
        ("own", "", sent("mine.csv", CSV.encode()).replace('"data": "', '"data": "!'), "again"),
        ("own", "", "[1, 2]", "drop it again"),
        ("own", "", '{"name": "a.csv"}', "drop it again"),
        ("own", "", sent("a.csv", b"x" * 1_000_001), "1,000,001 bytes; at most 1,000,000"),
    ],
)
def test_other_tables_get_a_sentence(on: Any, pasted: Any, dropped: Any, words: str) -> None:
    with pytest.raises(UserError) as refused:
        fails_tables.table(on, pasted, dropped, visitor=True)
    assert words in str(refused.value) and "/tmp" not in str(refused.value)


def test_splits_that_are_not_here_are_never_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BERT_DEMO_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "snli" not in dict(map(reversed, fails_tables.here()))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="SNLI is not on this computer"):
        fails_tables.table("snli", "", "", visitor=False)
    assert (
        fails_tables.table("crane-world", "", "", visitor=False).name == "Crane World, test split"
    )


# Jobs.


def test_a_table_is_judged_once_for_all_who_ask(jobs: Judging) -> None:
    asked: list[int] = []

    def read() -> NliTexts:
        asked.append(1)
        return pairs(ROWS)

    first = jobs.ask(JUDGE, table(read=read), "one")
    assert jobs.ask(JUDGE, table(read=read), "two") is first
    assert ended(first).state == "done" and first.share == pytest.approx(1)
    assert jobs.ask(JUDGE, table(read=read), "three") is first and asked == [1]
    other = jobs.ask(JUDGE, table("b", read), "three")
    assert other is not first and ended(other).result is not None
    found = jobs.find(first.key)
    assert found is not None and found.result is first.result
    assert jobs.find("another") is None and jobs.find(["x"]) is None


def test_what_nobody_waits_for_ends_and_others_go_on(jobs: Judging) -> None:
    begun, go = threading.Event(), threading.Event()

    def read() -> NliTexts:
        begun.set()
        assert go.wait(30)
        interruption.check()
        return pairs(ROWS)

    first = jobs.ask(JUDGE, table(read=read), "one")
    assert begun.wait(30) and first.state == "running"
    second = jobs.ask(JUDGE, table("b"), "two")
    third = jobs.ask(JUDGE, table("c"), "one")  # who has left the first by asking for another
    assert [jobs.before(job) for job in (first, second, third)] == [0, 1, 2]
    jobs.leave(third, "one")
    go.set()
    assert [ended(job).state for job in (first, second, third)] == ["stopped", "done", "stopped"]
    assert "Stopped" in str(outcome(first))
    assert ended(jobs.ask(JUDGE, table("c"), "one")).state == "done"  # anew


def test_jobs_are_bounded(jobs: Judging, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ended(jobs.ask(JUDGE, table("a", lambda: pairs(ROWS * 3)), "one"))
    assert rows.state == "failed" and "12 labelled pairs; at most 10" in str(outcome(rows))
    slow = Table(Text("slow"), "b", lambda: pairs(ROWS), 10, most_seconds=0)
    assert "longer than the 0 seconds" in str(outcome(ended(jobs.ask(JUDGE, slow, "one"))))
    go = threading.Event()

    def read() -> NliTexts:
        assert go.wait(30)
        return pairs(ROWS)

    monkeypatch.setattr(judging, "_MOST_WAITING", 2)
    waiting = [jobs.ask(JUDGE, table("c", read), "0")]
    while waiting[0].state == "waiting":
        time.sleep(0.01)
    waiting += [jobs.ask(JUDGE, table(f"d{n}"), f"{n}") for n in (1, 2)]
    with pytest.raises(UserError, match="2 tables wait"):
        jobs.ask(JUDGE, table("e"), "3")
    go.set()
    assert [ended(job).state for job in waiting] == ["done"] * 3
    # Old results make room; the last one stays however large it is.
    monkeypatch.setattr(judging, "_MOST_KEPT_PAIRS", 3)
    last = ended(jobs.ask(JUDGE, table("f"), "0"))
    end = time.monotonic() + 10
    while jobs.find(waiting[1].key) is not None and time.monotonic() < end:
        time.sleep(0.01)
    assert jobs.find(waiting[1].key) is None and jobs.find(last.key) is last
    with pytest.raises(UserError, match="not a model's name"):
        jobs.ask("../secret", table(), "one")


def test_the_views_say_what_was_found(jobs: Judging) -> None:
    job = ended(jobs.ask(JUDGE, table(), "one"))
    found = job.result
    assert found is not None
    assert worst(found) == ("contradiction", "entailment")
    rows = shown_pairs(found, worst(found))
    assert rows[0].hypothesis == ROWS[3][1]
    seen = str(behind_view(found, worst(found)))
    assert ROWS[3][0] in seen and "but it is contradicted" in seen
    told = str(matrix_view(job, found, worst(found)))
    assert "bert-small-snli is right in 75.0% of 4 pairs" in told and "mine.csv" in told
    assert "'chosen': [2, 0]" in told and str(found.scores.confusion) in told


# In a browser.


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("fails"), *BUNDLED) as url:
        yield url


def test_a_table_of_one_s_own_from_drop_to_a_pair_in_the_classifier(
    visit: Callable[..., Visitor], address: str
) -> None:
    page = visit(viewport={"width": 1280, "height": 720}).open(address)
    page.get_by_role("tab", name="4 Argue").click()
    press(page, "Where does it fail? \u2192")
    part = page.locator("#bd-fails")
    part.get_by_label("Judge all pairs of").click()
    page.get_by_role("option", name="A table of your own").click()
    press(page, "Judge them all")
    part.locator(".bv-alert", has_text="Drop a table, or paste one").wait_for()
    evil = '"<img src=x onerror=alert(1)>, a man ${alert(2)} plays.","He is asleep.",1,"<b>k"\n'
    content = (
        CSV.replace("label\n", "label,kind\n")
        .replace("\n", ",trap\n")
        .replace("premise,hypothesis,label,kind,trap", "context,<b>claim,label,kind")
    )
    file = {"name": "m.csv", "mimeType": "text/csv", "buffer": f"{content},trap\n{evil}".encode()}
    part.locator("input[type=file]").set_input_files(file)
    part.get_by_text("m.csv is ready").wait_for()
    press(page, "Judge them all")
    part.get_by_text("no column 'premise' among context, <b>claim, label, kind;").wait_for()
    for menu, column in (("Column of premises", "context"), ("Column of hypotheses", "<b>claim")):
        part.get_by_label(menu).click()
        page.get_by_role("option", name=column).last.click()  # the other list fades yet
    assert part.get_by_label("Column of labels").input_value() == "label"
    press(page, "Judge them all")
    part.locator(".bf-matrix").wait_for()
    assert not part.get_by_label("Column of premises").is_visible()
    part.locator(".bv-strong", has_text="of 5 pairs").wait_for()
    assert part.locator(".bf-cell").count() == 9
    assert sum(int(n) for n in part.locator(".bf-cell b").all_inner_texts()) == 5
    # By keyboard: from the first cell to the one below, and its pairs.
    part.locator(".bf-cell").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    row = part.locator("#bd-behind .bv-pick", has_text=ROWS[3][1])
    row.wait_for()
    assert part.locator(".bf-cell[aria-pressed=true]").get_attribute("aria-label").startswith("1 ")
    row.click()
    box = page.get_by_label("Hypothesis: does it follow?")
    end = time.monotonic() + 30
    while box.input_value() != "The children are eating." and time.monotonic() < end:
        page.wait_for_timeout(100)
    page.locator("#nli-result", has_text="The model says: it follows").wait_for()
    assert box.input_value() == "The children are eating."
    part.locator(".js-plotly-plot").wait_for()
    assert part.locator(".bf-sorts").count() >= 4
    assert page.locator("img[src='x']").count() == 0
