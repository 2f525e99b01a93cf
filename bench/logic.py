"""How a judge reads pairs of logic that were made anew, by kind.

    python -m bench.logic [--model DIR ...] [--count 3000] [--seed 1]

Templates of the lessons with other words, and captions of SNLI's validation split, denied, counted,
swapped and coloured: what its lessons were to teach, in pairs drawn with another seed. With several
models each has its column. Which colour is whose comes three or four times as often, as in lessons.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import bert_demo
from bench.results import write_section
from bert_demo.data.logic.captions import caption_pairs
from bert_demo.data.logic.pairs import logic_pairs
from bert_demo.data.readers import nli_source
from bert_demo.data.snli import NliTexts
from bert_demo.inference.failures import find_failures

HEADING = "Pairs of logic, made anew"
BUNDLED = Path(__file__).resolve().parents[1] / "checkpoints" / "bert-small-snli"


def made_anew(count: int, seed: int) -> dict[str, NliTexts]:
    """By what they are made of: `count` pairs with their kinds, another draw for each seed."""
    return {
        "templates": logic_pairs(count, seed),
        "captions": caption_pairs(nli_source("snli", "validation").read(), count, seed),
    }


def right_by_kind(model: Path, texts: NliTexts) -> dict[str, tuple[int, int]]:
    """How many pairs of each kind the judge gets right, and of how many; "all" comes last."""
    judge, tokenizer, _ = bert_demo.load(model)
    kinds = find_failures(judge, tokenizer, texts).slices["kind"]
    found = {kind.name: (round(kind.accuracy * kind.n), kind.n) for kind in kinds}
    right, of = map(sum, zip(*found.values(), strict=True))
    return dict(sorted(found.items())) | {"all": (right, of)}


def table(models: Sequence[Path], count: int, seed: int) -> list[str]:
    """A row for each kind, a column for each model."""
    lines = [
        f"| Made of | kind | pairs | {' | '.join(f'`{model.name}`' for model in models)} |",
        f"|---|---|---:|{'---:|' * len(models)}",
    ]
    for source, texts in made_anew(count, seed).items():
        columns = [right_by_kind(model, texts) for model in models]
        for kind, (_, of) in columns[0].items():
            shares = " | ".join(f"{column[kind][0] / of:.3f}" for column in columns)
            lines.append(f"| {source} | {kind} | {of:,} | {shares} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge, and write the section of RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, nargs="+", default=[BUNDLED])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1, help="0 is that of the lessons")
    given = parser.parse_args(arguments)
    command = f"python -m bench.logic --model ... --count {given.count} --seed {given.seed}"
    about = [
        f"`{command}` with the models",
        "of the columns, in fp32: templates of the lessons with words drawn anew, and captions of",
        "SNLI's validation split. Kinds are those of the lessons; the pairs have another seed.",
        "",
    ]
    write_section(HEADING, [*about, *table(given.model, given.count, given.seed)])


if __name__ == "__main__":
    main()
