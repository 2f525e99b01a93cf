"""Every English text that the page can show, gathered from the code: what a catalogue must have."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from bert_demo.common.fields import settings_of
from bert_demo.config import LABELS, RunConfig, TrainingConfig
from bert_demo.data.crane_world.probes import SENSES
from bert_demo.interop.known import KNOWN_MODELS
from bert_demo.ui.parts import forms

PACKAGE = Path(__file__).resolve().parents[2] / "bert_demo"

# Their sentences go to a terminal, into a card or into a file of the command line's.
UNSEEN = (
    "cli/*.py",
    "__*__.py",
    "interop/bundle.py",
    "interop/card.py",
    "model/compiled/*.py",
    "data/crane_world/*.py",
    "data/download.py",
    "interop/d2l*.py",
    "interop/export.py",
    "runs/peers.py",
    "ui/serving/launch.py",
    "ui/serving/settings.py",
    "ui/space_check.py",
)


def keys() -> set[str]:
    """All of it: what is said or raised, settings' hints, names shown."""
    found = set(LABELS) | {sense for word in SENSES.values() for sense in word}
    found.update(model.what for model in KNOWN_MODELS)
    asked = {name for task in forms.PRESETS for name in forms.names(task)}
    for config in (RunConfig, TrainingConfig):
        found.update(item.hint for item in settings_of(config) if item.name in asked)
    trees = {p.relative_to(PACKAGE): ast.parse(p.read_text("utf-8")) for p in PACKAGE.rglob("*.py")}
    sayers = {"say", "later", "Text", *_errors(trees.values())}
    for place, tree in trees.items():
        if not any(fnmatch.fnmatch(place.as_posix(), pattern) for pattern in UNSEEN):
            found.update(_said(tree, sayers))
    for path in (PACKAGE / "ui/static").glob("*.js"):
        found.update(re.findall(r'\bsay\(\s*"([^"\n]*)"', path.read_text(encoding="utf-8")))
    return found


def unsaid() -> list[str]:
    """Words handed to a component of the page as they are, without `say`."""
    found = []
    for path in sorted((PACKAGE / "ui").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("gr.")):
                continue
            given = [k.value for k in node.keywords if k.arg in ("label", "info", "placeholder")]
            if _name(node.func) in ("Accordion", "Button", "Error", "Markdown", "Tab", "Warning"):
                given += node.args[:1]
            texts = [text for one in given if (text := _constant(one)) is not None]
            found += [f"{path.name}: {text}" for text in texts if re.search("[a-z]{2}", text)]
    return found


def _errors(trees: Collection[ast.AST]) -> set[str]:
    """`UserError` and the classes made from it, by their names."""
    classes = [n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    found = {"UserError"}
    while new := {c.name for c in classes if found & set(map(_name, c.bases))} - found:
        found |= new
    return found


def _said(tree: ast.AST, sayers: set[str]) -> Iterator[str]:
    """The words in the first arguments of what says or raises them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _name(node.func) in sayers:
            first = node.args[0]
            texts = (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,)
            yield from (text for one in texts if (text := _constant(one)))


def _constant(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _name(node: ast.AST) -> str:
    return getattr(node, "id", getattr(node, "attr", ""))
