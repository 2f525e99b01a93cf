"""Where the page is served from, what that means for runs, and the queue that fits.

On a laptop or a server, on a Space with a CPU or a GPU card: a worker process trains. On ZeroGPU
a GPU exists only inside an event, so there the event trains (zerogpu.py). The `spaces` package is
on every Space and needed nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_demo.runs.crowd import Crowd
from bert_demo.runs.queue import RunQueue
from bert_demo.runs.store import RunStore
from bert_demo.runs.zerogpu import ZeroGpuQueue
from bert_demo.ui.parts.language import say

if TYPE_CHECKING:
    import gradio as gr

PUBLIC_RUN_SECONDS = 300.0
"""The longest run on a public page whose owner has not said how long one may be."""
_TRUE = ("1", "t", "true")


def on_space(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a Hugging Face Space."""
    return bool(environ.get("SPACE_ID"))


def on_zerogpu(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a Space on ZeroGPU, where a GPU exists only inside an event."""
    return environ.get("SPACES_ZERO_GPU", "").lower() in _TRUE


def claim_gpus(environ: Mapping[str, str] = os.environ) -> None:
    """Import `spaces` where it matters, before anything can touch CUDA: app.py's first act."""
    if on_zerogpu(environ):
        import spaces  # noqa: F401


def serves_others(
    host: str | None,
    share: bool,
    root_path: str | None,
    environ: Mapping[str, str] = os.environ,
) -> bool:
    """Whether people on other computers can open the page, as far as it can be told from here."""
    host = host or environ.get("GRADIO_SERVER_NAME")
    at_home = host in (None, "localhost", "::1", "[::1]") or str(host).startswith("127.")
    return behind_proxy(share, root_path, environ) or not at_home


def behind_proxy(
    share: bool, root_path: str | None, environ: Mapping[str, str] = os.environ
) -> bool:
    """Whether visitors come by way of a server that says who they are: see `visitors.py`."""
    proxied = root_path is not None or bool(environ.get("GRADIO_ROOT_PATH"))
    return on_space(environ) or share or proxied


def is_lasting(folder: Path) -> bool:
    """Whether a folder lies on a disk of its own, as a bucket mounted into a Space does."""
    folder = folder.absolute()
    return any(part.is_mount() for part in (folder, *folder.parents) if part != Path(part.anchor))


def notices(
    data_dir: Path, max_run_seconds: float | None, environ: Mapping[str, str] = os.environ
) -> list[str]:
    """What whoever opens the page should know of its home, one short paragraph each.

    `max_run_seconds` is the queue's, which on ZeroGPU always has a limit.
    """
    found = []
    if on_zerogpu(environ) and max_run_seconds is not None:
        found.append(
            say(
                "This Space has a GPU only while a run's own request is open (ZeroGPU). A run "
                "takes at most {seconds} seconds and counts against your own daily GPU quota: "
                "about 2 minutes for a visitor, 5 with a free account. Keep the page open until "
                "your run has begun. Runs cannot be started through the API here.",
                seconds=f"{max_run_seconds:g}",
            )
        )
    if on_space(environ) and not is_lasting(data_dir):
        found.append(
            say(
                "The disk of this Space does not last: at its next restart every run is gone. "
                "Download what you want to keep. (The Space's owner can mount a bucket and name "
                "its folder in BERT_DEMO_DATA_DIR.)"
            )
        )
    return found


def make_queue(
    store: RunStore,
    *,
    max_run_seconds: float | None = None,
    public: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> RunQueue:
    """The queue for this place, not yet started; `public`: anybody may come."""
    crowd = Crowd() if public else None
    if not on_zerogpu(environ):
        if public and max_run_seconds is None:
            max_run_seconds = PUBLIC_RUN_SECONDS
        return RunQueue(store, max_run_seconds=max_run_seconds, crowd=crowd)
    import spaces

    return ZeroGpuQueue(store, spaces.GPU, max_run_seconds=max_run_seconds, crowd=crowd)


def train_after(queue: RunQueue, event: Any, run: gr.components.Component) -> None:
    """On ZeroGPU let the browser's next event train the run whose id `run` holds.

    `event` is what a listener returned that started, resumed or found a run; elsewhere nothing
    is added, for a worker is already at it.
    """
    if isinstance(queue, ZeroGpuQueue):
        event.then(
            queue.train_in_event,
            run,
            None,
            show_progress="hidden",
            concurrency_limit=None,
            api_visibility="private",
        )
