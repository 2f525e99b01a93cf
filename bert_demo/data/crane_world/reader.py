"""The format of Crane World's text files, which can be edited without knowing Python.

    # A remark.
    = crane | bird | animal
    hero: crane | cranes | it | bird
    at: by the lake; in the marsh
      near the river

"=" begins a section, a line that is not indented begins a field of it, and indented lines go on
with the field. A semicolon or the end of a line ends an entry. "|" separates the parts of a heading
or an entry, "," the items of a part. "-" is an entry without text.
"""

from __future__ import annotations

from pathlib import Path

from bert_demo.common.errors import UserError

Section = dict[str, tuple[str, ...]]
"""Field -> entries."""


def read(name: str, folder: Path = Path(__file__).parent) -> dict[str, Section]:
    """The sections of one of the folder's text files, by heading, in the file's order.

    Raises `UserError` with the line that belongs to no field.
    """
    sections: dict[str, dict[str, list[str]]] = {}
    fields: dict[str, list[str]] = {}
    entries: list[str] | None = None
    text = (folder / name).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("="):
            fields, entries = sections.setdefault(line[1:].strip(), {}), None
            continue
        if not line[0].isspace():
            field, colon, line = line.partition(":")
            entries = fields.setdefault(field, []) if colon and sections else None
        if entries is None:
            raise UserError(
                "{file}, line {number}: {line!r} belongs to no field.",
                file=name,
                number=number,
                line=line.strip(),
            )
        found = (entry.strip() for entry in line.split(";"))
        entries += ["" if entry == "-" else entry for entry in found if entry]
    return {
        heading: {field: tuple(entries) for field, entries in section.items()}
        for heading, section in sections.items()
    }


def split(text: str, separator: str = "|") -> tuple[str, ...]:
    """The parts of a heading or an entry, or the items of a part (",")."""
    return tuple(part.strip() for part in text.split(separator))
