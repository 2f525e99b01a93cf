"""One word's vectors in several sentences, in up to three models, as a view (D2L 15.10)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bert_demo.config import UserError
from bert_demo.data.crane_world.probes import SENSES
from bert_demo.inference.models import ModelShelf
from bert_demo.inference.senses import Separation, plane, sense_separation, word_count
from bert_demo.ui.parts import figures
from bert_demo.ui.parts.language import later, number, say, translate
from bert_demo.ui.parts.model_menu import MOST_SIDE_BY_SIDE, own_name
from bert_demo.ui.parts.view import (
    Block,
    View,
    chart,
    columns,
    details,
    few,
    heading,
    table,
    text,
    view,
)

if TYPE_CHECKING:
    from bert_demo.inference.contexts import Comparison
    from bert_demo.inference.models import Entry
    from bert_demo.model.checkpoint import Checkpoint

Row = dict[str, str]

BOOK = later("The book's two")
_BOOK_ROWS = (
    ("a crane is flying", "bird"),
    ("a crane driver came <sep> he just left", "machine"),
)
RAW, CENTRED = later("raw"), later("mean subtracted")
BY_CONTEXT, BY_SENSE = later("context"), later("sense")
_COLUMNS = (
    later("Model"),
    later("Same sense"),
    later("Different senses"),
    later("Separation"),
    later("By chance"),
)
_MOST_CONTEXTS, _MOST_LETTERS = 100, 2000

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


def ready_made() -> list[tuple[str, str]]:
    """The lists of contexts to begin with: what each is called, and its name."""
    return [(say(BOOK), BOOK), *((word, word) for word in SENSES)]


def contexts_of(name: str) -> tuple[str, list[Row]]:
    """A word and its contexts, by a name from `ready_made`."""
    if name == BOOK:
        return "crane", [_row_of(words, sense) for words, sense in _BOOK_ROWS]
    if name not in SENSES:
        raise UserError("There are no ready-made contexts named {name!r}.", name=name)
    return name, [_row_of(words, s) for s, texts in SENSES[name].items() for words in texts]


def _row_of(words: str, sense: str) -> Row:
    return {"text": words, "sense": translate(sense)}


def read_rows(rows: Any) -> tuple[list[str], list[str]]:
    """Texts and senses of the rows that have a text; `UserError` for what the page cannot send."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError("The contexts must be a list of rows, each with a text and a sense.")
    pairs = [(str(row.get("text", "")).strip(), str(row.get("sense", "")).strip()) for row in rows]
    pairs = [pair for pair in pairs if pair[0]]
    if len(pairs) < 2:
        raise UserError("Write the word in two sentences or more, so that there is a comparison.")
    if len(pairs) > _MOST_CONTEXTS:
        raise UserError(
            "There are {n} contexts; at most {limit} fit here.", n=len(pairs), limit=_MOST_CONTEXTS
        )
    if any(len(words) > _MOST_LETTERS or len(sense) > _MOST_LETTERS for words, sense in pairs):
        raise UserError(
            "A context is too long; at most {limit:,} letters fit.", limit=_MOST_LETTERS
        )
    return [words for words, _ in pairs], [sense for _, sense in pairs]


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
    names = list(dict.fromkeys(models or []))
    if not 1 <= len(names) <= MOST_SIDE_BY_SIDE:
        raise UserError("Choose one to {limit} models.", limit=MOST_SIDE_BY_SIDE)
    texts, senses = read_rows(rows)
    shown: list[Shown] = []
    titles = [shelf.entry(name).title for name in names]
    for place, name in enumerate(names):
        entry = shelf.entry(name)
        title = entry.title
        if titles.count(title) > 1:
            title += f" {own_name(entry)}"
        shown.append(show_one(title, entry, shelf.load(name), word, texts, senses, layer))
        if untrained and place == 0:
            twin = shelf.twin(name)
            shown.append(
                show_one(
                    say("{model}, untrained", model=title),
                    entry,
                    twin,
                    word,
                    texts,
                    senses,
                    layer,
                    twin=True,
                )
            )
    groups = senses if colour == BY_SENSE else [str(i + 1) for i in range(len(texts))]
    parts = [_column(i, one, senses, groups, likeness) for i, one in enumerate(shown)]
    summary = _summary(shelf, names, shown, word, texts, senses, layer)
    remarks = _remarks(shown, word, texts)
    notes = [text(say(words), "muted") for words in (_DROPOUT, _WHAT_COUNTS)]
    numbers = details(
        say("Shapes and first three numbers, as in the book"),
        _numbers(shown, texts),
        is_open=len(texts) <= 4,
    )
    return view(*summary, *remarks, columns(*parts), numbers, *notes, spoken=summary[0]["text"])


def _summary(
    shelf: ModelShelf,
    names: list[str],
    shown: list[Shown],
    word: str,
    texts: list[str],
    senses: list[str],
    layer: float,
) -> list[Block]:
    quoted = repr(shown[0].comparison.word)
    if shown[0].separation is None:
        return [
            heading(say("{word} in {n} contexts", word=quoted, n=len(texts))),
            text(
                say(
                    "Give the contexts senses, two or more for at least one of them, to see "
                    "whether the model keeps the senses apart."
                )
            ),
        ]
    rows = []
    for name in names:
        one = next(s for s in shown if s.entry.id == name and not s.untrained)
        rows.append([one.title, *_row(one.separation)])
        twin = next((s for s in shown if s.entry.id == name and s.untrained), None)
        if twin is None:
            entry = shelf.entry(name)
            twin = show_one("", entry, shelf.twin(name), word, texts, senses, layer, twin=True)
        rows.append([say("the same, untrained"), *_row(twin.separation)])
    difference = shown[0].separation.difference
    return [
        heading(say("{word}: sense separation {n}", word=quoted, n=_signed(difference))),
        table(
            say(
                "Mean cosine of two contexts, the mean vector subtracted. By chance: how often "
                "senses dealt out at random separate as well"
            ),
            [say(name) for name in _COLUMNS],
            rows,
            numbers=(1, 2, 3, 4),
        ),
    ]


