"""A person's mistake and a bug: which is which, and what each leads to."""

from __future__ import annotations

import ast
import copy
import pickle
from pathlib import Path

import pytest

import bert_demo
from bert_demo.cli import commands
from bert_demo.cli.parser import main
from bert_demo.common.errors import Text, UserError, listed

PACKAGE = Path(bert_demo.__file__).parent


def test_a_text_is_its_sentence_and_keeps_what_it_was_made_of() -> None:
    some = listed([Text("{n:,} words", n=1200), Text("{n:,} pairs", n=1)])
    error = UserError("{path!r} has {some}.", path="a", some=some)
    assert str(error) == error.text == "'a' has 1,200 words, 1 pairs."
    assert Text("braces {stay} where there are no values") == UserError("{stay}").text.join(
        ["braces ", " where there are no values"]
    )
    for again in (copy.deepcopy(error), pickle.loads(pickle.dumps(error)), UserError(error.text)):
        assert str(again) == str(error)
        assert again.text.template == "{path!r} has {some}."
        assert again.text.values["some"].values["one"].values == {"n": 1}


DEEP: list[object] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value",
    [
        *("x" * 5_000_000, DEEP, {"a": DEEP}, ["x" * 999] * 999, ("x",) * 9999),
        *(10**5000, -(10**5000), Path("x" * 9999), OSError("x" * 9999)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_of_what_is_long_deep_or_huge_the_beginning_is_said(value: object) -> None:
    assert len(str(UserError("{a}", a=value))) < 250
    assert len(str(UserError("{a!r}", a=value))) < 250


def test_what_is_short_is_said_whole() -> None:
    values = {"a": "it's", "b": 1234, "c": (8, 2), "d": ["x"], "e": None, "f": True, "g": 1.5}
    assert str(UserError("{a} {a!r} {b:,} {c} {d!r} {e} {f} {g:.2f}", **values)) == (
        "it's \"it's\" 1,234 (8, 2) ['x'] None True 1.50"
    )


def test_no_other_value_error_is_raised() -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and "ValueError" in ast.unparse(node)
    ]
    assert found == []


def test_a_bug_is_no_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> int:
        return len(list(zip([1], [], strict=True)))

    monkeypatch.setattr(commands, "prepare", broken)
    assert main(["prepare"]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert "Traceback" in err
    assert err.endswith("This is a fault of bert_demo's own (ValueError); see above.\n")
