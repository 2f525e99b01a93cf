"""A worker process as the queue sees it: what goes in, what comes out, and how it died."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from bert_demo.common.errors import Text
from bert_demo.runs.watchdog import Watchdog

COMMAND = (sys.executable, "-m", "bert_demo.runs.worker")

_END_SECONDS = 5.0


class WorkerProcess:
    """One `python -m bert_demo.runs.worker`, told what to do by lines on its stdin.

    What it answers goes to `receive(self, answer)`, from another thread; None comes last, when
    it has ended.
    """

    def __init__(
        self,
        root: Path,
        log: Path,
        receive: Callable[[WorkerProcess, dict[str, Any] | None], None],
    ) -> None:
        self.log = log
        self._begun = time.monotonic()
        self.ready = False
        self.hung = False
        self.run_id: str | None = None
        """The run, or the search, that it is at."""
        self._watchdog: Watchdog | None = None
        package = str(Path(__file__).resolve().parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*COMMAND, "--root", str(root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, args=(receive,), daemon=True)
        self._reader.start()

    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._begun

    def end_if_it_hangs(self, signs: Hashable, training: bool) -> None:
        """End it where it has a run and hangs (`watchdog`); its end is reported as ever."""
        if self._watchdog is None or self.hung:
            return
        if self._watchdog.hangs(signs, training):
            self.lose()

    def train(self, run_id: str, most_seconds: float | None = None) -> None:
        """Hand it a run, and how long preparing and training it may take together.

        If it is dead by now, its end is reported as ever.
        """
        self._watchdog = Watchdog(self.pid)
        self._order(run_id, {"run": run_id, "most_seconds": most_seconds})

    def search(self, search_id: str, config: dict[str, Any], seconds: float) -> None:
        """Hand it a search for a learning rate, as `train` hands it a run."""
        self._watchdog = None
        self._order(search_id, {"search": search_id, "config": config, "seconds": seconds})

    def lose(self) -> None:
        """End it, which does not answer any more."""
        self.hung = True
        self.end()

    def _order(self, name: str, order: dict[str, Any]) -> None:
        self.run_id = name
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def hang_up(self) -> None:
        """Close its stdin, which it takes for the end of the app: it saves its run and ends."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within that time."""
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """End it, whatever it is doing, and free what it held."""
        self.hang_up()
        if not self.wait(0):
            self._process.terminate()
            if not self.wait(_END_SECONDS):
                self._process.kill()
                self.wait(_END_SECONDS)
        self._reader.join(_END_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def cause_of_death(self) -> Text:
        """How it ended, in a sentence."""
        if self.hung:
            return Text("The training process did nothing any more, and was ended.")
        code = self._process.returncode
        if code is None or code >= 0:
            return Text("The training process ended unexpectedly (exit code {code}).", code=code)
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        if name == "SIGKILL":
            return Text(
                "The training process was killed (SIGKILL), most likely because memory ran out; "
                "a smaller batch or a smaller model needs less."
            )
        return Text(
            "The training process was ended by the system or by somebody ({signal}).", signal=name
        )

    def last_words(self) -> str:
        """The last line that it wrote to its log; empty if there is none."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]

    def _read(self, receive: Callable[[WorkerProcess, dict[str, Any] | None], None]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                receive(self, json.loads(line))
        self._process.wait()
        receive(self, None)
