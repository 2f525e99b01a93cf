"""Serve the page until it is told to end."""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from bert_demo.common.errors import UserError
from bert_demo.ui.context import AppContext
from bert_demo.ui.page import build_app
from bert_demo.ui.parts import assets, outline, packed
from bert_demo.ui.parts.theme import CalmTheme
from bert_demo.ui.serving import gradio_assets
from bert_demo.ui.serving.compression import middleware
from bert_demo.ui.serving.files import closed_routes
from bert_demo.ui.serving.first_paint import FirstPaint
from bert_demo.ui.serving.settings import AppSettings
from bert_demo.ui.serving.share import announce
from bert_demo.ui.serving.strangers import Strangers

_MOST_SESSIONS = 500  # of 0.35 MB each
_MOST_FILES = 65_536
_KEEP_IDLE_SECONDS = 75
"""How long a connection may be idle: longer than a proxy's own limit, often 60 s, or now and then
the proxy asks over one that is being closed, and its visitor is told of a bad gateway."""


def launch(settings: AppSettings) -> None:
    """Build the page, serve it, say where it is; returns after Ctrl-C or a request to end.

    Raises `UserError` with a sentence where the page cannot be started.
    """
    asked = _requests_to_end()
    check_address(settings.host, settings.port)
    raise_open_files()
    context = AppContext(settings)
    context.start()
    try:
        page = build_app(context)
        asked_for = gradio_assets.needed(components(page))
        options = launch_options(settings, first_paint(context, asked_for))
        _, local_url, share_url = page.launch(prevent_thread_lock=True, quiet=True, **options)
        page.server.config.timeout_keep_alive = _KEEP_IDLE_SECONDS  # launch has no such argument
        for_lines = asked_for if context.is_public else None
        ready = threading.Thread(target=_get_ready, args=(context, for_lines), daemon=True)
        ready.start()
        _announce(settings, context, local_url, share_url)
        while not asked:
            time.sleep(0.2)
        print("Ending: runs in training are saved and can go on next time.", flush=True)
        page.close(verbose=False)
    except OSError as error:
        raise UserError("The page cannot be served: {error}", error=error) from error
    finally:
        context.close()


def check_address(host: str | None, port: int | None) -> None:
    """Raise `UserError` where the page cannot listen there; gradio says so in its own terms."""
    if host is None and port is None:
        return
    name = (host or "127.0.0.1").strip("[]")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    try:
        socket.create_server((name, port or 0), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                "Port {port} is in use, perhaps by a page that was started before; choose another "
                "with --port, or leave it out for the next that is free.",
                port=port,
            ) from error
        if isinstance(error, PermissionError):
            raise UserError(
                "Port {port} is kept for the system; choose one from 1024 to 65535 with --port.",
                port=port,
            ) from error
        raise UserError(
            "host is {value!r}, which is no address of this computer; leave it out for this "
            "computer alone, or give 0.0.0.0 for all its addresses.",
            value=host,
        ) from error


def raise_open_files() -> None:
    """Let this process open as many files as the system allows: each visitor takes some."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _get_ready(context: AppContext, scripts: Iterable[str] | None) -> None:
    """Load what answers questions, after the page is up: torch alone takes two seconds.

    Then Gradio's scripts of these names and our own are made small, where they go over lines.
    """
    import torch

    from bert_demo.inference import contexts  # noqa: F401

    # One word's vectors are no work for two cores, and threads that wait for each other wait long
    # where a run keeps the cores busy.
    torch.set_num_threads(1)
    for entry in context.shelf.entries():
        if entry.id.startswith("bundled/"):
            with contextlib.suppress(UserError):  # whoever chooses a damaged one is told so
                context.shelf.load(entry.id)
    if scripts is not None:
        packed.pack_well([*gradio_assets.to_pack(scripts), *assets.to_pack()])


def components(page: gr.Blocks) -> set[str]:
    """The kinds of components of which the page shows one from the beginning."""
    shown = (block for block in page.blocks.values() if getattr(block, "visible", True) is True)
    return {block.get_block_name() for block in shown}


def first_paint(context: AppContext, scripts: Iterable[str]) -> Middleware:
    """To hand to the web server: what the page's HTML has before any script has come."""
    head = "\n".join([outline.head(), gradio_assets.hints(scripts), assets.head()])
    return Middleware(FirstPaint, head=head, body=outline.outline(context))


def launch_options(settings: AppSettings, first_paint: Middleware) -> dict[str, Any]:
    """Arguments of `Blocks.launch`."""
    return {
        # Left out, both are gradio's to choose: this machine alone, and what a Space sets there.
        "server_name": settings.host,
        "server_port": settings.port,
        "share": settings.share,
        "auth": settings.logins(),
        "root_path": settings.root_path,
        "theme": CalmTheme(),
        "css": assets.css(),
        "app_kwargs": {
            "routes": [*closed_routes(), *assets.routes(), *gradio_assets.routes()],
            "middleware": [*middleware(), first_paint, Middleware(Strangers)],
        },
        "run_history": False,
        "state_session_capacity": _MOST_SESSIONS,
        "enable_monitoring": False,
        "ssr_mode": False,
        "footer_links": [],
        "show_error": False,
        "max_file_size": "1mb",
    }


def _announce(
    settings: AppSettings, context: AppContext, local_url: str, share_url: str | None
) -> None:
    address = share_url or local_url
    print(f"\nbert_demo is at  {local_url}")
    if settings.share:
        context.share.opened(share_url)
        print(announce(context.share, sys.stdout.encoding))
    if settings.admin_token is None:
        print(f"For the teacher: {address.rstrip('/')}/?admin={context.admin_token}")
    print("Ctrl-C ends it.\n", flush=True)


def _requests_to_end() -> list[int]:
    """The signals of Ctrl-C and of a polite kill that come from now on.

    A list, not a `threading.Event`: a second signal may come while the first is being handled, and
    would then wait for the event's lock, which the first holds, for ever.
    """
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    return asked
