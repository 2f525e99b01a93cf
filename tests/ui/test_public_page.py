"""A public page over HTTP: whoever comes, under whatever name and address, meets its bounds."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio")

import gradio as gr
import httpx
from gradio_client import Client
from gradio_client.exceptions import AppError
from helpers.browser import ADMIN, served

from bert_demo.runs.queue import RunQueue
from bert_demo.ui.context import AppContext
from bert_demo.ui.serving.hosting import PUBLIC_RUN_SECONDS
from bert_demo.ui.serving.settings import from_args
from bert_demo.ui.serving.visitors import address_of

SMALL = {"hidden_size": 32, "num_attention_heads": 1, "num_hidden_layers": 1, "batch_size": 16}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("public"), "--public") as found:
        yield found


Visitor = Callable[..., Any]


@pytest.fixture
def visitor(url: str) -> Iterator[Visitor]:
    """Calls the API, as if from an address; each run is sent under a new name."""
    clients: dict[str, Client] = {}

    def call(address: str, name: str = "start_run", **values: Any) -> Any:
        if address not in clients:
            headers = {"X-Forwarded-For": address}
            clients[address] = Client(
                url, verbose=False, analytics_enabled=False, ssl_verify=False, headers=headers
            )
        return clients[address].predict(api_name=f"/{name}", **values)

    yield call
    for client in clients.values():
        client.close()


def test_a_run_has_at_most_five_minutes(visitor: Visitor) -> None:
    run = visitor("192.0.2.1", budget_seconds=None, settings=SMALL | {"steps": 10**6})
    told = visitor("192.0.2.1", "run_status", run=run["run"])["settings"]["training"]
    assert told["budget_seconds"] == PUBLIC_RUN_SECONDS == 300 and told["steps"] == 10**6
    for seconds in (300.5, 30 * 86400):
        with pytest.raises(AppError, match="at most 300 seconds"):
            visitor("192.0.2.1", budget_seconds=seconds, settings=SMALL)


def test_texts_of_ones_own_are_refused_and_not_asked_for(visitor: Visitor, url: str) -> None:
    refusal = "Texts of one's own are not taken on this page"
    story = {"text": "The cat sat. The dog ran.\n\n" * 300, "title": "x.txt"}
    for task in ("pretraining", "nli"):
        with pytest.raises(AppError, match=refusal):
            visitor("192.0.2.2", "take_text", task=task, **story)
    own = {"corpus": "own:x-0123456789abcdef", "settings": {"steps": 1}}
    with pytest.raises(AppError, match=refusal):
        visitor("192.0.2.2", **own)
    page = httpx.get(f"{url}config", trust_env=False).text
    assert "live-pretrain" in page and "Paste a text" not in page and "bd-own" not in page
    address = f"{url}gradio_api/upload"
    assert httpx.post(address, files={"files": b"x"}, trust_env=False).status_code == 403


def test_one_address_has_a_share_of_the_queue(visitor: Visitor, url: str) -> None:
    asked = {"budget_seconds": 300, "settings": SMALL}
    accepted = 0
    with pytest.raises(AppError, match="from your network"):
        for _ in range(20):
            visitor("203.0.113.5", **asked)
            accepted += 1
    assert 12 <= accepted <= 13  # an hour, and the one that is being trained
    # What stands before the proxy's own word is made up.
    for words in ("198.51.100.1, 203.0.113.5", "x, 203.0.113.5, 127.0.0.1"):
        with pytest.raises(AppError, match="from your network"):
            visitor(words, **asked)
    assert "from your network" in str(pressed_start(url, "203.0.113.5")["output"]["error"])
    assert pressed_start(url, "203.0.113.6")["success"]


def test_all_addresses_together_have_the_queue(visitor: Visitor, url: str) -> None:
    accepted = 0
    with pytest.raises(AppError, match="wait here already, and no more may"):
        for number in range(20):
            visitor(f"198.51.100.{number}", budget_seconds=300, settings=SMALL)
            accepted += 1
    assert 9 <= accepted <= 13
    assert "no more may" in str(pressed_start(url, "198.51.100.99")["output"]["error"])
    mine = visitor("198.51.100.99", token=ADMIN, settings=SMALL)
    assert mine["token"] == ADMIN, "the teacher always may"


def pressed_start(url: str, address: str) -> dict[str, Any]:
    """What the page answers to its button, by the requests that a browser makes."""
    config = httpx.get(f"{url}config", trust_env=False).json()
    number, inputs = next(
        (number, dependency["inputs"])
        for number, dependency in enumerate(config["dependencies"])
        if len(dependency["inputs"]) > 15 and dependency["targets"][0][1] == "click"
        if len(dependency["outputs"]) == 2
    )
    values = {part["id"]: part["props"].get("value") for part in config["components"]}
    browser = {"token": secrets.token_hex(8), "admin": ""}
    data = [*(values[place] for place in inputs[:-1]), browser]
    return joined(url, number, data, {"X-Forwarded-For": address})


def joined(url: str, number: int, data: list[Any], headers: dict[str, str]) -> dict[str, Any]:
    """What an event of the page answers."""
    session = secrets.token_hex(8)
    body = {"fn_index": number, "data": data, "session_hash": session, "trigger_id": None}
    api = f"{url}gradio_api/queue"
    httpx.post(f"{api}/join", json=body, headers=headers, trust_env=False).raise_for_status()
    with httpx.stream(
        "GET", f"{api}/data", params={"session_hash": session}, trust_env=False, timeout=30
    ) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                told: dict[str, Any] = json.loads(line[5:])
                if told["msg"] == "process_completed":
                    return told
    raise AssertionError("no answer")


def request(peer: str | None, forwarded: str | None = None) -> Any:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    client = None if peer is None else SimpleNamespace(host=peer)
    return SimpleNamespace(client=client, headers=headers)


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxied", "address"),
    [
        ("192.168.0.7", None, False, "192.168.0.7/32"),
        ("192.168.0.7", "1.2.3.4", False, "192.168.0.7/32"),
        ("127.0.0.1", "1.2.3.4", True, "1.2.3.4/32"),
        ("10.1.2.3", "6.6.6.6, 1.2.3.4", True, "1.2.3.4/32"),
        ("10.1.2.3", "1.2.3.4, 127.0.0.1, ::1", True, "1.2.3.4/32"),
        ("10.1.2.3", "<script>, ,;", True, "10.1.2.3/32"),
        ("10.1.2.3", None, True, "10.1.2.3/32"),
        ("127.0.0.1", "2001:db8:1:2:3::4", True, "2001:db8:1:2::/64"),
        ("127.0.0.1", "[2001:db8:1:2:ffff::1]", True, "2001:db8:1:2::/64"),
        ("::ffff:192.168.0.7", None, False, "192.168.0.7/32"),
        ("fe80::1%eth0", None, False, "fe80::/64"),
        ("::1", None, False, "::1/128"),
        (None, None, True, ""),
    ],
)
def test_an_address_is_what_can_be_believed(
    peer: str | None, forwarded: str | None, proxied: bool, address: str
) -> None:
    assert address_of(request(peer, forwarded), proxied) == address
    assert address_of(None, proxied) == ""


@pytest.mark.parametrize(
    ("flags", "environ", "limit"),
    [
        ([], {}, None),
        (["--max-run-seconds", "20"], {}, 20),
        (["--public"], {}, 300),
        (["--share"], {}, 300),
        (["--host", "0.0.0.0"], {}, 300),
        (["--root-path", "/bert"], {}, 300),
        (["--public", "--max-run-seconds", "7200"], {}, 7200),
        ([], {"BERT_DEMO_PUBLIC": "true"}, 300),
    ],
)
def test_what_is_public_has_limits(
    flags: list[str], environ: dict[str, str], limit: float | None, tmp_path: Path
) -> None:
    settings = from_args([*flags, "--data-dir", str(tmp_path)], environ)
    queue = AppContext(settings).queue
    assert isinstance(queue, RunQueue) and queue.max_run_seconds == limit


def test_a_request_reaches_the_handlers() -> None:
    """Gradio finds what to hand over by the type of a parameter."""
    from gradio.helpers import special_args

    from bert_demo.ui.api import Api

    start = Api(SimpleNamespace()).start_run  # type: ignore[arg-type]
    asked = gr.Request(username="ada")
    inputs, *_ = special_args(start, list(range(8)), asked)
    assert inputs == [*range(8), asked]
