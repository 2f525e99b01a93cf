"""The files of a Hugging Face model, in a folder or on the Hub, read with care."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from bert_demo.common.errors import Text, UserError
from bert_demo.data.files import check_whole, explained
from bert_demo.data.locate import CorpusUnavailable, NotInRepository, Origin, locate
from bert_demo.interop import names, untrusted
from bert_demo.interop.addresses import is_address, repo_id

Progress = Callable[[Text, float | None], None]
"""Is told what is being done, and which part of it is done where that is known."""

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_CACHED = "models--"
_DEEPEST = 50
_TEXT_BYTES = 64 << 20  # the largest vocabularies take a tenth


class ModelFiles:
    """One model's files by name.

    A folder is read in place. Anything else is a repository, looked for as texts are: a local
    mirror, the Hub's cache, the Hub.
    """

    def __init__(
        self,
        source: str | Path,
        progress: Progress | None = None,
        *,
        only_hub: bool = False,
    ) -> None:
        """Raises `UserError` if `source` is neither a folder nor a repository's name.

        `source` may be the address of a model's page, and a folder of the Hub's cache.
        """
        if isinstance(source, str) and is_address(source):
            source, only_hub = repo_id(source), True
        try:
            folder = Path(source).expanduser()
            exists = not only_hub and folder.exists()
            is_folder = exists and folder.is_dir()
        except (OSError, RuntimeError, ValueError) as error:  # a null byte, no home
            raise UserError(
                "{source!r} is not a folder or a repository's name.", source=str(source)
            ) from error
        if exists and not is_folder:
            raise UserError(
                "{source} is a file; give the model's folder, or a repository of the Hub.",
                source=source,
            )
        self.name = untrusted.plain(folder.resolve().name if is_folder else str(source))
        """The repository, or the folder's own name."""
        self.revision: str | None = None
        """The Hub's commit, where it is known."""
        if is_folder:
            folder = self._of_cache(folder)
        self._folder = folder if is_folder else None
        self._progress = progress

    def _of_cache(self, folder: Path) -> Path:
        """Where the files are: for the Hub's cache of a model, in the snapshot that is newest."""
        real = folder.resolve()
        top = next((p for p in (real, *real.parents[:2]) if p.name.startswith(_CACHED)), None)
        if top is None or real not in (top, top / "snapshots", top / "snapshots" / real.name):
            return folder
        self.name = untrusted.plain(top.name.removeprefix(_CACHED).replace("--", "/"))
        if real.parent.name == "snapshots":
            self.revision = real.name
            return folder
        snapshots = {path.name: path for path in (top / "snapshots").glob("*") if path.is_dir()}
        main = top / "refs" / "main"
        named = main.read_text(encoding="utf-8", errors="replace").strip() if main.is_file() else ""
        self.revision = named if named in snapshots else next(iter(snapshots), None)
        if self.revision is None or (named not in snapshots and len(snapshots) > 1):
            raise UserError(
                "{folder} is of the Hub's cache, but it does not say which of its {n:,} snapshots "
                "is the newest; give the folder of one.",
                folder=top,
                n=len(snapshots),
            )
        return snapshots[self.revision]

    def find(self, name: str) -> Path | None:
        """The file, or None if this model has none of this name."""
        path = self._found(name)
        if path is not None:
            with explained(path, "read"):
                check_whole(path)
        return path

    def _found(self, name: str) -> Path | None:
        if self._folder is not None:
            path = self._folder / name
            return path if path.is_file() else None
        try:
            found = locate(
                self.name,
                name,
                repo_type="model",
                max_bytes=untrusted.MAX_BYTES,
                progress=None if self._progress is None else fetching(name, self._progress),
            )
        except NotInRepository:
            return None
        except CorpusUnavailable:
            raise
        except UserError as error:
            raise UserError(
                "There is no folder {source}, and it is not a repository's name such as "
                "google-bert/bert-base-uncased.",
                source=self.name,
            ) from error
        if found.origin is Origin.MIRROR:
            self._folder = found.path.parent
        self.revision = found.revision or self.revision
        return found.path

    def need(self, *names: str) -> Path:
        """The first of these files that there is; `UserError` if there is none of them."""
        trouble: CorpusUnavailable | None = None
        for name in names:
            try:
                path = self.find(name)
            except CorpusUnavailable as error:  # offline: what was not fetched may not be needed
                trouble, path = trouble or error, None
            if path is not None:
                return path
        if trouble is not None:
            raise trouble
        files = functools.reduce(lambda a, b: Text("{a} and no {b}", a=a, b=b), names)
        raise UserError("{source} has no {files}.", source=self.name, files=files)

    def optional_json(self, name: str) -> dict[str, Any]:
        """The object in a JSON file, {} where the model has no such file.

        Offline, what was not fetched with the rest of a model is taken for not there.
        """
        try:
            return {} if self.find(name) is None else self.json(name)
        except CorpusUnavailable:
            if self.revision is None:
                raise
            return {}

    def text(self, name: str) -> str:
        """The contents of a text file that has to be there."""
        path = self.need(name)
        try:
            if path.stat().st_size > _TEXT_BYTES:
                raise UserError(
                    "{file} of {source} is larger than {limit} MB.",
                    file=name,
                    source=self.name,
                    limit=_TEXT_BYTES >> 20,
                )
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                "{file} of {source} is damaged: it is not text.", file=name, source=self.name
            ) from error
        except OSError as error:
            raise UserError(
                "{path} cannot be read: {reason}.", path=path, reason=error.strerror or error
            ) from error

    def json(self, name: str) -> dict[str, Any]:
        """The object in a JSON file that has to be there."""
        try:
            value = json.loads(self.text(name))
        except (json.JSONDecodeError, RecursionError) as error:
            raise UserError(
                "{file} of {source} is damaged: it is not valid JSON.", file=name, source=self.name
            ) from error
        if not isinstance(value, dict):
            raise UserError(
                "{file} of {source} is damaged: it must be an object.", file=name, source=self.name
            )
        if untrusted.depth(value) > _DEEPEST:
            raise UserError(
                "{file} of {source} is damaged: it is nested deeper than {limit}.",
                file=name,
                source=self.name,
                limit=_DEEPEST,
            )
        return value

    def weights(self) -> dict[str, Tensor]:
        """All tensors by their names in the files, fp32; integers are left out."""
        indices = [f"{name}.index.json" for name in _WEIGHTS]
        first = self.need(_WEIGHTS[0], indices[0], _WEIGHTS[1], indices[1])
        paths = [first]
        if first.name in indices:
            paths = [self.need(part) for part in self._parts(first.name)]
        if sum(path.stat().st_size for path in paths) > untrusted.MAX_BYTES:
            raise UserError(
                "{source} is larger than {limit} GB, the most that is read.",
                source=self.name,
                limit=untrusted.MAX_BYTES >> 30,
            )
        state: dict[str, Tensor] = {}
        for path in paths:
            state |= self._read(path)
        state = untrusted.unwrapped(state, (*untrusted.WRAPPERS, *names.ENCODERS), self.name)
        odd = next((n for n, v in state.items() if not (v.is_floating_point() or _counts(v))), None)
        if odd is not None:
            raise UserError(
                "{source} is quantised ({odd} is {kind}); give fp32.",
                source=self.name,
                odd=odd,
                kind=state[odd].dtype,
            )
        weights = {n: value.float() for n, value in state.items() if value.is_floating_point()}
        untrusted.check_finite(weights, self.name)
        return weights

    def _parts(self, index: str) -> list[str]:
        """The files that an index names: plain names, as they are beside it."""
        named = self.json(index).get("weight_map")
        parts = sorted(set(named.values())) if isinstance(named, dict) else []
        if not parts or any(
            not isinstance(part, str) or set(part) & set("/\\:\0") for part in parts
        ):
            raise UserError(
                "{index} of {source} is damaged: it must name files beside it.",
                index=index,
                source=self.name,
            )
        return parts

    def _read(self, path: Path) -> dict[str, Tensor]:
        where = f"{path.name} of {self.name}"
        try:
            if path.suffix != ".safetensors":
                with path.open("rb") as stream:
                    return untrusted.read_state_dict(stream, where, Text("fetch it again"))
            with safe_open(path, "pt") as file:
                return {name: file.get_tensor(name) for name in list(file.keys())}
        except SafetensorError as error:
            raise UserError(
                "{where} is damaged or incomplete ({error}).", where=where, error=error
            ) from error
        except OSError as error:
            raise UserError(
                "{path} cannot be read: {reason}.", path=path, reason=error.strerror or error
            ) from error


def fetching(name: str, progress: Progress) -> Callable[[int, int], None]:
    """What is to be told the bytes of a file that are here, and of how many."""

    def tell(here: int, size: int) -> None:
        share = here / size if size else None
        values = {"file": name, "here": here / 1e6, "size": size / 1e6}
        if size:
            words = Text("Fetching {file}: {here:.1f} of {size:.1f} MB", **values)
        else:
            words = Text("Fetching {file}: {here:.1f} MB", **values)
        progress(words, share)

    return tell


def _counts(value: Tensor) -> bool:
    """Whether it is one of BERT's lists of positions, which old files keep among the weights."""
    return value.dim() <= 2 and not value.is_complex() and value.element_size() == 8
