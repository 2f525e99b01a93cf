"""Time to quality: what the same minute on the same machine teaches, by four ways of training.

    BERT_DEMO_DATA=/path/to/hub python -m bench.quality --d2l .bench/d2l

A tiny model learns WikiText-2 by the book's own code, by `transformers` (AdamW at the best of
several rates, tied output matrix, this project's batches) and by this project's two recipes, each
in a process of its own. Only training is on the clock: weights are set aside as it goes, and
afterwards all are judged in fp32 on the same pairs of the validation split with the same words
masked. Writes bench/quality.json, docs/time-to-quality.svg and a section of bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import machine, plot
from bench.results import write_section

HEADING = "What a minute teaches"
FINDINGS = Path(__file__).with_name("quality.json")
PICTURE = machine.ROOT / "docs/time-to-quality.svg"
RATES = (1e-3, 3e-3, 1e-2)
"""For AdamW in `transformers`; the one that ends best counts."""
_POINTS = 24
_PAIRS = 2048
_WARMUP = 0.05

Point = dict[str, float]


class Album:
    """Copies of the weights, taken at even distances of training time."""

    def __init__(self, seconds: float) -> None:
        self.pictures: list[tuple[float, int, dict[str, Any]]] = []
        self._every = seconds / _POINTS
        self._due = 0.0

    def take(self, at: float, step: int, state: Mapping[str, Any], last: bool = False) -> None:
        """Keep `state` if it is time, or if it is the last one, after `at` seconds."""
        if at >= self._due or last:
            copy = {name: value.detach().clone() for name, value in state.items()}
            self.pictures.append((at, step, copy))
            self._due = at + self._every

    def judged(self, judge: Callable[[dict[str, Any]], Point]) -> list[Point]:
        """For each picture when it was taken and what `judge` says of its weights."""
        return [{"seconds": at, "step": step, **judge(s)} for at, step, s in self.pictures]


def by_the_book(setup: Any, seconds: float, d2l: Path, data: Path) -> list[Point]:
    """The book's data, model, loss and loop (15.9 and 15.10), judged by way of `import_d2l`."""
    import torch

    from bench import d2l_baseline
    from bert_demo.interop.d2l import import_d2l
    from bert_demo.interop.d2l_files import PARAMETERS, VOCABULARY
    from bert_demo.model import checkpoint

    book = d2l_baseline.load_book(d2l)
    album = Album(seconds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        d2l_baseline.write_wikitext(data, folder)
        batches, vocab = d2l_baseline.load_wikitext(book, folder)
        net, step = d2l_baseline.pretrainer(book, batches, vocab)
        begin, at, count = time.perf_counter(), 0.0, 0
        while at < seconds:
            for batch in batches:
                step(batch)
                count += 1
                at = time.perf_counter() - begin
                album.take(at, count, net.state_dict(), at >= seconds)
                if at >= seconds:
                    break
        # The book sorts its words by the alphabet; judged are rows in this project's order, so
        # that the words which stand in for masked ones are the same for all.
        words = setup.tokenizer.tokens(range(setup.tokenizer.vocab_size))
        if set(words) != set(vocab.idx_to_token):
            raise ValueError(
                "The book's vocabulary is not this project's: they cannot be compared."
            )
        rows = torch.tensor([vocab[word] for word in words])
        by_word = ("encoder.token_embedding.weight", "mlm.mlp.3.weight", "mlm.mlp.3.bias")
        (folder / VOCABULARY).write_text(json.dumps(words), encoding="utf-8")

        def judge(state: dict[str, Any]) -> Point:
            state |= {name: state[name][rows] for name in by_word}
            torch.save(state, folder / PARAMETERS)
            import_d2l(folder, folder / "own", num_attention_heads=2, overwrite=True)
            return _judged(setup, checkpoint.load(folder / "own").model)

        return album.judged(judge)


def by_transformers(setup: Any, seconds: float, rate: float) -> list[Point]:
    """`BertForPreTraining`, AdamW, this project's schedule and batches."""
    import torch

    from bench.transformers_baseline import PART, held_out_sums, padded_parts, peer_model, update
    from bert_demo.training.optimizers import schedule

    model, pad_id = peer_model(setup.model.config), setup.tokenizer.pad_id
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)
    album = Album(seconds)
    begin, at, count = time.perf_counter(), 0.0, 0
    model.train()
    while at < seconds:
        parts = list(padded_parts(setup.batches.draw(count), pad_id, PART))
        for group in optimizer.param_groups:
            group["lr"] = rate * schedule(_WARMUP, at / seconds)
        update(model, optimizer, parts, setup.precision == "bf16")
        count += 1
        at = time.perf_counter() - begin
        album.take(at, count, model.state_dict(), at >= seconds)

    def judge(state: dict[str, Any]) -> Point:
        model.load_state_dict(state)
        held_out = setup.validation.all_in_order(_PAIRS)
        parts = (p for arrays in held_out for p in padded_parts(arrays, pad_id, PART))
        loss, positions, right, pairs = held_out_sums(model, parts)
        return {"mlm_loss": loss / positions, "nsp_accuracy": right / pairs}

    return album.judged(judge)


