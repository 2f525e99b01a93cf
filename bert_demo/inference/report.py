"""What the functions of the Python API answer with: dataclasses that can be read like a dict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any


class Report(Mapping[str, Any]):
    """Base of frozen dataclasses: `report.parameters` and `report["parameters"]` are one.

    The values are such as JSON has, so `dict(report)` can be written down as it is. To be
    decorated with `dataclass(frozen=True, eq=False)`: it is equal to a dict of the same contents.
    """

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return any(name == field for field in self)

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in dataclasses.fields(self))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(dataclasses.fields(self))  # type: ignore[arg-type]
