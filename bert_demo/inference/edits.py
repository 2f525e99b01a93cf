"""Small changes of a premise and a hypothesis, and what a verdict should become by each.

After contrast sets (Gardner et al. 2020) and CheckList (Ribeiro et al. 2020), by rules and the
short word lists of edits.txt: English, and for sentences as SNLI has them. What should happen
follows from the label before by logic alone; where that leaves several labels open, all of them
are given. "A man" is the same man in both texts, as SNLI's writers were told, and a number that is
changed is read as exact. No torch here.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bert_demo.common.errors import Text
from bert_demo.config import LABELS
from bert_demo.data.crane_world.reader import read

_FOLLOWS, _OPEN, _AGAINST = LABELS
_ANY = LABELS
_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")


@dataclass(frozen=True)
class Edit:
    """One small change of a pair, or why it cannot be made."""

    name: str
    """What is done: one of `EDITS`."""
    premise: str | None
    """The pair after the change; a premise of None is left empty."""
    hypothesis: str
    change: Text
    """What was changed in this pair, or why nothing could be."""
    applies: bool
    should: dict[str, tuple[str, ...]]
    """For each label that the pair has before, the labels that it may have afterwards."""


class _NotHereError(Exception):
    """The edit does not apply; its one argument is a `Text` that says why."""


@functools.cache
def word_lists() -> dict[str, dict[str, str]]:
    """The lists of edits.txt by name: each word, and what it becomes, or "" for nothing."""
    lists: dict[str, dict[str, str]] = {}
    for name, entries in read("edits.txt", Path(__file__).parent)["words"].items():
        words = lists[name] = {}
        for entry in entries:
            word, mark, other = (*re.split(r" ([>=]) ", entry), "", "")[:3]
            words.setdefault(word, other)
            if mark == "=":
                words.setdefault(other, word)
    return lists


def edits(premise: str, hypothesis: str) -> list[Edit]:
    """Every one of `EDITS` made to a pair, in their order; also those that do not apply."""
    return [_made(name, premise, hypothesis) for name in EDITS]


def _made(name: str, premise: str, hypothesis: str) -> Edit:
    try:
        texts, change, should = EDITS[name](premise, hypothesis)
    except _NotHereError as why:
        return Edit(name, premise, hypothesis, why.args[0], False, dict.fromkeys(LABELS, _ANY))
    if texts[0] is not None and _alike(texts[0], texts[1]):
        should = ((_FOLLOWS,),) * 3
    return Edit(name, *texts, change, True, dict(zip(LABELS, should, strict=True)))


_Pair = tuple[str | None, str]
_Should = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""What may come of entailment, of neutral and of contradiction."""
_Result = tuple[_Pair, Text, _Should]

_WEAKER_HYPOTHESIS: _Should = ((_FOLLOWS,), (_FOLLOWS, _OPEN), _ANY)
_WEAKER_PREMISE: _Should = ((_FOLLOWS, _OPEN), (_OPEN,), (_OPEN, _AGAINST))
_EXCLUDED: _Should = ((_AGAINST,), (_OPEN, _AGAINST), _ANY)
"""Of a hypothesis that cannot be true together with the one before."""


def _negate(premise: str, hypothesis: str) -> _Result:
    """The hypothesis becomes its opposite: its "not" goes, or one comes."""
    should: _Should = ((_AGAINST,), (_OPEN,), (_FOLLOWS,))
    words = _words(hypothesis)
    lower = [word for _, word in words]
    short = next(
        (m for m, word in words if re.fullmatch(r"(is|are|was|were)n['\u2019]t", word)), None
    )
    if not any(word in word_lists()["quantifiers"] for word in lower):
        if "not" in lower:
            match = words[lower.index("not")][0]
            text = re.sub(r" {2,}", " ", hypothesis[: match.start()] + hypothesis[match.end() :])
            return (premise, text.strip()), Text("“not” taken out of the hypothesis"), should
        if short is not None:
            text = hypothesis[: short.end() - 3] + hypothesis[short.end() :]
            return (premise, text), Text("“not” taken out of the hypothesis"), should
        verb = next((m for m, word in words if word in word_lists()["auxiliaries"]), None)
        if verb is not None:
            text = f"{hypothesis[: verb.end()]} not{hypothesis[verb.end() :]}"
            return (premise, text), Text("“not” put into the hypothesis"), should
    text = _begun_as(hypothesis, f"it is not true that {_small_first(hypothesis)}")
    return (premise, text), Text("“it is not true that” put before the hypothesis"), should


