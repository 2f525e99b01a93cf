"""The menu of models that three tabs share: filled from the shelf whenever a tab opens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from bert_demo.inference.models import RUN, Entry, ModelShelf, model_id
from bert_demo.ui.parts.language import later, listed, say, translate

MOST_SIDE_BY_SIDE = 3

# The run that this browser watches is named in the page's address.
_RUN_IN_ADDRESS = (
    "(chosen, seen) => [chosen, seen, new URLSearchParams(window.location.search).get('run') || '']"
)
_NOTHING = {
    None: later("There is no model here yet. Training a small one takes 30 seconds."),
    "pretraining": later(
        "There is no pretrained model here yet. Training a small one takes 30 seconds."
    ),
    "nli": later("There is no fine-tuned model here yet: pretrain a small one, then fine-tune it."),
}


def offer(
    shelf: ModelShelf, task: str | None, chosen: Any, run: Any, seen: str
) -> tuple[list[Entry], list[str]]:
    """The models to offer, pretrained ones first, and the ids of those to select.

    What was chosen stays chosen while it exists. `run` is the run in the page's address: when it
    is another than `seen`, the one that was last selected for that reason, it is selected.
    """
    entries = sorted(shelf.entries(task), key=lambda entry: entry.task == "nli")
    ids = [entry.id for entry in entries]
    if run and run != seen and model_id(RUN, run) in ids:
        return entries, [model_id(RUN, run)]
    listed = [chosen] if isinstance(chosen, str) else list(chosen or [])
    return entries, [name for name in listed if name in ids] or ids[:1]


def choices(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Lines of a menu with the ids that they stand for; no two lines are alike."""
    lines = [f"{entry.title} ({listed(map(translate, entry.facts))})" for entry in entries]
    return [
        (f"{line} {entry.name}" if lines.count(line) > 1 else line, entry.id)
        for line, entry in zip(lines, entries, strict=True)
    ]


def _to_pretrain() -> str:
    """Script that opens the tab Pretrain."""
    name = json.dumps(say("Pretrain"))
    return (
        "() => { [...document.querySelectorAll('button[role=tab]')]"
        f".find((tab) => tab.textContent.trim() === {name})?.click(); }}"
    )


class ModelMenu:
    """A dropdown of the shelf's models of a task, or of all, and what to show without any.

    Use it inside a tab: `notice()`, then a row for the tab's contents that has `dropdown()` in
    it, then `keep_fresh`.
    """

    def __init__(self, shelf: ModelShelf, task: str | None, *, several: bool = False) -> None:
        self._shelf, self._task, self._several = shelf, task, several
        self.entries, self._selected = offer(shelf, task, None, "", "")

    def notice(self) -> gr.Column:
        """What to do where there is no model yet."""
        self._notice = gr.Column(visible=not self.entries)
        with self._notice:
            gr.Markdown(say(_NOTHING[self._task]))
            gr.Button(say("Train one in 30 seconds"), variant="primary", scale=0).click(
                None, js=_to_pretrain(), api_visibility="private"
            )
        return self._notice

    def dropdown(self) -> gr.Dropdown:
        """The menu itself."""
        self._models = gr.Dropdown(
            choices(self.entries),
            value=self._value(self._selected),
            multiselect=self._several,
            max_choices=MOST_SIDE_BY_SIDE if self._several else None,
            label=say("Models") if self._several else say("Model"),
            info=say("Up to three, side by side") if self._several else None,
        )
        return self._models

    def keep_fresh(self, tab: gr.Tab, body: gr.Row) -> Any:
        """Refill the menu when the tab opens; returns the event, to go on with `then`."""
        seen, address = gr.State(""), gr.Textbox("", visible=False)

        def refill(chosen: Any, seen: str, run: Any) -> tuple[Any, ...]:
            entries, selected = offer(self._shelf, self._task, chosen, run, seen)
            found = model_id(RUN, run) in selected
            return (
                gr.Dropdown(choices(entries), value=self._value(selected)),
                run if found else seen,
                gr.Column(visible=not entries),
                gr.Row(visible=bool(entries)),
            )

        return tab.select(
            refill,
            [self._models, seen, address],
            [self._models, seen, self._notice, body],
            js=_RUN_IN_ADDRESS,
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=None,
        )

    def _value(self, selected: list[str]) -> Any:
        return selected if self._several else next(iter(selected), None)
