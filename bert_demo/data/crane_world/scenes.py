"""Crane World's scenes, read from the lexicons and made ready to be told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bert_demo.data.crane_world.frames import (
    CLOSINGS,
    LIVING_MIDDLES,
    MIDDLES,
    OPENINGS,
    PAST_TIMES,
    PRESENT_TIMES,
    THING_OPENINGS,
)
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

_PRONOUNS = {"it": ("it", "its"), "he": ("him", "his"), "she": ("her", "her")}
_COUNTS = ("two", "three", "four", "five", "several", "some", "many")
_SPACES = re.compile(r"\s+")


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


def _verb_forms(verb_phrase: str, past: bool, many: bool) -> tuple[Template, ...]:
    """Finite, -ing (empty where there is none), base and participle of a verb phrase."""
    verb, _, rest = verb_phrase.partition(" ")
    forms = (finite(verb, past, many), ing(verb), verb, participle(verb))
    result = [compiled(f"{form} {rest}".strip(), past, many) for form in forms]
    if verb in STATIVE:
        result[1] = ("", ())
    return tuple(result)


def _naming(style: str, names: list[str], adjectives: list[str], many: bool) -> State:
    """How the hero is named: first, later, as an object, by pronoun."""
    first: tuple[str, ...]
    later: tuple[str, ...]
    name, *several, it, other = names
    them, its = _PRONOUNS[it]
    if style == "name":
        first, later, called = (name,), (name, name, name, it), name
    elif style == "mass":
        called = f"the {name}"
        first, later = (
            tuple(f"some {word} {name}" for word in adjectives),
            (called, called, called, it),
        )
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


def _tellings(scene: dict[str, list[str]], heroes: list[list[str]], kind: str) -> list[Telling]:
    """The scene with each hero, in both tenses, with one hero and several."""
    return [
        _telling(scene, hero, kind, past, many)
        for past in (True, False)
        for hero in heroes
        for many in ((False, True) if hero[0] == "hero" else (False,))
    ]


def _telling(
    scene: dict[str, list[str]], hero: list[str], kind: str, past: bool, many: bool
) -> Telling:
    def prepared(templates: Iterable[str]) -> tuple[Template, ...]:
        return tuple(compiled(template, past, many) for template in templates)

    style, *names = hero
    return Telling(
        state=_naming(style, names, scene["adj"], many)
        | {
            "neck": "necks" if many else "neck",
            "is": tuple(scene["is"]),
            "when": PAST_TIMES if past else PRESENT_TIMES,
        },
        does=tuple(_verb_forms(verb, past, many) for verb in scene["do"]),
        acts=tuple(_verb_forms(verb, past, False) for verb in scene["acts"]),
        openings=prepared(OPENINGS + (THING_OPENINGS if style != "name" else ())),
        middles=prepared(MIDDLES + (LIVING_MIDDLES if kind != "thing" else ())),
        own=prepared(scene["own"]),
        closings=prepared(CLOSINGS),
        who=tuple(scene["who"]),
        places=tuple(scene["at"]),
    )


def read_scenes(text: str) -> Iterator[tuple[str, list[Telling]]]:
    """Read the scenes of a lexicon: (word, its tellings)."""
    for block in text.strip().split("\n\n"):
        heroes: list[list[str]] = []
        scene: dict[str, list[str]] = {}
        word = kind = ""
        for line in re.sub(r"\n +", " ", block).splitlines():
            field, _, content = line.partition(": ")
            if field == "scene":
                word, _, kind = content.split(" / ")
            elif field in ("hero", "name", "mass"):
                names, *rest = content.split(" / ")
                heroes += [[field, name.strip(), *rest] for name in names.split(",")]
            else:
                items = [_SPACES.sub(" ", item).strip() for item in content.split(";")]
                scene[field] = [item for item in items if item]
        yield word, _tellings(scene, heroes, kind)
