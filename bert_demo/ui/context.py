"""What every part of the page works with: made once by `build_app`, closed when the page ends."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import secrets
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from bert_demo.common.corpus_names import own_task
from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig
from bert_demo.data.files import cache_dir
from bert_demo.inference.models import ModelShelf
from bert_demo.interop.importer import Importer
from bert_demo.model.device import available_memory_bytes
from bert_demo.runs.diagnosis import Diagnoses
from bert_demo.runs.limiter import Limiter
from bert_demo.runs.owners import Asker
from bert_demo.runs.record import TRAINING, Run
from bert_demo.runs.store import RunStore
from bert_demo.training.cost import Estimate, Observation, Speed, estimate, may_be_slow
from bert_demo.training.speed import kept_speed, measured_speed
from bert_demo.ui.parts import language
from bert_demo.ui.serving.hosting import behind_proxy, make_queue, on_zerogpu, serves_others
from bert_demo.ui.serving.judging import Judging
from bert_demo.ui.serving.settings import AppSettings
from bert_demo.ui.serving.share import ShareLink
from bert_demo.ui.serving.visitors import address_of

log = logging.getLogger(__name__)

_OBSERVED = 5
_BUSY = ("queued", *TRAINING)
_STORAGE_KEY = "bert_demo"


class AppContext:
    """The runs, the queue and the models of one page, and what is known of the computer.

    `browser` is the page's `gr.BrowserState`: {"token": who this browser is, "admin": the
    teacher's token or ""}. Hand it to handlers as an input and read it with `token_of`.
    """

    def __init__(self, settings: AppSettings) -> None:
        language.use(settings.language)
        language.hide_places(_places(settings))
        self.settings = settings
        self.admin_token = settings.admin_token or secrets.token_urlsafe(12)
        folder = settings.data_dir / "runs"
        self.store = RunStore(folder, admin_token=self.admin_token, asker=self._asker)
        self.diagnoses = Diagnoses(self.store)
        self.queue = make_queue(
            self.store, max_run_seconds=settings.max_run_seconds, public=self.is_public
        )
        self.imports = Importer(settings.data_dir / "models")
        self.shelf = ModelShelf(settings.checkpoints_dir, self.store.root, self.imports.folder)
        self.judging = Judging(self.shelf, lambda: self.queue.training)
        self.share = ShareLink()
        self._browser: gr.BrowserState | None = None
        self.speed: Speed | None = None
        # On ZeroGPU the page has no GPU to measure.
        self.measuring = not on_zerogpu()
        self._stopped = threading.Event()
        self._texts = Limiter(seconds=3600.0)

    def start(self) -> None:
        """Bring up the worker, and measure this computer's speed behind the page's back."""
        self.queue.start()
        if self.measuring:
            threading.Thread(target=self._measure, name="speed", daemon=True).start()

    def close(self) -> None:
        """End the worker; runs that are being trained are saved and can go on later."""
        self._stopped.set()
        self.queue.close()  # first: whoever ends the page may not wait long
        self.judging.close()

    @property
    def browser(self) -> gr.BrowserState:
        """Who the visitor's browser is; there once the page is being built."""
        assert self._browser is not None
        return self._browser

    def make_browser_state(self) -> gr.BrowserState:
        """The component that keeps who this browser is; to be called once, inside the page."""
        place = str(self.store.root).encode()
        # Fixed, so that a browser is known again after a restart. It only scrambles the token in
        # the browser's own storage; what protects the token is that no page of another site and
        # no other visitor can read that storage.
        secret = hashlib.sha256(b"bert_demo browser" + place).hexdigest()[:16]
        self._browser = gr.BrowserState(
            {"token": "", "admin": ""}, storage_key=_STORAGE_KEY, secret=secret
        )
        return self._browser

    @property
    def is_public(self) -> bool:
        """Whether others than the owner of this computer can open the page."""
        settings = self.settings
        return settings.public or serves_others(settings.host, settings.share, settings.root_path)

    def address_of(self, request: gr.Request | None) -> str:
        """Which network a visitor comes from."""
        settings = self.settings
        proxied = settings.public or behind_proxy(settings.share, settings.root_path)
        return address_of(request, proxied)

    def may_fetch(self, browser: Any) -> bool:
        """Whether this browser may fetch and delete models: anybody at home, else the teacher."""
        return not self.is_public or self.store.is_admin(token_of(browser))

    @property
    def takes_own_texts(self) -> bool:
        """Whether people may bring texts of their own: at home, or where the teacher wishes it."""
        return self.settings.own_text or not self.is_public

    def check_own_text(self) -> None:
        """Raise `UserError` where texts of one's own are not wished."""
        if not self.takes_own_texts:
            raise UserError("Texts of one's own are not taken on this page; the teacher decides.")

    def count_text(self, address: str, limit: int) -> None:
        """Count a text that comes from an address; `UserError` for more than `limit` an hour."""
        if self.is_public and not self._texts.count(address, limit):
            raise UserError(
                "{n} texts came from your network within an hour; try again later.", n=limit
            )

    def _asker(self) -> Asker:
        request = LocalContext.request.get(None)
        session = getattr(request, "session_hash", None)
        return Asker(self.address_of(request), str(session or ""))

    def estimate(self, run: RunConfig, observed: Sequence[Observation] | None = None) -> Estimate:
        """What `run` would take here; raises `UserError` for a run that can start nowhere.

        observed: `observations`, where they are at hand.
        """
        if observed is None:
            observed = self.observations()
        free = available_memory_bytes() + self.queue.held_bytes()
        run = self.queue.with_limit(run)
        return estimate(run, self.speed, observed, free_bytes=free)

    def accept(self, run: RunConfig) -> Estimate:
        """The same for a run that is to start; raises `UserError` for one that cannot be done."""
        if own_task(run.corpus) is not None:
            self.check_own_text()
        expected = self.estimate(run)
        if expected.refusal is not None:
            raise UserError(expected.refusal)
        if self.speed is None and self.measuring and may_be_slow(self.queue.with_limit(run)):
            raise UserError(
                "How fast this machine is has not been measured yet, and one step of this run may "
                "take longer than its budget; try again in a minute, or take a smaller model or "
                "batch."
            )
        return expected

    def observations(self) -> list[Observation]:
        """How fast the latest runs here were."""
        found = (self._observe(run) for run in self.store.list())
        return list(itertools.islice((one for one in found if one is not None), _OBSERVED))

    def _observe(self, run: Run) -> Observation | None:
        if run.config is None or run.owner is None or run.status.state != "completed":
            return None
        events, _ = self.store.events(run.id)
        steps = (e for e in events if e["event"] == "step")
        speeds = [speed for e in steps if (speed := e.get("examples_per_second"))][-20:]
        return Observation(run.config, median(speeds)) if speeds else None

    def _measure(self) -> None:
        self.speed = kept_speed()
        # Not while anything else computes: both would only slow each other down.
        while self.speed is None and not self._idle():
            if self._stopped.wait(1):
                return
        try:
            self.speed = self.speed or measured_speed()
        except UserError as error:
            log.warning("%s", error)
        self.measuring = False

    def _idle(self) -> bool:
        busy = any(run.status.state in _BUSY for run in self.store.list())
        return self.queue.ready and not busy


def _places(settings: AppSettings) -> list[Path]:
    """Folders of this computer that are no visitor's business."""
    ours = settings.data_dir.expanduser()
    places = [ours / "runs", ours / "models", ours, settings.checkpoints_dir, cache_dir()]
    places += [Path(), Path(__file__).parents[2], Path(tempfile.gettempdir())]
    places += [
        Path(os.environ[name]) for name in ("BERT_DEMO_DATA", "HF_HOME") if name in os.environ
    ]
    with contextlib.suppress(RuntimeError):  # a container's user without a home
        places.append(Path.home())
    return places


def token_of(browser: Any) -> str:
    """The token to act with: the teacher's where this browser has it, else the browser's own."""
    if not isinstance(browser, dict):
        return ""
    return str(browser.get("admin") or browser.get("token") or "")


def own_token(browser: Any) -> str:
    """The browser's own token, under which it starts runs."""
    return str(browser.get("token") or "") if isinstance(browser, dict) else ""
