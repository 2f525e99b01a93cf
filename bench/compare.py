"""This project beside the book's own code and Hugging Face `transformers`, on one machine.

    BERT_DEMO_DATA=/path/to/hub make bench

Writes its section of bench/RESULTS.md. Each figure is the median of several rounds; in a round all
sides run one after the other, each in a process of its own, and the side that begins changes from
round to round. Training speed leaves out the first step, which warms up. The other sides are
`d2l_baseline.py` and `transformers_baseline.py`; this project's is its own command line, timed
from outside.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import machine, tables
from bench.peers import SIDES, Bench, limits, sides_of
from bench.results import RESULTS, write_section

HEADING = "Beside the book's own code and transformers"


def run_rounds(
    bench: Bench, measures: Sequence[str], rounds: int
) -> tuple[tables.Found, list[dict[str, Any]]]:
    """For each measure every side's findings, one a round; and the machine's limits each round."""
    found: tables.Found = {name: {side: [] for side in sides_of(name)} for name in measures}
    ceilings = []
    for number in range(rounds):
        for measure in measures:
            sides = sides_of(measure)
            first = number % len(sides)
            for side in sides[first:] + sides[:first]:
                one = SIDES[side](bench, measure)
                found[measure][side].append(one)
                value = f"{one['value']:.3g} (load {machine.load():.1f})"
                print(f"round {number + 1}: {measure}, {side}: {value}", flush=True)
        ceilings.append(limits(bench))
    return found, ceilings


def main() -> None:
    """Run what is asked for and write the results."""
    parser = argparse.ArgumentParser(description="Compare this project with its peers.")
    default = machine.ROOT / ".bench/d2l"
    parser.add_argument("--d2l", type=Path, default=default, help="where d2l is")
    names = list(tables.TITLES)
    parser.add_argument("--only", choices=names, action="append", help="this measure; repeatable")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="the book's training steps a round")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file for the results")
    chosen = parser.parse_args()
    data = machine.real_data(parser)
    before = machine.load()
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(chosen.d2l.resolve(), chosen.steps, Path(work), data)
        found, ceilings = run_rounds(bench, chosen.only or names, chosen.rounds)
    lines = [
        "Measured by `BERT_DEMO_DATA=... make bench`; `bench/compare.py` says how.",
        "",
        *machine.describe(before, "numpy", "transformers"),
        f"- d2l 1.0.3; {chosen.rounds} rounds",
        "",
        *tables.comparison(found),
        "",
        *tables.limit_table(found, ceilings),
    ]
    write_section(HEADING, lines, chosen.out)


if __name__ == "__main__":
    main()
