"""One word's vectors in several sentences, in up to three models, as a view (D2L 15.10)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bert_demo.common.errors import UserError
from bert_demo.inference.models import ModelShelf
from bert_demo.inference.words import familiarity
from bert_demo.ui.parts import figures
from bert_demo.ui.parts.language import later, number, say, translate
from bert_demo.ui.parts.model_menu import MOST_SIDE_BY_SIDE
from bert_demo.ui.parts.view import (
    Block,
    View,
    chart,
    columns,
    details,
    few,
    heading,
    jump,
    next_step,
    question,
    table,
    text,
    view,
)
from bert_demo.ui.tabs.words_contexts import read_rows

if TYPE_CHECKING:
    from bert_demo.inference.contexts import Comparison
    from bert_demo.inference.entries import Entry
    from bert_demo.inference.senses import Separation
    from bert_demo.model.checkpoint import Checkpoint

_BY_CHANCE, _MOST_OPTIONS = 0.05, 4
RAW, CENTRED = later("raw"), later("mean subtracted")
BY_CONTEXT, BY_SENSE = later("context"), later("sense")
_COLUMNS = (
    later("Model"),
    later("Same sense"),
    later("Different senses"),
    later("Separation"),
    later("By chance"),
)
_DROPOUT = later(
    "Dropout is off here. With it on, as it is in the book's own run, the same sentence read "
    "twice gives two different vectors, so a difference between two sentences would prove nothing."
)
_WHAT_COUNTS = later(
    "That the numbers differ between contexts proves nothing either: an untrained model gives "
    "different ones too. What shows meaning is that contexts of the same sense are closer to each "
    "other than to those of another sense, more so than in the untrained model. An untrained model "
    "separates a little where the same words stand around the word, or it stands at the same place."
)


_MET = {
    "word": later(
        "{model} met {word} {times} among the {all} words of its training text, {corpus}."
    ),
    "wordpiece": later(
        "{model} met {word} {times} among the {all} pieces of words of its training text, {corpus}."
    ),
}


@dataclass(frozen=True)
class Shown:
    """One model's part of the view."""

    title: str
    entry: Entry
    loaded: Checkpoint
    comparison: Comparison
    separation: Separation | None
    untrained: bool


def show_contexts(
    shelf: ModelShelf,
    models: Sequence[str] | None,
    word: str,
    rows: Any,
    layer: float,
    likeness: str = RAW,
    colour: str = BY_CONTEXT,
    untrained: bool = True,
) -> View:
    """What the models make of a word in its contexts.

    `layer` counts from 0, the embeddings; a model with fewer layers shows its last. `likeness`
    is RAW or CENTRED, `colour` BY_CONTEXT or BY_SENSE; `untrained` puts the first model's
    untrained twin beside the models.
    """
    from bert_demo.inference.contexts import compare

    names = list(dict.fromkeys(models or []))
    if not 1 <= len(names) <= MOST_SIDE_BY_SIDE:
        raise UserError("Choose one to {limit} models.", limit=MOST_SIDE_BY_SIDE)
    texts, senses = read_rows(rows)

    def show(title: str, entry: Entry, loaded: Checkpoint, twin: bool) -> Shown:
        model, tokenizer, config = loaded
        chosen = max(0, min(int(layer), config.num_hidden_layers))
        found = compare(model, tokenizer, word, texts, layer=chosen)
        return Shown(title, entry, loaded, found, found.separation(senses), twin)

    entries = [shelf.entry(name) for name in names]
    shown = [
        show(title, entry, shelf.load(entry.id), twin=False)
        for title, entry in zip(_titles(entries), entries, strict=True)
    ]
    separable = shown[0].separation is not None
    twins = [
        show(say("{model}, untrained", model=one.title), one.entry, shelf.twin(one.entry.id), True)
        for one in (shown if separable else shown[:1] if untrained else [])
    ]
    beside = [shown[0], *(twins[:1] if untrained else []), *shown[1:]]
    groups = senses if colour == BY_SENSE else [str(i + 1) for i in range(len(texts))]
    summary = _summary(shown, twins)
    pair = _nearest_senses(shown[0], senses)
    return view(
        *summary,
        columns(*(_map(i, one, groups) for i, one in enumerate(beside))),
        *([pair] if pair else []),
        next_step(say("Next: teach it to judge →"), "finetune", entries[0].latest),
        jump(say("Follow one “{word}” through the layers", word=word), "words-follow"),
        *(_remark(one, word, texts) for one in shown),
        *_separations(shown, twins),
        details(
            say("As a matrix of cosines"),
            columns(*(_matrix(i, one, likeness) for i, one in enumerate(beside))),
            is_open=not separable,
        ),
        details(
            say("Shapes and first three numbers, as in the book"),
            _numbers(beside, texts),
            is_open=len(texts) <= 4,
        ),
        *(text(say(words), "muted") for words in (_DROPOUT, _WHAT_COUNTS)),
        spoken=summary[0]["text"],
    )


