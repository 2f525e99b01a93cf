"""This project beside the book's own code, alternating on one machine; writes bench/RESULTS.md.

    BERT_DEMO_DATA=/path/to/hub make bench

Each figure is the median of several rounds; in a round both sides run one after the other, each
in a process of its own, and the side that begins changes from round to round. Training speed
leaves out the first step, which warms up. The book's side is `d2l_baseline.py`; this project's is
its own command line, timed from outside by when each step's line arrives.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("RESULTS.md")

# Names as in d2l_baseline.py; in the order they run.
TITLES = {
    "pretrain": "Pretraining: tiny, batch 512, length 64, 20,256 words",
    "finetune": "Fine-tuning: small, batch 512, length 128",
    "prepare-snli": "Preparing SNLI's 100,000 pairs",
    "prepare-wikitext": "Preparing WikiText-2",
}
_OWN_STEPS_FOR_ONE = 4
"""Own steps for each of the book's: as many seconds of measuring, or nearly."""


@dataclass(frozen=True)
class Bench:
    """What every measure needs to know."""

    d2l: Path
    steps: int
    work: Path
    data: Path

    def environment(self, cache: str) -> dict[str, str]:
        """The child's environment, with a cache of prepared corpora under this name."""
        folder = str(self.work / cache)
        return {**os.environ, "BERT_DEMO_CACHE": folder, "BERT_DEMO_DATA": str(self.data)}


def book(bench: Bench, measure: str) -> dict[str, Any]:
    """One measure of the book's code."""
    script = str(Path(__file__).with_name("d2l_baseline.py"))
    command = [sys.executable, "-W", "ignore", script, "--d2l", str(bench.d2l)]
    command += ["--only", measure, "--steps", str(bench.steps), "--here"]
    lines, _, _ = _run(command, bench.environment("book"))
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def own(bench: Bench, measure: str) -> dict[str, Any]:
    """The same measure of this project."""
    if measure.startswith("prepare"):
        return _own_preparation(bench, measure)
    steps = bench.steps * _OWN_STEPS_FOR_ONE + 1
    flags = ["--recipe", "d2l", "--batch-size", "512", "--steps", str(steps)]
    flags += ["--validate-every-steps", str(steps + 1), "--save-every-seconds", "86400"]
    if measure == "pretrain":
        command = ["pretrain", "--corpus", "wikitext-2", "--model", "tiny", "--max-length", "64"]
        command += ["--truncation", "drop"]  # as the book does, so that pairs are equally long
    else:
        start = ["--from", str(_start_of_finetuning(bench))]
        command = ["finetune", "--corpus", "snli", "--max-length", "128", *start]
    lines, arrivals, peak = _own_command(bench, [*command, *flags, "--out", _fresh(bench)])
    events = [json.loads(line) for line in lines]
    times = [at for event, at in zip(events, arrivals, strict=True) if event["event"] == "step"]
    seconds = times[-1] - times[0]
    return {
        "value": 512 * (len(times) - 1) / seconds,
        "seconds": seconds,
        "steps": len(times) - 1,
        "peak_rss_bytes": peak,
        "precision": events[0]["precision"],
    }


def _own_preparation(bench: Bench, measure: str) -> dict[str, Any]:
    """From an empty cache, then from the cache that this made, each in a new process."""
    cache = _fresh(bench)
    command = [sys.executable, "-m", "bench.compare", "--prepare", measure]
    cold, cached = (_run(command, bench.environment(cache)) for _ in range(2))
    seconds = float(cold[0][-1])
    from_cache = {"value": float(cached[0][-1]), "peak_rss_bytes": cached[2]}
    return {
        "value": seconds,
        "seconds": seconds,
        "peak_rss_bytes": cold[2],
        "from_cache": from_cache,
    }


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


def learning(bench: Bench, recipe: str, seconds: int) -> dict[str, Any]:
    """What a tiny model learns of WikiText-2 in this many seconds of training."""
    command = ["pretrain", "--corpus", "wikitext-2", "--model", "tiny", "--recipe", recipe]
    command += ["--budget-seconds", str(seconds), "--out", _fresh(bench)]
    lines, _, _ = _own_command(bench, command)
    events = [json.loads(line) for line in lines]
    return {"recipe": recipe, "start": events[0], "end": events[-1]}


def _start_of_finetuning(bench: Bench) -> Path:
    """A small model with WikiText-2's vocabulary; its weights do not matter to speed."""
    folder = bench.work / "small"
    if not folder.exists():
        command = ["pretrain", "--corpus", "wikitext-2", "--model", "small", "--recipe", "d2l"]
        _own_command(bench, [*command, "--steps", "1", "--out", str(folder)])
    return folder


def _own_command(bench: Bench, arguments: Sequence[str]) -> tuple[list[str], list[float], int]:
    command = [sys.executable, "-m", "bert_demo", *arguments, "--json"]
    return _run(command, bench.environment("own"))


def _fresh(bench: Bench) -> str:
    """A path under the work folder where nothing lies yet."""
    return str(Path(tempfile.mkdtemp(dir=bench.work)) / "new")


def _run(command: list[str], environment: dict[str, str]) -> tuple[list[str], list[float], int]:
    """The lines a program prints, when each arrived (s), and its peak memory (bytes).

    `os.wait4` tells the memory of this one child; the interpreter's own figure is of all so far.
    """
    lines: list[str] = []
    arrivals: list[float] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            lines.append(line)
            arrivals.append(time.perf_counter())
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"exit code {child.returncode}: {shlex.join(command)}")
    return lines, arrivals, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run_rounds(bench: Bench, measures: Sequence[str], rounds: int) -> dict[str, Any]:
    """For each measure both sides' findings, one of each a round."""
    found: dict[str, Any] = {measure: {"book": [], "own": []} for measure in measures}
    for number in range(rounds):
        for measure in measures:
            sides = {"book": book, "own": own}
            order = ["book", "own"] if number % 2 == 0 else ["own", "book"]
            for side in order:
                one = sides[side](bench, measure)
                found[measure][side].append(one)
                load = f"load {os.getloadavg()[0]:.1f}"
                print(
                    f"round {number + 1}: {measure}, {side}: {one['value']:.3g} ({load})",
                    flush=True,
                )
    return found


