"""The section "Models from the Hub": what others trained, fetched, put on the shelf, deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from bert_demo.common.errors import Text, UserError
from bert_demo.inference.entries import IMPORTED, Entry, model_id
from bert_demo.interop.known import KNOWN_MODELS, KnownModel
from bert_demo.runs.record import TRAINING, Run
from bert_demo.ui.parts.language import later, listed, say, translate
from bert_demo.ui.parts.model_menu import choices
from bert_demo.ui.parts.view import View, in_words, text, view, view_part

if TYPE_CHECKING:
    from bert_demo.ui.context import AppContext

_NEW = {"pooler": later("pooler"), "nsp": later("next-sentence head")}
_FIRST_NEEDS = ("queued", *TRAINING, "paused")
"""States of a run that reads the model it began with once more."""


def create_hub_models(context: AppContext, tab: gr.Tab) -> None:
    """The section, closed at first; `tab` is the tab that it stands in."""

    with gr.Accordion(say("Models from the Hugging Face Hub"), open=False):
        gr.Markdown(
            say(
                "Fetch a BERT that others have trained, or a model that was published from here. "
                "It comes from the Hugging Face Hub once, stays on this computer, and is then in "
                "the menus of models: to look into, to fill blanks with if it has a head for that, "
                "and to fine-tune."
            )
        )
        if context.is_public:
            gr.Markdown(
                say("Because this page is public, only the teacher fetches and deletes models.")
            )
        repo = gr.Dropdown(
            [(_about(model), model.repo_id) for model in KNOWN_MODELS],
            value=KNOWN_MODELS[0].repo_id,
            label=say("Model on the Hub"),
            info=say("One of these, or the name of any other: owner/name"),
            allow_custom_value=True,
        )
        with gr.Row(elem_classes="br-actions"):
            fetch = gr.Button(say("Fetch"), variant="primary")
        shown = view_part(min_height=130, elem_id="hub-models")
        with gr.Row(visible=False, elem_classes="br-actions") as there:
            here = gr.Dropdown(label=say("Fetched model"))
            delete = gr.Button(say("Delete this model"), size="sm", variant="stop")

    def answer(shown: View, chosen: Any, browser: Any) -> tuple[View, Any, Any]:
        """The view and the menu of what is here: in one answer, so that no older one comes last."""
        entries = fetched_models(context)
        ids = [entry.id for entry in entries]
        value = chosen if chosen in ids else next(iter(ids), None)
        may = bool(ids) and context.may_fetch(browser)
        return shown, gr.Dropdown(choices(entries), value=value), gr.Row(visible=may)

    def bring(
        repo: Any,
        chosen: Any,
        browser: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[View, Any, Any]:
        return answer(in_words(fetched)(context, repo, browser, progress), chosen, browser)

    def remove(model: Any, chosen: Any, browser: Any) -> tuple[View, Any, Any]:
        return answer(in_words(deleted)(context, model, browser), chosen, browser)

    outputs = [shown, here, there]
    quiet: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
    tab.select(
        lambda *values: answer(listing(context), *values),
        [here, context.browser],
        outputs,
        show_progress="hidden",
        **quiet,
    )
    fetch.click(
        bring,
        [repo, here, context.browser],
        outputs,
        show_progress_on=shown,
        trigger_mode="once",
        **quiet,
    )
    delete.click(
        remove,
        [here, here, context.browser],
        outputs,
        js=_ask(),
        show_progress="hidden",
        trigger_mode="always_last",  # a "yes" right after a "no" counts
        **quiet,
    )


def fetched(context: AppContext, repo: Any, browser: Any, progress: Any) -> View:
    """Bring a model for this browser; `progress` is called with a share and words."""
    _check_may(context, browser)

    def tell(words: Text, share: float | None) -> None:
        progress(share, desc=translate(words))

    tell(Text("Asking for the model"), None)
    name = context.imports.bring(repo, tell)
    entry = context.shelf.entry(model_id(IMPORTED, name))
    return listing(
        context, say("{title} is here, and now in the menus of models.", title=entry.title)
    )


def deleted(context: AppContext, model: Any, browser: Any) -> View:
    """Delete a fetched model for this browser, and say which runs began with it."""
    _check_may(context, browser)
    if model is None:  # who was asked whether they are sure were not
        return listing(context)
    entry = context.shelf.entry(model)
    if entry.home != IMPORTED:
        raise UserError(
            "{model} was not fetched; only fetched models are deleted here.", model=entry.title
        )
    runs = _began_with(context, context.shelf.folder(entry.id))
    for run in runs:
        if run.status.state in _FIRST_NEEDS:
            raise UserError(
                "The run {run!r} still needs {model}; delete it when that run is over.",
                run=run.title,
                model=entry.title,
            )
    context.imports.remove(entry.name)
    words = say("{title} is deleted.", title=entry.title)
    if runs:
        titles = listed(run.title for run in runs)
        words += " " + say("What began with it keeps a model of its own: {runs}.", runs=titles)
    return listing(context, words)


def listing(context: AppContext, first: str = "") -> View:
    """What has been fetched so far, below a sentence."""
    entries = fetched_models(context)
    blocks = [text(first, "strong")] if first else []
    if not entries:
        blocks.append(text(say("No model has been fetched yet."), "muted"))
    else:
        blocks.append(text(say("Fetched so far:"), "muted"))
        blocks += [text(_line(entry)) for entry in entries]
    return view(*blocks, spoken=first)


def fetched_models(context: AppContext) -> list[Entry]:
    """The models that came from the Hub, the newest first."""
    return [entry for entry in context.shelf.entries() if entry.home == IMPORTED]


def _check_may(context: AppContext, browser: Any) -> None:
    if not context.may_fetch(browser):
        raise UserError("This page is public, so only the teacher fetches and deletes models.")


def _began_with(context: AppContext, folder: Path) -> list[Run]:
    """The runs whose training began, or is to begin, with the model in `folder`."""
    place = folder.resolve()
    begun = [(run, run.config and run.config.start_from) for run in context.store.list()]
    return [run for run, start in begun if start and Path(start).resolve() == place]


def _line(entry: Entry) -> str:
    parts = [say(_NEW.get(part, part)) for part in entry.about.untrained_heads]
    words = [f"{entry.title}: {translate(entry.origin)}.", f"{translate(entry.size)}."]
    if parts:
        words.append(say("Not in the file, so untrained: {parts}.", parts=listed(parts)))
    return " ".join([*words, translate(entry.score)]).strip()


def _about(model: KnownModel) -> str:
    return model.title.replace(model.what, translate(model.what))


def _ask() -> str:
    """Script that lets a model through only when whoever deletes it is sure."""
    sure = say(
        "Delete this model for good? Runs that began with it keep models of their own, but one "
        "that was cut short cannot go on."
    )
    return (
        "(model, chosen, browser) => "
        f"[model && window.confirm({json.dumps(sure)}) ? model : null, chosen, browser]"
    )
