"""What a run would take, in words."""

from __future__ import annotations

from bert_demo.config import RunConfig
from bert_demo.data.corpora import corpus_spec
from bert_demo.training.cost import Estimate
from bert_demo.ui.parts.language import later, number, say

_UNITS = (
    (86400, later("about {n} days")),
    (3600, later("about {n} hours")),
    (60, later("about {n} minutes")),
)


def facts(expected: Estimate) -> list[list[str]]:
    """An estimate in words, line by line."""
    lines = [[say("Parameters"), number(expected.parameters)]]
    needed, there = _bytes(expected.memory_bytes), _bytes(expected.machine_bytes)
    lines.append([say("Memory"), say("about {needed} of {there} here", needed=needed, there=there)])
    if expected.seconds is None:
        lines.append([say("Time"), say("not known until this machine is measured")])
    else:
        lines.append([say("Time"), _duration(expected.seconds)])
    if expected.steps is not None and expected.passes is not None:
        steps = _rounded(expected.steps)
        if expected.passes < 10:
            passes = f"{expected.passes:.2g}"
            work = say("about {n} steps, {passes} passes over the text", n=steps, passes=passes)
        else:
            work = say("about {n} steps, many passes over the text", n=steps)
        lines.append([say("Work"), work])
    if expected.pairs_per_second is not None:
        speed = say("about {n} pairs a second", n=_rounded(expected.pairs_per_second))
        lines.append([say("Speed"), speed])
    if expected.moments:
        size = _bytes(expected.moments_bytes)
        kept = say(
            "its weights at up to {n} moments, {size} of disk", n=expected.moments, size=size
        )
        lines.append([say("Kept on its way"), kept])
    return lines


def short_facts(run: RunConfig, expected: Estimate) -> str:
    """An estimate in half a line."""
    corpus = corpus_spec(run.corpus).title
    if expected.steps is None or expected.seconds is None:
        return corpus
    if expected.steps == 1:
        return say("one step here takes the whole time")
    steps, memory = _rounded(expected.steps), _bytes(expected.memory_bytes)
    if run.training.budget_seconds is not None:
        return say("about {steps} steps here, {memory}", steps=steps, memory=memory)
    time = _duration(expected.seconds)
    return say("{steps} steps, {corpus}, {time}", steps=steps, corpus=corpus, time=time)


def _bytes(count: float) -> str:
    if count < 1e8:
        return f"{number(count / 1e6, ',.0f')} MB"
    return f"{number(count / 1e9, '.1f' if count < 1e10 else ',.0f')} GB"


def _duration(seconds: float) -> str:
    for size, words in _UNITS:
        if seconds >= 2 * size:
            return say(words, n=number(round(seconds / size)))
    return say("about {n} seconds", n=max(1, round(seconds)))


def _rounded(value: float) -> str:
    """Two digits that can be relied on."""
    value = max(1, round(value))
    digits = 10 ** max(0, len(str(value)) - 2)
    return number(round(value / digits) * digits)
