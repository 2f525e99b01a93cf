"""The part "Try against" of the tab Pretrain: one setting both ways, queued as ordinary runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from bert_demo.common.errors import UserError
from bert_demo.common.groups import COMPARED_SETTINGS
from bert_demo.config import RunConfig
from bert_demo.inference.difference import MOST_PAIRS
from bert_demo.model.plain_json import is_whole
from bert_demo.runs.pairs import TwoWays
from bert_demo.runs.record import TRAINING, Run
from bert_demo.training.choices import changed, switch, value_of, with_seed
from bert_demo.ui.context import AppContext, own_token, token_of
from bert_demo.ui.parts import forms
from bert_demo.ui.parts.language import say, translate
from bert_demo.ui.parts.setting_words import label_of, value_words
from bert_demo.ui.parts.view import Block, View, chart, text, view, view_part
from bert_demo.ui.tabs.runs.curves import CURVES, overlay
from bert_demo.ui.tabs.training_handlers import free_title, resolve

_EVERY_SECONDS = 3
_HEIGHT = 300
_MOST_CURVES = 8
_BUSY = ("queued", *TRAINING)
# What is worth trying of what can be any number.
_NUMBERS = {
    "mask_share": ("0.4", "0.05"),
    "mask_replaced": ("0.9", "0.4"),
    "mask_random": ("0", "0.2"),
    "weight_decay": ("0", "0.1"),
    "warmup": ("0", "0.3"),
    "learning_rate": ("0.001", "0.01", "0.03"),
    "batch_size": ("64", "128", "512"),
    "dropout": ("0.1", "0.3"),
    "hidden_size": ("64", "256"),
    "num_hidden_layers": ("1", "4"),
    "num_attention_heads": ("1", "4"),
    "intermediate_size": ("128", "512"),
}


def create_against_part(
    context: AppContext, task: str, names: Sequence[str], inputs: Sequence[Any]
) -> None:
    """The folded part below the stage."""
    settings = COMPARED_SETTINGS[task]
    with gr.Accordion(say("Try against"), open=False, elem_classes="bd-against"):
        gr.Markdown(
            say(
                "What if one thing were otherwise? Two runs with the settings of the form and the "
                "same seed: one as it is, one with a single change. Their difference on held-out "
                "text stands here when both are done. Each further pair, with the next seed, says "
                "more of how much of it is noise. With a limit in steps nothing else differs; with "
                "one in seconds the faster way gets further."
            )
        )
        with gr.Row():
            which = gr.Dropdown(
                [(label_of(name), name) for name in settings],
                value=settings[0],
                label=say("Change"),
                filterable=False,
                min_width=160,
            )
            value = gr.Dropdown(
                values_of(task, settings[0]),
                value="before",
                label=say("to"),
                allow_custom_value=True,
                min_width=160,
            )
            pairs = gr.Number(1, label=say("Pairs of runs"), minimum=1, step=1, min_width=110)
            begin = gr.Button(say("Try against"), variant="primary", min_width=140)
        answer = view_part(elem_id="against-answer")
        asked = gr.State(None)
        timer = gr.Timer(_EVERY_SECONDS, active=False)
    quiet: dict[str, Any] = {
        "show_progress": "hidden",
        "concurrency_limit": None,
        "api_visibility": "private",
        "preprocess": False,
    }

    def offer(name: Any, *given: Any) -> Any:
        if name not in settings:
            raise UserError("Choose what is to be changed.")
        now = str(dict(zip(names, given, strict=True)).get(name) or "")
        offered = values_of(task, name)
        first = next((one for _, one in offered if one not in (now, "")), "")
        return gr.Dropdown(offered, value=first)

    def queued(
        visitor: gr.Request, name: Any, other: Any, count: Any, browser: Any, *given: Any
    ) -> Any:
        values, address = dict(zip(names, given, strict=True)), context.address_of(visitor)
        ways = queue_pairs(context, task, values, name, other, count, browser, address)
        shown, active = told(context, ways)
        return ways, shown, gr.Timer(active=active)

    def look(ways: Any) -> Any:
        if not isinstance(ways, TwoWays):
            return view(), gr.Timer(active=False)
        shown, active = told(context, ways)
        return shown, gr.Timer(active=active)

    which.input(offer, [which, *inputs], value, **quiet)
    begin.click(
        queued,
        [which, value, pairs, context.browser, *inputs],
        [asked, answer, timer],
        trigger_mode="once",
        **quiet,
    )
    timer.tick(look, asked, [answer, timer], **{**quiet, "preprocess": True})


def values_of(task: str, name: str) -> list[tuple[str, str]]:
    """What a setting may be changed to: all that it can be, or a few numbers."""
    return forms.choices_of(task, name) or [(one, one) for one in _NUMBERS[name]]


def queue_pairs(
    context: AppContext,
    task: str,
    values: Mapping[str, Any],
    name: Any,
    other_value: Any,
    count: Any,
    browser: Any,
    address: str = "",
) -> TwoWays:
    """Queue so many pairs of runs, each with the first seed that has none yet.

    Raises `UserError` where something is not right or one of them may not wait here; then none
    does.
    """
    count = int(count) if isinstance(count, float) and count.is_integer() else count
    if not is_whole(count, 1, MOST_PAIRS):
        raise UserError(
            "pairs is {value!r}; it must be a whole number from 1 to {most}.",
            value=count,
            most=MOST_PAIRS,
        )
    run = resolve(context, task, values)
    item = switch(str(name), task)
    value = (
        other_value if isinstance(other_value, str | int | float) and other_value != "" else None
    )
    other = changed(run, item.name, value)
    if other == run:
        raise UserError("Both ways are the same; choose another value for {name}.", name=item.name)
    for way in (run, other):
        context.accept(way)
    own_way, other_way = (with_seed(context.queue.with_limit(way), 0) for way in (run, other))
    ways = TwoWays(item.name, own_way, other_way)
    # Visitors of a public page have the limits that they have anyhow.
    free = not context.is_public or context.store.is_admin(token_of(browser))
    limit = 2 * MOST_PAIRS if free else context.queue.max_queued_per_owner
    if context.queue.waiting_of(own_token(browser)) + 2 * count > limit:
        raise UserError(
            "At most {n} of your runs may wait here at a time, and {count} pairs would be more; "
            "take fewer pairs, or wait until those before have begun.",
            n=limit,
            count=count,
        )
    begun: list[Run] = []
    try:
        for seed in _free_seeds(context, ways, run.training.seed, count):
            for way in (ways.own, ways.other):
                begun.append(_queue(context, ways, with_seed(way, seed), browser, address, limit))
    except UserError:
        for one in begun:
            context.queue.request(one.id, "delete", own_token(browser))
        raise
    return ways


def _queue(
    context: AppContext,
    ways: TwoWays,
    run: RunConfig,
    browser: Any,
    address: str,
    limit: int,
) -> Run:
    words = say(
        "{setting}: {value}, seed {seed}",
        setting=label_of(ways.name),
        value=value_words(ways.name, value_of(run, ways.name)),
        seed=run.training.seed,
    )
    title = free_title(words, [other.title for other in context.store.list()])
    seconds = context.estimate(run).seconds
    return context.queue.submit(run, own_token(browser), title, seconds, address, limit)


def _free_seeds(context: AppContext, ways: TwoWays, first: int, count: int) -> list[int]:
    """The first seeds from there of which no run of both ways waits, trains or is done."""
    alive = {
        run.config
        for run in context.store.list()
        if run.status.state in (*_BUSY, "completed") and run.config is not None
    }
    found: list[int] = []
    seed = first
    while len(found) < count:
        if not {with_seed(way, seed) for way in (ways.own, ways.other)} <= alive:
            found.append(seed)
        seed += 1
    return found


def told(context: AppContext, ways: TwoWays) -> tuple[View, bool]:
    """What the pairs that are here say so far, with their curves, and whether more will come."""
    runs = [
        r
        for r in context.store.list()
        if r.config and with_seed(r.config, 0) in (ways.own, ways.other)
    ]
    busy = [run for run in runs if run.status.state in _BUSY]
    blocks: list[Block] = []
    spoken = answer_words(ways, runs)
    if spoken:
        blocks.append(text(spoken, "strong"))
    if busy:
        waits = say(
            "{n} runs wait or train; the answer comes when both of a pair are done.", n=len(busy)
        )
        blocks.append(text(waits, "muted"))
    events = {run.id: context.store.events(run.id)[0] for run in runs}
    shown = [run for run in runs if events[run.id]][:_MOST_CURVES][::-1]
    if shown:
        curve = CURVES[ways.own.task][0]
        figure = overlay(shown, events, curve, "step", range(len(shown)))
        blocks.append(chart("against", figure, say(curve.title), _HEIGHT))
    return view(*blocks, spoken=spoken), bool(busy)


def answer_words(ways: TwoWays, runs: Sequence[Run]) -> str:
    """What pairs among these runs say of the setting, in a sentence; empty where there is none."""
    found = ways.difference(runs)
    if found is None:
        return ""
    own, other = (
        value_words(ways.name, value_of(way, ways.name)) for way in (ways.own, ways.other)
    )
    setting = label_of(ways.name)
    words = say("{setting}, {other} instead of {own}", setting=setting, other=other, own=own)
    return translate(found.sentence(words))
