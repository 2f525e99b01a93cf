"""The app under a measurement: started on 127.0.0.1, called as browsers and programs call it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[1]
PANEL = "live-pretrain"
JSON = {"content-type": "application/json"}

_START_SECONDS = 90
_ANSWER_SECONDS = 60
_STREAM_SECONDS = 2.0
# Nothing that a measurement sends may leave this computer.
_NOWHERE = {
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "HF_HUB_OFFLINE": "1",
    "no_proxy": "127.0.0.1",
}


@dataclass(frozen=True)
class App:
    """One started app."""

    url: str
    folder: Path
    """That keeps its runs."""
    process: subprocess.Popen[bytes]
    log: Path
    """What it printed."""
    seconds: float
    """Until its page answered."""

    def usage(self) -> dict[str, float]:
        """Memory in bytes, open files and seconds of CPU so far, of the app without its worker."""
        process = psutil.Process(self.process.pid)
        times = process.cpu_times()
        return {
            "memory": process.memory_info().rss,
            "files": process.num_fds(),
            "cpu": times.user + times.system,
        }


@contextlib.contextmanager
def app(home: Path, *flags: str) -> Iterator[App]:
    """The app on a free port, ended politely afterwards; it may be killed meanwhile.

    In `home` are the folder of its data and the log, which grows with each start.

    Raises:
        RuntimeError: an app that does not answer.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    folder, log = home / "data", home / "log"
    command = [sys.executable, "app.py", "--port", str(port), "--data-dir", str(folder), *flags]
    begin = time.perf_counter()
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, env=os.environ | _NOWHERE
        )
    try:
        while not _answers(url):
            if process.poll() is not None or time.perf_counter() - begin > _START_SECONDS:
                raise RuntimeError(f"The app does not answer: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield App(url, folder, process, log, time.perf_counter() - begin)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def panel_id(url: str) -> int:
    """The component that a page's script asks for news of a run."""
    components = httpx.get(f"{url}/config", timeout=_ANSWER_SECONDS).json()["components"]
    return next(int(c["id"]) for c in components if c["props"].get("elem_id") == PANEL)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    code: int
    """Of HTTP; the worst one where a call takes several requests."""
    words: str
    """The refusal; empty where the call was done, or where nothing was said."""
    value: Any = None
    """What a call that was done returns; its first output alone."""
    done: bool = False
    text: str = ""
    """All that was sent back."""


async def call(client: httpx.AsyncClient, name: str, *data: Any) -> Answer:
    """An endpoint of the API by its name, as programs call it; `client` knows the address."""
    return await called(client, f"/gradio_api/call/{name}", json_bytes({"data": data}))


async def called(client: httpx.AsyncClient, path: str, body: bytes) -> Answer:
    """POST to a path of /gradio_api/call/, and wait for what the event it makes has to say."""
    posted = await client.post(path, content=body, headers=JSON)
    event = _told(posted).get("event_id")
    if posted.status_code != 200 or not event:
        return Answer(posted.status_code, _refusal(_told(posted)), text=posted.text)
    answer = await client.get(f"{path}/{event}")
    kind, _, rest = answer.text.strip().split("\n\n")[-1].partition("\n")
    value = _json(rest.removeprefix("data: "))
    done = kind == "event: complete"
    first = value[0] if done and isinstance(value, list) and value else None
    words = "" if done else _refusal(value)
    return Answer(answer.status_code, words, first, done, answer.text)


async def event(client: httpx.AsyncClient, fn_index: int, data: Sequence[Any]) -> Answer:
    """An event of the page, as its own script sends it; public or private."""
    session = secrets.token_hex(5)
    wish = {"fn_index": fn_index, "data": data, "session_hash": session}
    return await joined(client, json_bytes(wish), session)


async def joined(client: httpx.AsyncClient, body: bytes, session: str) -> Answer:
    """Join the queue with a body for this session, and read what comes until the event is over."""
    posted = await client.post("/gradio_api/queue/join", content=body, headers=JSON)
    if posted.status_code != 200:
        return Answer(posted.status_code, _refusal(_told(posted)), text=posted.text)
    lines: list[str] = []
    address = "/gradio_api/queue/data"
    async with client.stream("GET", address, params={"session_hash": session}) as stream:
        async for line in stream.aiter_lines():
            lines.append(line)
            message = _json(line.removeprefix("data: "))
            kind = message.get("msg") if isinstance(message, dict) else None
            if kind == "process_completed":
                output, done = message.get("output") or {}, bool(message.get("success"))
                value = output.get("data") or [None]
                words = "" if done else _refusal(output)
                return Answer(stream.status_code, words, value[0], done, "\n".join(lines))
            if kind in ("close_stream", "unexpected_error"):
                words = _refusal(message)
                return Answer(stream.status_code, words, text="\n".join(lines))
    return Answer(stream.status_code, "", text="\n".join(lines))


async def post(
    client: httpx.AsyncClient, path: str, content: bytes, form: str = "application/json"
) -> Answer:
    """Send a body to an address of Gradio's."""
    answer = await client.post(
        f"/gradio_api/{path}", content=content, headers={"content-type": form}
    )
    return _whole(answer)


async def fetch(client: httpx.AsyncClient, method: str, path: str) -> Answer:
    """Ask for a path; of what never ends, the beginning."""
    code, text = 0, ""
    end = time.monotonic() + _ANSWER_SECONDS
    async with client.stream(method, path) as stream:
        code = stream.status_code
        if "event-stream" in stream.headers.get("content-type", ""):
            end = time.monotonic() + _STREAM_SECONDS
        parts = stream.aiter_text()
        with contextlib.suppress(asyncio.TimeoutError, StopAsyncIteration):
            while True:
                text += await asyncio.wait_for(anext(parts), end - time.monotonic())
    return Answer(code, "", done=code < 400, text=text)


def _whole(answer: httpx.Response) -> Answer:
    """An answer that came at once; its text is its words."""
    done = answer.status_code < 400
    return Answer(answer.status_code, "" if done else answer.text, done=done, text=answer.text)


def json_bytes(value: Any) -> bytes:
    """As a hostile program would write it: NaN and lone surrogates are let through."""
    return json.dumps(value).encode()


def _refusal(told: Any) -> str:
    if isinstance(told, dict):
        told = told.get("error") or told.get("detail") or told.get("message") or ""
    return told if isinstance(told, str) else json.dumps(told) if told else ""


def _told(answer: httpx.Response) -> dict[str, Any]:
    value = _json(answer.text)
    return value if isinstance(value, dict) else {"error": answer.text}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
