"""The Pretrain and Fine-tune tabs: a form, what the run would take, and the run itself, live."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr

from bert_demo.runs.asked import FEWEST_CONTEXTS, LONGEST_WORD, MOST_BLANKS, MOST_CONTEXTS
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts import assets, forms
from bert_demo.ui.parts.exercises import EXERCISES, TITLES
from bert_demo.ui.parts.language import later, say
from bert_demo.ui.parts.live import WayOn, live_panel
from bert_demo.ui.parts.own_text import own_text_box
from bert_demo.ui.serving.hosting import on_zerogpu, train_after
from bert_demo.ui.tabs.against import create_against_part
from bert_demo.ui.tabs.rates import RatePart
from bert_demo.ui.tabs.training_handlers import (
    LONGEST_NAME,
    card,
    controls,
    foretell,
    in_short,
    own_busy_run,
    request,
    start_run,
    starting_points,
)

_MEASURING_SECONDS = 5
# The models know English alone, whatever the page's language.
_EXAMPLE_BLANK, _EXAMPLE_WORD = "the crane stood on one ___", "crane"
_EXAMPLE_TEXT = "a crane flew over the marsh | bird"
_KEEP_NAME = "(name) => window.bertDemo.keepName(name)"
_KEEP_QUESTIONS = "(...texts) => window.bertDemo.keepQuestions(texts)"
_WAYS_ON = {
    "pretraining": WayOn(later("Next: look at its words →"), "words"),
    "nli": WayOn(later("Next: argue with it →"), "nli"),
}
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

    live: gr.HTML
    start_from: gr.Dropdown | None
    name: gr.Textbox
    fields: list[Any]
    """The form's fields, in the order of `forms.names`."""
    questions: list[gr.Textbox]
    """What is asked while it learns, in the order of `asked_lines`; fine-tuning has no film."""


def create_pretrain_tab(context: AppContext) -> TrainingTab:
    """Train a new model on text."""
    return _training_tab(context, "pretraining", say("1 Pretrain"), "pretrain")


def create_finetune_tab(context: AppContext) -> TrainingTab:
    """Train a checkpoint to judge pairs of sentences."""
    return _training_tab(context, "nli", say("3 Fine-tune"), "finetune")


