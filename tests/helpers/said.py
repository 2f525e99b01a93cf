"""Every English text that the page can show, gathered from the code: what a catalogue must have."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

from bert_demo.config import LABELS, RunConfig, TrainingConfig, settings_of
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
    "data/snli.py",
    "interop/d2l.py",
    "interop/export.py",
    "runs/peers.py",
    "ui/serving/launch.py",
    "ui/serving/settings.py",
    "ui/space_check.py",
)
NOT_SAID = re.compile(r"\^|It was published by|The folder `|It has the architecture of the book")

PIECES = (
    # What is put into the engine's sentences, or joined by commas to a line.
    "a number",
    "a number from {} to {}",
    "a number of at least {}",
    "a whole number",
    "a whole number from {} to {}",
    "a whole number of at least {}",
    "pretraining",
    "stop",
    "pause",
    "resume",
    "delete",
    "this one is {}",
    "queued",
    "running",
    "pausing",
    "stopping",
    "paused",
    "stopped",
    "interrupted",
    "failed",
    "completed",
    "text",
    "first text",
    "second text",
    "premise",
    "hypothesis",
    "nothing was fetched",
    "nothing was published",
    "your login may not see it",
    "you are not logged in",
    "run `hf auth login` with a token that may write, and try again",
    "a checkpoint of another version of bert_demo",
    "a Hugging Face BERT, which `python -m bert_demo import-hf` reads",
    "a model of the kind {}, not a checkpoint of bert_demo",
    "not a checkpoint of bert_demo",
    "Fetching {}: {} MB",
    "Fetching {}: {} of {} MB",
    "Making the checkpoint",
    "was fine-tuned",
    "has no masked-LM head",
    " within the {} tokens that this model reads",
    ", in {} parts,",
    "built in",
    "local mirror",
    "hub cache",
    "{} paragraphs",
    "{} sentences",
    "{} words",
    "{} tokens",
    "{} unknown tokens",
    "{} pairs",
    "{} left out",
    "pretrained",
    "fine-tuned",
    "encoder",
    "pretrained on {}, {} steps",
    "fine-tuned on {}, {} steps",
    "pretrained on {}, not trained yet",
    "fine-tuned on {}, not trained yet",
    "imported from {}",
    "{} layer of {}, {} million parameters",
    "{} layers of {}, {} million parameters",
    "loss {}",
    "Test",
    "Validation",
    "misses",
    "has an unknown",
    "read",
    "written",
    "train",
    "{}, {} ({}): {}.",
)


def keys() -> set[str]:
    """All of it: what `say` is asked for, what the engine says, settings' hints, names shown."""
    found = set(PIECES) | set(LABELS) | {sense for word in SENSES.values() for sense in word}
    found.update(model.what for model in KNOWN_MODELS)
    asked = {name for task in forms.PRESETS for name in forms.names(task)}
    for config in (RunConfig, TrainingConfig):
        found.update(item.hint for item in settings_of(config) if item.name in asked)
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if place.startswith("ui/"):
            found.update(_asked(tree))
        if not any(fnmatch.fnmatch(place, pattern) for pattern in UNSEEN):
            engine = not place.startswith("ui/") or place == "runs/zerogpu.py"
            found.update(_sentences(tree) if engine else _raised(tree))
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
            texts = [text for one in given if (text := _template(one)) is not None]
            found += [f"{path.name}: {text}" for text in texts if re.search("[a-z]{2}", text)]
    return found


def _asked(tree: ast.AST) -> Iterator[str]:
    """Texts in `say("...")` and `later("...")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _name(node.func) in ("say", "later"):
            text = node.args[0]
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield text.value


def _raised(tree: ast.AST) -> Iterator[str]:
    """Messages of errors, with {} for what is put in; those made elsewhere are gathered there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            if _name(node.exc) == "AssertionError":
                continue
            text = _template(node.exc.args[0])
            if text is not None and re.search(r"[a-z]{3}", text.replace("{}", "")):
                yield text


def _sentences(tree: ast.AST) -> Iterator[str]:
    """Messages of errors, and every other string that ends as a sentence does."""
    yield from _raised(tree)
    unsaid: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            unsaid.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            unsaid.update(part for part in ast.walk(node) if part is not node)
    for node in ast.walk(tree):
        text = None if node in unsaid else _template(node)
        if (
            text
            and re.search(r"[a-z]{3}.* .*(\.|[.:] \{\})$|^[A-Z][a-z]+\.$", text)
            and not NOT_SAID.match(text)
        ):
            yield text


def _template(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
        return "".join(map(str, parts))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _name(node: ast.AST | None) -> str:
    if isinstance(node, ast.Call):
        return _name(node.func)
    return getattr(node, "id", getattr(node, "attr", ""))
