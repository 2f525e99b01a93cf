"""How quickly questions about a model are answered while a run trains on the same machine.

    BERT_DEMO_DATA=/path/to/hub python -m bench.questions

Writes its section of bench/RESULTS.md. A run of WikiText-2 trains in a process of its own, as nice
as the page's worker; what the page's handlers need from question to answer is timed in this one,
without the browser. Moments are asked one after the other, so that each is read from the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import machine
from bench.inference import BUNDLED, milliseconds
from bench.results import write_section

HEADING = "Questions while a run trains"
_SENTENCE = "the <mask> was played by the <mask> in the city"
_PREMISE = "a man in a red shirt is riding a bicycle down a busy street ."
_HYPOTHESIS = "a person is outside on a bike ."
_NICE = 5
_JUDGE = "bundled/bert-small-snli"


def pretrain(out: Path, seconds: float) -> subprocess.Popen[bytes]:
    """A run of the size tiny on WikiText-2, in a process that steps back."""
    command = ["nice", "-n", str(_NICE), sys.executable, "-m", "bert_demo", "pretrain"]
    command += ["--corpus", "wikitext-2", "--budget-seconds", str(seconds), "--out", str(out)]
    return subprocess.Popen(command, cwd=machine.ROOT, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def training(out: Path) -> Iterator[None]:
    """While a run is past its first steps."""
    with pretrain(out, 3600) as run:
        metrics = out / "metrics.jsonl"
        while not metrics.is_file() or metrics.read_text().count('"step"') < 10:
            assert run.poll() is None
            time.sleep(0.2)
        yield
        run.send_signal(signal.SIGINT)


def questions(runs: Path) -> list[tuple[str, Callable[[], Any]]]:
    """What is asked, behind what it is called in the table; the run "kept" has moments."""
    from bert_demo.inference.attributions import attribute
    from bert_demo.inference.entries import moment_id
    from bert_demo.inference.flips import try_edits
    from bert_demo.inference.models import ModelShelf
    from bert_demo.inference.occurrences import occurrences
    from bert_demo.ui.parts.language import say
    from bert_demo.ui.tabs.blank import fill_blanks
    from bert_demo.ui.tabs.follow_view import follow_view
    from bert_demo.ui.tabs.nli_view import judge
    from bert_demo.ui.tabs.nli_why import judged, why_view
    from bert_demo.ui.tabs.step_view import step_view
    from bert_demo.ui.tabs.words_contexts import CRANES, contexts_of
    from bert_demo.ui.tabs.words_view import show_contexts

    shelf, run = ModelShelf(BUNDLED, runs), "run/kept"
    steps = itertools.cycle(shelf.moments(run))
    word, rows = contexts_of(CRANES)
    pair = _PREMISE, _HYPOTHESIS
    asked = judged(judge(shelf, _JUDGE, *pair))
    judging, trained = shelf.load(_JUDGE)[:2], shelf.load(run)[:2]
    common = itertools.cycle(trained[1].tokens(range(100, 200)))

    def then() -> str:
        return moment_id(run, next(steps))

    def follow(model: str) -> Any:
        return follow_view(shelf, model, [_SENTENCE], summary=say("Follow"))

    def met() -> Any:
        word = next(common)
        return occurrences(*trained, word, f"one {word} here", "wikitext-2")

    def contexts(model: str) -> Any:
        return show_contexts(shelf, [model], word, rows, 2)

    another = "the same, another moment each time"
    return [
        ("Fill in the blank", lambda: fill_blanks(shelf, run, _SENTENCE, 8)),
        (another, lambda: fill_blanks(shelf, then(), _SENTENCE, 8)),
        ("one token followed", lambda: follow(run)),
        (another, lambda: follow(then())),
        ("where it met a common word, another one each time", met),
        ("24 cranes, and the untrained twin", lambda: contexts(run)),
        (another, lambda: contexts(then())),
        ("one step played slowly", lambda: step_view(shelf, run, 0)),
        ("a pair judged", lambda: judge(shelf, _JUDGE, *pair)),
        ("why this verdict", lambda: attribute(*judging, *pair)),
        ("what would flip it", lambda: try_edits(*judging, *pair)),
        ("both, as the page draws them", lambda: why_view(shelf, asked)),
    ]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure answers while a run trains.")
    parser.add_argument("--repeats", type=int, default=40, help="answers to each question")
    chosen = parser.parse_args()
    machine.real_data(parser)
    before = machine.load()
    lines = ["| Question | median | 95th percentile |", "|---|---:|---:|"]
    with machine.own_cache(), tempfile.TemporaryDirectory() as place:
        runs = Path(place)
        assert pretrain(runs / "kept", 60).wait() == 0
        with training(runs / "other"):
            for name, ask in questions(runs):
                middle, late = milliseconds(ask, chosen.repeats)
                lines.append(f"| {name} | {middle:.0f} ms | {late:.0f} ms |")
                print(lines[-1], flush=True)
    told = [
        "Measured by `python -m bench.questions`: the page's handlers, from question to answer,",
        "while a run of the size tiny trains on WikiText-2 beside them.",
        "",
        *machine.describe(before),
        "",
    ]
    write_section(HEADING, [*told, *lines])


if __name__ == "__main__":
    main()
