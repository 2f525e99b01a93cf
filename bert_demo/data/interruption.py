"""What takes long before a run asks here, again and again, whether it may go on.

Reading a corpus, cutting it into tokens, judging pairs: whoever waits for such work may want it to
end, and says so by a check that is called in the middle of it. Without one the work goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Interrupted(Exception):  # noqa: N818 (somebody's wish, not a fault)
    """What was being prepared is not wanted any more."""


_stop_wished: ContextVar[Callable[[], bool]] = ContextVar("stop_wished", default=lambda: False)


@contextmanager
def interruptible(stop_wished: Callable[[], bool]) -> Iterator[None]:
    """Work inside ends by `Interrupted` soon after `stop_wished()` is true."""
    token = _stop_wished.set(stop_wished)
    try:
        yield
    finally:
        _stop_wished.reset(token)


def check() -> None:
    """Raise `Interrupted` if the work that this is called from is to end."""
    checker()()


def checker() -> Callable[[], None]:
    """`check` for other threads, which work for the thread that asks here for it."""
    stop_wished = _stop_wished.get()

    def ask() -> None:
        if stop_wished():
            raise Interrupted

    return ask
