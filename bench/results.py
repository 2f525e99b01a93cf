"""RESULTS.md: each script owns the section under its heading, and leaves the others alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")


def write_section(heading: str, lines: Sequence[str], path: Path = RESULTS) -> None:
    """Put `lines` under "## heading" in place of what is there; a new section comes last."""
    text = path.read_text(encoding="utf-8") if path.is_file() else "# Results\n"
    section = "\n".join([f"## {heading}", "", *lines]).rstrip() + "\n"
    parts = text.split("\n## ")
    headings = [part.partition("\n")[0] for part in parts[1:]]
    new = section.removeprefix("## ")
    if heading in headings:
        parts[1 + headings.index(heading)] = new
    else:
        parts.append(new)
    path.write_text("\n\n## ".join(part.strip("\n") for part in parts) + "\n", encoding="utf-8")
    print(f"Written to {path}, under {heading!r}.")
