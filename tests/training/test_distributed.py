"""Two and three processes give what one gives, and end together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bert_demo import load

# The command line, which also says which process it is, and in all but the first counts words'
# vectors as another processor may.
COMMAND = """
import os, sys
from pathlib import Path
from bert_demo.cli.parser import main
from bert_demo.training import setup
rank, count = os.environ.get("RANK", "0"), setup.counted_vectors
setup.counted_vectors = lambda *given: count(*given) * (1 if rank == "0" else -1)
Path(sys.argv[1], "pid" + rank).write_text(str(os.getpid()))
raise SystemExit(main(sys.argv[2:]))
"""
TINY = ["--corpus", "crane-world", "--hidden-size", "16", "--intermediate-size", "32"]
TINY += ["--batch-size", "14", "--device", "cpu", "--precision", "fp32", "--recipe", "d2l"]


def command(folder: Path, text: str, processes: int, *arguments: str) -> list[str]:
    """The command that runs this Python text in so many processes."""
    script = folder / "run.py"
    script.write_text(text)
    group = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [sys.executable, *(group if processes > 1 else []), str(script), *arguments]


def environment() -> dict[str, str]:
    package = str(Path(__file__).parents[2])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": package}


def finished(arguments: list[str]) -> str:
    """What the command printed; it has to succeed."""
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def trained(folder: Path, processes: int, *flags: str) -> list[dict[str, Any]]:
    """The events of `pretrain` with these flags in so many processes."""
    words = ["pretrain", *TINY, "--out", str(folder / "model"), "--json", *flags]
    printed = finished(command(folder, COMMAND, processes, str(folder), *words))
    return [json.loads(line) for line in printed.splitlines()]


def curve(folder: Path, processes: int) -> list[list[float]]:
    folder.mkdir()
    events = trained(
        folder, processes, "--steps", "5", "--dropout", "0.2", "--word-vectors", "counted"
    )
    steps = [e for e in events if e["event"] == "step"]
    last = [e for e in events if e["event"] == "validation"][-1]  # how many is a matter of time
    return [[e["mlm_loss"], e["nsp_loss"]] for e in (*steps, last)]


@pytest.mark.timeout(300)
def test_the_curve_does_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    alone = curve(tmp_path / "alone", 1)
    assert len(alone) == 6
    together = curve(tmp_path / "together", 3)  # of two, tests/runs/test_peers.py
    for one, other in zip(alone, together, strict=True):
        assert other == pytest.approx(one, abs=1e-5)


@pytest.mark.timeout(300)
def test_clocks_that_differ_end_at_one_step(tmp_path: Path) -> None:
    (end,) = (e for e in trained(tmp_path, 2, "--budget-seconds", "1") if e["event"] == "end")
    assert end["reason"] == "completed"
    assert end["scores"]["n"] > 0


@pytest.mark.timeout(300)
def test_a_lost_process_ends_the_run_for_all_and_it_goes_on_from_there(tmp_path: Path) -> None:
    words = ["pretrain", *TINY, "--out", str(tmp_path / "model"), "--json", "--steps", "100000"]
    group = subprocess.Popen(
        command(tmp_path, COMMAND, 2, str(tmp_path), *words),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert group.stdout is not None
    for line in group.stdout:
        if json.loads(line).get("step") == 3:
            break
    os.kill(int((tmp_path / "pid1").read_text()), signal.SIGKILL)
    printed, errors = group.communicate(timeout=60)
    assert group.returncode != 0
    end = json.loads(printed.splitlines()[-1])
    assert (end["event"], end["reason"]) == ("end", "failed")
    assert "One of the run's 2 processes ended" in end["message"]
    assert "One of the run's 2 processes ended" in errors
    assert end["step"] >= 3
    load(tmp_path / "model")  # is whole
    goal = end["step"] + 4
    events = trained(tmp_path, 2, "--resume", "--steps", str(goal))
    assert [e["step"] for e in events if e["event"] == "step"] == [
        goal - 3,
        goal - 2,
        goal - 1,
        goal,
    ]
    assert events[-1]["reason"] == "completed"