def _training_tab(context: AppContext, task: str, label: str, tab_id: str) -> TrainingTab:
    names = forms.names(task)
    values = forms.defaults(task)
    fields: dict[str, Any] = {}
    with gr.Tab(label, id=tab_id) as tab, gr.Row():
        with gr.Column(scale=1, elem_classes="bd-form"):
            first_preset, *other_presets = forms.PRESETS[task]
            # On a phone the first card stands above the stage, all else below it.
            with gr.Column(elem_classes="bd-presets bd-first-card"):
                presets = [(first_preset, gr.Button(card(first_preset, ""), variant="primary"))]
            with gr.Column(elem_classes="bd-presets"):
                presets += [(name, gr.Button(card(name, ""))) for name in other_presets]
            *first, budget, kind = forms.first_names(task)
            run_name = gr.Textbox(
                "", label=say("Name"), max_lines=1, max_length=LONGEST_NAME, elem_classes="bd-name"
            )
            if task == "nli":
                fields["start_from"] = forms.field(task, "start_from", values["start_from"])
            with gr.Accordion(
                say("Settings"), open=False, elem_id=f"settings-{tab_id}"
            ) as settings:
                for name in first:
                    if name not in fields:
                        fields[name] = forms.field(task, name, values[name])
                    if name == "corpus" and context.takes_own_texts:
                        fields[name].choices = forms.corpus_choices(task, own=True)
                        own_text_box(context, task, fields[name])
                with gr.Row():
                    for name in (budget, kind):
                        fields[name] = forms.field(task, name, values[name])
                estimate = gr.HTML(
                    {},
                    html_template="<div></div>",
                    js_on_load=assets.when_loaded(
                        "estimate(element.firstElementChild, props, watch)"
                    ),
                    apply_default_css=False,
                )
                with_settings = gr.Button(say("Start with these settings"), variant="primary")
            questions = _question_boxes() if task == "pretraining" else []
            design = forms.design_names(task)
            with gr.Accordion(say("More settings"), open=False):
                for name in names:
                    if name not in fields and name not in design:
                        fields[name] = forms.field(task, name, values[name])
                    if name == "learning_rate" and not on_zerogpu():  # there is no worker to ask
                        rates = RatePart()
            with gr.Accordion(say("Design choices"), open=False):
                for name in design:
                    fields[name] = forms.field(task, name, values[name])
            fills = [name for name, exercise in EXERCISES[task].items() if not exercise.starts]
            with gr.Accordion(say(TITLES[task]), open=False):
                for name, exercise in EXERCISES[task].items():
                    with gr.Column(elem_classes="bd-presets"):
                        presets.append((name, gr.Button(card(name, "", starts=exercise.starts))))
                        gr.Markdown(say(exercise.words), elem_classes="bd-note")
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
                start = gr.Button(say("Start"), variant="primary", size="sm")
                pause = gr.Button(say("Pause"), size="sm", visible=False)
                resume = gr.Button(say("Go on"), size="sm", visible=False)
                stop = gr.Button(say("Stop"), size="sm", variant="stop", visible=False)
                whose = gr.Markdown("", elem_classes="bd-note")
            live = live_panel(
                context, say(_EMPTY[task]), task, _WAYS_ON[task], elem_id=f"live-{tab_id}"
            )
        # The machine is being measured at first; until that is done, ask for the time again.
        timer = gr.Timer(_MEASURING_SECONDS, active=context.measuring)
        run_id = gr.State("")
        carried_model = gr.Textbox("", visible=False)

    inputs = [fields[name] for name in names]
    quiet: dict[str, Any] = {
        "show_progress": "hidden",
        "concurrency_limit": None,
        "api_visibility": "private",
        # What comes is checked here against `config.py`: Gradio's own words say less.
        "preprocess": False,
    }

    def describe(*given: Any) -> tuple[Any, ...]:
        current = dict(zip(names, given, strict=True))
        observed = context.observations()
        told = foretell(context, task, current, observed)
        cards = [
            card(name, in_short(context, task, name, current, observed), starts=name not in fills)
            for name, _ in presets
        ]
        return *told, gr.Timer(active=context.measuring), *cards

    def begin(visitor: gr.Request, *given: Any) -> tuple[dict[str, Any], str]:
        form, (name, *asked, browser) = given[: len(names)], given[len(names) :]
        if own_busy_run(context, browser):
            gr.Info(say("Your first run is still training; this one waits until it is done."))
        values, address = dict(zip(names, form, strict=True)), context.address_of(visitor)
        run = start_run(context, task, values, browser, address, name, asked)
        return {"run": run.id, "others": []}, run.id

    def start_after(event: Any) -> None:
        """What starting a run is made of, after the event that asks for it."""
        begun = event(
            begin,
            [*inputs, run_name, *questions, context.browser],
            [live, run_id],
            trigger_mode="once",
            **quiet,
        ).success(None, js=_to_stage(tab_id), api_visibility="private")
        train_after(context.queue, begun, run_id)

    # One event for all: of two that run side by side, the older answer could come last and stay.
    described = gr.on(
        [tab.select, timer.tick, *(f.change for f in inputs)],
        describe,
        inputs,
        [estimate, command, timer, *(button for _, button in presets)],
        trigger_mode="always_last",
        **quiet,
    )
    described.then(None, inputs, js=_keep(task), api_visibility="private")
    run_name.change(None, run_name, js=_KEEP_NAME, api_visibility="private")
    for box in questions:
        box.change(None, questions, js=_KEEP_QUESTIONS, api_visibility="private")
    for preset, button in presets:

        def choose(*given: Any, name: str = preset) -> list[Any]:
            chosen = forms.preset(task, name, dict(zip(names, given, strict=True)))
            return ["" if chosen[n] is None else chosen[n] for n in names]

        chosen = button.click(choose, inputs, inputs, trigger_mode="once", **quiet)
        if preset in fills:
            opened = chosen.success(lambda: gr.Accordion(open=True), None, settings, **quiet)
            opened.then(None, js=_to_forecast(tab_id), api_visibility="private")
        else:
            start_after(chosen.success)
    if not on_zerogpu():
        rates.connect(context, task, names, inputs)
    start_after(start.click)
    start_after(with_settings.click)
    shown = [pause, resume, stop, whose]

    def update(live_value: Any, browser: Any) -> tuple[Any, ...]:
        return controls(context, live_value, browser)

    for event in (live.state, live.change):
        # Of two changes in a row the last one counts; gradio would leave out the second.
        event(update, [live, context.browser], shown, trigger_mode="always_last", **quiet)
    for button, action in ((pause, "pause"), (resume, "resume"), (stop, "stop")):

        def ask(
            visitor: gr.Request, shown: Any, browser: Any, action: str = action
        ) -> tuple[Any, ...]:
            run = request(context, shown, action, browser, context.address_of(visitor))
            return *controls(context, shown, browser), run

        asked = button.click(
            ask, [live, context.browser], [*shown, run_id], trigger_mode="once", **quiet
        )
        asked.then(None, js=_now(tab_id), api_visibility="private")
        if action == "resume":
            train_after(context.queue, asked, run_id)
    if task == "pretraining" and not on_zerogpu():  # there an event trains one run
        with tab:
            create_against_part(context, task, names, inputs)
    start_from = fields.get("start_from")
    if start_from is not None:

        def models(chosen: Any, carried: Any = None) -> Any:
            return starting_points(context, chosen, carried)

        start_from.focus(models, start_from, start_from, queue=False, **quiet)
        tab.select(
            models,
            [start_from, carried_model],
            start_from,
            js="(chosen) => [chosen, window.bertDemo?.carried() || '']",
            queue=False,
            **quiet,
        )
    return TrainingTab(live, start_from, run_name, inputs, questions)


