"""How much may wait where anybody can come: in all, and from one address.

Names cost nothing there, so what one person may have bounds nobody. A run counts as the time that
it will take, as that is what the others wait for.
"""

from __future__ import annotations

from collections.abc import Iterable

from bert_demo.common.errors import UserError
from bert_demo.runs.record import Run

_MOST_SECONDS = 2 * 3600.0
_MOST_FROM_ADDRESS = 3600.0  # a class of thirty shares one
_LEAST_SECONDS = 30.0
_UNKNOWN_SECONDS = 60.0


class Crowd:
    """Knows from which address each run was sent, for as long as this process lives.

    After a restart the bound on all holds as before. An address is any text that tells visitors
    apart; "" is one of them.
    """

    def __init__(
        self, *, most_seconds: float = _MOST_SECONDS, most_from_address: float = _MOST_FROM_ADDRESS
    ) -> None:
        self._most_seconds, self._most_from_address = most_seconds, most_from_address
        self._addresses: dict[str, str] = {}

    def check(self, waiting: Iterable[Run], address: str) -> None:
        """Raise `UserError` where so much waits that nobody else, or none of these, may join."""
        seconds = {run.id: _seconds(run) for run in waiting}
        self._addresses = {name: at for name, at in self._addresses.items() if name in seconds}
        everything = sum(seconds.values())
        if everything >= self._most_seconds:
            raise UserError(
                "Runs for {minutes:.0f} minutes wait here already, and no more may; try again when "
                "some of them have ended.",
                minutes=everything / 60,
            )
        theirs = sum(seconds[name] for name, at in self._addresses.items() if at == address)
        if theirs >= self._most_from_address:
            raise UserError(
                "Runs for {minutes:.0f} minutes wait here that came from your network, as many as "
                "from one network may; try again when some of them have ended.",
                minutes=theirs / 60,
            )

    def joined(self, run: Run, address: str) -> None:
        """Take down where a run came from."""
        self._addresses[run.id] = address


def _seconds(run: Run) -> float:
    return max(_LEAST_SECONDS, run.expected_seconds or _UNKNOWN_SECONDS)
