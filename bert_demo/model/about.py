"""What a checkpoint says of how it came about: the "about" of its config.json.

Training writes "run", "facts", "scores", "step", "seconds" and "beginning"; an import "imported",
"source", "untrained_heads" and "left_out". Whatever is missing, or of another kind than it should
be, is taken for unknown: checkpoints come from other versions and from other people.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from bert_demo.config import RunConfig, UserError, run_config


@dataclass(frozen=True)
class Beginning:
    """How a model's first weights came about (`bert_demo.model.beginning` makes them again)."""

    seed: int
    """Of the run that pretrained it first, if another one went on from there."""
    primed: bool
    """Whether it was told how frequent words are and where positions lie, as "recommended" is."""
    classifier_seed: int | None = None
    """Of the run that gave it its classifier; None for a pretrained model."""


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
    beginning: Beginning | None
    """None for a model that another project began, and where an earlier version did not tell."""

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
        _beginning(about.get("beginning"), (config or {}).get("task")),
    )


def _beginning(values: Any, task: Any) -> Beginning | None:
    given = values if isinstance(values, Mapping) else {}
    seed, primed, last = (given.get(name) for name in ("seed", "primed", "classifier_seed"))
    if not _is_seed(seed) or not isinstance(primed, bool):
        return None
    if not (last is None if task == "pretraining" else task == "nli" and _is_seed(last)):
        return None
    return Beginning(seed, primed, last)


def _is_seed(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _of_type(value: Any, kind: Any) -> Any:
    return value if isinstance(value, kind) else None


def _names(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
