"""One's own text or pairs on the page: pasted or dropped, bounded, and gone with the last run."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from bert_demo.common.corpus_names import own_task
from bert_demo.common.errors import UserError
from bert_demo.data import own
from bert_demo.data.interruption import Interrupted, interruptible
from bert_demo.data.own_pairs import take_pairs
from bert_demo.data.own_text import take_text
from bert_demo.data.tables import NoColumn
from bert_demo.model.plain_json import one_line
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts import forms
from bert_demo.ui.parts.columns import ROLES, ColumnMenus
from bert_demo.ui.parts.language import as_it_came, later, say, translate

MOST_BYTES = 4_000_000
"""Of one text; form.js says the same. Requests are bounded too."""
MOST_TEXTS = 50
"""That came by a page and are kept at a time."""
MOST_AN_HOUR = 10
"""From one address of a public page."""

_HOUR = 3600.0
_LONGEST_TITLE = 60
_MOST_SECONDS = 30.0
_AT_A_TIME = threading.Semaphore(2)
_ENDINGS = (".txt", ".md", ".csv", ".tsv", ".jsonl", ".json")
_PASTED = {"pretraining": ".txt", "nli": ".csv"}
_WORDS = {
    "pretraining": (
        later("Paste a text, or drop a file"),
        later("Paragraphs with empty lines between them; 100,000 words and more are learnt best."),
        later("Read this text"),
    ),
    "nli": (
        later("Paste a table, or drop a file"),
        later("Its first line names the columns: premise, hypothesis, label."),
        later("Read these pairs"),
    ),
}


def bring(
    context: AppContext,
    task: str,
    text: Any,
    title: Any,
    address: str = "",
    columns: Any = None,
) -> str:
    """Take in what a visitor at `address` has sent; returns the name of the corpus.

    columns: what a table calls those of `ROLES`, where it has other names for them.

    Raises `NoColumn` where the table has them not, and `UserError` where the text is not wished
    here, is too much, or is none.
    """
    context.check_own_text()
    if not isinstance(text, str) or not text.strip():
        raise UserError("Paste a text first, or drop a file.")
    data = text.encode("utf-8", "replace")
    if len(data) > MOST_BYTES:
        raise UserError(
            "The text has {size:.1f} MB; the page reads {limit:.0f} at most, a shell more.",
            size=len(data) / 1e6,
            limit=MOST_BYTES / 1e6,
        )
    called = _checked_columns(task, columns)
    _make_room(context)
    context.count_text(address, MOST_AN_HOUR)
    file = Path((one_line(title, _LONGEST_TITLE) or say("pasted text")).replace("/", "-"))
    named = file.suffix.lower() in _ENDINGS
    stem = file.stem if named else file.name
    ending = ".jsonl" if text.lstrip()[:1] == "{" else _PASTED[task]
    ending = file.suffix.lower() if named else ending
    until = time.monotonic() + _MOST_SECONDS
    if not _AT_A_TIME.acquire(timeout=_MOST_SECONDS):
        raise UserError("Others' texts are being read; try again in a minute.")
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{own.plain_title(stem)}{ending}"
            path.write_bytes(data)
            with interruptible(lambda: time.monotonic() > until), own.brought_by_page():
                if task == "nli":
                    return take_pairs(path, called=called)
                return take_text(path, called.get("text"))
    except Interrupted:
        raise UserError(
            "The text took longer than {n} seconds to read; take a shorter one.",
            n=round(_MOST_SECONDS),
        ) from None
    except UserError as error:
        raise as_it_came(error) from None
    finally:
        _AT_A_TIME.release()


def _checked_columns(task: str, columns: Any) -> dict[str, str]:
    given = {} if columns is None else columns
    if not isinstance(given, dict) or not all(
        name in ROLES[task] and isinstance(theirs, str) for name, theirs in given.items()
    ):
        raise UserError(
            "columns is {value!r}; it must have names of the table's columns for: {choices}.",
            value=columns,
            choices=", ".join(ROLES[task]),
        )
    return given


def _make_room(context: AppContext) -> None:
    """Forget texts that no run uses for an hour; `UserError` where there are too many still."""
    used = {run.config.corpus for run in context.store.list() if run.config is not None}
    there = {name: age for name in own.brought() if (age := own.age_seconds(name)) is not None}
    for name, age in there.items():
        if name not in used and age > _HOUR:
            own.forget(name)
    if sum(name in used or age <= _HOUR for name, age in there.items()) >= MOST_TEXTS:
        raise UserError(
            "{n} texts of visitors are kept here, as many as there can be; delete a run with one.",
            n=MOST_TEXTS,
        )


def own_corpus(
    context: AppContext, task: str, stored: Any, tell: Callable[[str], None]
) -> gr.Dropdown | None:
    """The menu of corpora of a form whose values a browser has `stored`, with the text of one's own
    that was chosen; None where there was none. `tell` says where that text is gone."""
    name = stored.get("corpus") if isinstance(stored, dict) else None
    if own_task(name) != task or not context.takes_own_texts:
        return None
    try:
        own.file_of(str(name), "train")
    except own.TextGone as error:
        tell(translate(error))
        return None
    return gr.Dropdown(forms.corpus_choices(task, own=True, name=name), value=name)


def own_text_box(context: AppContext, task: str, corpus: gr.Dropdown) -> None:
    """Where one's own is pasted or dropped; seen while `corpus` says `forms.OWN`."""
    label, hint, button = _WORDS[task]
    with gr.Column(visible=False, elem_classes="bd-own") as box:
        text = gr.Textbox(label=say(label), info=say(hint), lines=5, max_lines=8)
        title = gr.Textbox(
            label=say("What it is called"),
            max_lines=1,
            max_length=_LONGEST_TITLE,
            elem_classes="bd-own-title",
        )
        gr.HTML(
            f'<label class="bd-note">{say("or choose a file:")} '
            f'<input type="file" accept="{",".join(_ENDINGS)}"></label>'
            '<p class="bd-note bd-own-note" role="status"></p>',
            apply_default_css=False,
        )
        columns = ColumnMenus(task)
        take = gr.Button(say(button), variant="primary", size="sm")

    def show(chosen: Any) -> Any:
        return gr.Column(visible=chosen == forms.OWN)

    def read(visitor: gr.Request, given: Any, called: Any, *chosen: Any) -> tuple[Any, ...]:
        wished = columns.chosen(chosen)
        try:
            name = bring(context, task, given, called, context.address_of(visitor), wished)
        except NoColumn as error:
            return gr.skip(), gr.skip(), gr.skip(), *columns.asked(error, wished)
        choices = forms.corpus_choices(task, own=True, name=name)
        return gr.Dropdown(choices, value=name), "", "", *columns.closed()

    quiet: dict[str, Any] = {"api_visibility": "private", "preprocess": False}
    corpus.change(show, corpus, box, show_progress="hidden", concurrency_limit=None, **quiet)
    take.click(
        read,
        [text, title, *columns.menus],
        [corpus, text, title, *columns.outputs],
        trigger_mode="once",
        concurrency_limit=4,
        **quiet,
    )
