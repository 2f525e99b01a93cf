"""The page as a table of contents: a header, and one function for each tab."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qs

import gradio as gr

from bert_demo.config import UserError
from bert_demo.runs.record import TRAINING, Run
from bert_demo.ui.api import add_api
from bert_demo.ui.context import AppContext, own_token
from bert_demo.ui.parts.language import say
from bert_demo.ui.serving.files import KEPT_SECONDS
from bert_demo.ui.serving.hosting import notices
from bert_demo.ui.serving.share import create_share_banner
from bert_demo.ui.tabs.blank import create_blank_tab
from bert_demo.ui.tabs.nli import create_nli_tab
from bert_demo.ui.tabs.runs.tab import create_runs_tab
from bert_demo.ui.tabs.training import create_finetune_tab, create_pretrain_tab, starting_points
from bert_demo.ui.tabs.words import create_words_tab

_BOOK = "[Dive into Deep Learning](https://d2l.ai)"
_MOST_OTHERS = 5
_MOST_WAITING = 500


def build_app(context: AppContext) -> gr.Blocks:
    """The page over `context`, not yet served."""
    page = gr.Blocks(
        title="bert_demo",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(60, KEPT_SECONDS),
    )
    with page:
        browser = context.make_browser_state()
        address = gr.Textbox("", visible=False)
        gr.Markdown(_header(), elem_classes="bd-lead")
        for notice in notices(context.settings.data_dir, context.queue.max_run_seconds):
            gr.Markdown(notice, elem_classes="bd-notice")
        create_share_banner(page, context.share)
        # In two rows on a phone: Gradio's own menu of tabs that do not fit hides most of them.
        with gr.Tabs(overflow_behavior="wrap") as tabs:
            pretrain = create_pretrain_tab(context)
            finetune = create_finetune_tab(context)
            create_words_tab(context)
            create_nli_tab(context)
            create_blank_tab(context)
            create_runs_tab(context)

        def arrived(stored: Any, search: Any) -> tuple[Any, ...]:
            stored, run = arrive(context, stored, search)
            others = others_training(context)
            shown: list[dict[str, Any]] = [{"run": None, "others": others} for _ in range(2)]
            chosen = gr.skip()
            if run is not None:
                nli = run.config is not None and run.config.task == "nli"
                shown[nli] = {"run": run.id, "others": others}
                chosen = gr.Tabs(selected="finetune" if nli else "pretrain")
            return stored, chosen, *shown, starting_points(context, None)

        assert finetune.start_from is not None
        page.load(
            arrived,
            [browser, address],
            [browser, tabs, pretrain.live, finetune.live, finetune.start_from],
            js="(browser, address) => [browser, window.location.search]",
            show_progress="hidden",
            concurrency_limit=None,
            api_visibility="private",
        )
        add_api(context)
    # On ZeroGPU gradio lets only one event wait unless it is told how many may.
    page.queue(max_size=_MOST_WAITING)
    return page


def _header() -> str:
    what = say("A BERT that you train, look into and argue with.")
    source = say("After {book}, 15.8 to 15.10 and 16.7.", book=_BOOK)
    return f"# bert_demo\n\n{what}\n{source}\n"


def arrive(context: AppContext, stored: Any, search: Any) -> tuple[dict[str, str], Run | None]:
    """Who this browser is, and the run to show it: that of the address, else its own latest.

    A browser that comes for the first time is given a token; the teacher's link adds the
    teacher's.
    """
    query = parse_qs(search.removeprefix("?")) if isinstance(search, str) else {}
    known = stored if isinstance(stored, dict) else {}
    token = own_token(known) or secrets.token_urlsafe(16)
    admin = query.get("admin", [str(known.get("admin") or "")])[0]
    identity = {"token": token, "admin": admin if context.store.is_admin(admin) else ""}
    run = None
    if query.get("run"):
        try:
            run = context.store.get(query["run"][0])
        except UserError:
            run = None
    if run is None:
        mine = (r for r in context.store.list() if _owns(context, r, token))
        run = next(mine, None)
    return identity, run


def others_training(context: AppContext) -> list[dict[str, str]]:
    """The runs in training now, for who has none."""
    busy = [run for run in context.store.list() if run.status.state in TRAINING]
    return [{"id": run.id, "title": run.title} for run in busy[:_MOST_OTHERS]]


def _owns(context: AppContext, run: Run, token: str) -> bool:
    return run.owner is not None and context.store.may_control(run, token)
