"""Sentences to probe a model of Crane World with; none of them is in the corpus."""

from __future__ import annotations

from bert_demo.data.crane_world.reader import read, split

SENSES: dict[str, dict[str, tuple[str, ...]]] = read("senses.txt")
"""Word -> sense -> sentences with that very word in that sense, for measuring how far apart a
model keeps the senses."""

PROBES: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
    (sentence, split(answers, ","))
    for sentence, answers in map(split, read("probes.txt")["masked"]["sentences"])
)
"""Masked sentences, each with answers that make sense in Crane World."""
