"""Speed and memory of pretraining against size, length and batch, beside the app's own estimates.

    BERT_DEMO_DATA=/path/to/hub python -m bench.scaling

Writes its section of bench/RESULTS.md. Each point is a few seconds of the command line in a fresh
process, which is then ended. Sizes and batches are measured on WikiText-2 as it is, and on Crane
World, at length 64; fine-tuning on Crane World and SNLI, from a model that has hardly begun.
WikiText's sentences are short, so lengths are measured on its words cut anew, such that every pair
is as long as allowed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.results import write_section

HEADING = "Speed and memory against size, length and batch"
_WIKITEXT = "datasets/Salesforce/wikitext/wikitext-2-v1"
_STEPS, _SECONDS = 6, 6
"""A point is measured for this many steps, and as many seconds, at least."""
_MOST_STEPS = 10_000
_MOST_SECONDS = 60
"""A point whose step takes longer is left out."""
_SENTENCES = 8
"""In a paragraph of the text that is cut anew."""


@dataclass(frozen=True)
class Point:
    """One setting."""

    size: str
    length: int
    batch: int
    corpus: str = "wikitext-2"
    recipe: str = "recommended"
    task: str = "pretraining"
    cut: bool = False
    """Whether the text is cut anew, so that every pair has `length` tokens."""

    def pretrained_on(self) -> str | None:
        """What the model that is fine-tuned has read before."""
        if self.task == "pretraining":
            return None
        return "crane-world" if self.corpus == "crane-world" else "wikitext-2-snli"


_CRANE = "crane-world"
POINTS = (
    *(Point(size, 64, 32) for size in ("tiny", "small", "base")),
    *(Point("small", 64, batch) for batch in (8, 128, 512)),
    *(Point("tiny", 64, batch) for batch in (128, 512)),
    Point("base", 64, 8),
    *(Point("small", length, 32, cut=True) for length in (64, 128, 256, 512)),
    *(Point("tiny", 64, batch, _CRANE) for batch in (1, 4, 8, 32, 64, 256)),
    *(Point("small", 64, batch, _CRANE) for batch in (8, 64, 256)),
    *(Point(size, 64, batch, _CRANE, "d2l") for size in ("tiny", "small") for batch in (64, 256)),
    *(
        Point("small", 64, batch, name, task="nli")
        for name in (_CRANE, "snli")
        for batch in (32, 256)
    ),
)


def cut_anew(data: Path, folder: Path, length: int) -> None:
    """A mirror in `folder` whose WikiText-2 has sentences of half of `length`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / _WIKITEXT).mkdir(parents=True)
    count = (length - 3) // 2
    for split in ("train", "validation", "test"):
        name = f"{_WIKITEXT}/{split}-00000-of-00001.parquet"
        lines = pq.read_table(data / name, columns=["text"])["text"].to_pylist()
        # A full stop would end a sentence; the other words are as they were.
        words = [word for line in lines for word in line.split() if word != "."]
        sentences = [" ".join(words[i : i + count]) for i in range(0, len(words) - count, count)]
        paragraphs = [
            " . ".join(sentences[i : i + _SENTENCES]) + "\n"
            for i in range(0, len(sentences) - _SENTENCES, _SENTENCES)
        ]
        pq.write_table(pa.table({"text": paragraphs}), folder / name)


def pretrained(corpus: str, folder: Path, environment: dict[str, str]) -> Path:
    """A small model in `folder` that has taken one step on the corpus."""
    path = folder / f"pretrained-{corpus}"
    if not path.exists():
        command = [
            sys.executable,
            "-m",
            "bert_demo",
            "pretrain",
            "--corpus",
            corpus,
            "--model",
            "small",
        ]
        machine.run_program([*command, "--steps", "1", "--out", str(path)], environment)
    return path


def measured(
    point: Point, start_from: Path | None, environment: dict[str, str]
) -> dict[str, float] | None:
    """Pairs a second and peak memory of some steps, the first left out; None if too slow."""
    command = [sys.executable, "-m", "bert_demo"]
    command += (
        ["pretrain", "--model", point.size]
        if start_from is None
        else ["finetune", "--from", str(start_from)]
    )
    command += ["--corpus", point.corpus, "--recipe", point.recipe, "--json"]
    command += ["--max-length", str(point.length)]
    command += ["--batch-size", str(point.batch), "--steps", str(_MOST_STEPS)]
    command += ["--validate-every-steps", str(_MOST_STEPS), "--save-every-seconds", "86400"]

    def enough(lines: list[str]) -> bool:
        event = json.loads(lines[-1])
        return bool(event.get("step", 0) >= _STEPS and event.get("seconds", 0) >= _SECONDS)

    with tempfile.TemporaryDirectory() as folder:
        done = machine.run_program(
            [*command, "--out", f"{folder}/new"],
            environment,
            until=enough,
            patience=_STEPS * _MOST_SECONDS,
        )
    found = zip(done.lines, done.arrivals, strict=True)
    times = [at for line, at in found if json.loads(line)["event"] == "step"]
    if len(times) < _STEPS:
        return None
    rate = point.batch * (len(times) - 1) / (times[-1] - times[0])
    return {"pairs": rate, "bytes": done.peak_rss_bytes}


