"""What a process that ended leaves half written, and who takes it away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from bert_demo.data.files import part_folder

_WAITS = """
import sys, time
from pathlib import Path
from bert_demo.cli import commands, parser
from bert_demo.data.files import part_folder

def waits(flags):
    with part_folder(Path(sys.argv[1])) as part:
        print(part.name, flush=True)
        time.sleep(60)

commands.doctor = waits
sys.exit(parser.main(["doctor"]))
"""


def begun(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that is building something in a part of `folder`."""
    command = [sys.executable, "-c", _WAITS, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, folder / process.stdout.readline().strip()


def test_a_part_lives_as_long_as_its_process(tmp_path: Path) -> None:
    process, part = begun(tmp_path)
    other = tmp_path / f".bert_demo-part-00000000-{process.pid}-1"  # of another computer
    other.mkdir()
    with part_folder(tmp_path):
        assert part.is_dir()
    process.kill()
    process.communicate()
    assert part.is_dir()
    with part_folder(tmp_path) as mine:
        assert not part.exists() and mine.is_dir() and str(os.getpid()) in mine.name
    assert [path.name for path in tmp_path.iterdir()] == [other.name]


def test_the_systems_request_to_end_leaves_nothing(tmp_path: Path) -> None:
    process, part = begun(tmp_path)
    assert part.is_dir()
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 130 and list(tmp_path.iterdir()) == []
