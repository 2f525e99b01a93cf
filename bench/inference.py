"""How quickly a model answers, and how quickly the package and its commands come up.

    BERT_DEMO_DATA=/path/to/hub python -m bench.inference

Writes its section of bench/RESULTS.md. Answers are timed in one process, from text to result, the
model being loaded; starting is timed by fresh processes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

from bench import machine
from bench.results import write_section

HEADING = "Answers and starts"
BUNDLED = machine.ROOT / "checkpoints"
_STARTS = 7
_PREMISE = "a man in a red shirt is riding a bicycle down a busy street ."
_HYPOTHESIS = "a person is outside on a bike ."


def milliseconds(work: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median and 95th percentile of the time of `work`, the first tenth left out."""
    times = []
    for _ in range(repeats + repeats // 10):
        begin = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - begin))
    times = times[repeats // 10 :]
    return median(times), quantiles(times, n=20)[-1]


def preset_models() -> tuple[Any, Any, Any]:
    """A classifier and an encoder of the size small, untrained, and their tokenizer."""
    from bert_demo import BertModel
    from bert_demo.config import model_config
    from bert_demo.data.prepare import prepare_text

    _, tokenizer, _ = prepare_text("wikitext-2")
    config = model_config("small", "recommended", tokenizer.vocab_size)
    return BertModel(config, "nli"), BertModel(config), tokenizer


def answers(repeats: int) -> list[str]:
    """A table of one answer's time, and of a whole split's."""
    import bert_demo
    from bert_demo.data.prepare import prepare_nli

    classifier, encoder, words = preset_models()
    judge, pieces, _ = bert_demo.load(BUNDLED / "bert-small-snli")
    base, base_pieces, _ = bert_demo.load(BUNDLED / "bert-small")
    models = {
        "size small, 20,256 words": (classifier, encoder, words, words),
        "bert-small-snli and bert-small": (judge, base, pieces, base_pieces),
    }
    lines = [
        "| Model | classify a pair | its 95th percentile | encode a pair | its 95th percentile "
        "| evaluate SNLI's test split |",
        "|---|---|---|---|---|---|",
    ]
    for title, (nli, bert, tokenizer, own_tokenizer) in models.items():

        def classify(nli: Any = nli, tokenizer: Any = tokenizer) -> Any:
            return bert_demo.classify(nli, tokenizer, _PREMISE, _HYPOTHESIS)

        def encode(bert: Any = bert, tokenizer: Any = own_tokenizer) -> Any:
            return bert_demo.encode(bert, tokenizer, _PREMISE, _HYPOTHESIS)

        data, _ = prepare_nli("snli", "test", tokenizer)
        rates = [bert_demo.evaluate(nli, tokenizer, data)["examples_per_second"] for _ in range(3)]
        times = [*milliseconds(classify, repeats), *milliseconds(encode, repeats)]
        cells = [title, *(f"{one:.2f} ms" for one in times), f"{median(rates):,.0f} pairs/s"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def starts() -> list[str]:
    """A table of the times of fresh processes."""
    lines = [f"| Start | median of {_STARTS} | lowest to highest |", "|---|---|---|"]
    for title, arguments in (
        ("`import bert_demo`", ["-c", "import bert_demo"]),
        ("`python -m bert_demo --help`", ["-m", "bert_demo", "--help"]),
        ("`python` alone", ["-c", ""]),
    ):
        seconds = []
        for _ in range(_STARTS + 1):
            begin = time.perf_counter()
            command = [sys.executable, *arguments]
            subprocess.run(command, cwd=machine.ROOT, stdout=subprocess.DEVNULL, check=True)
            seconds.append(time.perf_counter() - begin)
        seconds = seconds[1:]  # the first one reads the disk
        spread = f"{min(seconds):.2f} to {max(seconds):.2f} s"
        lines.append(f"| {title} | {median(seconds):.2f} s | {spread} |")
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure answers and starts.")
    parser.add_argument("--repeats", type=int, default=200, help="answers that are timed")
    chosen = parser.parse_args()
    machine.real_data(parser)
    before = machine.load()
    with machine.own_cache():
        answered = answers(chosen.repeats)
    lines = [
        "Measured by `python -m bench.inference`. An answer is timed from text to result, the",
        "model being loaded; `evaluate` leaves out cutting text into tokens.",
        "",
        *machine.describe(before, "numpy"),
        "",
        *answered,
        "",
        *starts(),
    ]
    write_section(HEADING, lines)


if __name__ == "__main__":
    main()