def _number(premise: str, hypothesis: str) -> _Result:
    """A number of the hypothesis, in a word or in digits, becomes the next one."""
    numbers = list(word_lists()["numbers"])
    words = _words(hypothesis)
    for place, (match, word) in enumerate(words):
        # From two up: "one" is many another word, and the noun stays a plural.
        if word not in numbers[1:] and not re.fullmatch(r"[2-9]|[1-9]\d{1,5}", word):
            continue
        if place and words[place - 1][1] in word_lists()["bounds"]:
            before = words[place - 1][1]
            raise _NotHereError(
                Text("behind “{word}” more than one number may be right", word=before)
            )
        _not_behind("partial", hypothesis, match)
        if word in numbers:
            at = numbers.index(word)
            new = numbers[at + 1] if at + 1 < len(numbers) else numbers[at - 1]
        else:
            new = str(int(word) + 1)
        return (premise, _replaced(hypothesis, match, new)), _became(word, new), _EXCLUDED
    raise _NotHereError(Text("the hypothesis has no number above one"))


def _hypernym(premise: str, hypothesis: str) -> _Result:
    """A noun of the hypothesis becomes a wider one."""
    found = _in_list(hypothesis, "hypernyms")
    if found is None:
        raise _NotHereError(Text("the list of wider words has none of the hypothesis' words"))
    match, word, new = found
    _not_behind("reversing", hypothesis, match)
    return (premise, _replaced(hypothesis, match, new)), _became(word, new), _WEAKER_HYPOTHESIS


def _antonym(premise: str, hypothesis: str) -> _Result:
    """A word of the hypothesis becomes its opposite."""
    found = _in_list(hypothesis, "opposites")
    if found is None:
        raise _NotHereError(Text("the list of opposites has none of the hypothesis' words"))
    match, word, new = found
    _not_behind("partial", hypothesis, match)
    return (premise, _replaced(hypothesis, match, new)), _became(word, new), _EXCLUDED


def _some_for_all(premise: str, hypothesis: str) -> _Result:
    """ "all" or "every" becomes "some": in the hypothesis, or else in the premise."""
    for weaker, text in ((_WEAKER_HYPOTHESIS, hypothesis), (_WEAKER_PREMISE, premise)):
        words = _words(text)
        lower = [word for _, word in words]
        place = next((i for i, w in enumerate(lower) if w in ("all", "every", "each")), None)
        if place is None:
            continue
        match, word = words[place]
        _not_behind("reversing", text, match)
        after = lower[place + 1] if place + 1 < len(lower) else ""
        of = word == "all" and after in (
            "the",
            "these",
            "those",
            "his",
            "her",
            "their",
            "my",
            "our",
        )
        new = "some of" if of else "some"
        changed = _replaced(text, match, new)
        pair = (premise, changed) if text is hypothesis else (changed, hypothesis)
        return pair, _became(word, new), weaker
    raise _NotHereError(Text("neither text has “all”, “every” or “each”"))


def _swap_roles(premise: str, hypothesis: str) -> _Result:
    """Who does it and to whom it is done change places in the hypothesis."""
    found = list(_noun_phrases(hypothesis))
    if len(found) < 2:
        raise _NotHereError(
            Text("the hypothesis has no two nouns with “a”, “the” or a number before them")
        )
    (a, b), (c, d) = found[:2]
    first, between, second = hypothesis[a:b], hypothesis[b:c], hypothesis[c:d]
    middle = [word for _, word in _words(between)]
    both_ways = next((word for word in middle if word in word_lists()["both ways"]), None)
    if both_ways is not None:
        raise _NotHereError(Text("“{word}” goes both ways", word=both_ways))
    if not middle or first.lower() == second.lower():
        raise _NotHereError(Text("there are no two roles to change"))
    swapped = hypothesis[:a] + second + between + _small_first(first) + hypothesis[d:]
    change = Text("“{one}” and “{other}” changed places", one=first, other=second)
    return (premise, _begun_as(hypothesis, swapped)), change, ((_OPEN, _AGAINST), _ANY, _ANY)


def _swap_texts(premise: str, hypothesis: str) -> _Result:
    """The premise becomes the hypothesis, and the other way round."""
    if _alike(premise, hypothesis):
        raise _NotHereError(Text("both texts are the same"))
    # What two texts contradict they contradict both ways.
    should: _Should = ((_FOLLOWS, _OPEN), (_FOLLOWS, _OPEN), (_AGAINST,))
    return (hypothesis, premise), Text("premise and hypothesis changed places"), should


