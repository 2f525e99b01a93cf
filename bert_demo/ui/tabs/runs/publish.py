"""The part "Publish to the Hugging Face Hub" of the tab Runs.

It publishes with the login of the computer that serves the page. So it is for the teacher alone,
and not there at all on a Space, whose login is for other things.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.common.errors import UserError
from bert_demo.runs.record import TRAINING
from bert_demo.ui.context import token_of
from bert_demo.ui.parts.language import later, say
from bert_demo.ui.parts.view import View, in_words, link, text, view, view_part
from bert_demo.ui.serving.hosting import on_space
from bert_demo.ui.tabs.runs.views import chosen_ids

if TYPE_CHECKING:
    from bert_demo.ui.context import AppContext

_TEACHERS = later(
    "Only the teacher can publish from here, because it happens under the login of the computer "
    "that serves this page: open the address that the terminal prints under \u201cFor the "
    "teacher\u201d."
)
_PRIVATE, _PUBLIC = later("only me"), later("everybody")


def create_publish_part(context: AppContext, tab: gr.Tab, listed: gr.HTML) -> None:
    """The part, closed at first; `listed` is the list of runs in `tab`."""

    @in_words
    def send(shown: Any, repo: Any, whom: Any, browser: Any) -> View:
        return published(context, chosen_ids(shown), repo, whom == _PUBLIC, browser)

    with gr.Accordion(say("Publish to the Hugging Face Hub"), open=False, visible=False) as part:
        refusal = gr.Markdown(say(_TEACHERS))
        with gr.Column(visible=False) as form:
            gr.Markdown(
                say(
                    "Makes a repository on the Hub of the model of one run, with its card and its "
                    "numbers, so that others can use it. It goes there under the login of the "
                    "computer that serves this page, which is made once by `hf auth login`."
                )
            )
            with gr.Row():
                repo = gr.Textbox(
                    label=say("Repository"),
                    info=say("Your name on the Hub and the model's: ada/crane"),
                    max_length=96,
                    min_width=280,
                )
                whom = gr.Radio(
                    [(say(whom), whom) for whom in (_PRIVATE, _PUBLIC)],
                    value=_PRIVATE,
                    label=say("Who can see it"),
                    info=say("A repository that is there already keeps what it is"),
                    min_width=280,
                )
            with gr.Row(elem_classes="br-actions"):
                go = gr.Button(say("Publish"), variant="primary")
            told = view_part(min_height=70, elem_id="published")
    quiet: dict[str, Any] = {"api_visibility": "private"}

    def fit(browser: Any) -> tuple[Any, ...]:
        teacher = is_teacher(context, browser)
        there = not on_space() and (teacher or not context.is_public)
        return (
            gr.Accordion(visible=there),
            gr.Markdown(visible=not teacher),
            gr.Column(visible=teacher),
        )

    tab.select(
        fit,
        context.browser,
        [part, refusal, form],
        show_progress="hidden",
        concurrency_limit=None,
        **quiet,
    )
    inputs = [listed, repo, whom, context.browser]
    go.click(send, inputs, told, trigger_mode="once", concurrency_limit=1, **quiet)


def is_teacher(context: AppContext, browser: Any) -> bool:
    """Whether this browser came by the teacher's address."""
    return context.store.is_admin(token_of(browser))


def published(
    context: AppContext, chosen: list[str], repo: Any, public: bool, browser: Any
) -> View:
    """Publish the model of the one ticked run, for a browser that may."""
    if on_space():
        raise UserError(
            "A Space publishes nothing: download the model, and publish it from your own computer."
        )
    if not is_teacher(context, browser):
        raise UserError(_TEACHERS)
    if len(chosen) != 1:
        raise UserError("Tick the one run in the list above whose model is to be published.")
    if not isinstance(repo, str) or not repo.strip():
        raise UserError("Give the repository a name first, such as ada/crane.")
    run = context.store.get(chosen[0])
    if not run.has_model:
        raise UserError("The run {run!r} has no model yet.", run=run.title)
    if run.status.state in TRAINING:
        raise UserError(
            "The run {run!r} is still learning; publish it when it has ended.", run=run.title
        )
    # Imported here because the Hub's client takes its time, and a page that starts needs none.
    from bert_demo.interop.publish import publish

    done = publish(run.model, repo.strip(), public=public)
    if done.private:
        said = later("The model of {run} is on the Hub, and you alone can see it.")
    else:
        said = later("The model of {run} is on the Hub, and everybody can see it.")
    words = say(said, run=repr(run.title))
    return view(text(words, "strong"), link(done.url), spoken=words)
