"""The page as a table of contents: a header, and one function for each tab."""

from __future__ import annotations

import json
import secrets
from typing import Any

import gradio as gr

from bert_demo.common.errors import UserError
from bert_demo.model.plain_json import one_line
from bert_demo.runs.record import TRAINING, Run
from bert_demo.ui.address import pair_of, tab_of, values_of, words_of
from bert_demo.ui.api import add_api
from bert_demo.ui.context import AppContext, own_token
from bert_demo.ui.parts import assets, forms
from bert_demo.ui.parts.language import SOURCE, current, later, letters, say
from bert_demo.ui.parts.outline import WHAT
from bert_demo.ui.parts.own_text import own_corpus
from bert_demo.ui.parts.setting_words import suggested_name
from bert_demo.ui.serving.files import KEPT_SECONDS
from bert_demo.ui.serving.hosting import notices
from bert_demo.ui.serving.share import create_share_banner
from bert_demo.ui.serving.strangers import Page
from bert_demo.ui.tabs.blank import create_blank_tab
from bert_demo.ui.tabs.nli import create_nli_tab
from bert_demo.ui.tabs.runs.tab import create_runs_tab
from bert_demo.ui.tabs.training import create_finetune_tab, create_pretrain_tab
from bert_demo.ui.tabs.training_handlers import LONGEST_NAME, starting_points
from bert_demo.ui.tabs.words import create_words_tab

_BOOK = '<a href="https://d2l.ai">Dive into Deep Learning</a>'
_COPY, _PRESENT = later("Copy link"), later("Present")
_SKIP = later("To the curves")
_ARRIVING = (
    "(browser, address, kept) => "
    "[browser, window.bertDemo?.asked ?? window.location.search, window.bertDemo?.kept() ?? '']"
)
_MOST_OTHERS = 5
_LONGEST_QUESTIONS = 10_000
_MOST_WAITING = 500


def build_app(context: AppContext) -> gr.Blocks:
    """The page over `context`, not yet served."""
    page = Page(
        title="bert_demo",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(60, KEPT_SECONDS),
    )
    with page:
        browser = context.make_browser_state()
        address, kept = gr.Textbox("", visible=False), gr.Textbox("", visible=False)
        gr.HTML(
            html_template=_header(),
            js_on_load=assets.when_loaded("header(element)"),
            apply_default_css=False,
            elem_classes="bd-lead",
        )
        for notice in notices(context.settings.data_dir, context.queue.max_run_seconds):
            gr.Markdown(notice, elem_classes="bd-notice")
        create_share_banner(page, context.share)
        # In two rows on a phone: Gradio's own menu of tabs that do not fit hides most of them.
        with gr.Tabs(overflow_behavior="wrap", elem_id="bd-tabs") as tabs:
            pretrain = create_pretrain_tab(context)
            words = create_words_tab(context)
            finetune = create_finetune_tab(context)
            pair = create_nli_tab(context)
            create_blank_tab(context)
            create_runs_tab(context)

        def arrived(stored: Any, search: Any, kept: Any) -> tuple[Any, ...]:
            values = values_of(search)
            stored, run = arrive(context, stored, search)
            if values.get("run") and run is None:
                _tell(say("The run that the link names is not here; perhaps it was deleted."))
            others = others_training(context)
            forms_kept = restore(context, kept, stored["token"])
            shown: list[dict[str, Any]] = [{"run": None, "others": others} for _ in range(2)]
            chosen = gr.skip()
            if run is not None:
                nli = run.config is not None and run.config.task == "nli"
                shown[nli] = {"run": run.id, "others": others}
                chosen = gr.Tabs(selected="finetune" if nli else "pretrain")
            if (tab := tab_of(values, _tell)) is not None:
                chosen = gr.Tabs(selected=tab)
            start_from = starting_points(context, None)
            asked = [*words_of(context.shelf, values, _tell)]
            asked += pair_of(context.shelf, values, _tell)
            return stored, chosen, *shown, *forms_kept, start_from, *asked

        assert finetune.start_from is not None
        form_parts = [
            part for tab in (pretrain, finetune) for part in (tab.name, *tab.fields, *tab.questions)
        ]
        form_parts.remove(finetune.start_from)
        page.load(
            arrived,
            [browser, address, kept],
            [
                browser,
                tabs,
                pretrain.live,
                finetune.live,
                *form_parts,
                finetune.start_from,
                *words,
                *pair,
            ],
            js=_ARRIVING,
            show_progress="hidden",
            concurrency_limit=None,
            api_visibility="private",
        )
        add_api(context)
    # On ZeroGPU gradio lets only one event wait unless it is told how many may.
    # What does not join the queue would wait nowhere, and be bounded by nothing.
    page.queue(max_size=_MOST_WAITING, api_open=False)
    return page


