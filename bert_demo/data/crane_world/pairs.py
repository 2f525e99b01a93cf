"""Pairs of premise and hypothesis about who is there and who does what.

Every function draws a hypothesis and gives it back with a function that draws a premise for a
label. As in SNLI, premise and hypothesis speak of one scene: "a dog is resting" contradicts
"a bird is resting", and "five dogs" contradicts "two dogs".
"""

from __future__ import annotations

from collections.abc import Callable

from bert_demo.data.crane_world import everyday
from bert_demo.data.crane_world.grammar import Dice, finite, gerund, participle

ENTAILMENT, NEUTRAL, CONTRADICTION = 0, 1, 2

Draft = tuple[str, Callable[[int], str]]
"""A hypothesis, and a function that draws a premise for a label."""


def other(dice: Dice, items: tuple[str, ...], *taken: str) -> str:
    """One of the items that is not taken."""
    return dice.choice([item for item in items if item not in taken])


def person_phrase(dice: Dice, person: str) -> str:
    """A noun phrase for a person: some have an adjective, so that premises vary."""
    adjective = dice.choice(everyday.LISTS["person looks"]) + " " if dice.random() < 0.4 else ""
    return f"{dice.choice(('a', 'the'))} {adjective}{person}"


def aside(dice: Dice) -> str:
    """An addition that changes no label, after about a third of the premises."""
    draw = dice.random()
    if draw < 0.2:
        return " " + dice.choice(everyday.LISTS["times"])
    return " " + dice.choice(everyday.LISTS["asides"]) if draw < 0.35 else ""


def incompatible(dice: Dice, activity: everyday.Activity) -> everyday.Activity:
    """Something that nobody does while doing the activity."""
    return dice.choice([item for item in everyday.ACTIVITIES if item.excludes(activity)])


def stranger(dice: Dice, top: str, kind: str) -> str:
    """A member of another kind under the same top."""
    kinds = everyday.KINDS[top]
    return dice.choice(kinds[other(dice, tuple(kinds), kind)])


def kind_pair(dice: Dice) -> Draft:
    """Hypernyms as subjects: every sparrow is a bird."""
    top = dice.choice(tuple(everyday.DOINGS))
    kind = dice.choice(tuple(everyday.KINDS[top]))
    doing = dice.choice(everyday.DOINGS[top])

    def premise(label: int) -> str:
        if label == ENTAILMENT:
            noun = dice.choice(everyday.KINDS[top][kind])
        elif label == NEUTRAL:
            noun = top
        else:
            noun = stranger(dice, top, kind)
        noun = f"{dice.choice(everyday.LOOKS[top])} {noun}".lstrip()
        return f"{dice.choice(('a', 'the'))} {noun} is {doing}{aside(dice)}"

    return f"{dice.choice(('a', 'the'))} {kind} is {doing}", premise


def handled_kind_pair(dice: Dice) -> Draft:
    """Hypernyms as objects: who eats an apple eats a fruit."""
    top = dice.choice(tuple(everyday.HANDLING))
    kind = dice.choice(tuple(everyday.KINDS[top]))
    doing = dice.choice(everyday.HANDLING[top])
    person = dice.choice(everyday.PEOPLE)

    def premise(label: int) -> str:
        if label == ENTAILMENT:
            noun = "a " + dice.choice(everyday.KINDS[top][kind])
        elif label == NEUTRAL:
            noun = dice.choice(("a " + top, "something"))
        else:
            noun = "a " + stranger(dice, top, kind)
        return f"{person_phrase(dice, person)} is {doing} {noun}{aside(dice)}"

    return f"the {person} is {doing} a {kind}", premise


def activity_pair(dice: Dice) -> Draft:
    """What somebody does, and does not do."""
    activity = dice.choice(everyday.ACTIVITIES)
    person = dice.choice(everyday.PEOPLE)
    place = dice.choice(activity.places)
    negated = dice.random() < 0.5

    def premise(label: int) -> str:
        subject = person_phrase(dice, person)
        if label == NEUTRAL:
            colour = dice.choice(everyday.LISTS["colours"])
            clothes = dice.choice(everyday.LISTS["clothes"])
            state = dice.choice((f"is {place}", f"is wearing a {colour} {clothes}"))
        elif (label == ENTAILMENT) != negated:
            state = "is " + gerund(dice.choice((activity.verb, activity.specific)))
        else:
            state = "is " + gerund(incompatible(dice, activity).verb)
        return f"{subject} {state}{aside(dice)}"

    middle = "is not" if negated else "is"
    return f"the {person} {middle} {gerund(activity.verb)}", premise


