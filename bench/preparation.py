"""Is preparing SNLI linear, and what does drawing a batch cost?

    BERT_DEMO_DATA=/path/to/hub python -m bench.preparation

Writes its section of bench/RESULTS.md. The training pairs are repeated up to the 550,152 rows of
the full set, in a folder of their own laid out as the Hub is, and prepared from an empty cache and
then from the cache that this made, each in a new process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import machine
from bench.results import write_section

HEADING = "Preparing more pairs, and drawing batches"
ROWS = (50_000, 100_000, 200_000, 550_152)
_SNLI = "datasets/stanfordnlp/snli/plain_text/train-00000-of-00001.parquet"
_WIKITEXT = "datasets/Salesforce"
_DRAWS = 20


def prepare_here(measure: str) -> float:
    """Seconds to prepare a corpus in this process, imports left out as on the book's side.

    Raises:
        CorpusUnavailable: when the text is not to be had.
    """
    from bert_demo.data.prepare import prepare_nli, prepare_text

    begin = time.perf_counter()
    _, tokenizer, _ = prepare_text("wikitext-2")
    if measure == "prepare-snli":
        begin = time.perf_counter()
        prepare_nli("snli", "train", tokenizer)
    return time.perf_counter() - begin


def draw_here(measure: str) -> float:
    """Processor seconds, of one thread, to draw a batch of a training measure and share it out."""
    from bench.workload import workload

    batches, _ = workload(measure)
    seconds = []
    for step in range(_DRAWS):
        begin = time.thread_time()
        plan = batches.plan(step)
        batches.count_masks(plan)
        for thread in range(2):
            batches.lay_out(plan.shard(thread, 2))
        seconds.append(time.thread_time() - begin)
    return median(seconds[1:])  # the first one shuffles


def repeated(data: Path, folder: Path, rows: int) -> None:
    """A mirror in `folder` whose SNLI has this many training rows, those of `data` repeated."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(data / _SNLI)
    copies = pa.concat_tables([table] * -(-rows // len(table)))
    file = folder / _SNLI
    file.parent.mkdir(parents=True)
    pq.write_table(copies.slice(0, rows), file)
    (folder / _WIKITEXT).symlink_to(data / _WIKITEXT)


def preparation(data: Path, work: Path, rounds: int) -> list[str]:
    """A table: rows of SNLI against seconds, from nothing and from the cache."""
    lines = ["| Rows | from nothing | a million rows | from the cache | memory |"]
    lines.append("|---|---|---|---|---|")
    for rows in ROWS:
        mirror = work / f"{rows}"
        repeated(data, mirror, rows)
        cold: list[float] = []
        warm: list[float] = []
        peaks = []
        for number in range(rounds):
            cache = {"BERT_DEMO_CACHE": str(work / f"cache-{rows}-{number}")}
            environment = {**os.environ, **cache, "BERT_DEMO_DATA": str(mirror)}
            for seconds in (cold, warm):
                command = [sys.executable, "-m", "bench.preparation", "--here", "prepare-snli"]
                done = machine.run_program(command, environment)
                seconds.append(float(done.lines[-1]))
                peaks.append(done.peak_rss_bytes)
            print(f"{rows:,} rows: {cold[-1]:.2f} s, then {warm[-1]:.4f} s", flush=True)
        cells = [f"{rows:,}", f"{machine.figures(cold)} s", f"{median(cold) / rows * 1e6:.1f} s"]
        cells += [f"{machine.figures(warm)} s", f"{max(peaks) / 1e9:.2f} GB"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def drawing(data: Path, work: Path, steps: int) -> list[str]:
    """A table: what drawing a batch takes beside the step that it is for."""
    from bench.peers import Bench, own
    from bench.workload import BATCH_SIZE

    bench = Bench(Path(), steps, work, data)
    lines = ["| Batch of 512 | drawing it | a step | share |", "|---|---|---|---|"]
    for measure, title in (("pretrain", "pretraining, tiny"), ("finetune", "fine-tuning, small")):
        command = [sys.executable, "-m", "bench.preparation", "--draw", measure]
        done = machine.run_program(command, bench.environment("own"))
        draw = float(done.lines[-1])
        step = BATCH_SIZE / own(bench, measure)["value"]
        cells = [title, f"{draw * 1e3:.1f} ms", f"{step * 1e3:.0f} ms", f"{draw / step:.1%}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure preparing text and drawing batches.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="times four steps are timed")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    parser.add_argument("--draw", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.here or chosen.draw:
        print(json.dumps(prepare_here(chosen.here) if chosen.here else draw_here(chosen.draw)))
        return
    data = machine.real_data(parser)
    before = machine.load()
    with tempfile.TemporaryDirectory() as work:
        prepared = preparation(data, Path(work), chosen.rounds)
        drawn = drawing(data, Path(work), chosen.steps)
    lines = [
        "Measured by `python -m bench.preparation`. Rows beyond the 100,000 that there are repeat",
        "them. Drawing a batch is the time of one thread, all its pieces for the threads included.",
        "",
        *machine.describe(before, "numpy"),
        "",
        *prepared,
        "",
        *drawn,
    ]
    write_section(HEADING, lines)


if __name__ == "__main__":
    main()