def _titles(entries: Sequence[Entry]) -> list[str]:
    """What the models are called; those of equal titles by their own names too."""
    titles = [entry.title for entry in entries]
    return [
        f"{entry.title} {entry.name}" if titles.count(entry.title) > 1 else entry.title
        for entry in entries
    ]


def _summary(shown: Sequence[Shown], twins: Sequence[Shown]) -> list[Block]:
    """The sense separation of each model and of its untrained twin."""
    first = shown[0]
    quoted = repr(first.comparison.word)
    if first.separation is None:
        return [
            heading(say("{word} in {n} contexts", word=quoted, n=len(first.comparison.contexts))),
            text(
                say(
                    "Give the contexts senses, two or more contexts to each of two senses; with "
                    "fewer it cannot be told whether the model keeps the senses apart."
                )
            ),
        ]
    difference, before = _signed(first.separation.difference), twins[0].separation
    assert before is not None
    finding = (
        later("{title} keeps the senses of {word} apart: {n}, and {before} before any training")
        if first.separation.chance < _BY_CHANCE
        else later("{title} does not keep the senses of {word} apart: {n}; {before} untrained")
    )
    told = {"title": first.title, "word": quoted, "n": difference}
    return [
        text(say(finding, **told, before=_signed(before.difference)), "strong"),
        text(
            say(
                "Each dot is {word} in one text; what is near is alike to the model. Nobody told "
                "it that there are senses.",
                word=quoted,
            ),
            "muted",
        ),
        *(
            text(
                say(
                    "What {model} began with is not known; in its place stand random weights in "
                    "the same shape.",
                    model=one.title,
                ),
                "muted",
            )
            for one in shown
            if one.entry.about.beginning is None
        ),
    ]


def _separations(shown: Sequence[Shown], twins: Sequence[Shown]) -> list[Block]:
    """How far apart each model and its untrained twin keep the senses, in numbers."""
    if shown[0].separation is None:
        return []
    rows = []
    for one, twin in zip(shown, twins, strict=True):
        rows.append([one.title, *_row(one.separation)])
        rows.append([say("the same, untrained"), *_row(twin.separation)])
    caption = say(
        "Mean cosine of two contexts, the mean vector subtracted. By chance: how often senses "
        "dealt out at random separate as well"
    )
    names = [say(name) for name in _COLUMNS]
    return [details(say("In numbers"), table(caption, names, rows, numbers=(1, 2, 3, 4)))]


def _nearest_senses(one: Shown, senses: Sequence[str]) -> Block | None:
    """Which two senses lie nearest to each other, to be guessed first; None for less than three."""
    names = [name for name in dict.fromkeys(senses) if name]
    if one.separation is None or len(names) < 3:
        return None
    rows = {name: [i for i, sense in enumerate(senses) if sense == name] for name in names}
    centred = one.comparison.centred
    nearness = {
        pair: float(centred[rows[pair[0]]][:, rows[pair[1]]].mean())
        for pair in itertools.combinations(names, 2)
    }
    words = {pair: say("{one} and {other}", one=pair[0], other=pair[1]) for pair in nearness}
    nearest = max(nearness, key=lambda pair: nearness[pair])
    answer = say(
        "Nearest are {pair}: a mean cosine of {n}.",
        pair=words[nearest],
        n=_signed(nearness[nearest]),
    )
    asked = say("Guess first: which two senses lie nearest to each other? Why these two?")
    likely = sorted(nearness, key=lambda pair: -nearness[pair])[:_MOST_OPTIONS]
    return question(asked, [words[pair] for pair in nearness if pair in likely], answer)