def generality_pair(dice: Dice) -> Draft:
    """Who reads a book reads something; who reads something may not read a book."""
    activity = dice.choice(everyday.ACTIVITIES)
    person = dice.choice(everyday.PEOPLE)
    general = dice.random() < 0.5

    def premise(label: int) -> str:
        if label == CONTRADICTION and (general or dice.random() < 0.5):
            denied = gerund(activity.general).replace("some", "any")
            state = f"is not {denied}"
        elif label == CONTRADICTION:
            state = "is " + gerund(incompatible(dice, activity).verb)
        elif label == ENTAILMENT:
            verb = dice.choice((activity.verb, activity.specific)) if general else activity.specific
            state = "is " + gerund(verb)
        else:
            state = "is " + (dice.choice(activity.places) if general else gerund(activity.general))
        return f"{person_phrase(dice, person)} {state}{aside(dice)}"

    claim = activity.general if general else activity.verb
    return f"the {person} is {gerund(claim)}", premise


def presence_pair(dice: Dice) -> Draft:
    """Somebody or nobody in a room."""
    room = dice.choice(everyday.LISTS["rooms"])
    doing = dice.choice(everyday.LISTS["pastimes"])
    nobody = dice.random() < 0.5

    def premise(label: int) -> str:
        person = person_phrase(dice, dice.choice(everyday.PEOPLE))
        if label == NEUTRAL:
            elsewhere = f"is {doing} in the {other(dice, everyday.LISTS['rooms'], room)}"
            look = f"the {room} is {dice.choice(everyday.LISTS['room looks'])}"
            premises = (f"{person} {elsewhere}", look, f"nobody {elsewhere}")
        elif (label == ENTAILMENT) != nobody:
            return f"{person} is {doing} in the {room}{aside(dice)}"
        else:
            premises = (
                *(f"the {room} is empty", f"there is no one in the {room}"),
                f"no one is in the {room}",
            )
        return dice.choice(premises) + aside(dice)

    return f"{'nobody' if nobody else 'someone'} is {doing} in the {room}", premise


def detail_pair(dice: Dice) -> Draft:
    """Additions: what the premise says more entails, what it says less does not."""
    activity = dice.choice(everyday.ACTIVITIES)
    person = dice.choice(everyday.PEOPLE)
    sort = dice.choice(("place", "place", "clothes", "time", "company"))
    clothes = dice.choice(everyday.LISTS["clothes"])
    details = {
        "place": activity.places,
        "clothes": tuple(f"in a {colour} {clothes}" for colour in everyday.LISTS["colours"]),
        "time": everyday.LISTS["times"],
        "company": everyday.LISTS["company"],
    }
    detail = dice.choice(details[sort])

    def sentence(subject: str, given: dict[str, str]) -> str:
        order = ("clothes", "doing", "company", "place", "time")
        given = {**given, "doing": "is " + gerund(activity.verb)}
        return " ".join([subject, *(given[part] for part in order if part in given)])

    def conflict() -> str:
        # A friend may be a child, but who is alone is with neither.
        if sort == "company" and detail != "alone":
            return "alone"
        return other(dice, details[sort], detail)

    def premise(label: int) -> str:
        given = {}
        if label != NEUTRAL:
            given[sort] = detail if label == ENTAILMENT else conflict()
        if label == NEUTRAL or dice.random() < 0.4:
            extra = other(dice, tuple(details), sort)
            given[extra] = dice.choice(details[extra])
        return sentence(person_phrase(dice, person), given)

    return sentence(f"the {person}", {sort: detail}), premise


def voice_pair(dice: Dice) -> Draft:
    """Who did it: active and passive say the same."""
    verb, things = dice.choice(everyday.DEEDS)
    thing = dice.choice(things)
    person = dice.choice(everyday.PEOPLE)
    others = everyday.SEXES if person in everyday.SEXES else everyday.WORKERS
    passive = dice.random() < 0.5

    def telling(who: str, as_passive: bool) -> str:
        if as_passive:
            return f"the {thing} was {participle(verb)} by {who}"
        return f"{who} {finite(verb, past=True, many=False)} the {thing}"

    def premise(label: int) -> str:
        where = " " + dice.choice(everyday.LISTS["places"]) if dice.random() < 0.7 else ""
        if label == NEUTRAL:
            seen = f"{person_phrase(dice, person)} saw the {thing}"
            text = dice.choice((telling("someone", dice.random() < 0.5), seen))
        elif label == CONTRADICTION and dice.random() < 0.3:
            return f"the {person} did not {verb} the {thing}"
        else:
            who = person if label == ENTAILMENT else other(dice, others, person)
            text = telling(person_phrase(dice, who), dice.random() < 0.6)
        return text + where

    return telling(f"the {person}", passive), premise
