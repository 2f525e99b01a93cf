"""Two and three processes give what one gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import json, sys
from pathlib import Path
from bert_demo.config import RunConfig, TrainingConfig
from bert_demo.training import train
run = RunConfig(corpus="crane-world", hidden_size=16, intermediate_size=32, dropout=0.0,
    training=TrainingConfig(steps=5, batch_size=14, device="cpu", precision="fp32", recipe="d2l"))
events = list(train(run, Path(sys.argv[1]) / "model"))
import os
if os.environ.get("RANK", "0") == "0":
    Path(sys.argv[1], "curve.json").write_text(json.dumps(
        [[e["mlm_loss"], e["nsp_loss"]] for e in events if e["event"] in ("step", "validation")]))
"""


def curve(folder: Path, processes: int) -> list[list[float]]:
    folder.mkdir()
    script = folder / "run.py"
    script.write_text(RUN)
    command = [sys.executable, str(script), str(folder)]
    if processes > 1:
        group = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        command[1:1] = group
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    result: list[list[float]] = json.loads((folder / "curve.json").read_text())
    return result


@pytest.mark.timeout(300)
def test_the_curve_does_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    alone = curve(tmp_path / "alone", 1)
    for processes in (2, 3):
        together = curve(tmp_path / str(processes), processes)
        for one, other in zip(alone, together, strict=True):
            assert other == pytest.approx(one, abs=1e-5)
