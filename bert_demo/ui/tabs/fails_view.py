"""Where a model fails, as views: the confusion matrix, the pairs behind a cell, sorts of pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bert_demo.config import LABELS
from bert_demo.ui.parts.figures import reliability
from bert_demo.ui.parts.language import later, listed, number, say, translate
from bert_demo.ui.parts.view import (
    Block,
    View,
    bars,
    chart,
    columns,
    confusion,
    heading,
    sorts,
    table,
    text,
    view,
)
from bert_demo.ui.tabs.nli_examples import SAYINGS

if TYPE_CHECKING:
    from bert_demo.inference.failures import Failures, JudgedPair, Slice
    from bert_demo.ui.serving.judging import Job

Cell = tuple[str, str]
"""A true label and a verdict."""

_KIND = "kind"
_SORTS = {
    _KIND: (
        later("By kind"),
        later(
            "Below each kind, how many are right of those where it follows, is open, is "
            "contradicted. 98% of one and 3% of another is no reading but a rule of thumb: “shared "
            "words, so it follows” is right by chance where it does."
        ),
    ),
    "length": (
        later("By length"),
        later("Where the bars fall from top to bottom, it loses track of long texts."),
    ),
    "overlap": (
        later("By words of the hypothesis that stand in the premise"),
        later("Shared words make “it follows” likely; a trap is a pair where that is wrong."),
    ),
    "negation": (
        later("By negation (no, not, nobody, never …)"),
        later(
            "Where “alone” is as high as the bar, a “not” in the hypothesis is all that it has "
            "read."
        ),
    ),
    "numbers": (
        later("By number words"),
        later("“Others in both”, two against three, asks whether it tells numbers apart."),
    ),
}
MOST_PAIRS = 200


def progress_view(job: Job, before: int) -> View:
    """How far judging is."""
    if job.state == "waiting" and before:
        return view(
            text(say("Another table is being judged; {n} before yours.", n=before)),
            spoken=say("Another table is being judged."),
        )
    what = say("Judging {table}", table=translate(job.table.name))
    return view(bars(what, {say("done"): job.share}), spoken=what)


def matrix_view(job: Job, found: Failures, chosen: Cell) -> View:
    """The scores in words, and the confusion matrix."""
    scores = found.scores
    words = say(
        "{model} is right in {share:.1%} of {n:,} pairs (± {error:.1%})",
        model=job.title,
        share=scores.accuracy,
        n=scores.n,
        error=scores.standard_error,
    )
    beside = say(
        "{table}. Always the same answer: {constant:.1%}. With every premise hidden: {alone:.1%}, "
        "which is what the hypotheses' words give away.",
        table=translate(job.table.name),
        constant=scores.constant_accuracy,
        alone=scores.hypothesis_only_accuracy,
    )
    names = [say(SAYINGS[label]) for label in LABELS]
    blocks: list[Block] = [
        text(words, "strong"),
        text(beside, "muted"),
        confusion(
            say("What is right, in rows, and what the model says, in columns"),
            names,
            scores.confusion,
            [LABELS.index(label) for label in chosen],
        ),
        text(
            say(
                "A row is what people say, a column what the model says: blue is agreement, orange "
                "a mistake, the fuller the more often. Click a cell for its pairs."
            ),
            "muted",
        ),
    ]
    left = [
        say("{n:,} pairs without a label were left out.", n=scores.left_out)
        if scores.left_out
        else "",
        say("{n:,} pairs were longer than the model reads, and cut.", n=scores.truncated)
        if scores.truncated
        else "",
        say("Numbers were read as labels: 0 it follows, 1 left open, 2 contradicted.")
        if found.texts.numbered
        else "",
    ]
    blocks += [text(words, "muted") for words in left if words]
    return view(*blocks, spoken=words)


def worst(found: Failures) -> Cell:
    """The mistake that was made most often; the first cell where there is none."""
    cells = [(label, verdict) for label in LABELS for verdict in LABELS if label != verdict]
    return max(cells, key=lambda cell: _count(found, cell))


def behind_view(found: Failures, cell: Cell) -> View:
    """The pairs of a cell, the surest first."""
    n, (label, verdict) = _count(found, cell), cell
    right, said = say(SAYINGS[label]), say(SAYINGS[verdict])
    if label == verdict:
        words = say("{n:,} times it says “{said}”, and that is right", n=n, said=said)
    else:
        words = say("{n:,} times it says “{said}”, but {right}", n=n, said=said, right=right)
    rows = [_row(pair) for pair in shown_pairs(found, cell)]
    if not rows:
        return view(heading(words), spoken=words)
    caption = say("The surest first; a click opens a pair in the classifier above")
    if n > len(rows):
        caption = say(
            "The surest {shown:,} of {n:,} first; a click opens a pair in the classifier above",
            shown=len(rows),
            n=n,
        )
    names = [say("Premise"), say("Hypothesis"), say("Sure")]
    return view(heading(words), table(caption, names, rows, numbers=(2,), picks=True), spoken=words)


def shown_pairs(found: Failures, cell: Cell) -> list[JudgedPair]:
    """Those that `behind_view` lists."""
    return found.pairs(*cell, most=MOST_PAIRS)


def sorts_view(found: Failures) -> View:
    """Accuracy by sorts of pairs, and the calibration curve."""
    parts = {
        sort: sorts(
            say(title),
            say(reading),
            [_bar(part, by_label=sort == _KIND) for part in found.slices[sort]],
            found.scores.accuracy,
        )
        for sort, (title, reading) in _SORTS.items()
        if sort in found.slices
    }
    curve = chart(
        "calibration",
        reliability(found.calibration),
        say("How sure it is, and how often it is right then"),
        240,
    )
    reading = say(
        "On the dashed line it would be right as often as it is sure; below it is too sure of "
        "itself. Mean distance (ECE): {ece:.1%}.",
        ece=found.scores.ece,
    )
    last = [curve, text(reading, "muted")]
    return view(
        text(
            say(
                "In all bars: solid line, all pairs; dashed line, a third, which is chance; thin "
                "line, two standard errors either way; “alone”, with the premise hidden."
            ),
            "muted",
        ),
        columns(
            *([[parts[_KIND]]] if _KIND in parts else []),
            [parts["length"], parts["overlap"]],
            [parts["negation"], parts["numbers"], *(last if _KIND in parts else [])],
            *([] if _KIND in parts else [last]),
        ),
    )


def _bar(part: Slice, *, by_label: bool) -> dict[str, object]:
    note = say("{n:,} pairs, alone {alone:.0%}", n=part.n, alone=part.hypothesis_only_accuracy)
    if by_label:
        note = listed(
            say("{label}: {share:.0%}", label=say(SAYINGS[label]), share=row[i] / sum(row))
            for i, (label, row) in enumerate(zip(LABELS, part.confusion, strict=True))
            if sum(row)
        )
    return {
        "label": translate(part.name),
        "share": round(part.accuracy, 4),
        "error": round(part.standard_error, 4),
        "note": note,
    }


def _count(found: Failures, cell: Cell) -> int:
    return found.scores.confusion[LABELS.index(cell[0])][LABELS.index(cell[1])]


def _row(pair: JudgedPair) -> list[str]:
    return [pair.premise, pair.hypothesis, number(pair.confidence, ".1%")]