def _first_weights(entry: Entry) -> str:
    """What an untrained twin is."""
    if entry.about.beginning is None:
        return say("random weights in this shape; what its training began with is not known")
    return say("the weights that its training began with")


def _row(found: Separation | None) -> list[str]:
    if found is None:
        return [""] * 4
    numbers = [_signed(value) for value in (found.within, found.between, found.difference)]
    return [*numbers, say("under 1%") if found.chance < 0.01 else f"{found.chance:.0%}"]


def _signed(value: float) -> str:
    return number(value, "+.2f")


def _remark(one: Shown, word: str, texts: Sequence[str]) -> Block:
    """How well a model knows the word, and which other words it does not know at all."""
    tokenizer, entry = one.loaded.tokenizer, one.entry
    found = familiarity(tokenizer, word, texts, entry.task, entry.corpus)
    named = {"model": one.title, "word": repr(word)}
    if not found.known:
        words = say("{model} does not know {word} and reads <unk> in its place.", **named)
    elif found.count is None:
        words = say("How often {model} met {word} in training is not known here.", **named)
    else:
        count = found.count.count
        words = say(
            _MET[tokenizer.kind],
            **named,
            times=say("once") if count == 1 else say("{n} times", n=number(count)),
            all=number(found.count.tokens),
            corpus=found.count.corpus,
        )
    remarks = [words]
    if len(found.pieces) > 1:
        remarks.append(
            say(
                "It reads the word in {n} pieces, {pieces}; what you see is the mean of their "
                "vectors.",
                n=len(found.pieces),
                pieces=" ".join(found.pieces),
            )
        )
    if found.unknown:
        remarks.append(say("Unknown to it: {words}.", words=few(found.unknown)))
    return text(" ".join(remarks))


def _map(place: int, one: Shown, groups: Sequence[str]) -> list[Block]:
    """One model's vectors in the plane where they differ most."""
    from bert_demo.inference.senses import plane

    comparison = one.comparison
    depth = one.loaded.config.num_hidden_layers
    points, shares = plane(comparison.vectors.numpy())
    if comparison.layer == 0:
        where = say("embeddings, before any context")
    else:
        where = say("layer {n} of {all}", n=comparison.layer, all=depth)
    origin = _first_weights(one.entry) if one.untrained else translate(one.entry.origin)
    figure = figures.word_map(points, shares, comparison.contexts, groups)
    return [
        heading(one.title),
        text(f"{origin}; {where}", "muted"),
        chart(f"map-{place}", figure, say("The vectors, seen where they differ most"), 270),
    ]


def _matrix(place: int, one: Shown, likeness: str) -> list[Block]:
    """How alike one model finds the word in each two texts."""
    comparison, centred = one.comparison, likeness == CENTRED
    similar = comparison.centred if centred else comparison.similarities
    if centred:
        what = say("Cosines with the mean vector subtracted")
    else:
        what = say("Cosines of the vectors")
    figure = figures.heat_map(similar.numpy(), comparison.contexts)
    blocks = [heading(one.title), chart(f"likeness-{place}", figure, what, 300)]
    if centred and len(comparison.contexts) == 2:
        words = say("Two vectors always lie opposite each other about their mean.")
        blocks.append(text(words, "muted"))
    return blocks


def _numbers(shown: Sequence[Shown], texts: Sequence[str]) -> Block:
    """The shapes and the numbers that the book prints, for every context."""
    rows = []
    for i, words in enumerate(texts):
        row: list[Any] = [i + 1, words]
        for one in shown:
            found = one.comparison
            numbers = ", ".join(f"{x:.4f}" for x in found.vectors[i, :3].tolist())
            row += [f"(1, {found.lengths[i]}, {found.vectors.shape[1]})", f"[{numbers}]"]
        rows.append(row)
    names = ["", say("Context")]
    for one in shown:
        names += [say("{model}: shape", model=one.title), say("first three numbers")]
    caption = say(
        "Shape: texts, tokens with <cls> and <sep>, numbers a token; then the first three numbers "
        "of {word}",
        word=repr(shown[0].comparison.word),
    )
    return table(caption, names, rows, numbers=range(2, len(names)))
