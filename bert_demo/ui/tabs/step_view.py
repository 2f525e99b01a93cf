"""One training step played slowly, as a view: mask, guess and loss, gradient, new guess."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bert_demo.common.errors import UserError
from bert_demo.data.words import MASK
from bert_demo.inference.models import ModelShelf
from bert_demo.ui.parts.language import number, say
from bert_demo.ui.parts.view import Block, View, columns, heading, table, text, view
from bert_demo.ui.tabs.follow_view import MOST_MATRICES, matrix_words

if TYPE_CHECKING:
    from bert_demo.training.slow_step import Answers, SlowStep

_PAIRS = 32
"""Of a step's batch, that are shown one after the other."""


def next_pair(pair: int | None) -> int:
    """The pair to show when one more is asked for."""
    return 0 if pair is None else (pair + 1) % _PAIRS


def step_view(shelf: ModelShelf, model: str | None, pair: int | None) -> View:
    """The step that follows a model's last, on one pair of its batch; nothing where none is asked.

    Raises `UserError` for a model whose run or text is not known here.
    """
    from bert_demo.inference.words import at_hand
    from bert_demo.training.slow_step import slow_step

    if pair is None or not model:
        return view()
    entry = shelf.entry(model)
    run = entry.about.run
    if run is None or entry.corpus is None or run.task != "pretraining":
        raise UserError("Only a step of a run from here can be played; this is another model.")
    if not at_hand(run.corpus):
        raise UserError("The text that this model learnt from is not on this computer.")
    loaded = shelf.load(model)
    step = (entry.about.step or 0) if entry.moment is None else entry.moment
    found = slow_step(loaded.model, loaded.tokenizer, run, step, pair)
    return view(*_blocks(found, step, run.training.batch_size))


def _blocks(found: SlowStep, step: int, pairs: int) -> list[Block]:
    title = say("Step {n}, slowly, on one of its {pairs} pairs", n=number(step + 1), pairs=pairs)
    rows = [
        [_masked(found, i), _said(found.before, i), _said(found.after, i)]
        for i in range(len(found.places))
    ]
    follows = say("the second follows the first")
    if not found.is_next:
        follows = say("the second does not follow")
    rows.append([follows, _next(found.before), _next(found.after)])
    names = [say("Right"), say("Its guess · loss"), say("After the step")]
    caption = say(
        "Loss {before} before the step, {after} after it",
        before=number(found.before.loss, ".2f"),
        after=number(found.after.loss, ".2f"),
    )
    tones = ["good" if _closer(found, i) else "bad" for i in range(len(found.places))]
    tones.append("good" if found.after.right >= found.before.right else "bad")
    largest = [
        [matrix_words(one.name), number(one.share, ".3g")]
        for one in found.gradients[:MOST_MATRICES]
    ]
    slopes = say("Gradient over the matrix's own size, the largest first")
    how = say(
        "Some words are hidden; the model guesses them, and its loss says how surprised it is by "
        "what stood there. The gradient says in which direction each weight makes the loss "
        "smaller; one step of the run's optimizer at its full rate, {rate}, goes that way. Here it "
        "learns from this pair alone, as if it were the first, so it moves further than in the "
        "run, and too large a step spoils one guess while it mends another.",
        rate=number(found.rate, ".2g"),
    )
    return [
        heading(title),
        text(" ".join(found.tokens)),
        columns(
            [table(caption, names, rows, tones=tones)],
            [table(slopes, [say("Matrix"), say("Gradient")], largest, numbers=(1,))],
        ),
        text(how, "muted"),
    ]


def _closer(found: SlowStep, place: int) -> bool:
    return found.after.losses[place] <= found.before.losses[place]


def _masked(found: SlowStep, place: int) -> str:
    """A masked word, and what the model sees there if that is another word or the word itself."""
    word, shown = found.targets[place], found.tokens[found.places[place]]
    return word if shown == MASK else say("{word} (it sees “{shown}”)", word=word, shown=shown)


def _said(answers: Answers, place: int) -> str:
    """The likeliest word of a place with its probability, and the loss there."""
    word, share = answers.guesses[place][0]
    return f"{word} {number(share, '.0%')} · {number(answers.losses[place], '.2f')}"


def _next(answers: Answers) -> str:
    return say("right by {share}", share=number(answers.right, ".0%"))
