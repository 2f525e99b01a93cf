"""The search for a learning rate, under "More settings" of Pretrain and Fine-tune."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import gradio as gr

from bert_demo.common.errors import UserError
from bert_demo.runs.searches import SECONDS, RateSearch
from bert_demo.ui.context import AppContext, own_token
from bert_demo.ui.parts.figures import rate_curve
from bert_demo.ui.parts.language import number, say, translate
from bert_demo.ui.parts.view import View, chart, sentence, text, view, view_part
from bert_demo.ui.serving.strangers import FAULT
from bert_demo.ui.tabs.training_handlers import resolve

log = logging.getLogger(__name__)

_BEAT_SECONDS = 0.5
_HEIGHT = 200


class RatePart:
    """A button that searches, what it finds, and a button that takes it over."""

    def __init__(self) -> None:
        """The components, where the form has its learning rate."""
        seconds = f"{SECONDS:g}"
        self._go = gr.Button(say("Find a rate in {n} seconds", n=seconds), size="sm")
        self._shown = view_part(elem_classes="bd-rate")
        self._take = gr.Button(visible=False, size="sm", variant="primary")
        self._found = gr.State(None)

    def connect(
        self, context: AppContext, task: str, names: Sequence[str], inputs: Sequence[Any]
    ) -> None:
        """Let it search for the form of these fields."""
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "concurrency_limit": None,
            "api_visibility": "private",
        }

        async def search(
            visitor: gr.Request, browser: Any, *given: Any
        ) -> AsyncIterator[tuple[Any, ...]]:
            asked: RateSearch | None = None
            values = dict(zip(names, given, strict=True))
            try:
                address = context.address_of(visitor)
                asked = await asyncio.to_thread(begin, context, task, values, browser, address)
                while not asked.over:
                    yield waiting_view(context, asked), gr.Button(visible=False), None
                    await asyncio.sleep(_BEAT_SECONDS)
                yield result(asked)
            except UserError as error:
                yield sentence(translate(error)), gr.Button(visible=False), None
            except Exception:
                log.exception("A search for a learning rate failed")
                yield sentence(say(FAULT)), gr.Button(visible=False), None
            finally:
                if asked is not None:
                    context.queue.searches.leave(asked)

        outputs = [self._shown, self._take, self._found]
        self._go.click(
            search,
            [context.browser, *inputs],
            outputs,
            trigger_mode="once",
            preprocess=False,
            **quiet,
        )
        rate = inputs[names.index("learning_rate")]
        self._take.click(lambda found: found, self._found, rate, **quiet)


def begin(
    context: AppContext, task: str, values: Mapping[str, Any], browser: Any, address: str = ""
) -> RateSearch:
    """Queue the search that a form asks for; `UserError` where such a run could not start."""
    run = resolve(context, task, values)
    context.accept(run)
    return context.queue.search_rate(run, own_token(browser), address)


def waiting_view(context: AppContext, search: RateSearch) -> View:
    """What a search does until it is over."""
    if search.began is not None:
        words = say("Trying rates from small to large …")
    elif context.queue.problem:
        words = translate(context.queue.problem)
    elif not context.queue.ready:
        words = say("The training process warms up.")
    else:
        words = say("It waits its turn, as a run does.")
    return view(text(words, "muted"), spoken=words)


def result(search: RateSearch) -> tuple[View, Any, str | None]:
    """What a search found: a picture with a sentence, and the rate to take over, if any."""
    if search.found is None:
        words = say(FAULT) if search.error is None else translate(search.error)
        return sentence(words), gr.Button(visible=False), None
    found = search.found
    rate = None if found["suggested"] is None else f"{found['suggested']:.1g}"
    if rate is not None:
        words = say(
            "Suggested: {rate}; these settings would take {own}.",
            rate=_rate(found["suggested"]),
            own=_rate(found["own"]),
        )
    elif not found["falls"]:
        words = say("The loss falls at none of these rates by more than batches differ.")
    else:
        words = say("The loss still falls at the last rate, so none was found to be too large.")
    how = say(
        "The rate grows from left to right, step by step. The loss falls once steps are large "
        "enough and rises where they are too large; a rate well to the left of the lowest point "
        "learns fast and safely."
    )
    curve = chart(
        "rates",
        rate_curve(found),
        say("Loss at each learning rate, less that of the untouched model"),
        _HEIGHT,
    )
    shown = view(text(words), curve, text(how, "muted"), spoken=words)
    take = gr.Button(say("Take {rate}", rate=rate or ""), visible=rate is not None)
    return shown, take, rate


def _rate(value: float) -> str:
    return number(value, ".1g")