def _tell(words: str) -> None:
    """A message on the page."""
    gr.Warning(letters(words))


def _header() -> str:
    source = say("After {book}, 15.8 to 15.10 and 16.7.", book=_BOOK)
    if current() != SOURCE:
        source += " " + say("The models know English alone.")
    buttons = "".join(
        f'<button type="button" class="bd-button">{say(words)}</button>'
        for words in (_COPY, _PRESENT)
    )
    return (
        f'<header class="bd-header"><a class="bd-skip" href="#bd-tabs">{say(_SKIP)}</a>'
        f"<h1>bert_demo</h1><p>{say(WHAT)} "
        f'<span class="bd-source">{source}</span></p><div>{buttons}</div></header>'
    )


def arrive(context: AppContext, stored: Any, search: Any) -> tuple[dict[str, str], Run | None]:
    """Who this browser is, and the run to show it: that of the address, else its own latest, else
    one in training.

    A browser that comes for the first time is given a token; the teacher's link adds the
    teacher's.
    """
    query = values_of(search)
    known = stored if isinstance(stored, dict) else {}
    token = own_token(known) or secrets.token_urlsafe(16)
    admin = query.get("admin", str(known.get("admin") or ""))
    identity = {"token": token, "admin": admin if context.store.is_admin(admin) else ""}
    run = None
    if query.get("run"):
        try:
            run = context.store.get(query["run"])
        except UserError:
            return identity, None  # a sentence, not another run
    if run is None:
        mine = (r for r in context.store.list() if _owns(context, r, token))
        run = next(mine, None)
    if run is None:  # a newcomer sees what goes on
        run = next((r for r in context.store.list() if r.status.state in TRAINING), None)
    return identity, run


def restore(context: AppContext, kept: Any, token: str) -> list[Any]:
    """What the forms said when this browser left, each with the name of its runs before it and
    pretraining with its questions behind it."""
    try:
        told = json.loads(kept)
        tasks = {task: json.loads(told[task] or "{}") for task in ("pretraining", "nli")}
        name = one_line(told["name"], LONGEST_NAME)
    except (ValueError, TypeError, KeyError, RecursionError):
        told, tasks, name = {}, {"pretraining": {}, "nli": {}}, ""
    found: list[Any] = []
    for task, values in tasks.items():
        fields = forms.restored(task, values)
        fields["corpus"] = own_corpus(context, task, values, _tell) or fields["corpus"]
        found.append(name or suggested_name(token))
        values = [fields[name] for name in forms.names(task) if name != "start_from"]
        found += ["" if value is None else value for value in values]
        if task == "pretraining":
            found += _kept_questions(told.get("questions"))
    return found


def _kept_questions(kept: Any) -> list[str]:
    """The three texts of a form's questions, empty where they are none."""
    try:
        texts = json.loads(kept)
    except (ValueError, TypeError, RecursionError):
        texts = []
    texts = texts if isinstance(texts, list) and len(texts) == 3 else [""] * 3
    return [text[:_LONGEST_QUESTIONS] if isinstance(text, str) else "" for text in texts]


def others_training(context: AppContext) -> list[dict[str, str]]:
    """The runs in training now, for who has none."""
    busy = [run for run in context.store.list() if run.status.state in TRAINING]
    return [{"id": run.id, "title": run.title} for run in busy[:_MOST_OTHERS]]


def _owns(context: AppContext, run: Run, token: str) -> bool:
    return run.owner is not None and context.store.may_control(run, token)
