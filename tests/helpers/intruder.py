"""What a hostile file of weights may hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


class Intruder:
    """Runs a program when it is unpickled by anything but a careful reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.write_text, (self.path, "you have been visited")
