"""A premise and a hypothesis, judged, as a view (D2L 16.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bert_demo.config import Text, UserError
from bert_demo.inference.words import unknown_words
from bert_demo.ui.parts.language import later, number, say, translate
from bert_demo.ui.parts.theme import SERIES
from bert_demo.ui.parts.view import Block, View, bars, columns, few, heading, table, text, view

if TYPE_CHECKING:
    from bert_demo.inference.models import Entry, ModelShelf
    from bert_demo.inference.predict import Verdict

EXAMPLES = (
    ("a man is playing a guitar", "a man is making music"),
    ("the dog is sleeping in the garden", "the dog is awake"),
    ("a woman is riding a bicycle", "a woman is in the park"),
    ("the cook sold the boat", "the boat was sold by the cook"),
    ("the cook sold the boat", "the cook was sold by the boat"),
    ("seven cars are moving slowly", "at least four cars are moving"),
    ("a butterfly is sleeping", "an insect is sleeping"),
    ("he is good", "he is bad"),
)
"""Pairs to begin with; the last is the book's own."""

_SENTENCES = {
    "entailment": later("It follows: if the premise is true, so is the hypothesis."),
    "neutral": later("It is left open: the premise does not say whether the hypothesis is true."),
    "contradiction": later("It is contradicted: if the premise is true, the hypothesis is false."),
}
_COLUMNS = (
    later("Premise"),
    later("Hypothesis"),
    later("Verdict"),
    later("Sure"),
    later("Model"),
)
_COLOURS = (SERIES[2], SERIES[0], SERIES[1])
_MOST_LETTERS = 2000
_MOST_HISTORY = 50


@dataclass(frozen=True)
class Judgement:
    """What a model says of a pair, and of what the pair is made of."""

    entry: Entry
    premise: str
    hypothesis: str
    verdict: Verdict
    swapped: Verdict
    """The other way round: does the premise follow from the hypothesis?"""
    alone: Verdict
    """The hypothesis with the premise left empty."""
    unknown: list[str]
    """Words that the model reads as <unk>."""


def judge(shelf: ModelShelf, model: str | None, premise: str, hypothesis: str) -> Judgement:
    """Put a pair to a model, both ways, and its hypothesis alone."""
    from bert_demo.inference.predict import classify_all

    if not model:
        raise UserError("Choose a fine-tuned model first.")
    for name, given in ((Text("premise"), premise), (Text("hypothesis"), hypothesis)):
        if not isinstance(given, str) or not given.strip():
            raise UserError("The {name} is empty; write a sentence.", name=name)
        if len(given) > _MOST_LETTERS:
            raise UserError(
                "The {name} is too long; at most {limit:,} letters fit.",
                name=name,
                limit=_MOST_LETTERS,
            )
    premise, hypothesis = premise.strip(), hypothesis.strip()
    entry = shelf.entry(model)
    loaded = shelf.load(model)
    pairs = [(premise, hypothesis), (hypothesis, premise), (None, hypothesis)]
    verdict, swapped, alone = classify_all(loaded.model, loaded.tokenizer, pairs)
    unknown = unknown_words(loaded.tokenizer, premise, hypothesis)
    return Judgement(entry, premise, hypothesis, verdict, swapped, alone, unknown)


def judgement_view(found: Judgement, history: Sequence[Sequence[str]]) -> View:
    """The verdict in words and bars, its checks, and what was tried before."""
    words = say(_SENTENCES[found.verdict.label])
    judge = say(
        "Judged by {model}, {origin}. {score}",
        model=found.entry.title,
        origin=translate(found.entry.origin),
        score=translate(found.entry.score),
    )
    blocks: list[Block] = [
        text(words, "strong"),
        _shares(say("How sure the model is"), found.verdict),
        *_remarks(found),
        columns(
            [
                heading(say("The premise left empty")),
                text(_guess(found), "muted"),
                _shares(say("The hypothesis alone"), found.alone),
            ],
            [
                heading(say("The other way round")),
                text(say(_SENTENCES[found.swapped.label]), "muted"),
                _shares(say("Premise and hypothesis swapped"), found.swapped),
            ],
        ),
        text(judge, "muted"),
    ]
    if history:
        names = [say(name) for name in _COLUMNS]
        blocks.append(
            table(
                say("Tried so far, the latest first; a click judges a pair again"),
                names,
                [[*row[:2], translate(row[2]), *row[3:]] for row in history],
                numbers=(3,),
                picks=True,
            )
        )
    return view(*blocks, spoken=words)


def remember(found: Judgement, history: Sequence[Sequence[str]]) -> list[list[str]]:
    """The history with this judgement on top."""
    sure = f"{found.verdict.probabilities[found.verdict.label]:.1%}"
    row = [found.premise, found.hypothesis, found.verdict.label, sure, found.entry.title]
    return [row, *([*old] for old in history if [*old] != row)][:_MOST_HISTORY]


def picked(history: Sequence[Sequence[str]], row: object) -> tuple[str, str]:
    """The premise and hypothesis in a row of the history that a browser names."""
    if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < len(history):
        raise UserError("That row is no longer there; judge the pair anew.")
    premise, hypothesis = history[row][:2]
    return premise, hypothesis


def _shares(title: str, verdict: Verdict) -> Block:
    shares = {translate(label): share for label, share in verdict.probabilities.items()}
    return bars(title, shares, _COLOURS)


def _guess(found: Judgement) -> str:
    """What the verdict without a premise tells of the verdict with it."""
    if found.alone.label == found.verdict.label:
        words = say(
            "With no premise the model says {label} too, so its verdict may be a guess from the "
            "hypothesis' words.",
            label=translate(found.alone.label),
        )
    else:
        words = say(
            "With no premise the model would say {label}, so the premise made the difference.",
            label=translate(found.alone.label),
        )
    about = found.entry.about
    share, n = about.score("hypothesis_only_accuracy", "test"), about.scores_on("test").get("n")
    if share is None or not isinstance(n, int):
        return words
    measured = say(
        "On {n:,} test pairs with the premise left empty, {share:.1%} of this model's verdicts are "
        "right; a third would be chance.",
        n=n,
        share=share,
    )
    return f"{words} {measured}"


def _remarks(found: Judgement) -> list[Block]:
    remarks = []
    if found.unknown:
        words = few(found.unknown)
        remarks.append(
            text(say("Unknown to this model, which reads <unk> instead: {words}.", words=words))
        )
    if found.verdict.truncated:
        remarks.append(
            text(
                say(
                    "The pair is longer than the model reads; its last {n} tokens were cut off.",
                    n=number(found.verdict.truncated),
                )
            )
        )
    return remarks
