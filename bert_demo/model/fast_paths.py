"""The fast paths of a device, and which of them are switched off in this process, and why.

Whoever can compute in a fast way and in a plain one asks here. Where no way has been seen to work,
as on a GPU, `bert_demo.training.proof` tries each before a process trains by it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bert_demo.common.errors import Text, UserError, listed

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FastPath:
    """One of them."""

    title: Text
    devices: tuple[str, ...]
    """The types of device that may have it."""


DEVICE, RESIDENT, BF16, FLASH = "device", "resident", "bf16", "flash"
TRITON, GRAPHS, FUSED = "triton", "graphs", "fused"
FAST_PATHS = {
    DEVICE: FastPath(Text("the GPU itself"), ("cuda", "mps")),
    RESIDENT: FastPath(Text("batches made on the GPU"), ("cuda",)),
    BF16: FastPath(Text("bf16"), ("cpu", "cuda", "mps")),
    FLASH: FastPath(Text("FlashAttention"), ("cuda",)),
    TRITON: FastPath(Text("kernels by Triton"), ("cuda",)),
    GRAPHS: FastPath(Text("CUDA graphs"), ("cuda",)),
    FUSED: FastPath(Text("fused AdamW"), ("cpu", "cuda")),
}
"""In the order in which they are tried: each together with those before it."""

_off: dict[tuple[str, str], str] = {}
"""Name and type of device -> reason."""
_only: frozenset[str] | None = None


def serves(name: str, device: torch.device) -> bool:
    """Whether a device like this may take this path, and nothing has been found wrong with it."""
    if _only is not None and name not in _only:
        return False
    return device.type in FAST_PATHS[name].devices and (name, device.type) not in _off


def switch_off(name: str, device: torch.device, reason: str | Exception) -> None:
    """Take the plain path instead from now on, in this process, on such devices."""
    if isinstance(reason, UserError):
        reason = reason.text
    elif isinstance(reason, Exception):
        reason = (str(reason) or type(reason).__name__).splitlines()[0]
    _off.setdefault((name, device.type), reason)
    log.warning("%s: switched off on %s (%s)", FAST_PATHS[name].title, device, reason)


def switched_off(device: torch.device | None = None) -> dict[str, str]:
    """What is switched off in this process, on devices like this one or on any: name -> reason."""
    return {
        name: reason
        for (name, kind), reason in _off.items()
        if device is None or kind == device.type
    }


def forget() -> None:
    """Switch everything on again."""
    _off.clear()


@contextmanager
def only(*names: str) -> Iterator[None]:
    """Inside, no other paths serve. For the whole process: nobody else may compute meanwhile."""
    global _only
    before, _only = _only, frozenset(names)
    try:
        yield
    finally:
        _only = before


def told(reasons: Mapping[str, str]) -> Text:
    """A sentence about what is `switched_off`, which is not empty."""
    parts = (
        Text("{path} ({reason})", path=FAST_PATHS[name].title, reason=reason)
        for name, reason in reasons.items()
    )
    return Text("Switched off here: {paths}.", paths=listed(parts))
