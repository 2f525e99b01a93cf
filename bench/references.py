"""The reference runs behind a run's curves: `python -m bench.references` trains those that are
missing, ten minutes of two cores in all, and writes what `bert_demo.runs.references` reads.

Three seeds of each setting and length. Of each the losses of training are smoothed as the page
smooths them; kept are the lowest and the highest of the three at some thirty steps.
"""

from __future__ import annotations

import json
from typing import Any

from bert_demo.config import run_config
from bert_demo.runs.curve import smooth
from bert_demo.runs.references import FILE
from bert_demo.training.loop import train

_SEEDS = (0, 1, 2)
_POINTS = 30
_LOSSES = ("mlm_loss", "nsp_loss")
_RUNS: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"corpus": "crane-world", "training": {"recipe": "recommended"}}, (50, 100, 200, 400)),
    ({"corpus": "wikitext-2", "training": {"recipe": "d2l"}}, (50,)),
]


def main() -> None:
    """Train what is not in the file yet."""
    found = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else []
    there = [(one["setting"], one["steps"][-1]) for one in found]
    for setting, lengths in _RUNS:
        for steps in lengths:
            if (setting, steps) in there:
                continue
            found.append(_reference(setting, steps))
            FILE.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")
            print(setting, steps, flush=True)


def _reference(setting: dict[str, Any], steps: int) -> dict[str, Any]:
    curves: dict[str, list[list[float]]] = {name: [] for name in _LOSSES}
    for seed in _SEEDS:
        own = {"steps": steps, "seed": seed, "validate_every_steps": steps}
        events = train(run_config(setting | {"training": setting["training"] | own}))
        told: list[dict[str, Any]] = []
        while len(told) < steps:  # what comes after the last step is not looked at
            event = next(events)
            if event["event"] == "step":
                told.append(dict(event))
        events.close()
        for name, curve in curves.items():
            curve.append(smooth([step[name] for step in told]))
    places = sorted({max(1, round(steps * n / _POINTS)) for n in range(1, _POINTS + 1)})
    bands = {
        name: [
            [round(end(curve[place - 1] for curve in three), 3) for place in places]
            for end in (min, max)
        ]
        for name, three in curves.items()
    }
    return {"setting": setting, "steps": places, "runs": len(_SEEDS), "bands": bands}


if __name__ == "__main__":
    main()
