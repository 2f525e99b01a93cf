"""The processes that train along with the worker where there are several GPUs, one for each.

    python -m bert_demo.runs.peers --local-rank N

The worker starts them as it starts itself, leads every run, and alone writes files and speaks to
the app. A peer is told of a run by a JSON object a line on stdin, and answers on stdout with the
state that it has come to. When stdin ends the worker is gone, and the peer ends at once.

torch's own launcher is not used: `elastic_launch` blocks its caller for one job of one process
group and restarts all processes when one fails, so none stays warm from run to run. Where the
launcher is killed its processes live on, except for functions on Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_demo.config import RunConfig, run_config
from bert_demo.model.fast_paths import DEVICE, switched_off
from bert_demo.model.process import prepare_process
from bert_demo.runs.warm import Answer, own_stdout, warm_up

if TYPE_CHECKING:
    from bert_demo.training.distributed import World

_STARTING, _READY, _BUSY, _PREPARED, _GONE = "starting", "ready", "busy", "prepared", "gone"

_WARM_SECONDS = 60.0
_PREPARE_SECONDS = 600.0
_PART_SECONDS = 20.0
_STUCK_SECONDS = 60.0


class Peers:
    """The peers as the worker sees them."""

    def __init__(self, processes: int | None = None) -> None:
        """As many as the GPUs of one kind ask for, or so that all are this many `processes`."""
        from bert_demo.model.device import cards

        self._any_device = processes is not None
        places = cards() if processes is None else list(range(processes))
        self._changed = threading.Condition()
        self._meeting = contextlib.ExitStack()
        self._peers = [_Peer(place, self._on_change) for place in places[1:]]
        self._busy: list[_Peer] = []
        self._broken = False
        self._give_up: Callable[[], None] = lambda: None

    def world(self, run: RunConfig, resume: bool, give_up: Callable[[], None]) -> World:
        """The worker's part in a run, which calls the peers when it is prepared itself.

        They then find in the cache what it has prepared. A run on the CPU is for none of them,
        and one with batches too small to share is for fewer. `give_up` is called, from another
        thread, where a peer is lost and the worker does not notice, as when it waits for a GPU
        that waits for the other GPU.
        """
        from bert_demo.training.distributed import PeerLostError, World

        training = run.training
        on_cards = training.device in ("auto", "cuda")
        fits = self._any_device or (on_cards and DEVICE not in switched_off())
        most = training.batch_size // training.gradient_accumulation_steps - 1
        self._busy = busy = self._ready()[:most] if fits and most > 0 else []
        self._give_up = give_up
        size = 1 + len(busy)

        def rendezvous() -> str:
            # A file, as a port for this purpose would be open to the whole network.
            folder = self._meeting.enter_context(tempfile.TemporaryDirectory(prefix="bert-demo-"))
            place = Path(folder, "store").as_uri()
            order = {"run": run.to_dict(), "resume": resume, "size": size, "place": place}
            for rank, peer in enumerate(busy, 1):
                self._tell(peer, {**order, "rank": rank})
            if not self._wait(busy, _PREPARED, _PREPARE_SECONDS):
                raise PeerLostError("A process that was to train along could not prepare the run.")
            return place

        return World(size=size, rendezvous=rendezvous)

    def dismiss(self) -> None:
        """Go on without the peers, for good: one of them is lost, and the others wait for it."""
        busy, self._busy, self._broken = self._busy, [], True
        for peer in busy:
            peer.kill()

    def part(self) -> bool:
        """Take leave of the peers after a run; False where they did not come to its end."""
        from bert_demo.training.distributed import leave

        if not self._wait(self._busy, _READY, _PART_SECONDS):
            self.dismiss()
        self._busy = []
        self._meeting.close()
        if not self._broken:
            leave()
        return not self._broken

    def _ready(self) -> list[_Peer]:
        """Those that can train, after a while in which the others may become ready.

        One that was lost between two runs is replaced; one that never was ready is not, as
        something is wrong with its GPU.
        """
        for place, peer in enumerate(self._peers):
            if peer.state == _GONE and peer.was_ready:
                self._peers[place] = _Peer(peer.local_rank, self._on_change)
        with self._changed:
            self._changed.wait_for(
                lambda: all(peer.state != _STARTING for peer in self._peers), _WARM_SECONDS
            )
        return [peer for peer in self._peers if peer.state == _READY]

    def _tell(self, peer: _Peer, order: dict[str, Any]) -> None:
        with self._changed:
            if peer.state == _READY:
                peer.state = _BUSY
                peer.tell(order)

    def _wait(self, peers: list[_Peer], state: str, seconds: float) -> bool:
        """Whether all of them come to this state in time; says so at once where one is gone."""

        def settled() -> bool:
            states = {peer.state for peer in peers}
            return states <= {state} or _GONE in states

        with self._changed:
            self._changed.wait_for(settled, seconds)
        return all(peer.state == state for peer in peers)

    def _on_change(self, peer: _Peer, state: str) -> None:
        """Called by the peers' threads."""
        with self._changed:
            in_run = peer.state in (_BUSY, _PREPARED) and peer in self._busy
            peer.state = state
            self._changed.notify_all()
        if state == _GONE and in_run:
            timer = threading.Timer(_STUCK_SECONDS, self._check_stuck, [self._busy])
            timer.daemon = True
            timer.start()

    def _check_stuck(self, busy: list[_Peer]) -> None:
        if self._busy is busy:
            self._give_up()


