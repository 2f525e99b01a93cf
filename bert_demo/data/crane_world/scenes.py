"""Crane World's scenes, made ready to be told: one for each sense of a word."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from bert_demo.common.errors import UserError
from bert_demo.data.crane_world.grammar import (
    STATIVE,
    State,
    Template,
    compiled,
    finite,
    ing,
    participle,
    plural,
)
from bert_demo.data.crane_world.reader import Section, read, split

_CRANE_WEIGHT = 3
_PRONOUNS = {"it": ("it", "its"), "he": ("him", "his"), "she": ("her", "her")}
_COUNTS = ("two", "three", "four", "five", "several", "some", "many")
_STYLES = ("hero", "name", "mass")
_FIELDS = {"adj", "do", "at", "is", "who", "acts", "own"}


@dataclass(frozen=True)
class Telling:
    """A scene's templates for one hero, tense and number, ready to be filled."""

    state: State
    does: tuple[tuple[Template, ...], ...]
    acts: tuple[tuple[Template, ...], ...]
    openings: tuple[Template, ...]
    middles: tuple[Template, ...]
    own: tuple[Template, ...]
    closings: tuple[Template, ...]
    who: tuple[str, ...]
    places: tuple[str, ...]


@functools.cache
def scenes() -> tuple[tuple[Telling, ...], ...]:
    """Every scene's tellings: with each hero, in both tenses, with one hero and several.

    The scenes of "crane" come several times, as they are told more often. Raises `UserError` for
    a scene with a field too many or too few.
    """
    frames = read("frames.txt")
    found: list[tuple[Telling, ...]] = []
    for heading, scene in read("scenes.txt").items():
        word, _, kind = split(heading)
        heroes = [(s, split(entry)) for s in _STYLES for entry in scene.get(s, ())]
        if not heroes or scene.keys() - _STYLES != _FIELDS:
            wanted = ", ".join(sorted(_FIELDS))
            raise UserError(
                "scenes.txt: {heading} needs {wanted} and a hero, no other fields.",
                heading=heading,
                wanted=wanted,
            )
        tellings = (
            _telling(scene, frames, style, names, kind, past, many)
            for past in (True, False)
            for style, names in heroes
            for many in ((False, True) if style == "hero" else (False,))
        )
        found += [tuple(tellings)] * (_CRANE_WEIGHT if word == "crane" else 1)
    return tuple(found)


def _telling(
    scene: Section,
    frames: dict[str, Section],
    style: str,
    names: tuple[str, ...],
    kind: str,
    past: bool,
    many: bool,
) -> Telling:
    def prepared(templates: Iterable[str]) -> tuple[Template, ...]:
        return tuple(compiled(template, past, many) for template in templates)

    frame = frames["frames"]
    state = _naming(style, names, scene["adj"], many)
    state |= {"neck": "necks" if many else "neck", "is": scene["is"]}
    state["when"] = frames["times"]["past" if past else "present"]
    return Telling(
        state=state,
        does=tuple(_verb_forms(verb, past, many) for verb in scene["do"]),
        acts=tuple(_verb_forms(verb, past, False) for verb in scene["acts"]),
        openings=prepared(
            frame["openings"] + (frame["openings with a thing"] if style != "name" else ())
        ),
        middles=prepared(
            frame["middles"] + (frame["middles with a living hero"] if kind != "thing" else ())
        ),
        own=prepared(scene["own"]),
        closings=prepared(frame["closings"]),
        who=scene["who"],
        places=scene["at"],
    )


def _verb_forms(verb_phrase: str, past: bool, many: bool) -> tuple[Template, ...]:
    """Finite, -ing (empty where there is none), base and participle of a verb phrase."""
    verb, _, rest = verb_phrase.partition(" ")
    forms = (finite(verb, past, many), ing(verb), verb, participle(verb))
    result = [compiled(f"{form} {rest}".strip(), past, many) for form in forms]
    if verb in STATIVE:
        result[1] = ("", ())
    return tuple(result)


def _naming(style: str, names: tuple[str, ...], adjectives: tuple[str, ...], many: bool) -> State:
    """How the hero is named: first, later, as an object, by pronoun."""
    first: tuple[str, ...]
    later: tuple[str, ...]
    name, *several, it, other = names
    them, its = _PRONOUNS[it]
    if style == "name":
        called = name
        first, later = (name,), (name, name, name, it)
    elif style == "mass":
        called = f"the {name}"
        first = tuple(f"some {word} {name}" for word in adjectives)
        later = (called, called, called, it)
    elif many:
        it, them, its = "they", "them", "their"
        called = f"the {several[0]}"
        looks = ["", "", *(f"{word} " for word in adjectives)]
        first = tuple(f"{count} {look}{several[0]}" for count in _COUNTS for look in looks)
        later = (*[called] * 6, it, it, f"the {plural(other)}")
    else:
        called = f"the {name}"
        first = (*(f"a {word} {name}" for word in adjectives), *[f"a {name}"] * 4)
        later = (*[called] * 7, it, it, f"the {other}", f"the {adjectives[0]} {name}")
    as_object = (called,) if style == "name" else (called, called, called, them)
    return {"a": first, "the": later, "x": as_object, "n": called, "it": it, "its": its}
