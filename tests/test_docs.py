"""What README and docs name is there: commands, benches, files and headings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bert_demo.cli.parser import build_parser

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md")])


def commands() -> set[str]:
    return set(re.findall(r"^    ([a-z][a-z0-9-]+)", build_parser().format_help(), re.MULTILINE))


def headings(page: Path) -> set[str]:
    """Their anchors, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", ["README.md", "docs/commands.md"])
def test_every_command_is_named(name: str) -> None:
    said = (ROOT / name).read_text("utf-8")
    assert {one for one in commands() if not re.search(rf"\b{one}\b", said)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_leads_to_is_there(page: Path) -> None:
    said, lost = page.read_text("utf-8"), []
    for name in re.findall(r"(?<!\w)python -m bert_demo ([a-z][\w-]*)", said):
        lost += [] if name in commands() else [f"command {name}"]
    for name in re.findall(r"python -m bench\.(\w+)", said):
        lost += [] if (ROOT / f"bench/{name}.py").is_file() else [f"bench.{name}"]
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", said):
        path, _, anchor = link.partition("#")
        to = (page.parent / path).resolve() if path else page
        if not to.exists() or (anchor and anchor not in headings(to)):
            lost.append(link)
    assert lost == []
