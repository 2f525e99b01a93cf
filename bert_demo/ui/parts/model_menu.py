"""The menu of models that three tabs share: filled from the shelf whenever a tab opens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from bert_demo.inference.entries import Entry
from bert_demo.inference.models import ModelShelf
from bert_demo.ui.parts.language import later, listed, say, translate

MOST_SIDE_BY_SIDE = 3

# The model that the path brought along, else that of the run named in the page's address.
_CARRIED = "(chosen, seen) => [chosen, seen, window.bertDemo?.carried() || '']"
_NOTHING = {
    None: later("There is no model here yet. Training a small one takes 30 seconds."),
    "pretraining": later(
        "There is no pretrained model here yet. Training a small one takes 30 seconds."
    ),
    "nli": later("There is no fine-tuned model here yet: pretrain a small one, then fine-tune it."),
}


def offer(
    shelf: ModelShelf, task: str | None, chosen: Any, carried: Any, seen: str
) -> tuple[list[Entry], list[str]]:
    """The models to offer, pretrained ones first, and the ids of those to select.

    What was chosen stays chosen while it exists. `carried` is the model that the path brings
    along: when it is another than `seen`, which was last selected for that reason, it is selected.
    """
    entries = sorted(shelf.entries(task), key=lambda entry: entry.task == "nli")
    ids = [entry.id for entry in entries]
    if carried != seen and carried in ids:
        return entries, [carried]
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
    return "() => window.bertDemo.open('pretrain')"


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

        def refill(chosen: Any, seen: str, carried: Any) -> tuple[Any, ...]:
            entries, selected = offer(self._shelf, self._task, chosen, carried, seen)
            return (
                gr.Dropdown(choices(entries), value=self._value(selected)),
                carried if carried in selected else seen,
                gr.Column(visible=not entries),
                gr.Row(visible=bool(entries)),
            )

        return tab.select(
            refill,
            [self._models, seen, address],
            [self._models, seen, self._notice, body],
            js=_CARRIED,
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=None,
        )

    def _value(self, selected: list[str]) -> Any:
        return selected if self._several else next(iter(selected), None)
