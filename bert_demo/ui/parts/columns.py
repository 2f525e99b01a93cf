"""Which columns of somebody's own table are meant, asked where they have names of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from bert_demo.data.tables import COLUMNS, NoColumn
from bert_demo.ui.parts.language import later, letters, say, translate

ROLES: Mapping[str, tuple[str, ...]] = {"pretraining": ("text",), "nli": COLUMNS}
"""Of the columns of a table, by task."""

_MOST_COLUMNS, _LONGEST_NAME = 100, 60  # in a menu
_WORDS = {
    "text": later("Column with the text"),
    "premise": later("Column of premises"),
    "hypothesis": later("Column of hypotheses"),
    "label": later("Column of labels"),
}


class ColumnMenus:
    """A sentence and a menu for each role, which are seen once a table has other names."""

    def __init__(self, task: str) -> None:
        self.roles = ROLES[task]
        with gr.Column(visible=False, min_width=200) as self._box:
            self._words = gr.HTML("", apply_default_css=False)
            self.menus = [
                gr.Dropdown([], label=say(_WORDS[role]), filterable=False) for role in self.roles
            ]

    @property
    def outputs(self) -> list[Any]:
        """The components that `asked` and `closed` are for."""
        return [self._box, self._words, *self.menus]

    def chosen(self, values: Sequence[Any]) -> dict[str, str]:
        """What a table calls its columns, by the menus' values."""
        return {role: name for role, name in zip(self.roles, values, strict=True) if name}

    def asked(self, error: NoColumn, chosen: Mapping[str, str]) -> list[Any]:
        """The menus with the columns that a table has; what is called as it should be is chosen."""
        words = f'<p class="bd-note" role="status">{letters(translate(error))}</p>'
        names = [name for name in error.columns[:_MOST_COLUMNS] if name]
        choices = [(name[:_LONGEST_NAME], name) for name in names]
        updates = []
        for role in self.roles:
            usual = next((name for name in names if name.lower() == role), None)
            known = chosen.get(role)
            value = known if known in names else usual
            updates.append(gr.Dropdown(choices, value=value))
        return [gr.Column(visible=True), words, *updates]

    def closed(self) -> list[Any]:
        """All of it gone, as before there was such a table."""
        menus = [gr.Dropdown([], value=None) for _ in self.roles]
        return [gr.Column(visible=False), "", *menus]