def by_own_recipe(setup: Any, run: Any, seconds: float) -> list[Point]:
    """`bert_demo.train`, whose probe is where the weights are set aside."""
    import bert_demo

    album = Album(seconds)
    now = {"seconds": 0.0, "step": 0}

    def probe(model: Any, tokenizer: Any) -> dict[str, Any]:
        # The last call comes after the last step, and may repeat the one before it.
        if not album.pictures or album.pictures[-1][1] < now["step"]:
            last = now["seconds"] >= seconds
            album.take(now["seconds"], int(now["step"]), model.state_dict(), last)
        return {}

    for event in bert_demo.train(run, probe=probe):
        if event["event"] == "step":
            now.update(seconds=event["seconds"], step=event["step"])

    def judge(state: dict[str, Any]) -> Point:
        setup.model.load_state_dict(state)
        return _judged(setup, setup.model)

    return album.judged(judge)


def _judged(setup: Any, model: Any) -> Point:
    from bert_demo.training.validation import validate

    scores = validate(model, setup.validation, _PAIRS)
    return {"mlm_loss": scores["mlm_loss"], "nsp_accuracy": scores["nsp_accuracy"]}


def one_way(way: str, seconds: float, d2l: Path, data: Path) -> dict[str, Any]:
    """Train and judge one way, in this process; `way` is "book", a recipe or a rate."""
    import torch

    from bert_demo.config import RECIPES, RunConfig, TrainingConfig
    from bert_demo.training.distributed import world
    from bert_demo.training.setup import prepare_run

    training = TrainingConfig(
        recipe=way if way in RECIPES else "recommended",
        budget_seconds=seconds,
        validate_every_steps=10**7,
        device="cpu",
    )
    run = RunConfig(corpus="wikitext-2", size="tiny", training=training)
    setup = prepare_run(run, world())
    if way == "book":
        points = by_the_book(setup, seconds, d2l, data)
    elif way in RECIPES:
        points = by_own_recipe(setup, run, seconds)
    else:
        points = by_transformers(setup, seconds, float(way))
    labels = [batch.labels for batch in setup.validation.all_in_order(_PAIRS)]
    constant = max(torch.cat(labels).bincount().tolist()) / _PAIRS
    return {"points": points, "baselines": {**setup.facts["baselines"], "constant": constant}}


def measure(seconds: float, d2l: Path) -> dict[str, Any]:
    """All ways one after the other, each in a process of its own."""
    ways = {
        "book": "the book's code",
        **{str(rate): f"transformers, rate {rate:g}" for rate in RATES},
        "d2l": "bert_demo, d2l",
        "recommended": "bert_demo, recommended",
    }
    before = machine.load()
    curves, baselines = [], {}
    for way, label in ways.items():
        command = [sys.executable, "-W", "ignore", "-m", "bench.quality", "--way", way]
        command += ["--seconds", str(seconds), "--d2l", str(d2l)]
        done = machine.run_program(command, dict(os.environ))
        found = json.loads(done.lines[-1])
        curves.append({"way": way, "label": label, "points": found["points"]})
        baselines = found["baselines"]
        print(f"{label}: {found['points'][-1]} (load {machine.load():.1f})", flush=True)
    about = machine.describe(before, "numpy", "transformers")
    return {"seconds": seconds, "machine": about, "baselines": baselines, "curves": curves}


