"""Crane World: the built-in corpus, generated in code, for places with no network.

Some forty thousand sentences in paragraphs of three to six. A paragraph tells one scene in
which one word has one sense ("crane" is a bird, a machine, what one does with a neck, or a
surname), so that the next sentence can be told from a stranger and a sense from another.

Sentences are as the WikiText pipeline leaves them (D2L 15.9): lower-cased, tokens separated by
spaces, split on " . "; so only a paragraph's last sentence keeps its final " .".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bert_demo.data.crane_world.days import days
from bert_demo.data.crane_world.everyday import LISTS, NAMES
from bert_demo.data.crane_world.grammar import Dice, Item, State, Template, articles, fill
from bert_demo.data.crane_world.probes import SENSES
from bert_demo.data.crane_world.scenes import scenes
from bert_demo.data.crane_world.splits import belongs, check_split

_SIZES = {"train": 40_000, "validation": 2_000, "test": 2_000}
_SEEDS = {"train": 1, "validation": 2, "test": 3}
_EVERYDAY_SHARE = 0.3
_HERO_SLOTS = ("does", "doing", "do", "done")
_PERSON_SLOTS = ("acts", "acting", "act", "acted")

Draw = Callable[[], Template]


def generate_paragraphs(split: str) -> list[list[str]]:
    """The paragraphs of "train" (about 40,000 sentences), "validation" or "test" (2,000 each).

    No sentence occurs twice, in one split or two, nor among `SENSES`. The same on every
    platform and every call. Raises `ValueError` for any other split.
    """
    check_split(split)
    dice = Dice(_SEEDS[split])
    seen = {text for senses in SENSES.values() for texts in senses.values() for text in texts}
    paragraphs: list[list[str]] = []
    sentences = 0
    while sentences < _SIZES[split]:
        length = 3 + int(dice.random() * 4)
        everyday = dice.random() < _EVERYDAY_SHARE
        state, opening, middle, closing = (_day if everyday else _scene)(dice)
        paragraph: list[str] = []
        for draw in [opening, *[middle] * (length - 2), closing]:
            for _ in range(100):
                sentence = articles(fill(draw(), state, dice))
                if belongs(sentence, split) and sentence not in seen:
                    seen.add(sentence)
                    paragraph.append(sentence)
                    break
        if len(paragraph) >= 3:
            paragraph[-1] += " ."
            sentences += len(paragraph)
            paragraphs.append(paragraph)
    return paragraphs


def _scene(dice: Dice) -> tuple[State, Draw, Draw, Draw]:
    """A scene's state, and what draws templates for its opening, its middle and its end."""
    told = dice.choice(dice.choice(scenes()))
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

    return state, opening, middle, closing


def _day(dice: Dice) -> tuple[State, Draw, Draw, Draw]:
    """As `_scene`, for an ordinary paragraph."""
    day = dice.choice(days())
    state = day.slots | day.draw(dice)
    draw = _without_repeats(dice.choice(day.tenses), dice)
    return state, draw, draw, draw


def _person(dice: Dice, roles: tuple[str, ...]) -> State:
    """Somebody beside the hero, with a friend."""
    role = dice.choice(roles)
    female = role in LISTS["always she"] or (role not in LISTS["always he"] and dice.random() < 0.5)
    he, him, his = ("she", "her", "her") if female else ("he", "him", "his")
    if dice.random() < 0.3:
        first = name = dice.choice(LISTS["women" if female else "men"])
    else:
        first, name = f"a {role}", f"the {role}"
    friend = dice.choice([n for n in NAMES if n != name])
    people = {"ap": first, "p": (name, name, name, name, he), "friend": friend}
    return people | {"he": he, "him": him, "his": his}


def _without_repeats(items: Sequence[Item], dice: Dice) -> Callable[[], Item]:
    """A function that goes through the items in random order, and then through them again."""
    order: list[Item] = []

    def draw() -> Item:
        if not order:
            order.extend(dice.shuffled(items))
        return order.pop()

    return draw


def _drawn(draw: Callable[[], tuple[Template, ...]], form: int) -> Draw:
    """A function that draws a form of a verb phrase, of one that has the form."""

    def drawn() -> Template:
        while not (template := draw()[form])[0]:
            pass
        return template

    return drawn