def estimated_here(point: Point, start_from: str | None) -> dict[str, float | None]:
    """What the page would say of this point, in this process."""
    from bert_demo.config import RunConfig, TrainingConfig
    from bert_demo.training.cost import estimate
    from bert_demo.training.speed import measured_speed

    training = TrainingConfig(
        recipe=point.recipe, steps=_MOST_STEPS, max_length=point.length, batch_size=point.batch
    )
    run = RunConfig(point.task, point.corpus, point.size, start_from, training=training)
    one = estimate(run, measured_speed())
    return {"pairs": one.pairs_per_second, "bytes": one.memory_bytes}


def row(point: Point, estimate: dict[str, float], found: dict[str, float] | None) -> str:
    """A point as a row of the table."""
    what = point.recipe if point.task == "pretraining" else "fine-tuning"
    text = f"{point.corpus}, cut anew" if point.cut else point.corpus
    cells = [f"{point.size}, {what}", f"{point.length}, {text}", f"{point.batch}"]
    said = [f"{machine.short(estimate['pairs'])} pairs/s", f"{estimate['bytes'] / 1e9:.2f} GB"]
    if found is None:
        slow = f"a step takes over {_MOST_SECONDS} s"
        return "| " + " | ".join([*cells, slow, said[0], "", "", said[1], ""]) + " |"
    ratios = [f"{estimate[name] / found[name] - 1:+.0%}" for name in ("pairs", "bytes")]
    speed, memory = f"{machine.short(found['pairs'])} pairs/s", f"{found['bytes'] / 1e9:.2f} GB"
    cells += [speed, said[0], ratios[0], memory, said[1], ratios[1]]
    return "| " + " | ".join(cells) + " |"


def measure(data: Path, work: Path, points: list[Point]) -> list[str]:
    """The table."""
    lines = [
        "| Size | length and text | batch | measured | estimated | off by "
        "| memory | estimated | off by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for point in points:
        mirror = data
        if point.cut:
            mirror = work / f"cut-{point.length}"
            cut_anew(data, mirror, point.length)
        environment = {**os.environ, "BERT_DEMO_DATA": str(mirror)}
        before = point.pretrained_on()
        start_from = None if before is None else pretrained(before, work, environment)
        command = [sys.executable, "-m", "bench.scaling", "--estimate", str(POINTS.index(point))]
        command += [] if start_from is None else ["--from", str(start_from)]
        estimate = json.loads(machine.run_program(command, environment).lines[-1])
        too_slow = point.batch / estimate["pairs"] > 2 * _MOST_SECONDS
        found = None if too_slow else measured(point, start_from, environment)
        lines.append(row(point, estimate, found))
        print(f"{lines[-1]} (load {machine.load():.1f})", flush=True)
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure speed and memory at several settings.")
    kinds = [*dict.fromkeys(kind for point in POINTS for kind in (point.size, point.corpus))]
    parser.add_argument(
        "--only", choices=kinds, action="append", help="this size or corpus; repeatable"
    )
    parser.add_argument("--estimate", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--from", dest="start_from", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.estimate is not None:
        print(json.dumps(estimated_here(POINTS[chosen.estimate], chosen.start_from)))
        return
    data = machine.real_data(parser)
    before = machine.load()
    points = [p for p in POINTS if {p.size, p.corpus} & set(chosen.only or kinds)]
    with machine.own_cache(), tempfile.TemporaryDirectory() as work:
        table = measure(data, Path(work), points)
    lines = [
        "Measured by `python -m bench.scaling`: pretraining by a recipe, or fine-tuning. Estimated",
        "is what the page says before it has seen any run; memory is that of the whole process.",
        "",
        *machine.describe(before, "numpy"),
        "",
        *table,
    ]
    write_section(HEADING, lines)


if __name__ == "__main__":
    main()
