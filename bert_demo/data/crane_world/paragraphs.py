"""Crane World: the built-in corpus, generated in code, for places with no network.

Some forty thousand sentences in paragraphs of three to six. A paragraph tells one scene in
which one word has one sense ("crane" is a bird, a machine, what one does with a neck, or a
surname), so that the next sentence can be told from a stranger and a sense from another.

Sentences are as the WikiText pipeline leaves them (D2L 15.9): lower-cased, tokens separated by
spaces, split on " . "; so only a paragraph's last sentence keeps its final " .".
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Sequence

from bert_demo.config import UserError
from bert_demo.data.crane_world import text_crane, text_others
from bert_demo.data.crane_world.days import EVERYDAY
from bert_demo.data.crane_world.frames import FEMALE, MALE, MEN, WOMEN
from bert_demo.data.crane_world.grammar import Dice, Item, State, Template, articles, compiled, fill
from bert_demo.data.crane_world.nli import generate_nli
from bert_demo.data.crane_world.probes import PROBES, SENSES
from bert_demo.data.crane_world.scenes import Telling, read_scenes

__all__ = ["PROBES", "SENSES", "generate_nli", "generate_paragraphs"]

_SIZES = {"train": 40_000, "validation": 2_000, "test": 2_000}
_SEEDS = {"train": 1, "validation": 2, "test": 3}
_SHARES = {"train": range(16), "validation": range(16, 18), "test": range(18, 20)}
_EVERYDAY_SHARE = 0.3
_CRANE_WEIGHT = 3
_HERO_SLOTS = ("does", "doing", "do", "done")
_PERSON_SLOTS = ("acts", "acting", "act", "acted")


@functools.cache
def _scenes() -> tuple[tuple[Telling, ...], ...]:
    """Every scene's tellings; the scenes of "crane" several times, as they are drawn more."""
    scenes = []
    for text in (text_crane.SCENES, text_others.SCENES):
        for word, tellings in read_scenes(text):
            scenes += [tuple(tellings)] * (_CRANE_WEIGHT if word == "crane" else 1)
    return tuple(scenes)


@functools.cache
def _everyday() -> tuple[tuple[Callable[[Dice], State], tuple[tuple[Template, ...], ...]], ...]:
    return tuple(
        (draw, tuple(tuple(compiled(t, past, False) for t in lines) for past in (True, False)))
        for draw, lines, weight in EVERYDAY
        for _ in range(weight)
    )


def _without_repeats(items: Sequence[Item], dice: Dice) -> Callable[[], Item]:
    """A function that goes through the items in random order, and then through them again."""
    order: list[Item] = []

    def draw() -> Item:
        if not order:
            order.extend(dice.shuffled(items))
        return order.pop()

    return draw


def _person(dice: Dice, roles: tuple[str, ...]) -> State:
    """Somebody beside the hero, with a friend."""
    role = dice.choice(roles)
    female = role in FEMALE or (role not in MALE and dice.random() < 0.5)
    he, him, his = ("she", "her", "her") if female else ("he", "him", "his")
    if dice.random() < 0.3:
        first = name = dice.choice(WOMEN if female else MEN)
    else:
        first, name = f"a {role}", f"the {role}"
    friend = dice.choice([n for n in MEN + WOMEN if n != name])
    return {
        "ap": first,
        "p": (name, name, name, name, he),
        "he": he,
        "him": him,
        "his": his,
        "friend": friend,
    }


def _drawn(draw: Callable[[], tuple[Template, ...]], form: int) -> Callable[[], Template]:
    """A function that draws a form of a verb phrase, of one that has the form."""

    def drawn() -> Template:
        while not (template := draw()[form])[0]:
            pass
        return template

    return drawn


def _scene_drafts(dice: Dice) -> tuple[State, list[Callable[[], Template]]]:
    """A scene's state, and what draws templates for its opening, its middle and its end."""
    told = dice.choice(dice.choice(_scenes()))
    state = told.state | _person(dice, told.who) | {"at": dice.choice(told.places)}
    for forms, slots in ((told.does, _HERO_SLOTS), (told.acts, _PERSON_SLOTS)):
        draw = _without_repeats(forms, dice)
        for form, slot in enumerate(slots):
            state[slot] = _drawn(draw, form)
    own = _without_repeats(told.own, dice)

    def opening() -> Template:
        return dice.choice(told.openings)

    def middle() -> Template:
        return own() if dice.random() < 0.35 else dice.choice(told.middles)

    def closing() -> Template:
        return dice.choice(told.closings) if dice.random() < 0.4 else middle()

    return state, [opening, middle, closing]


def _everyday_drafts(dice: Dice) -> tuple[State, list[Callable[[], Template]]]:
    """As `_scene_drafts`, for an ordinary paragraph."""
    draw, tenses = dice.choice(_everyday())
    state = draw(dice)
    return state, [_without_repeats(dice.choice(tenses), dice)] * 3


def generate_paragraphs(split: str) -> list[list[str]]:
    """The paragraphs of "train" (about 40,000 sentences), "validation" or "test" (2,000 each).

    No sentence occurs twice, in one split or two, nor among `SENSES`. The same on every
    platform and every call. Raises `UserError` for any other split.
    """
    if split not in _SIZES:
        raise UserError(
            "split is {value!r}; it must be one of: {choices}.",
            value=split,
            choices=", ".join(_SIZES),
        )
    dice = Dice(_SEEDS[split])
    share = _SHARES[split]
    seen = {text for senses in SENSES.values() for texts in senses.values() for text in texts}
    paragraphs: list[list[str]] = []
    sentences = 0
    while sentences < _SIZES[split]:
        length = 3 + int(dice.random() * 4)
        everyday = dice.random() < _EVERYDAY_SHARE
        state, (opening, middle, closing) = (_everyday_drafts if everyday else _scene_drafts)(dice)
        paragraph: list[str] = []
        for draw in [opening, *[middle] * (length - 2), closing]:
            # A sentence's checksum decides its split, so that splits share none.
            for _ in range(100):
                sentence = articles(fill(draw(), state, dice))
                if zlib.crc32(sentence.encode()) % 20 in share and sentence not in seen:
                    seen.add(sentence)
                    paragraph.append(sentence)
                    break
        if len(paragraph) >= 3:
            paragraph[-1] += " ."
            sentences += len(paragraph)
            paragraphs.append(paragraph)
    return paragraphs
