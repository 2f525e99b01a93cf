"""What the hostile visitors of bench/hostile.py send: values, bodies, paths."""

from __future__ import annotations

import json
import random
from typing import Any

from bert_demo.common.fields import settings_of
from bert_demo.common.groups import VISITOR_SETTINGS
from bert_demo.config import RunConfig, TrainingConfig

_TRAVERSALS = (
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "....//....//etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    "/proc/self/fd/0",
    "..\\..\\windows\\win.ini",
    "file:///etc/passwd",
    "http://127.0.0.1:9/",
    "runs/../../etc",
    "app.py",
    ".",
    "%00",
    "a%0d%0aSet-Cookie:x",
    "nobody-has-this",
    "%F0%9F%92%A9",
    "x" * 5000,
)
_WORDS = (
    "",
    " ",
    "\x00",
    "\ud800",
    "crane \udfff <mask>",
    "\u202eright to left",
    "\U0001f4a9" * 50,
    "e" + "\u0301" * 2000,
    "<img src=x onerror=alert(1)>",
    "{0.__class__.__mro__}",
    "{value!r:>999999999}",
    "%s%n%x",
    "'; drop table runs; --",
    "<mask>" * 200,
    "<sep>" * 50,
    "a " * 4000,
    "a" * 200_000,
    "__class__",
    "nan",
    *(path for path in _TRAVERSALS if "%" not in path),
)
_NUMBERS = (0, 1, -1, 2**31, 2**63, 10**40, -0.0, 1e308, float("nan"), float("inf"), float("-inf"))
_REAL = (
    "bundled/bert-small-snli",
    "bundled/bert-crane-world",
    "crane-world",
    "wikitext-2",
    "pretraining",
    "nli",
    "small",
    "The crane lifted its head.",
)
_SETTINGS = sorted(
    {item.name for config in (RunConfig, TrainingConfig) for item in settings_of(config)}
    | {name for names in VISITOR_SETTINGS.values() for name in names}
    | {"__init__", "nobody_knows_this", "training", "owner", "data_dir", ""}
)
HONEST: dict[str, tuple[Any, ...]] = {
    "start_run": ("pretraining", "crane-world", 1.0, "", {"steps": 2}, "a title", "a-secret"),
    "run_status": ("a-run",),
    "run_events": ("a-run", 0),
    "stop_run": ("a-run", "a-secret"),
    "take_text": ("The crane flies. It is grey.", "birds.txt", "pretraining", None),
    "list_models": ("",),
    "encode": ("bundled/bert-crane-world", "The crane flies.", "", -1),
    "compare": ("bundled/bert-crane-world", "crane", ["A crane.", "The crane flies."], -1, None),
    "classify": ("bundled/bert-small-snli", "A man eats.", "A man sleeps."),
    "fill_mask": ("bundled/bert-crane-world", "The <mask> flies.", 5),
}
"""What an honest program sends, by endpoint."""


def value(draw: random.Random, depth: int = 2) -> Any:
    """Anything that JSON can say, and what only Python's JSON can."""
    kind = draw.randrange(12)
    if kind < 4:
        return draw.choice(_WORDS)
    if kind < 6:
        return draw.choice(_NUMBERS)
    if kind < 8:
        return draw.choice(_REAL)
    if kind == 8:
        return draw.choice((None, True, False))
    if kind == 9:
        return {draw.choice(_SETTINGS): draw.choice((*_NUMBERS, *_WORDS, None, [], {}))}
    if kind == 10:
        return _special(draw)
    if not depth:
        return []
    return [value(draw, depth - 1) for _ in range(draw.choice((0, 1, 2, 60)))]


def arguments(draw: random.Random, name: str) -> list[Any]:
    """For an endpoint: an honest call with one argument of another kind, or none that is right."""
    honest = list(HONEST[name])
    way = draw.randrange(8)
    if way == 0:
        return [value(draw) for _ in range(draw.randrange(10))]
    if way == 1 and name == "start_run":
        honest[4] = {
            draw.choice(_SETTINGS): value(draw, 1) for _ in range(draw.choice((1, 1, 3, 40)))
        }
        return honest
    honest[draw.randrange(len(honest))] = value(draw)
    return honest


def inputs(draw: random.Random, honest: list[Any]) -> list[Any]:
    """For an event of the page: what its components hold, with one value of another kind."""
    way = draw.randrange(8)
    if way == 0:
        return [value(draw) for _ in range(draw.randrange(30))]
    if way == 1:
        return [value(draw) for _ in honest]
    found = list(honest)
    if found:
        found[draw.randrange(len(found))] = value(draw)
    return found


def deep(levels: int, kind: str = "[]") -> bytes:
    """JSON of so many levels, which `json.dumps` would not write."""
    opening = "[" if kind == "[]" else '{"a":'
    return (opening * levels + "1" + kind[1] * levels).encode()


def body(draw: random.Random) -> tuple[bytes, str]:
    """What is no call at all: (content, content type)."""
    kinds = ("application/json",) * 4 + (
        "text/plain",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "",
        "image/png",
    )
    data = json.dumps(value(draw)).encode()
    bodies = (
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe\x00",
        b'{"data": ' + data + b"}",
        b'{"data": [' + deep(draw.choice((50, 500, 20_000)), draw.choice(("[]", "{}"))) + b"]}",
        deep(100_000),
        b'{"data": ["' + b"x" * draw.choice((10_000, 2_000_000)) + b'"]}',
        b'{"data": [' + b"1" * 10_000 + b"]}",
        b'{"data": [1e999, NaN, -Infinity]}',
        b'{"data": [], "data": {}}',
        b'{"data": [], "fn_index": ' + data + b', "session_hash": ' + data + b"}",
        b'{"data": [], "event_data": ' + data + b', "trigger_id": ' + data + b"}",
        b'--x\r\nContent-Disposition: form-data; name="a"; filename="../../a"\r\n\r\nb\r\n--x--',
    )
    return draw.choice(bodies), draw.choice(kinds)


def path(draw: random.Random, route: str) -> str:
    """A route with its parts in braces filled in, and a query."""
    while "{" in route:
        before, _, rest = route.partition("{")
        route = before + draw.choice(_TRAVERSALS) + rest.partition("}")[2]
    if draw.random() < 0.4:
        name = draw.choice(("session_hash", "url", "path", "__theme", "run", "view", "logs"))
        route += f"?{name}={draw.choice(_TRAVERSALS)}"
    return route


def _special(draw: random.Random) -> Any:
    """What Gradio reads as more than data."""
    return draw.choice(
        (
            {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
            {"path": "http://127.0.0.1:9/", "meta": {"_type": "gradio.FileData"}},
            {"path": None, "url": "file:///etc/passwd", "meta": {"_type": "gradio.FileData"}},
            {"__type__": "update", "value": 1},
            {"token": "x", "admin": "0123456789abcdef"},
            {"token": ["x"], "admin": {"a": 1}},
            {"run": draw.choice(_WORDS), "after": draw.choice(_NUMBERS)},
            {"recorded": draw.choice(_REAL), "after": 0},
            {"data": [[1, None, "\ud800"]], "headers": ["a", "a"], "metadata": None},
        )
    )