def _drop_adjective(premise: str, hypothesis: str) -> _Result:
    """An adjective goes: from the hypothesis, or else from the premise."""
    lists = word_lists()
    for weaker, text in ((_WEAKER_HYPOTHESIS, hypothesis), (_WEAKER_PREMISE, premise)):
        words = _words(text)
        for (match, word), (then, following) in itertools.pairwise(words):
            apart = text[match.end() : then.start()].isspace()
            if word not in lists["adjectives"] or not apart or following in _function_words():
                continue
            _not_behind("reversing", text, match)
            changed = _begun_as(text, _replaced(text, match, ""))
            pair = (premise, changed) if text is hypothesis else (changed, hypothesis)
            return pair, Text("“{word}” left out", word=match.group()), weaker
    raise _NotHereError(Text("neither text has an adjective of the list before a noun"))


def _empty_premise(premise: str, hypothesis: str) -> _Result:
    """Nothing is left that the hypothesis could follow from."""
    return (None, hypothesis), Text("the premise left empty"), ((_OPEN,),) * 3


EDITS: dict[str, Callable[[str, str], _Result]] = {
    "negate": _negate,
    "another number": _number,
    "hypernym": _hypernym,
    "antonym": _antonym,
    "some for all": _some_for_all,
    "swap roles": _swap_roles,
    "swap texts": _swap_texts,
    "drop an adjective": _drop_adjective,
    "empty premise": _empty_premise,
}
"""How each edit is made, by its name."""


def _alike(one: str, other: str) -> bool:
    """Whether two texts are the same words."""
    return [word for _, word in _words(one)] == [word for _, word in _words(other)]


def _words(text: str) -> list[tuple[re.Match[str], str]]:
    """The words of a text: where each stands, and in small letters."""
    return [(match, match.group().lower()) for match in _WORD.finditer(text)]


def _function_words() -> set[str]:
    lists = word_lists()
    headings = "auxiliaries", "determiners", "quantifiers", "prepositions"
    return {word for heading in headings for word in lists[heading]}


def _in_list(text: str, heading: str) -> tuple[re.Match[str], str, str] | None:
    """The first word of a text that a list has, and what it becomes; also plurals with -s."""
    pairs = word_lists()[heading]
    for match, word in _words(text):
        if word in pairs:
            return match, word, pairs[word]
        if heading == "hypernyms" and word.endswith("s") and word[:-1] in pairs:
            one = pairs[word[:-1]]
            many = {"person": "people", "child": "children", "fruit": "fruit"}
            new = many.get(one) or re.sub(r"^(\w+)", r"\1s", one)
            return match, word, new
    return None


def _not_behind(heading: str, text: str, match: re.Match[str]) -> None:
    """Refuse where a word of a list before the match makes the change say something else."""
    for other, word in _words(text):
        negated = word.endswith(("n't", "n\u2019t"))
        if other.start() < match.start() and (word in word_lists()[heading] or negated):
            raise _NotHereError(Text("behind “{word}” it would mean something else", word=word))


def _noun_phrases(text: str) -> Iterator[tuple[int, int]]:
    """Where a determiner, adjectives and one more word stand together: "the old cook"."""
    lists, words = word_lists(), _words(text)
    place = 0
    while place < len(words):
        start = place
        if words[place][1] in lists["determiners"]:
            place += 1
            while place < len(words) and words[place][1] in lists["adjectives"]:
                place += 1
            if place < len(words) and words[place][1] not in _function_words():
                yield words[start][0].start(), words[place][0].end()
        place = max(place, start) + 1


def _replaced(text: str, match: re.Match[str], new: str) -> str:
    """The text with another word in a place, "a" or "an" before it as it should be."""
    before, after = text[: match.start()], text[match.end() :]
    if not new:
        after = after.lstrip()
        following = _WORD.match(after)
        first = following.group() if following else ""
    else:
        first = new
        if match.group()[0].isupper():
            new = new[0].upper() + new[1:]
    article = re.search(r"\b([Aa])n?(\s+)$", before)
    if article and first:
        n = "n" if first[0].lower() in "aeiou" else ""
        before = before[: article.start()] + article[1] + n + article[2]
    return before + new + after


def _became(word: str, new: str) -> Text:
    return Text("“{word}” became “{new}”", word=word, new=new)


def _small_first(text: str) -> str:
    """The text with a small first letter where it began with a determiner or the like."""
    first = _WORD.match(text)
    if first and first.group().lower() in _function_words():
        return text[0].lower() + text[1:]
    return text


def _begun_as(model: str, text: str) -> str:
    """The text with a capital first letter where `model` has one."""
    return text[:1].upper() + text[1:] if model[:1].isupper() else text
