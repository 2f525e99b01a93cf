"""Why a verdict, and what would flip it, beside each other as a view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from bert_demo.common.errors import UserError
from bert_demo.config import LABELS
from bert_demo.ui.parts.language import later, number, say, translate
from bert_demo.ui.parts.view import Block, View, columns, effects, few, heading, table, text, view
from bert_demo.ui.tabs.nli_examples import SAYINGS

if TYPE_CHECKING:
    from bert_demo.inference.attributions import Attributions, WordEffect
    from bert_demo.inference.edits import Edit
    from bert_demo.inference.flips import Flip
    from bert_demo.inference.models import ModelShelf
    from bert_demo.ui.tabs.nli_view import Judgement

_NAMES = {
    "negate": later("Negate"),
    "another number": later("Another number"),
    "hypernym": later("A wider word"),
    "antonym": later("Opposite"),
    "some for all": later("Some for all"),
    "swap roles": later("Swap roles"),
    "swap texts": later("Swap the texts"),
    "drop an adjective": later("Drop an adjective"),
    "empty premise": later("Empty the premise"),
}
_BEFORE = {
    "known": later("What should be follows from what is right here: {label}."),
    "said": later("What should be follows from what you said: {label}."),
    "model": later("What should be follows from the verdict, as if it were right: {label}."),
}


class Judged(NamedTuple):
    """A pair that was judged, and the label that counts as right of it; as the page keeps it."""

    model: str
    premise: str
    hypothesis: str
    label: str
    source: str
    """Where the label is from: a key of `_BEFORE`."""


def judged(found: Judgement) -> Judged:
    """What `why_view` needs of a judgement."""
    label, source = found.verdict.label, "model"
    if found.right is not None:
        label, source = found.right, "known"
    elif found.said is not None:
        label, source = found.said, "said"
    return Judged(found.entry.id, found.premise, found.hypothesis, label, source)


def why_view(shelf: ModelShelf, pair: Sequence[str] | None) -> View:
    """What carried the verdict of a `Judged`, and what flips it; nothing where none was judged."""
    from bert_demo.inference.attributions import attribute
    from bert_demo.inference.flips import try_edits

    if not pair:
        return view()
    asked = Judged(*pair)
    model, tokenizer, _ = shelf.load(asked.model)
    texts = asked.premise, asked.hypothesis
    try:
        carried = _carried(attribute(model, tokenizer, *texts))
    except UserError as error:  # of too many words, which is no reason not to try the edits
        carried = [text(translate(error), "muted")]
    tried = {flip.edit.name: flip for flip in try_edits(model, tokenizer, *texts, asked.label)}
    flips = [tried[edit.name] for edit in _in_order([flip.edit for flip in tried.values()])]
    return view(
        columns(
            [heading(say("What carried it")), *carried],
            [heading(say("What flips it")), *_flipped(flips, asked)],
        )
    )


def edited(pair: Sequence[str] | None, row: object) -> tuple[str, str]:
    """The pair that the edit in a row of the table makes."""
    from bert_demo.inference.edits import edits

    found = _in_order(edits(pair[1], pair[2])) if pair else []
    if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < len(found):
        raise UserError("That row is no longer there; judge the pair anew.")
    edit = found[row]
    if not edit.applies or edit.premise is None:
        raise UserError("That change leaves no pair to judge here.")
    return edit.premise, edit.hypothesis


def _in_order(found: Sequence[Edit]) -> list[Edit]:
    """Edits as the table has them: those that do not apply come last."""
    return sorted(found, key=lambda edit: not edit.applies)


def _carried(found: Attributions) -> list[Block]:
    label = say(SAYINGS[found.label])
    lines = [
        (name, [(w.word, w.gradient, w.left_out) for w in found.words if w.in_hypothesis == of])
        for name, of in ((say("Premise"), False), (say("Hypothesis"), True))
    ]
    legend = say(
        "Blue with + speaks for “{label}”, orange with \u2212 against it, in points of 100. First "
        "number: the word's share, by integrated gradients. Second: what is lost when the word is "
        "left out.",
        label=label,
    )
    exact = say(
        "With <mask> in place of every word the model would give “{label}” {before:.1%}, now it "
        "gives {now:.1%}. The shares add up to this difference, but for {error} points ({steps} "
        "steps).",
        label=label,
        before=found.baseline_probability,
        now=found.probability,
        error=number(abs(100 * found.error), ".2f"),
        steps=found.steps,
    )
    return [effects(legend, lines), *_disagreement(found), text(exact, "muted")]


def _disagreement(found: Attributions) -> list[Block]:
    """Where the two ways do not tell the same, in a sentence."""
    if found.disputed:
        words = say(
            "The two ways disagree about {words}: one has it speak for the verdict, the other "
            "against. They ask different questions, and neither is the model's reason.",
            words=few([f"“{word}”" for word in dict.fromkeys(found.disputed)]),
        )
        return [text(words, "alert")]
    first, second = found.strongest
    if (
        first
        and second
        and (first.word, first.in_hypothesis) != (second.word, second.in_hypothesis)
    ):
        words = say(
            "The two ways disagree about what matters most: {first} by gradients, {second} by "
            "leaving out.",
            first=_placed(first),
            second=_placed(second),
        )
        return [text(words, "alert")]
    if second is None:
        words = say("No word alone carries it: leaving out any one changes little.")
        return [text(words)]
    if first is None:
        words = say(
            "By gradients no word alone matters much; by leaving out, {word}.", word=_placed(second)
        )
        return [text(words)]
    return [text(say("Both ways agree on what matters most: {word}.", word=_placed(second)))]


def _placed(effect: WordEffect) -> str:
    """A word with the text that it stands in, as both may have it."""
    if effect.in_hypothesis:
        return say("“{word}” in the hypothesis", word=effect.word)
    return say("“{word}” in the premise", word=effect.word)


def _flipped(flips: Sequence[Flip], asked: Judged) -> list[Block]:
    rows, tones = [], []
    for flip in flips:
        change = f"{say(_NAMES[flip.edit.name])}: {translate(flip.edit.change)}"
        if flip.verdict is None:
            rows.append([change, "", say("does not apply")])
            tones.append("muted")
            continue
        verdict = flip.verdict
        mark = {True: "✓ ", False: "✗ ", None: ""}[flip.as_it_should]
        sure = number(verdict.probabilities[verdict.label], ".0%")
        says = f"{mark}{say(SAYINGS[verdict.label])} {sure}"
        rows.append([change, _labels(flip.should), says])
        tones.append({True: "good", False: "bad", None: ""}[flip.as_it_should])
    told = [flip.as_it_should for flip in flips if flip.as_it_should is not None]
    caption = say(
        "{right} of {n} verdicts are as they should be after the change; a click judges the "
        "changed pair",
        right=sum(told),
        n=len(told),
    )
    fixed = [i for i, f in enumerate(flips) if f.verdict is None or f.edit.premise is None]
    names = [say("Change"), say("Should be"), say("The model says")]
    before = say(_BEFORE[asked.source], label=say(SAYINGS[asked.label]))
    found = table(caption, names, rows, picks=True, tones=tones, fixed=fixed)
    return [found, text(before, "muted")]


def _labels(labels: Sequence[str]) -> str:
    if len(labels) == len(LABELS):
        return say("cannot be told")
    named = [say(SAYINGS[label]) for label in labels]
    return named[0] if len(named) == 1 else say("{one} or {other}", one=named[0], other=named[1])