def _question_boxes() -> list[gr.Textbox]:
    """Blanks, a word and texts with it, for the film of the next run."""
    with gr.Accordion(say("Your own questions"), open=False):
        gr.Markdown(
            say("They are asked while it learns. Whoever watches the run sees them."),
            elem_classes="bd-note",
        )
        return [
            gr.Textbox(
                label=say("Sentences with a blank"),
                info=say("One to a line, up to {n}; `___` is the blank.", n=MOST_BLANKS),
                placeholder=_EXAMPLE_BLANK,
                lines=3,
                max_lines=MOST_BLANKS,
            ),
            gr.Textbox(
                label=say("A word for the map"),
                placeholder=_EXAMPLE_WORD,
                max_lines=1,
                max_length=LONGEST_WORD,
            ),
            gr.Textbox(
                label=say("Texts with this word"),
                info=say(
                    "One to a line, {least} to {most}; behind | its sense, or none to any.",
                    least=FEWEST_CONTEXTS,
                    most=MOST_CONTEXTS,
                ),
                placeholder=_EXAMPLE_TEXT,
                lines=3,
                max_lines=8,
            ),
        ]


def _keep(task: str) -> str:
    """Script that keeps the form in the browser, for a reload."""
    names = json.dumps(forms.names(task))
    return f"(...values) => window.bertDemo.keepForm('{task}', {names}, values)"


def _now(tab_id: str) -> str:
    return (
        f"() => document.querySelector('#live-{tab_id} .bd-live')?.parentElement"
        "?.dispatchEvent(new Event('bd-now'))"
    )


def _to_forecast(tab_id: str) -> str:
    # Gradio opens the fold a moment later.
    return (
        "() => setTimeout(() => window.bertDemo.goTo(document.querySelector"
        f"('#settings-{tab_id} .bd-estimate'), 'center'), 200)"
    )


def _to_stage(tab_id: str) -> str:
    # On a phone the curves are below the form; beside the last of its cards they are above.
    return (
        f"() => {{ const live = document.getElementById('live-{tab_id}'); "
        "if (live && (window.innerWidth < 900 || live.getBoundingClientRect().top < 0)) "
        "window.bertDemo.goTo(live); }"
    )
