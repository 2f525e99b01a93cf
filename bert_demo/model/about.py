"""What a checkpoint says of how it came about: the "about" of its config.json.

Training writes "run", "facts", "scores", "step", "seconds" and "beginning"; an import "imported",
"source", "untrained_heads" and "left_out". Whatever is missing, or of another kind than it should
be, is taken for unknown: checkpoints come from other versions and from other people.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bert_demo.config import LABELS, RunConfig, run_config
from bert_demo.model.metrics import METRICS
from bert_demo.model.plain_json import is_number, is_whole, mapping


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
        except (ValueError, TypeError, AttributeError):
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
        return self.scores if split == "validation" else mapping(self.scores.get(split))

    @property
    def baselines(self) -> dict[str, float]:
        """What it is measured against, by the names in `bert_demo.model.metrics.BASELINES`."""
        return read_baselines(self.facts.get("baselines"))


def read_about(config: Mapping[str, Any] | None) -> About:
    """What a checkpoint's config.json says of it; `About` of nothing where there is none."""
    about = mapping(mapping(config).get("about"))
    step, seconds = about.get("step"), about.get("seconds")
    return About(
        mapping(about.get("run")),
        mapping(about.get("facts")),
        read_scores(about.get("scores")),
        step if is_whole(step) else None,
        seconds if is_number(seconds, 0) else None,
        _words(about.get("imported")),
        _words(about.get("source")),
        _names(about.get("untrained_heads")),
        _names(about.get("left_out")),
        _beginning(about.get("beginning"), mapping(config).get("task")),
    )


def read_scores(value: Any) -> dict[str, Any]:
    """Scores as training writes them, without those of its names that have another type."""
    found = dict(mapping(value))
    fits = {
        **{name: isinstance(found.get(name), float) for name in METRICS},
        "n": is_whole(found.get("n")),
        "confusion": _is_confusion(found.get("confusion")),
    }
    found = {name: score for name, score in found.items() if fits.get(name, True)}
    return found | {"test": read_scores(found["test"])} if "test" in found else found


def _beginning(values: Any, task: Any) -> Beginning | None:
    given = mapping(values)
    seed, primed, last = (given.get(name) for name in ("seed", "primed", "classifier_seed"))
    if not is_whole(seed) or not isinstance(primed, bool):
        return None
    if not (last is None if task == "pretraining" else task == "nli" and is_whole(last)):
        return None
    return Beginning(seed, primed, last)


def _is_confusion(value: Any) -> bool:
    size = len(LABELS)
    rows = value if isinstance(value, list) else []
    return len(rows) == size and all(
        isinstance(row, list) and len(row) == size and all(map(is_whole, row)) for row in rows
    )


def read_baselines(value: Any) -> dict[str, float]:
    """What a run is measured against, by name, without whatever is no number."""
    return {name: found for name, found in mapping(value).items() if isinstance(found, float)}


def _words(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _names(value: Any) -> tuple[str, ...]:
    return tuple(filter(_words, value)) if isinstance(value, list | tuple) else ()
