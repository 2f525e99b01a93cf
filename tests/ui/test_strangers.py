"""What no page of ours sends: the server answers in words, fetches nothing and keeps a calm log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

pytest.importorskip("gradio")

from helpers.page_server import served

from bench.hostile_input import deep
from bert_demo.common.errors import UserError, listed
from bert_demo.ui.serving.strangers import FAULT, MOST_BYTES, Strangers, refusal

_API = "/gradio_api"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def page(root: Path) -> Iterator[httpx.Client]:
    with (
        served(root) as (url, _),
        httpx.Client(base_url=url, trust_env=False, timeout=30) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def calm(root: Path) -> Iterator[None]:
    yield
    assert "Traceback" not in (root / "log").read_text(encoding="utf-8")


def _event(page: httpx.Client, wish: dict[str, Any]) -> dict[str, Any]:
    """What the queue says at the end of an event."""
    body = json.dumps(wish)  # NaN and all
    headers = {"content-type": "application/json"}
    page.post(f"{_API}/queue/join", content=body, headers=headers).raise_for_status()
    address, params = f"{_API}/queue/data", {"session_hash": wish["session_hash"]}
    with page.stream("GET", address, params=params) as stream:
        for line in stream.iter_lines():
            message: dict[str, Any] = json.loads(line.removeprefix("data: ") or "{}")
            if message.get("msg") in ("process_completed", "unexpected_error"):
                return message
    raise AssertionError("the stream ended without an answer")


def _of(page: httpx.Client, name: str) -> int:
    config = page.get("/config").json()
    return next(int(d["id"]) for d in config["dependencies"] if d["api_name"] == name)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("queue/join", b'{"data": [], "fn_index": 99999999, "session_hash": "a"}'),
        ("queue/join", b'{"data": [], "fn_index": "\\ud800", "session_hash": "a"}'),
        ("queue/join", b'{"data": [], "fn_index": NaN, "session_hash": "a"}'),
        ("queue/join", b"\xff\xfe"),
        ("queue/join", deep(100_000)),
        ("cancel", b'{"data": [1e999, NaN]}'),
        ("call/v2/classify", b'{"data": []}'),
        ("component_server", b'{"component_id": 10000000, "fn_name": "poll", "session_hash": "a"}'),
        ("run/list_models", b'{"data": ["nonsense"]}'),
        ("run/classify", b'{"data": []}'),
        ("upload", b"x"),
    ],
)
def test_requests_that_gradio_fails_at_are_refused_in_words(
    page: httpx.Client, path: str, body: bytes
) -> None:
    answer = page.post(f"{_API}/{path}", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500 and answer.text


@pytest.mark.parametrize(
    "data",
    [
        [],
        ["a"] * 9,
        [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "", ""],
        ["", [{"a": {"path": "http://127.0.0.1:9/x", "meta": {"_type": "gradio.FileData"}}}], ""],
        ["", {"path": "x", "url": "http://127.0.0.1:9/", "meta": {"_type": "gradio.FileData"}}, 1],
    ],
)
def test_what_fits_no_input_is_refused_in_words_and_no_file_is_fetched(
    page: httpx.Client, data: list[Any]
) -> None:
    wish = {"data": data, "fn_index": _of(page, "classify"), "session_hash": "words"}
    told = _event(page, wish)["output"]["error"]
    if len(data) > 3:  # Gradio leaves out what is too much
        assert "not a model's name" in told
    else:
        assert "does not fit" in told


def test_a_program_may_leave_out_the_last_arguments(page: httpx.Client) -> None:
    # What programs sent before start_run took `questions`.
    data = ["pretraining", "crane-world", 9.0, "", {"size": "huge"}, "", "a-secret"]
    for sent, words in ((data, "size is 'huge'"), (["poetry"], "task is 'poetry'")):
        wish = {"data": sent, "fn_index": _of(page, "start_run"), "session_hash": words[:4]}
        assert _event(page, wish)["output"]["error"].startswith(words)


def test_events_of_the_page_refuse_what_is_no_example_and_no_row(page: httpx.Client) -> None:
    config = page.get("/config").json()
    kinds = {c["id"]: c["type"] for c in config["components"]}
    events = [
        d["id"]
        for d in config["dependencies"]
        if d["backend_fn"] and [kinds[i] for i in d["inputs"]] == ["dataset"]
    ]
    assert len(events) > 1
    for name in events:
        for row in (None, 10**9, "one", [0]):
            wish = {"data": [row], "fn_index": name, "session_hash": f"row{name}"}
            assert "does not fit" in _event(page, wish)["output"]["error"]
    for data in (None, "row", ["row"], {"row": "0"}, 7):
        wish = {"data": [None], "fn_index": _of(page, "pick"), "session_hash": "pick"}
        told = _event(page, wish | {"event_data": data})["output"]["error"]
        assert "no longer there" in told


def test_a_number_may_be_empty_and_nothing_else(page: httpx.Client) -> None:
    config = page.get("/config").json()
    parts = {c["id"]: c for c in config["components"]}
    event = next(d for d in config["dependencies"] if d["api_name"] == "describe")
    for value in (None, "", "seven", [7], float("nan"), True):
        data = [
            value if parts[name]["type"] == "number" else parts[name]["props"].get("value")
            for name in event["inputs"]
        ]
        wish = {"data": data, "fn_index": event["id"], "session_hash": f"number{value}"}
        said = json.dumps(_event(page, wish)["output"])
        assert ("does not fit" in said) == (value not in (None, "")), (value, said)


def test_no_text_is_an_empty_text_and_no_list_is_a_choice(page: httpx.Client) -> None:
    config = page.get("/config").json()
    kinds = {c["id"]: c["type"] for c in config["components"]}
    parts = {c["id"]: c["props"] for c in config["components"]}
    tried: set[int] = set()
    for event in config["dependencies"]:
        honest = [parts[i].get("value") for i in event["inputs"]]
        for place, i in enumerate(event["inputs"]):
            if kinds[i] not in ("textbox", "dropdown") or i in tried:
                continue
            tried.add(i)
            for value in (None, [["a"]]) if kinds[i] == "dropdown" else (None,):
                sent = [*honest[:place], value, *honest[place + 1 :]]
                session = f"{event['id']}-{i}-{value is None}"
                wish = {"data": sent, "fn_index": event["id"], "session_hash": session}
                told = str(_event(page, wish)["output"])
                assert FAULT not in told, wish
                assert value is None or "does not fit" in told, wish


def test_a_file_that_an_event_names_is_refused_without_a_traceback(page: httpx.Client) -> None:
    config = page.get("/config").json()
    parts = {c["id"]: c["props"].get("value") for c in config["components"]}
    file = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    refused = 0
    for event in config["dependencies"]:
        # A click may say more, such as which row it was on.
        if event["backend_fn"] and {what for _, what in event["targets"]} & {"click", "select"}:
            wish = {"data": [parts[i] for i in event["inputs"]], "fn_index": event["id"]}
            wish |= {"session_hash": f"file{event['id']}", "event_data": [file]}
            refused += "cannot be accessed" in str(_event(page, wish)["output"])
    assert refused


def test_a_session_that_is_not_known_is_told_so(page: httpx.Client) -> None:
    answer = page.get(f"{_API}/queue/data", params={"session_hash": "nobody"})
    assert "unexpected_error" in answer.text or answer.status_code == 404


def test_a_request_has_a_bound(page: httpx.Client) -> None:
    for content in (b"[" * (MOST_BYTES + 1), iter([b"[" * 1_000_000] * 11)):
        answer = page.post(f"{_API}/queue/join", content=content)
        assert answer.status_code == 413 and "longer" in answer.text


def test_faults_of_our_own_stay_faults(caplog: pytest.LogCaptureFixture) -> None:
    async def ours(*_: Any) -> None:
        listed(None)  # type: ignore[arg-type]

    async def theirs(*_: Any) -> None:
        raise TypeError

    for app, code, words in ((ours, 500, "written to the log"), (theirs, 400, "does not fit")):
        answer = TestClient(Strangers(app)).get("/")
        assert answer.status_code == code and words in answer.text
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_mistake_is_told_in_its_words_and_a_fault_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert refusal(UserError("A sentence."), as_html=True).message == "A sentence."
    assert caplog.records == []
    for bug in (ValueError("A sentence."), KeyError("A sentence.")):
        assert "written to the log" in refusal(bug, as_html=True).message
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
