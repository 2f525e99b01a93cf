"""What a checkpoint says of how it came about: the "about" of its config.json.

Training writes "run", "facts", "scores", "step" and "seconds"; an import writes "imported",
"source", "untrained_heads" and "left_out". Whatever is missing, or of another kind than it should
be, is taken for unknown: checkpoints come from other versions and from other people.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bert_demo.config import RunConfig, UserError, run_config


@dataclass(frozen=True)
class About:
    """The facts of one checkpoint; None and empty where they are not known."""

    settings: Mapping[str, Any]
    """Of the run that made it, as `RunConfig.to_dict` gives them."""
    facts: Mapping[str, Any]
    """What the run was told when it began (`bert_demo.training.events.Facts`)."""
    scores: Mapping[str, Any]
    """On held-out text, by the names in `bert_demo.model.metrics`; "n" examples, "test" apart."""
    step: int | None
    seconds: float | None
    """Of training."""
    imported: str | None
    """From what kind of files: "D2L" or "Hugging Face"."""
    source: str | None
    """A folder or a repository's name that it was imported from."""
    untrained_heads: tuple[str, ...]
    left_out: tuple[str, ...]
    """Parts of those files that it does not have."""

    @functools.cached_property
    def run(self) -> RunConfig | None:
        """None also for settings of another version of this project."""
        try:
            return run_config(self.settings) if self.settings else None
        except (UserError, TypeError):
            return None

    @property
    def corpus(self) -> str | None:
        """The name of the text that it learnt from last."""
        name = self.settings.get("corpus")
        return name if isinstance(name, str) else None

    def score(self, name: str, split: str = "validation") -> float | None:
        """One of its scores."""
        found = self.scores_on(split).get(name)
        return found if isinstance(found, float) else None

    def scores_on(self, split: str) -> Mapping[str, Any]:
        """Its scores on the split "validation" or "test"."""
        return self.scores if split == "validation" else _part(self.scores, split)

    @property
    def baselines(self) -> dict[str, float]:
        """What it is measured against, by the names in `bert_demo.model.metrics.BASELINES`."""
        found = _part(self.facts, "baselines")
        return {name: value for name, value in found.items() if isinstance(value, float)}


def read_about(config: Mapping[str, Any] | None) -> About:
    """What a checkpoint's config.json says of it; `About` of nothing where there is none."""
    about = _part(config or {}, "about")
    return About(
        _part(about, "run"),
        _part(about, "facts"),
        _part(about, "scores"),
        _of_type(about.get("step"), int),
        _of_type(about.get("seconds"), int | float),
        _of_type(about.get("imported"), str),
        _of_type(about.get("source"), str),
        _names(about.get("untrained_heads")),
        _names(about.get("left_out")),
    )


def _part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _of_type(value: Any, kind: Any) -> Any:
    return value if isinstance(value, kind) else None


def _names(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
