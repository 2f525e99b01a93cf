"""Models of the Hub, brought one at a time into a folder that the page's shelf lists."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_demo.common.errors import UserError
from bert_demo.data.files import remove_folder
from bert_demo.inference.entries import imported_name
from bert_demo.interop.addresses import LONGEST, repo_id
from bert_demo.model import checkpoint
from bert_demo.model.folders import is_name

if TYPE_CHECKING:
    from bert_demo.interop.model_files import Progress


class Importer:
    """Fetches models and keeps them as checkpoints in `folder`, each under a name of its own."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._busy = threading.Lock()
        self._what = ""

    def bring(self, typed: Any, progress: Progress | None = None) -> str:
        """Fetch a repository of the Hub; returns the name of its folder.

        What `publish` made comes as it is; any other BERT is made a checkpoint.

        `typed` is what a person typed: "owner/name" or the address of the model's page. Never a
        folder of this computer, for whoever types may be far from it.

        Raises:
            UserError: not a repository's name; here already; another model is being fetched; and
                all that `fetch` and `import_hf` raise.
        """
        # Imported here because it takes its time, and a page that starts needs none of it.
        from bert_demo.interop.model_files import ModelFiles

        repo = repo_id(typed)
        name = imported_name(repo)
        if (self.folder / name).exists():
            raise UserError("{repo} is here already; find it in the menus of models.", repo=repo)
        if not self._busy.acquire(blocking=False):
            raise UserError(
                "{repo} is being fetched right now; try again when it is here.", repo=self._what
            )
        try:
            self._what = repo
            config = ModelFiles(repo, progress, only_hub=True).json("config.json")
            if checkpoint.is_own(config):
                from bert_demo.interop.publish import fetch

                fetch(repo, self.folder / name, progress=progress)
            else:
                from bert_demo.interop.hugging_face import import_hf

                import_hf(repo, self.folder / name, only_hub=True, progress=progress)
        finally:
            self._busy.release()
        return name

    def remove(self, name: str) -> None:
        """Delete a model that was fetched; `UserError` if there is none of this name."""
        folder = self.folder / name
        if not is_name(name, LONGEST) or not folder.is_dir():
            raise UserError("There is no fetched model {name!r} here.", name=name[:LONGEST])
        try:
            remove_folder(folder)
        except OSError as error:
            raise UserError(
                "{folder} cannot be deleted: {reason}.",
                folder=folder,
                reason=error.strerror or error,
            ) from error