def report(
    found: dict[str, Any], learnt: Sequence[dict[str, Any]], rounds: int, load: float
) -> str:
    """The findings as Markdown; `load` is how busy the machine was before, in processes."""
    lines = [
        "# This project beside the book's own code",
        "",
        "Measured by `BERT_DEMO_DATA=... make bench`; `bench/compare.py` says how.",
        "",
        *(f"- {line}" for line in _machine(found, rounds, load)),
        "",
        "| Measure | book | bert_demo | ratio | book's memory | bert_demo's |",
        "|---|---|---|---|---|---|",
    ]
    for measure, sides in found.items():
        lines.append(_row(TITLES[measure], measure, sides))
        if measure.startswith("prepare"):
            cached = [one["from_cache"] for one in sides["own"]]
            title = TITLES[measure] + ", from the cache"
            lines.append(_row(title, measure, {**sides, "own": cached}))
    lines += [
        "",
        "Medians, with the lowest and highest in brackets; memory is the highest of the main",
        "process. The book draws masks and sentence pairs once, while it prepares WikiText-2;",
        "bert_demo draws them anew for every batch, in the time of its steps. The book drops pairs",
        "that are too long; so does bert_demo here.",
    ]
    if learnt:
        lines += ["", "## What a minute teaches", "", *_learnt(learnt)]
    return "\n".join([*lines, ""])


def _row(title: str, measure: str, sides: dict[str, Any]) -> str:
    faster = measure.startswith("prepare")
    unit = {"pretrain": "pairs/s", "finetune": "examples/s"}.get(measure, "s")
    values = {side: [one["value"] for one in sides[side]] for side in sides}
    cells = [f"{_figures(values[side])} {unit}" for side in ("book", "own")]
    ratio = median(values["own"]) / median(values["book"])
    peaks = [max(one["peak_rss_bytes"] for one in sides[side]) for side in ("book", "own")]
    memory = [f"{peak / 1e9:.2f} GB" for peak in peaks]
    times = f"{1 / ratio if faster else ratio:.1f} x"
    return "| " + " | ".join([title, *cells, times, *memory]) + " |"


def _figures(values: Sequence[float]) -> str:
    def short(value: float) -> str:
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

    return f"{short(median(values))} ({short(min(values))} to {short(max(values))})"


def _learnt(learnt: Sequence[dict[str, Any]]) -> list[str]:
    unigram = learnt[0]["start"]["baselines"]["unigram"]
    lines = [
        "A tiny model on WikiText-2: loss over masked positions of the validation split (nats)",
        f"and next-sentence accuracy. Guessing by word frequency has a loss of {unigram:.3f}.",
        "",
        "| Recipe | masked-LM loss | next sentence | steps | seconds |",
        "|---|---|---|---|---|",
    ]
    for one in learnt:
        end, scores = one["end"], one["end"]["scores"]
        cells = [one["recipe"], f"{scores['mlm_loss']:.3f}", f"{scores['nsp_accuracy']:.3f}"]
        cells += [f"{end['step']:,}", f"{end['seconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _machine(found: dict[str, Any], rounds: int, load: float) -> list[str]:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numpy")]
    precisions = {
        one["precision"] for sides in found.values() for one in sides["own"] if "precision" in one
    }
    lines = [
        f"{datetime.date.today():%d %B %Y}, {rounds} rounds, load before the first {load:.1f}",
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        f"Python {platform.python_version()}, {', '.join(versions)}, d2l 1.0.3",
    ]
    if precisions:
        lines.append(f"precision of bert_demo's steps: {', '.join(sorted(precisions))}; book: fp32")
    return lines


def _measured_otherwise(path: Path) -> str:
    """What the file says of other measurements, which stays."""
    if not path.is_file():
        return ""
    _, heading, rest = path.read_text(encoding="utf-8").partition("\n## Models\n")
    return heading + rest


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    if about.is_file():
        for line in about.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Run what is asked for and write the results."""
    parser = argparse.ArgumentParser(description="Compare this project with the book's own code.")
    parser.add_argument("--d2l", type=Path, default=ROOT / ".bench/d2l", help="where d2l is")
    parser.add_argument("--only", choices=TITLES, action="append", help="this measure; repeatable")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="the book's training steps a round")
    parser.add_argument("--learn-seconds", type=int, default=60, help="0 leaves this part out")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file for the results")
    parser.add_argument("--prepare", choices=TITLES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.prepare:
        print(prepare_here(chosen.prepare))
        return
    data = Path(os.environ.get("BERT_DEMO_DATA", ""))
    if not (data / "datasets").is_dir():
        parser.error("BERT_DEMO_DATA must name the folder with the real WikiText-2 and SNLI")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(chosen.d2l.resolve(), chosen.steps, Path(work), data.resolve())
        found = run_rounds(bench, chosen.only or list(TITLES), chosen.rounds)
        recipes = ("d2l", "recommended") if chosen.learn_seconds else ()
        learnt = [learning(bench, recipe, chosen.learn_seconds) for recipe in recipes]
    text = report(found, learnt, chosen.rounds, load)
    chosen.out.write_text(text + _measured_otherwise(chosen.out), encoding="utf-8")
    print(f"Written to {chosen.out}.")


if __name__ == "__main__":
    main()
