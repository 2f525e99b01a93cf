"""Pairs of sentences to begin with in the tab "Argue", by kind, with what is right of each."""

from __future__ import annotations

from dataclasses import dataclass

from bert_demo.ui.parts.language import later


@dataclass(frozen=True)
class Example:
    """A pair to begin with, and what is right."""

    premise: str
    hypothesis: str
    right: str
    """A label."""


_FOLLOWS, _OPEN, _AGAINST = "entailment", "neutral", "contradiction"
EXAMPLES: dict[str, tuple[Example, ...]] = {
    later("Plain pairs"): (
        Example("a man is playing a guitar", "a man is making music", _FOLLOWS),
        Example("the dog is sleeping in the garden", "the dog is awake", _AGAINST),
        Example("a woman is riding a bicycle", "a woman is in the park", _OPEN),
        Example("a butterfly is sleeping", "an insect is sleeping", _FOLLOWS),
        Example("two boys are swimming in a lake", "the boys are indoors", _AGAINST),
    ),
    later("Traps: not"): (
        Example("the children are not eating", "the children are eating", _AGAINST),
        Example("nobody is in the kitchen", "a cook is in the kitchen", _AGAINST),
        # The book's own.
        Example("he is good", "he is bad", _AGAINST),
    ),
    later("Traps: numbers"): (
        Example("seven cars are moving slowly", "at least four cars are moving", _FOLLOWS),
        Example("two dogs are running", "three dogs are running", _AGAINST),
    ),
    later("Traps: who did what"): (
        Example("the cook sold the boat", "the boat was sold by the cook", _FOLLOWS),
        Example("the cook sold the boat", "the cook was sold by the boat", _AGAINST),
        Example("the girl helped the boy", "the boy helped the girl", _OPEN),
    ),
    later("Traps: some and all"): (
        Example("all the men are wearing hats", "some men are wearing hats", _FOLLOWS),
        Example("some of the birds are flying", "all of the birds are flying", _OPEN),
    ),
    later("Traps: comparisons"): (
        Example("the boy is older than the girl", "the girl is younger than the boy", _FOLLOWS),
        Example("the boy is older than the girl", "the girl is older than the boy", _AGAINST),
    ),
}
"""By kind; traps are pairs whose shared words suggest a wrong answer (McCoy et al., 2019)."""

SAYINGS = {
    _FOLLOWS: later("it follows"),
    _OPEN: later("it is left open"),
    _AGAINST: later("it is contradicted"),
}
"""The labels in words, as the model and the learner say them."""


def right_label(premise: str, hypothesis: str) -> str | None:
    """What is right of one of the examples; None for any other pair."""
    pairs = {(one.premise, one.hypothesis): one for kind in EXAMPLES.values() for one in kind}
    found = pairs.get((premise.strip().lower(), hypothesis.strip().lower()))
    return None if found is None else found.right
