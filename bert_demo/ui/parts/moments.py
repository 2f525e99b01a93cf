"""Which moment of a run a tab asks about: a slider through those that the run has kept.

The component's value is {"model": id, "steps": those that are kept, "at": one of them, or None for
the end}; what a browser sends of it is checked against the shelf.
"""

from __future__ import annotations

import contextlib
from typing import Any

from bert_demo.common.errors import UserError
from bert_demo.inference.entries import moment_id
from bert_demo.inference.models import ModelShelf


def moments_of(shelf: ModelShelf, model: str | None, shown: Any) -> dict[str, Any]:
    """The slider for a model, at the moment that it showed if it is still the same model's."""
    asked, steps = asked_of(shelf, model, shown), []
    with contextlib.suppress(UserError):  # no model, or one that is gone
        steps = shelf.moments(model or "")
    return {"model": model, "steps": steps, "at": None if asked == model else shown["at"]}


def asked_of(shelf: ModelShelf, model: str | None, shown: Any) -> str | None:
    """The id to ask: the model's, or that of the moment which the slider shows of it."""
    if not model or not isinstance(shown, dict) or shown.get("model") != model:
        return model
    at = shown.get("at")
    if isinstance(at, bool) or not isinstance(at, int):
        return model
    with contextlib.suppress(UserError):
        if at in shelf.moments(model):
            return moment_id(model, at)
    return model
