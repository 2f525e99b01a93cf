"""The page as a server in a process of its own, without what trains and what measures."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# As app.py, but for the training process and the measuring of this computer.
SERVE = """
import resource, sys
from bert_demo.ui.serving.proxies import keep_usable_proxies
print(*keep_usable_proxies(), sep="\\n")
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from bert_demo.ui.serving.files import own_folder
from bert_demo.ui.serving.settings import from_args
with own_folder():
    from bert_demo.ui.context import AppContext
    from bert_demo.ui.serving import launch
    AppContext.start = lambda self: None
    limits = resource.RLIMIT_NOFILE
    launch._get_ready = lambda *_: print(resource.getrlimit(limits), flush=True)
    launch.launch(from_args(sys.argv[1:], {}))
"""


def free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(root: Path, *flags: str, host: str = "127.0.0.1", **environ: str) -> Iterator[Any]:
    """A page in a process of its own: (its address, the process)."""
    port = free_port(host)
    temporary = root / "tmp"
    temporary.mkdir(exist_ok=True)
    # Somebody else's, as far as this page is concerned.
    (temporary / "gradio").touch()
    with (root / "log").open("w") as log:
        folders = ["--data-dir", str(root), "--checkpoints-dir", str(root / "none")]
        place = ["--host", host, "--port", str(port)]
        page = subprocess.Popen(
            [sys.executable, "-c", SERVE, *place, *folders, *flags],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env=os.environ | {"TMPDIR": str(temporary)} | environ,
        )
    url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    try:
        end = time.monotonic() + 90
        while "bert_demo is at" not in (root / "log").read_text():
            assert page.poll() is None and time.monotonic() < end, (root / "log").read_text()
            time.sleep(0.1)
        yield url, page
    finally:
        page.send_signal(signal.SIGTERM)
        page.wait(30)