def best_curves(findings: dict[str, Any]) -> list[dict[str, Any]]:
    """One curve for each side: of the rates of `transformers` the one that ended best."""
    curves: list[dict[str, Any]] = findings["curves"]
    peers = [curve for curve in curves if curve["label"].startswith("transformers")]
    best = min(peers, key=lambda curve: float(curve["points"][-1]["mlm_loss"]))
    return [curve for curve in curves if curve is best or curve not in peers]


def report(findings: dict[str, Any]) -> list[str]:
    """The findings as Markdown."""
    unigram = findings["baselines"]["unigram"]
    lines = [
        f"A tiny model on WikiText-2 after {findings['seconds']:.0f} s of training, judging not",
        f"counted: loss over the masked positions of {_PAIRS:,} pairs of the validation split",
        "(nats), the same for all, and next-sentence accuracy. Guessing by word frequency has a",
        f"loss of {unigram:.3f}, guessing blindly {findings['baselines']['uniform']:.3f}; always",
        f"the same answer is right for {findings['baselines']['constant']:.3f} of them.",
        "Measured by `python -m bench.quality`, which says how; the curves of the best of each",
        "side are in [time-to-quality.svg](../docs/time-to-quality.svg).",
        "",
        *findings["machine"],
        "",
        "| Way | masked-LM loss | next sentence | steps | better than word frequency after |",
        "|---|---|---|---|---|",
    ]
    for curve in findings["curves"]:
        end = curve["points"][-1]
        passed = [p["seconds"] for p in curve["points"] if p["mlm_loss"] < unigram]
        cells = [curve["label"], f"{end['mlm_loss']:.3f}", f"{end['nsp_accuracy']:.3f}"]
        cells += [f"{end['step']:,}", f"{passed[0]:.0f} s" if passed else "not yet"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def draw(findings: dict[str, Any], path: Path) -> None:
    """The picture of the findings."""
    curves = {
        curve["label"]: [(p["seconds"], p["mlm_loss"]) for p in curve["points"]]
        for curve in best_curves(findings)
    }
    unigram = findings["baselines"]["unigram"]
    svg = plot.lines_svg(
        "Learning WikiText-2: a tiny BERT on the same machine",
        "seconds of training",
        "masked-LM loss on held-out text (nats)",
        curves,
        (unigram, f"word frequency alone: {unigram:.2f}"),
    )
    path.write_text(svg, encoding="utf-8")


def main() -> None:
    """Measure, write and draw."""
    parser = argparse.ArgumentParser(description="Measure what a minute of training teaches.")
    default = machine.ROOT / ".bench/d2l"
    parser.add_argument("--d2l", type=Path, default=default, help="where d2l is")
    parser.add_argument("--seconds", type=float, default=60, help="of training, for each way")
    parser.add_argument("--plot-only", action="store_true", help="draw bench/quality.json again")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        data = machine.real_data(parser)
        print(json.dumps(one_way(chosen.way, chosen.seconds, chosen.d2l, data)))
        return
    if not chosen.plot_only:
        machine.real_data(parser)
        with machine.own_cache():
            findings = measure(chosen.seconds, chosen.d2l.resolve())
        FINDINGS.write_text(json.dumps(findings, indent=1) + "\n", encoding="utf-8")
        write_section(HEADING, report(findings))
    if not FINDINGS.is_file():
        parser.error(f"{FINDINGS} is not there; measure first, without --plot-only")
    draw(json.loads(FINDINGS.read_text(encoding="utf-8")), PICTURE)


if __name__ == "__main__":
    main()
