"""The Pretrain and Fine-tune tabs: a form, what the run would take, and the run itself, live."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from bert_demo.config import RunConfig, UserError, command_line
from bert_demo.interop.sharing import model_name
from bert_demo.runs.record import RESUMABLE, TRAINING, Run
from bert_demo.runs.store import default_title
from bert_demo.ui.context import AppContext, answered, own_token, token_of
from bert_demo.ui.parts import assets, forms
from bert_demo.ui.parts.forms import facts
from bert_demo.ui.parts.language import later, say, translate
from bert_demo.ui.parts.live import live_panel
from bert_demo.ui.parts.model_menu import choices
from bert_demo.ui.serving.hosting import train_after

_WATCHING = later("You are watching; only who started this run can stop it.")
_MEASURING_SECONDS = 5
_EMPTY = {
    "pretraining": later(
        "Press Start. In half a minute a small BERT learns words from the text around them, and "
        "you watch its curves and its guesses change."
    ),
    "nli": later(
        "Choose a pretrained model and press Start. It learns to judge whether a hypothesis "
        "follows from a premise."
    ),
}


@dataclass(frozen=True)
class TrainingTab:
    """What the page needs of a tab to attach a run to it."""

    tab: gr.Tab
    live: gr.HTML
    start_from: gr.Dropdown | None


def create_pretrain_tab(context: AppContext) -> TrainingTab:
    """Train a new model on text."""
    return _training_tab(context, "pretraining", say("Pretrain"), "pretrain")


def create_finetune_tab(context: AppContext) -> TrainingTab:
    """Train a checkpoint to judge pairs of sentences."""
    return _training_tab(context, "nli", say("Fine-tune"), "finetune")


def _training_tab(context: AppContext, task: str, label: str, tab_id: str) -> TrainingTab:
    names = forms.names(task)
    values = forms.defaults(task)
    fields: dict[str, Any] = {}
    with gr.Tab(label, id=tab_id) as tab, gr.Row():
        with gr.Column(scale=1, elem_classes="bd-form"):
            with gr.Column(elem_classes="bd-presets"):
                presets = [(name, gr.Button(say(name), size="sm")) for name in forms.PRESETS[task]]
            *first, budget, kind = forms.first_names(task)
            for name in first:
                fields[name] = forms.field(task, name, values[name])
            with gr.Row():
                for name in (budget, kind):
                    fields[name] = forms.field(task, name, values[name])
            estimate = gr.HTML(
                {},
                html_template="<div></div>",
                js_on_load=assets.when_loaded("estimate(element.firstElementChild, props, watch)"),
                apply_default_css=False,
            )
            start = gr.Button(say("Start"), variant="primary", size="lg")
            with gr.Accordion(say("More settings"), open=False):
                for name in names:
                    if name not in fields:
                        fields[name] = forms.field(task, name, values[name])
            with gr.Accordion(say("The same from a shell"), open=False):
                command = gr.Textbox(
                    label=say("Command"),
                    lines=3,
                    interactive=False,
                    buttons=["copy"],
                    elem_classes="bd-command",
                )
        with gr.Column(scale=3, elem_classes="bd-stage"):
            with gr.Row(elem_classes="bd-controls"):
                pause = gr.Button(say("Pause"), size="sm", visible=False)
                resume = gr.Button(say("Go on"), size="sm", visible=False)
                stop = gr.Button(say("Stop"), size="sm", variant="stop", visible=False)
                whose = gr.Markdown("", elem_classes="bd-note")
            live = live_panel(context, say(_EMPTY[task]), elem_id=f"live-{tab_id}")
        # The machine is being measured at first; until that is done, ask for the time again.
        timer = gr.Timer(_MEASURING_SECONDS, active=context.measuring)
        run_id = gr.State("")

    inputs = [fields[name] for name in names]
    quiet: dict[str, Any] = {
        "show_progress": "hidden",
        "concurrency_limit": None,
        "api_visibility": "private",
        # What comes is checked here against `config.py`: Gradio's own words say less.
        "preprocess": False,
    }

    def describe(*given: Any) -> tuple[Any, ...]:
        told = foretell(context, task, dict(zip(names, given, strict=True)))
        return *told, gr.Timer(active=context.measuring)

    def begin(visitor: gr.Request, *given: Any) -> tuple[dict[str, Any], str]:
        *asked, browser = given
        values, address = dict(zip(names, asked, strict=True)), context.address_of(visitor)
        run = start_run(context, task, values, browser, address)
        return {"run": run.id, "others": []}, run.id

    # One event for all: of two that run side by side, the older answer could come last and stay.
    gr.on(
        [tab.select, timer.tick, *(f.change for f in inputs)],
        answered(describe),
        inputs,
        [estimate, command, timer],
        trigger_mode="always_last",
        **quiet,
    )
    for preset, button in presets:

        def choose(*given: Any, name: str = preset) -> list[Any]:
            chosen = forms.preset(task, name, dict(zip(names, given, strict=True)))
            return ["" if chosen[n] is None else chosen[n] for n in names]

        button.click(answered(choose), inputs, inputs, **quiet)
    begun = start.click(
        answered(begin),
        [*inputs, context.browser],
        [live, run_id],
        trigger_mode="once",
        **quiet,
    ).success(None, js=_to_stage(tab_id), api_visibility="private")
    train_after(context.queue, begun, run_id)
    shown = [pause, resume, stop, whose]

    def update(live_value: Any, browser: Any) -> tuple[Any, ...]:
        return controls(context, live_value, browser)

    for event in (live.state, live.change):
        # Of two changes in a row the last one counts; gradio would leave out the second.
        event(answered(update), [live, context.browser], shown, trigger_mode="always_last", **quiet)
    for button, action in ((pause, "pause"), (resume, "resume"), (stop, "stop")):

        def ask(
            visitor: gr.Request, shown: Any, browser: Any, action: str = action
        ) -> tuple[Any, ...]:
            run = request(context, shown, action, browser, context.address_of(visitor))
            return *controls(context, shown, browser), run

        asked = button.click(
            answered(ask), [live, context.browser], [*shown, run_id], trigger_mode="once", **quiet
        )
        asked.then(None, js=_now(tab_id), api_visibility="private")
        if action == "resume":
            train_after(context.queue, asked, run_id)
    start_from = fields.get("start_from")
    if start_from is not None:

        def models(chosen: Any) -> Any:
            return starting_points(context, chosen)

        gr.on(
            [tab.select, start_from.focus],
            answered(models),
            start_from,
            start_from,
            queue=False,
            **quiet,
        )
    return TrainingTab(tab, live, start_from)


def _now(tab_id: str) -> str:
    return (
        f"() => document.querySelector('#live-{tab_id} .bd-live')?.parentElement"
        "?.dispatchEvent(new Event('bd-now'))"
    )


def _to_stage(tab_id: str) -> str:
    # On a phone the curves are below the form.
    return (
        "() => { if (window.innerWidth < 900) document.getElementById"
        f"('live-{tab_id}')?.scrollIntoView({{behavior: 'smooth'}}); }}"
    )


def starting_points(context: AppContext, chosen: Any) -> Any:
    """The dropdown of checkpoints to fine-tune, the newest first, keeping what was chosen."""
    entries = [*context.shelf.entries("pretraining"), *context.shelf.entries("encoder")]
    ids = [entry.id for entry in entries]
    value = chosen if chosen in ids else (ids[0] if ids else None)
    return gr.Dropdown(choices=choices(entries), value=value)


def resolve(context: AppContext, task: str, values: Mapping[str, Any]) -> RunConfig:
    """The run that a form describes, its starting point as a folder; `UserError` if unfit."""
    values = dict(values)
    if task == "nli" and values.get("start_from"):
        values["start_from"] = str(_folder(context, values["start_from"]))
    return forms.read(task, values)


def _folder(context: AppContext, model_id: Any) -> Path:
    folder = context.shelf.folder(model_id).resolve()
    if folder.is_relative_to(Path.cwd()):
        return folder.relative_to(Path.cwd())
    return folder


def foretell(
    context: AppContext, task: str, values: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """What the run would take, for the panel below the form, and the command that does the same."""
    try:
        run = resolve(context, task, values)
        expected = context.estimate(run)
    except UserError as error:
        return {"refusal": translate(error)}, ""
    except OSError as error:
        return {"refusal": error.strerror or type(error).__name__}, ""
    shown = run
    if context.is_public and run.start_from is not None:  # no visitor is told of folders here
        shown = replace(run, start_from=model_name(run.start_from))
    command = command_line(shown, f"checkpoints{os.sep}my-{task}")
    refusal = translate(expected.refusal or "") or over_limit(context, run) or ""
    return {"facts": facts(expected), "refusal": refusal}, command


def over_limit(context: AppContext, run: RunConfig) -> str | None:
    """Why the run may not be started here, or None."""
    if not context.queue.over_limit(run):
        return None
    limit = f"{context.queue.max_run_seconds:g}"
    return say("A run may take at most {seconds} seconds here.", seconds=limit)


def start_run(
    context: AppContext, task: str, values: Mapping[str, Any], browser: Any, address: str = ""
) -> Run:
    """Put a run into the queue for this browser, which is at `address`; raises `UserError` with
    the reason if not."""
    run = resolve(context, task, values)
    expected = context.accept(run)
    # Its name from then on, in whatever language the page is opened.
    title = translate(default_title(run))
    return context.queue.submit(run, own_token(browser), title, expected.seconds, address)


def request(context: AppContext, shown: Any, action: str, browser: Any, address: str = "") -> str:
    """Ask the run that a panel shows to pause, go on or stop; returns its id.

    Raises `UserError` if that cannot be.
    """
    run_id = shown.get("run") if isinstance(shown, dict) else None
    if not run_id:
        raise UserError("No run is shown here.")
    context.queue.request(run_id, action, token_of(browser), address)
    return str(run_id)


def controls(context: AppContext, shown: Any, browser: Any) -> tuple[Any, ...]:
    """The buttons that make sense for the run that is shown, for who may press them."""
    run_id = shown.get("run") if isinstance(shown, dict) else None
    try:
        run = context.store.get(run_id) if run_id else None
    except UserError:
        run = None
    if run is None:
        return *(gr.Button(visible=False) for _ in range(3)), ""
    mine = context.store.may_control(run, token_of(browser))
    state = run.status.state
    return (
        gr.Button(visible=mine and state == "running"),
        gr.Button(visible=mine and state in RESUMABLE and run.folder != run.model),
        gr.Button(visible=mine and state in ("queued", *TRAINING, "paused")),
        "" if mine or state == "completed" else say(_WATCHING),
    )