def _row(found: Separation | None) -> list[str]:
    if found is None:
        return [""] * 4
    numbers = [_signed(value) for value in (found.within, found.between, found.difference)]
    return [*numbers, say("under 1%") if found.chance < 0.01 else f"{found.chance:.0%}"]


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\u2212")


def _remarks(shown: list[Shown], word: str, texts: list[str]) -> list[Block]:
    """How well each model knows the word, and which other words it does not know at all."""
    from bert_demo.inference.predict import unknown_words

    found = []
    for one in shown:
        if one.untrained:
            continue
        tokenizer = one.loaded.tokenizer
        counted = word_count(word, tokenizer, one.entry.task, one.entry.corpus)
        unknown = unknown_words(tokenizer, word)
        ids = tokenizer.encode(word, allow_mask=False)
        if set(ids) == {tokenizer.unk_id}:
            words = say(
                "{model} does not know {word} and reads <unk> in its place.",
                model=one.title,
                word=repr(word),
            )
        elif counted is None:
            words = say(
                "How often {model} met {word} in training is not known here.",
                model=one.title,
                word=repr(word),
            )
        else:
            often = number(counted.count)
            words = say(
                _MET[tokenizer.kind],
                model=one.title,
                word=repr(word),
                times=say("once") if counted.count == 1 else say("{n} times", n=often),
                all=number(counted.tokens),
                corpus=counted.corpus,
            )
        remarks = [words]
        if len(ids) > 1:
            remarks.append(
                say(
                    "It reads the word in {n} pieces, {pieces}; what you see is the mean of their "
                    "vectors.",
                    n=len(ids),
                    pieces=" ".join(tokenizer.tokens(ids)),
                )
            )
        others = unknown_words(tokenizer, *(re.sub(r"(?i)<sep>|\[sep\]", " ", t) for t in texts))
        known_already = {other.casefold() for other in unknown}
        others = [other for other in others if other.casefold() not in known_already]
        if others:
            remarks.append(say("Unknown to it: {words}.", words=few(others)))
        found.append(text(" ".join(remarks)))
    return found


def _column(
    place: int, one: Shown, senses: list[str], groups: list[str], likeness: str
) -> list[Block]:
    comparison = one.comparison
    depth = one.loaded.config.num_hidden_layers
    texts = comparison.contexts
    centred = likeness == CENTRED
    similar = comparison.centred if centred else comparison.similarities
    points, shares = plane(comparison.vectors.numpy())
    if comparison.layer == 0:
        where = say("embeddings, before any context")
    else:
        where = say("layer {n} of {all}", n=comparison.layer, all=depth)
    origin = say("random weights") if one.untrained else translate(one.entry.origin)
    if centred:
        what = say("Cosines with the mean vector subtracted")
    else:
        what = say("Cosines of the vectors")
    blocks = [
        heading(one.title),
        text(f"{origin}; {where}", "muted"),
        chart(f"likeness-{place}", figures.heat_map(similar.numpy(), texts), what, 300),
    ]
    if centred and len(texts) == 2:
        words = say("Two vectors always lie opposite each other about their mean.")
        blocks.append(text(words, "muted"))
    figure = figures.word_map(points, shares, texts, groups)
    return [
        *blocks,
        chart(f"map-{place}", figure, say("The vectors, seen where they differ most"), 320),
    ]


def _numbers(shown: list[Shown], texts: list[str]) -> Block:
    """The shapes and the numbers that the book prints, for every context."""
    from bert_demo.inference.predict import encode_ids

    rows = []
    for i, words in enumerate(texts):
        row: list[Any] = [i + 1, words]
        for one in shown:
            model, tokenizer, config = one.loaded
            first, _, second = re.sub(r"(?i)\[sep\]", "<sep>", words).partition("<sep>")
            length = len(encode_ids(model, tokenizer, first, second or None).input_ids)
            numbers = ", ".join(f"{x:.4f}" for x in one.comparison.vectors[i, :3].tolist())
            row += [f"(1, {length}, {config.hidden_size})", f"[{numbers}]"]
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


@dataclass(frozen=True)
class Shown:
    """One model's part of the view."""

    title: str
    entry: Entry
    loaded: Checkpoint
    comparison: Comparison
    separation: Separation | None
    untrained: bool


def show_one(
    title: str,
    entry: Entry,
    loaded: Checkpoint,
    word: str,
    texts: list[str],
    senses: list[str],
    layer: float,
    *,
    twin: bool = False,
) -> Shown:
    """Compare the word's vectors in the texts at a layer, or the last of a model with fewer.

    `twin`: `loaded` is the model's untrained twin. Raises `UserError` where a text lacks the word.
    """
    from bert_demo.inference.contexts import compare

    model, tokenizer, config = loaded
    chosen = max(0, min(int(layer), config.num_hidden_layers))
    found = compare(model, tokenizer, word, texts, layer=chosen)
    return Shown(title, entry, loaded, found, _separation(found, senses), twin)


def _separation(found: Comparison, senses: list[str]) -> Separation | None:
    """Over the contexts that have a sense; None where there are too few."""
    labelled = [i for i, sense in enumerate(senses) if sense]
    try:
        return sense_separation(found.vectors[labelled].numpy(), [senses[i] for i in labelled])
    except UserError:
        return None
