"""What a run gives to take home: its model as a zip, its numbers as a table."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bert_demo.common.errors import UserError
from bert_demo.data.files import file_stamp
from bert_demo.interop.sharing import metrics_csv, without_paths
from bert_demo.model.checkpoint import read_config
from bert_demo.model.folders import CONFIG, METRICS, TOKENIZER, WEIGHTS
from bert_demo.runs.record import Run

_LONGEST_NAME = 40
_DATE = (1980, 1, 1, 0, 0, 0)  # equal contents give equal files
_HELP = """\
A model trained with bert_demo. From the folder of that project:

    python -m bert_demo encode --model {name} --text "a crane is flying"

or in Python: model, tokenizer, config = bert_demo.load("{name}")
"""


def file_name(run: Run) -> str:
    """Its title and its id, as any system takes them for a file's name."""
    plain = re.sub(r"[^a-z0-9]+", "-", run.title.lower()).strip("-")[:_LONGEST_NAME]
    return f"{plain}-{run.id}" if plain and plain != run.id else run.id


def download_bytes(run: Run) -> int:
    """About how large its files will be."""
    stamps = (file_stamp(run.model / name) for name in (TOKENIZER, WEIGHTS, METRICS))
    return sum(stamp.size for stamp in stamps if stamp is not None)


def pack_model(run: Run, folder: Path) -> Path:
    """Write a zip into `folder` with the checkpoint in a folder of the same name.

    Left out are the state for resuming, and whatever says whose run or which computer it was.
    Raises `UserError` if the run has no checkpoint yet.
    """
    name = file_name(run)
    path = folder / f"{name}.zip"
    try:
        config = read_config(run.model)
        with zipfile.ZipFile(path, "w") as archive:
            shown = json.dumps(without_paths(config), ensure_ascii=False, indent=2) + "\n"
            _write(archive, f"{name}/{CONFIG}", shown.encode())
            _write(archive, f"{name}/{TOKENIZER}", (run.model / TOKENIZER).read_bytes())
            _copy(archive, f"{name}/{WEIGHTS}", run.model / WEIGHTS)
            _write(archive, f"{name}/README.txt", _HELP.format(name=name).encode())
    except (OSError, UserError) as error:
        raise UserError("The run {run!r} has no model to download yet.", run=run.title) from error
    return path


def pack_metrics(run: Run, events: Sequence[dict[str, Any]], folder: Path) -> Path:
    """Write a table into `folder`: a line for each step and each validation."""
    path = folder / f"{file_name(run)}.csv"
    path.write_text(metrics_csv(events), encoding="utf-8", newline="")
    return path


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)


def _copy(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    """Weights as they are: they hardly shrink, and may not fit into memory twice."""
    info = zipfile.ZipInfo(name, _DATE)
    info.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(info, "w") as target:
        while part := source.read(1 << 20):
            target.write(part)
