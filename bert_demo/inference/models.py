"""The models at hand, of which the few that are asked are loaded.

The page and its API name a model by an id such as "bundled/crane-tiny" or "run/1203-k7qm", never
by a path; "run/1203-k7qm@40" is that run's model as it was after 40 steps, where it kept that. A
model whose files change, as a running run's do, is read again when it is next asked for.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_demo.common.errors import UserError
from bert_demo.data.files import FileStamp, file_stamp
from bert_demo.inference.entries import (
    AT,
    BUNDLED,
    IMPORTED,
    RUN,
    Entry,
    describe,
    model_id,
    moment_id,
)
from bert_demo.model import checkpoint
from bert_demo.model.checkpoint import Checkpoint
from bert_demo.model.folders import RUN as RUN_FILE
from bert_demo.model.folders import (
    checkpoint_folder,
    is_name,
    is_step,
    kept_steps,
    moment_folder,
    run_title,
)

if TYPE_CHECKING:
    from bert_demo.model.bert import BertModel

_LONGEST_NAME = 100


class ModelShelf:
    """Every model in these folders; the ones last used stay loaded. Safe to use from threads.

    Args:
        checkpoints: models that come along; their ids are "bundled/<name>".
        runs: runs, whose ids are "run/<name>". The model is `runs/name/model`, beside a
            `run.json` that may give its title, or `runs/name` itself.
        imported: models of the world outside, whose ids are "imported/<name>".
        most_models: how many stay loaded, and most_bytes of weights; the last one always does.
    """

    def __init__(
        self,
        checkpoints: Path,
        runs: Path,
        imported: Path | None = None,
        *,
        most_models: int = 6,
        most_bytes: int = 2 * 1024**3,
    ) -> None:
        self._most_models, self._most_bytes = most_models, most_bytes
        self._folders = {BUNDLED: Path(checkpoints), RUN: Path(runs)}
        if imported is not None:
            self._folders[IMPORTED] = Path(imported)
        self._described: dict[Path, tuple[tuple[FileStamp | None, ...], Entry | None]] = {}
        self._loaded: OrderedDict[str, tuple[object, Checkpoint]] = OrderedDict()
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    def entries(self, task: str | None = None) -> list[Entry]:
        """The models of a task, or all: those that came along by name, then the newest first."""
        found: list[Entry] = []
        for home, folder in self._folders.items():
            of_home = [entry for name in _names(folder) if (entry := self._entry(home, name))]
            of_home.sort(key=lambda entry: entry.id)
            if home != BUNDLED:  # whose files are as old as the copy of this project
                of_home.sort(key=lambda entry: -entry.changed)
            found += of_home
        return [entry for entry in found if task in (None, entry.task)]

    def entry(self, model_id: str) -> Entry:
        """The description of one model; `UserError` if there is none of this id."""
        found = self._entry(*self._parts(model_id))
        if found is None:
            raise UserError(
                "There is no model {model!r} here; choose one from the list.", model=model_id
            )
        return found

    def folder(self, model_id: str) -> Path:
        """Where the model is; `UserError` if there is none of this id."""
        self.entry(model_id)
        home, name, step = self._parts(model_id)
        return self._place(home, name, step)

    def moments(self, model_id: str) -> list[int]:
        """The steps after which the model's run kept its weights; `UserError` as `folder`."""
        return kept_steps(self.folder(model_id))

    def load(self, model_id: str) -> Checkpoint:
        """The model, its tokenizer and its configuration, on the CPU.

        Everybody gets the same objects: do not change them. Raises `UserError` for an id that
        is not on the shelf and `CheckpointError` for files that cannot be read.
        """
        folder = self.folder(model_id)
        return self._cached(model_id, self.version(model_id), lambda: checkpoint.load(folder))

    def version(self, model_id: str) -> tuple[FileStamp | None, ...]:
        """Another one when the model's files have changed; `UserError` if there is no such one."""
        folder = self.folder(model_id)
        return tuple(file_stamp(folder / name) for name in _FILES)

    def twin(self, model_id: str) -> Checkpoint:
        """The same model before any training: the weights that its training began with.

        Where its `about.beginning` is not known, random weights in its shape, the same every time.
        """
        from bert_demo.model.beginning import first_weights, random_weights

        model_id = self.entry(model_id).latest  # a moment began as its run did
        entry, folder = self.entry(model_id), self.folder(model_id)
        _, tokenizer, config = self.load(model_id)
        beginning = entry.about.beginning

        def build() -> Checkpoint:
            if beginning is None:
                model = random_weights(config, entry.task)
            else:
                statistics = checkpoint.statistics(folder)
                model = first_weights(config, entry.task, beginning, statistics)
            return Checkpoint(model.eval(), tokenizer, config)

        return self._cached(f"{model_id} twin", (config, tokenizer.fingerprint, beginning), build)

    def _cached(self, key: str, version: object, build: Any) -> Checkpoint:
        found = self._peek(key, version)
        if found is None:
            # One at a time: thirty students who choose the same model load it once.
            with self._loading:
                found = self._peek(key, version)
                if found is None:
                    found = build()
                    with self._lock:
                        self._loaded[key] = (version, found)
                        self._evict()
        return found

    def _peek(self, key: str, version: object) -> Checkpoint | None:
        with self._lock:
            stored, found = self._loaded.get(key, (None, None))
            if found is None or stored != version:
                return None
            self._loaded.move_to_end(key)
            return found

    def _evict(self) -> None:
        sizes = {key: _bytes(loaded.model) for key, (_, loaded) in self._loaded.items()}
        *old, _ = sizes
        # Who goes through a run's moments looks at each once; the others stay.
        for key in sorted(old, key=lambda key: AT not in key):
            if len(sizes) <= self._most_models and sum(sizes.values()) <= self._most_bytes:
                break
            del self._loaded[key], sizes[key]

    def _parts(self, model_id: str) -> tuple[str, str, str]:
        home, _, rest = model_id.partition("/") if isinstance(model_id, str) else ("", "", "")
        name, at, step = rest.partition(AT)
        known = home in self._folders and is_name(name, _LONGEST_NAME)
        if not known or (at and not is_step(step)):
            raise UserError(
                "{model!r} is not a model's name; choose one from the list.", model=model_id
            )
        return home, name, step

    def _place(self, home: str, name: str, step: str) -> Path:
        folder = checkpoint_folder(self._folders[home] / name)
        return moment_folder(folder, int(step)) if step else folder

    def _entry(self, home: str, name: str, step: str = "") -> Entry | None:
        """The description, read again only when its files changed; None where nothing loads."""
        place, folder = self._folders[home] / name, self._place(home, name, step)
        stamps = file_stamp(folder / checkpoint.CONFIG), file_stamp(place / RUN_FILE)
        known = self._described.get(folder)
        if known is None or known[0] != stamps:
            title = run_title(place) or (name.replace("--", "/") if home == IMPORTED else name)
            changed = stamps[0].changed_ns / 1e9 if stamps[0] else 0.0
            own = model_id(home, name)
            if step:
                title, own = f"{title} {AT}{step}", moment_id(own, int(step))
            known = (stamps, describe(own, title, folder, changed))
            self._described[folder] = known
        return known[1]


_FILES = (checkpoint.CONFIG, checkpoint.TOKENIZER, checkpoint.WEIGHTS)


def _names(folder: Path) -> Iterator[str]:
    try:
        paths = list(folder.iterdir())
    except OSError:  # not there yet
        return
    for path in paths:
        with contextlib.suppress(OSError):  # where this process may not look
            if is_name(path.name, _LONGEST_NAME) and path.is_dir():
                yield path.name


def _bytes(model: BertModel) -> int:
    return sum(value.numel() * value.element_size() for value in model.parameters())
