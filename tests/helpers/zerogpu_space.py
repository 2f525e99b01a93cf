"""A Space on ZeroGPU in a process of its own, with the real `spaces` package, for test_hosting.py.

    python tests/helpers/zerogpu_space.py ROOT [run id ...]

Real: scheduling over HTTP, the forked process, pickled arguments and results, the queue between
them, release. Left out is what needs a driver: `spaces` moving tensors to a GPU. The host's part
(granting, watching the clock, killing) is the test's. Prints one JSON object: state by run.
"""

from __future__ import annotations

import base64
import json
import sys
import types
from pathlib import Path
from typing import Any


def without_driver() -> None:
    """Put an empty module where `spaces` talks to CUDA, which it also does where torch lacks."""
    module: Any = types.ModuleType("spaces.zero.torch")
    for name in ("enter_mode", "patch", "unpatch", "init", "move"):
        setattr(module, name, lambda *args, **kwargs: None)
    module.pack = module.size = lambda *args, **kwargs: 0
    module.is_in_bad_fork = lambda: False
    sys.modules["spaces.zero.torch"] = module


def visitor() -> Any:
    """A request as the Hub's proxy hands it on: with a token that says whose quota it is."""
    import gradio as gr

    payload = base64.urlsafe_b64encode(b'{"user": "visitor"}').decode().rstrip("=")
    return gr.Request(headers={"x-ip-token": f"e30.{payload}.e30"})


def main() -> None:
    without_driver()
    import torch
    from gradio.context import LocalContext

    from bert_demo.runs.store import RunStore
    from bert_demo.ui.serving.hosting import make_queue

    root, *names = sys.argv[1:]
    store = RunStore(Path(root))
    queue = make_queue(store)
    queue.start()
    # A parent that has computed with several threads is where a forked child may hang.
    torch.set_num_threads(2)
    weight = torch.ones(600, 600, requires_grad=True)
    (weight @ weight).sum().backward()
    if "--no-request" not in names:
        LocalContext.request.set(visitor())
    for name in names:
        if not name.startswith("--"):
            queue.train_in_event(name)  # type: ignore[attr-defined]
    queue.close()
    print(json.dumps({run.id: run.status.state for run in store.list()}))


if __name__ == "__main__":
    main()