class _Peer:
    """One of them: its process and its state."""

    def __init__(self, local_rank: int, on_change: Callable[[_Peer, str], None]) -> None:
        self.local_rank = local_rank
        self.state, self.was_ready = _STARTING, False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bert_demo.runs.peers", "--local-rank", str(local_rank)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        threading.Thread(target=self._read, args=(on_change,), daemon=True).start()

    def tell(self, order: dict[str, Any]) -> None:
        """Hand it a run."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it is gone, as its thread will tell
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()

    def _read(self, on_change: Callable[[_Peer, str], None]) -> None:
        with self._process as process:
            assert process.stdout is not None
            for line in process.stdout:
                self.was_ready = True
                on_change(self, json.loads(line)["state"])
        on_change(self, _GONE)


def main(arguments: list[str] | None = None) -> None:
    """Warm up, then train along in every run until the worker is gone."""
    parser = argparse.ArgumentParser(prog="python -m bert_demo.runs.peers", description=__doc__)
    parser.add_argument("--local-rank", type=int, required=True, help="The number of its GPU")
    local_rank = parser.parse_args(arguments).local_rank
    answer = own_stdout()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in the worker, whose priority it inherits
    orders: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()

    from bert_demo.model import fast_paths
    from bert_demo.model.device import cards, release_memory
    from bert_demo.training.distributed import leave, take_card

    take_card(local_rank)
    if warm_up() == "cpu" and cards():
        sys.exit(fast_paths.told(fast_paths.switched_off()))
    while True:
        answer({"state": _READY})
        leave()  # the worker, which is told first, does so too
        release_memory()
        _train_along(orders.get(), local_rank, answer)


def _train_along(order: dict[str, Any], local_rank: int, answer: Answer) -> None:
    """Compute this process's share of a run; ends the process where that goes wrong."""
    from bert_demo.training.distributed import World
    from bert_demo.training.loop import train

    def rendezvous() -> str:
        answer({"state": _PREPARED})
        return str(order["place"])

    world = World(order["rank"], order["size"], local_rank, rendezvous)
    try:
        *_, end = train(run_config(order["run"]), resume=order["resume"], world=world)
        assert end["event"] == "end"
        if end["reason"] != "failed":
            return
        print(end["message"], file=sys.stderr, flush=True)
    except Exception:
        traceback.print_exc()
    os._exit(1)  # what is left of the group could keep a process from ending by itself


def _listen(orders: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    prepare_process()
    main()
