"""A premise and a hypothesis, judged, as a view (D2L 16.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bert_demo.common.errors import Text, UserError
from bert_demo.inference.words import unknown_words
from bert_demo.ui.parts.language import later, number, say, translate
from bert_demo.ui.parts.theme import SERIES
from bert_demo.ui.parts.view import Block, View, bars, columns, few, table, text, view
from bert_demo.ui.tabs.nli_examples import EXAMPLES, SAYINGS, right_label

if TYPE_CHECKING:
    from bert_demo.inference.entries import Entry
    from bert_demo.inference.models import ModelShelf
    from bert_demo.inference.predict import Verdict

_COLUMNS = (
    later("Premise"),
    later("Hypothesis"),
    later("You said"),
    later("The model says"),
    later("Sure"),
    later("Right"),
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
    said: str | None
    """The label that the learner chose before; None for none."""

    @property
    def right(self) -> str | None:
        """The right label, where the pair is one of the examples."""
        return right_label(self.premise, self.hypothesis)


def judge(
    shelf: ModelShelf, model: str | None, premise: str, hypothesis: str, said: str | None = None
) -> Judgement:
    """Put a pair to a model, both ways, and its hypothesis alone; `said` is a label or None."""
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
    said = said if isinstance(said, str) and said in SAYINGS else None
    return Judgement(entry, premise, hypothesis, verdict, swapped, alone, unknown, said)


def judgement_view(found: Judgement, history: Sequence[Sequence[str]]) -> View:
    """The verdict in words and bars, what it owes to the premise, and how both have done."""
    words = _headline(found)
    judge = say(
        "Judged by {model}, {origin}. {score}",
        model=found.entry.title,
        origin=translate(found.entry.origin),
        score=translate(found.entry.score),
    )
    blocks: list[Block] = [
        text(words, "strong"),
        text(judge, "muted"),
        *_remarks(found),
        columns(
            [_shares(say("How sure the model is"), found.verdict)],
            [text(_guess(found), "muted"), *_tally(history)],
        ),
    ]
    return view(*blocks, spoken=words)


def checks_view(found: Judgement | None, history: Sequence[Sequence[str]]) -> View:
    """The verdicts without a premise and the other way round, and what was tried before."""
    blocks: list[Block] = []
    if found is not None:
        blocks.append(
            columns(
                [_shares(say("The premise left empty"), found.alone)],
                [
                    _shares(say("The other way round"), found.swapped),
                    text(_says(found.swapped), "muted"),
                ],
            )
        )
    if history:
        blocks.append(
            table(
                say("Tried so far, the latest first; a click judges a pair again"),
                [say(name) for name in _COLUMNS],
                [_shown(row) for row in history],
                numbers=(4,),
                picks=True,
            )
        )
    return view(*blocks)


def remember(found: Judgement, history: Sequence[Sequence[str]]) -> list[list[str]]:
    """The history with this judgement on top."""
    sure = number(found.verdict.probabilities[found.verdict.label], ".1%")
    row = [
        found.premise,
        found.hypothesis,
        found.said or "",
        found.verdict.label,
        sure,
        found.right or "",
        found.entry.title,
    ]
    return [row, *([*old] for old in history if [*old] != row)][:_MOST_HISTORY]


def picked(history: Sequence[Sequence[str]], row: object) -> tuple[str, str]:
    """The premise and hypothesis in a row of the history that a browser names."""
    if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < len(history):
        raise UserError("That row is no longer there; judge the pair anew.")
    premise, hypothesis = history[row][:2]
    return premise, hypothesis


def _says(verdict: Verdict) -> str:
    """What the model says of a pair, and how sure it is; never as the truth."""
    return say(
        "The model says: {verdict} ({sure:.0%} sure)",
        verdict=say(SAYINGS[verdict.label]),
        sure=verdict.probabilities[verdict.label],
    )


def _headline(found: Judgement) -> str:
    """The model's verdict beside the learner's, and beside what is right where that is known."""
    words = _says(found.verdict)
    if found.said == found.verdict.label:
        words = say("You agree. {verdict}", verdict=words)
    elif found.said is not None:
        yours = say(SAYINGS[found.said])
        words = say("You disagree: you say {yours}. {verdict}", yours=yours, verdict=words)
    if found.right is None:
        return words + "."
    if found.right == found.verdict.label:
        return say("{words}, and that is right.", words=words)
    right = say(SAYINGS[found.right])
    return say("{words}, and that is wrong: {right}.", words=words, right=right)


def _tally(history: Sequence[Sequence[str]]) -> list[Block]:
    """How often the learner and the model were right, of the examples that both have answered."""
    lines = []
    for kind, examples in EXAMPLES.items():
        pairs = {(one.premise, one.hypothesis) for one in examples}
        latest = {(row[0].lower(), row[1].lower()): row for row in reversed(history)}
        rows = [latest[pair] for pair in pairs if pair in latest and latest[pair][2]]
        if rows:
            yours = sum(row[2] == row[5] for row in rows)
            its = sum(row[3] == row[5] for row in rows)
            told = say(
                "{kind}: you {yours}, it {its} of {n}",
                kind=say(kind),
                yours=yours,
                its=its,
                n=len(rows),
            )
            lines.append(told)
    return [text(" · ".join(lines), "muted")] if lines else []


def _shown(row: Sequence[str]) -> list[str]:
    """A row of the history in the page's language."""
    premise, hypothesis, *labels, model = row
    said, verdict, sure, right = labels
    named = [say(SAYINGS[label]) if label else "" for label in (said, verdict, right)]
    return [premise, hypothesis, named[0], named[1], sure, named[2], model]


def _shares(title: str, verdict: Verdict) -> Block:
    shares = {say(SAYINGS[label]): share for label, share in verdict.probabilities.items()}
    return bars(title, shares, _COLOURS)


def _guess(found: Judgement) -> str:
    """What the verdict without a premise tells of the verdict with it."""
    if found.alone.label == found.verdict.label:
        words = say(
            "With no premise the model says “{label}” too, so its verdict may be a guess from the "
            "hypothesis' words.",
            label=say(SAYINGS[found.alone.label]),
        )
    else:
        words = say(
            "With no premise the model would say “{label}”, so the premise made the difference.",
            label=say(SAYINGS[found.alone.label]),
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
    count = len((found.premise + " " + found.hypothesis).split())
    if found.unknown and 2 * len(found.unknown) >= count:
        remarks.append(
            text(
                say("Most of these words are unknown to the model, so what it says means nothing."),
                "alert",
            )
        )
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
