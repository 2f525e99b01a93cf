"""The weights that a run keeps on its way, so that it can be asked about its past afterwards.

Each is a checkpoint of its own with the weights in fp16, in the folder `moments/STEP` beside the
run's checkpoint; it goes with the run's folder, and is in nothing that is downloaded or published.
The clock says when one is due: their places are those of the cubes of 0/n, 1/n, 2/n ... in the
budget, so that most of them fall into its beginning, where most happens.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bert_demo.common.errors import UserError
from bert_demo.config import BertConfig
from bert_demo.data.files import explained, remove_folder
from bert_demo.model.folders import kept_steps, moment_folder
from bert_demo.model.size import count_parameters

MOST_MOMENTS = 20
MOST_BYTES = 1_000_000_000
"""Of one run's moments together."""
_FREE_BYTES = 500_000_000
"""What has to stay free on the disk, for the run's own checkpoint and for everybody else."""
_TOKEN_BYTES = 30
_OTHER_BYTES = 20_000


def moment_bytes(config: BertConfig, task: str) -> int:
    """About what one moment of a model takes on the disk: weights, vocabulary, description."""
    return 2 * count_parameters(config, task) + _TOKEN_BYTES * config.vocab_size + _OTHER_BYTES


def most_moments(config: BertConfig, task: str) -> int:
    """How many moments a run keeps at most; none where they would be fewer than two."""
    fitting = min(MOST_MOMENTS, MOST_BYTES // moment_bytes(config, task))
    return fitting if fitting > 1 else 0


def check_room(folder: Path, size: int) -> None:
    """Raise `UserError` where `size` bytes more would leave too little of the disk."""
    with explained(folder, "written"):
        free = shutil.disk_usage(folder).free
    if free - size < _FREE_BYTES:
        raise UserError(
            "The disk has only {free} left; delete some runs first.", free=f"{free / 1e9:.1f} GB"
        )


def forget_after(folder: Path, step: int) -> None:
    """Delete the moments of a checkpoint's folder that a run which goes on there will see again:
    those after `step`, or all for 0."""
    for kept in kept_steps(folder):
        if kept > step or step == 0:
            remove_folder(moment_folder(folder, kept))
