"""The comparison's findings as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from bench.machine import figures

# Names as in d2l_baseline.py; in the order they run.
TITLES = {
    "pretrain": "Pretraining: tiny, batch 512, length 64, 20,256 words",
    "finetune": "Fine-tuning: small, batch 512, length 128",
    "prepare-snli": "Preparing SNLI's 100,000 pairs",
    "prepare-wikitext": "Preparing WikiText-2",
}
_NOTES = (
    "Medians, with the lowest and highest in brackets; memory is the highest of the main process.",
    "The book draws masks and sentence pairs once, while it prepares WikiText-2; bert_demo draws",
    "them anew for every batch, in the time of its steps. The book drops pairs that are too long;",
    "so does bert_demo here. `transformers` is given bert_demo's batches, padded before the clock",
    "starts; in pretraining it adds up gradients of parts of 32 pairs, as it scores the vocabulary",
    "at all positions.",
)
_LIMIT_NOTES = (
    "The operations that real tokens and masked positions need (`bench/limit.py`), at the largest",
    "rate at which this machine multiplied square matrices in the same session with all its cores.",
    "Our share is of that. Attention runs in fp32; softmax, norms and updates wait for memory.",
)

Found = dict[str, dict[str, list[dict[str, Any]]]]


def comparison(found: Found) -> list[str]:
    """One row for each measure and peer."""
    lines = [
        "| Measure | book | transformers | bert_demo | to the book | to transformers | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for measure, sides in found.items():
        title = TITLES[measure]
        lines.append(_row(title, measure, sides))
        if "transformers in fp32" in sides:
            other = {**sides, "transformers": sides["transformers in fp32"]}
            lines.append(_row("the same, transformers in fp32", measure, other))
        if measure.startswith("prepare"):
            cached = [one["from_cache"] for one in sides["own"]]
            lines.append(_row(title + ", from the cache", measure, {**sides, "own": cached}))
    return [*lines, "", *_NOTES]


def limit_table(found: Found, limits: Sequence[dict[str, Any]]) -> list[str]:
    """How near training comes to what the machine's arithmetic allows."""
    rates = {kind: max(one[kind] for one in limits) for kind in ("fp32", "bf16")}
    lines = [
        f"| Measure | needs | limit at {_rate(rates['fp32'])} (fp32) | our share | "
        f"limit at {_rate(rates['bf16'])} (bf16) | our share |",
        "|---|---|---|---|---|---|",
    ]
    for measure in ("pretrain", "finetune"):
        if measure not in found:
            continue
        needs = limits[0][measure]
        speed = median(one["value"] for one in found[measure]["own"])
        cells = [TITLES[measure], f"{needs / 1e6:.0f} million a pair"]
        for kind in ("fp32", "bf16"):
            most = rates[kind] / needs
            cells += [f"{most:,.0f} pairs/s", f"{speed / most:.0%}"]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", *_LIMIT_NOTES] if len(lines) > 2 else []


def _row(title: str, measure: str, sides: dict[str, list[dict[str, Any]]]) -> str:
    seconds = measure.startswith("prepare")
    unit = {"pretrain": "pairs/s", "finetune": "examples/s"}.get(measure, "s")
    cells, ratios, memory = [title], [], []
    own = median(one["value"] for one in sides["own"])
    for side in ("book", "transformers", "own"):
        if side not in sides:
            cells.append("")
            ratios.append("")
            continue
        values = [one["value"] for one in sides[side]]
        precision = sides[side][0].get("precision", "")
        cells.append(f"{figures(values)} {unit}{', ' + precision if precision else ''}")
        ratio = own / median(values)
        ratios.append(f"{1 / ratio if seconds else ratio:.1f} x")
        memory.append(f"{max(one['peak_rss_bytes'] for one in sides[side]) / 1e9:.2f}")
    return "| " + " | ".join([*cells, *ratios[:2], " / ".join(memory) + " GB"]) + " |"


def _rate(operations: float) -> str:
    return f"{operations / 1e9:,.0f} GFLOP/s"
