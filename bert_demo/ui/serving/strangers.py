"""What comes to the server that the page's own script never sends, answered in words.

Gradio takes such requests for faults of its own: an answer of 500, or one without a word, and a
traceback in the log for whoever likes to fill it. What fails in this project's code stays a fault.
"""

from __future__ import annotations

import inspect
import json
import logging
import traceback
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.api_component import Api
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bert_demo.common.errors import UserError
from bert_demo.model.plain_json import is_number
from bert_demo.ui.parts.language import later, letters, say, translate

log = logging.getLogger(__name__)

MOST_BYTES = 10_000_000
"""Of one request; the page's own are a thousandth of it."""

_PACKAGE = str(Path(__file__).resolve().parents[2])
_UNFIT = later("What was sent does not fit this page; reload it and try again.")
_LONG = later("What was sent is longer than this page reads.")
FAULT = later("Something went wrong here, and it was written to the log; try again.")


class Page(gr.Blocks):
    """Blocks that refuse in words what does not fit the inputs of an event, and all files.

    Gradio would fetch a file from any address that a visitor names.
    """

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *rest: Any, **more: Any
    ) -> list[Any]:
        """As Gradio's; raises `gr.Error` where it raises anything.

        A program may leave out the API's last arguments that have defaults, as Python has it, so
        that it goes on working when a new one is added.
        """
        try:
            inputs = [*inputs, *_left_out(block_fn, len(inputs))]
            if _names_file(inputs):
                raise TypeError("This page takes no files.")
            found: list[Any] = await super().preprocess_data(block_fn, inputs, *rest, **more)
            found = [_checked(*pair) for pair in zip(block_fn.inputs, found, strict=True)]
        except Exception as error:
            log.info("What was sent to %s does not fit: %s.", block_fn.name, type(error).__name__)
            raise gr.Error(say(_UNFIT), duration=12, print_exception=False) from None
        return found

    async def process_api(self, block_fn: Any, *rest: Any, **more: Any) -> dict[str, Any]:
        """As Gradio's; raises nothing but `gr.Error`."""
        if block_fn.fn is None:  # an event that browsers see to by themselves
            raise gr.Error(say(_UNFIT), duration=12, print_exception=False)
        try:
            found: dict[str, Any] = await super().process_api(block_fn, *rest, **more)
        except gr.Error as error:
            error.print_exception = False  # or whoever likes to could fill the log
            raise
        except Exception as error:
            raise refusal(error, as_html=block_fn.api_visibility == "private") from error
        return found


def refusal(error: Exception, *, as_html: bool) -> gr.Error:
    """What whoever asked is told of an error: a `UserError` in its words; others go to the log.

    as_html: whether it is the page that shows the words, and not a program that reads them.
    """
    if isinstance(error, UserError):
        words = translate(error)
    else:
        log.error("An event of the page failed", exc_info=error)
        words = say(FAULT)
    return gr.Error(letters(words) if as_html else words, duration=12, print_exception=False)


class Strangers:
    """Middleware that answers what Gradio fails at, and reads no more than `MOST_BYTES`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI asks for it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        read, begun, streams = 0, False, False

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MOST_BYTES:
                raise HTTPException(413, say(_LONG))
            return message

        async def noted(message: Message) -> None:
            nonlocal begun, streams
            if message["type"] == "http.response.start":
                begun = True
                kind = dict(message["headers"]).get(b"content-type", b"")
                streams = kind.startswith(b"text/event-stream")
            await send(message)

        try:
            await self._app(scope, bounded, noted)
        except Exception as error:
            if begun and not streams:
                raise
            code, words = _answer(error, f"{scope['method']} {scope['path']!r}"[:200])
            if begun:
                last = {"msg": "unexpected_error", "message": say(words), "success": False}
                body = f"data: {json.dumps(last)}\n\n".encode()
                await send({"type": "http.response.body", "body": body, "more_body": False})
            else:
                await JSONResponse({"detail": say(words)}, code)(scope, receive, send)


def _answer(error: Exception, request: str) -> tuple[int, str]:
    frames = traceback.extract_tb(error.__traceback__)
    files = {frame.filename for frame in frames} - {__file__}
    if any(name.startswith(_PACKAGE) for name in files):
        log.error("%s failed", request, exc_info=error)
        return 500, FAULT
    log.info("%s is nothing that can be answered: %s.", request, type(error).__name__)
    return 400, _UNFIT


def _left_out(block_fn: Any, given: int) -> list[Any]:
    """The defaults of an endpoint's arguments behind the first `given`, if all of them have one."""
    blocks = block_fn.inputs[given:]
    if not blocks or not all(isinstance(block, Api) for block in blocks):
        return []
    parameters = [*inspect.signature(block_fn.fn).parameters.values()][given : given + len(blocks)]
    defaults = [parameter.default for parameter in parameters]
    return [] if inspect.Parameter.empty in defaults else defaults


def _checked(block: Any, value: Any) -> Any:
    """What its handler is given: null for a field of text is an empty text.

    Raises `TypeError` for values that Gradio lets through, and no page sends.
    """
    # A number may be left empty, but a slider stands somewhere, and a click says on which example.
    fits: dict[Any, bool] = {
        gr.Slider: is_number(value),
        gr.Number: value in (None, "") or is_number(value),
        gr.Dataset: value is not None,
        gr.Dropdown: _is_choice(value, bool(getattr(block, "multiselect", False))),
    }
    if not fits.get(type(block), True):
        raise TypeError(f"{value!r} for a {block.get_block_name()}")
    return "" if value is None and isinstance(block, gr.Textbox) else value


def _is_choice(value: Any, several: bool) -> bool:
    if several and isinstance(value, list):
        return all(_is_choice(one, False) for one in value)
    return value is None or isinstance(value, str) or is_number(value)


def _names_file(value: Any) -> bool:
    """Whether Gradio would read a file's address anywhere in it."""
    if isinstance(value, list):
        return any(map(_names_file, value))
    if not isinstance(value, dict):
        return False
    about = value.get("meta")
    file = isinstance(about, dict) and about.get("_type") == "gradio.FileData"
    return file or any(map(_names_file, value.values()))
