"""A checkpoint to the Hugging Face Hub, and back from there.

`huggingface_hub` does the work, with the login of whoever runs this: its token is sent to the Hub
and to nobody else, and stands in no message. What goes up:

config.json        the description, without the folders of the computer it came from
tokenizer.json     the vocabulary
model.safetensors  the weights; the state of an unfinished run stays at home
README.md          the model card
metrics.csv        the steps and validations of the run, where there are any
transformers/      the same model as `export-hf` writes it, where that is possible
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from bert_demo.common.errors import Text, UserError
from bert_demo.data import hub
from bert_demo.data.files import explained, part_folder, put_folder, writers_path
from bert_demo.interop import addresses, errors
from bert_demo.interop.card import model_card
from bert_demo.interop.errors import LOG_IN, HubFailure, check_name, in_words, login
from bert_demo.interop.export import export_hf
from bert_demo.interop.model_files import Progress, fetching
from bert_demo.interop.sharing import metrics_csv, without_paths, without_text
from bert_demo.model import checkpoint
from bert_demo.model.folders import CONFIG, METRICS, TOKENIZER, WEIGHTS, checkpoint_folder
from bert_demo.training.recorder import read_metrics

CARD, NUMBERS, EXPORT = "README.md", "metrics.csv", "transformers"

_NEEDED = {CONFIG: 1_000_000, TOKENIZER: 64_000_000, WEIGHTS: 2_000_000_000}
"""What a checkpoint on the Hub must have, each file with the most bytes that are fetched."""
_WELCOME = {CARD: 1_000_000, NUMBERS: 64_000_000}
"""What comes along where it is there and no larger."""
_PATHS = (str, type(Path()))
_MADE_BY_THE_HUB = {".gitattributes", CARD}
_READING = (
    "It was published by bert_demo, which brings it back with `python -m bert_demo fetch {repo} "
    "--out DIR`."
)
_EXPORTED = (
    'The folder `transformers` has the same model for that library: `from_pretrained("{repo}", '
    'subfolder="transformers")`.'
)
_NOT_EXPORTED = "It has the architecture of the book, which `transformers` does not have."


@dataclass(frozen=True)
class Published:
    """Where a model now is."""

    repo: str
    """"owner/name"."""
    url: str
    private: bool
    """Whether only its owner sees it; a repository that was there keeps what it was."""
    files: tuple[str, ...]


@dataclass(frozen=True)
class Fetched:
    """What came from the Hub."""

    repo: str
    revision: str
    """The commit it was at."""
    task: str
    parameters: int
    folder: str


def publish(folder: str | Path, repo_id: str, *, public: bool = False) -> Published:
    """Put a checkpoint, or a run's folder, on the Hub as a model repository, in one commit.

    Args:
        folder: the checkpoint; it must load, and stays as it is.
        repo_id: "owner/name", or "name" for the owner of the login. One that exists is used if
            it is empty or holds a checkpoint of this project, which is brought up to date.
        public: whether everybody may see a new repository; else only its owner does.

    Raises:
        CheckpointError: the folder is not a checkpoint that loads.
        HubFailure: no login, no permission, a repository of something else, no network, a Hub
            in trouble. The Hub then has what it had before, perhaps with an empty repository.
    """
    check_name(repo_id)
    with tempfile.TemporaryDirectory(prefix="bert_demo-") as made:
        stage = Path(made)
        _stage(Path(folder).expanduser(), stage)
        token = login()
        if token is None:
            raise HubFailure(
                "You are not logged in to the Hugging Face Hub; {log_in}.", log_in=LOG_IN
            )
        api = HfApi(token=token)
        if "/" not in repo_id:
            with in_words(repo_id, token):
                repo_id = f"{api.whoami()['name']}/{repo_id}"
        _write_card(stage, repo_id)
        (stage / METRICS).unlink(missing_ok=True)
        paths = [path for path in stage.rglob("*") if path.is_file()]
        names = sorted(path.relative_to(stage).as_posix() for path in paths)
        with in_words(repo_id, token):
            url = api.create_repo(repo_id, private=not public, exist_ok=True)
            revision, sizes, private = _contents(api, repo_id)
            other = None if sizes.keys() <= _MADE_BY_THE_HUB else _other(repo_id, revision, sizes)
            if other is not None:
                raise HubFailure(
                    "{repo} is there already and is {other}; it is not replaced, so choose "
                    "another name.",
                    repo=repo_id,
                    other=other,
                )
            ours = {name for name in sizes if name == NUMBERS or name.startswith(f"{EXPORT}/")}
            api.create_commit(
                repo_id,
                [
                    *(CommitOperationDelete(name) for name in ours.difference(names)),
                    *(CommitOperationAdd(name, stage / name) for name in names),
                ],
                commit_message="A model trained with bert_demo",
            )
    return Published(repo_id, str(url), private, tuple(names))


def fetch(
    repo_id: str, out: str | Path, *, overwrite: bool = False, progress: Progress | None = None
) -> Fetched:
    """Bring a checkpoint that was published from this project; `out` is complete or untouched.

    `repo_id` is "owner/name" or the address of its page. A login is used where there is one, and
    needed for private repositories alone. Nothing from the repository is run. `progress` is told
    what is being done, perhaps from another thread.

    Raises:
        CheckpointError: `out` cannot be written.
        HubFailure: no such repository, one of something else, damaged, too large, no network.
    """
    if addresses.is_address(repo_id):
        repo_id = addresses.repo_id(repo_id)
    check_name(repo_id)
    checkpoint.check_writable(out, overwrite=overwrite)
    token = login()
    with in_words(repo_id, token, reading=True):
        revision, sizes, _ = _contents(HfApi(token=token), repo_id)
    other = _other(repo_id, revision, sizes)
    if other is not None:
        raise HubFailure("{repo} on the Hub is {other}.", repo=repo_id, other=other)
    for name, most in _NEEDED.items():
        if name not in sizes:
            raise HubFailure(
                "{repo} on the Hub is not complete: it has no {name}.", repo=repo_id, name=name
            )
        if sizes[name] > most:
            raise HubFailure(
                "{name} of {repo} has {size:,} bytes; more than {limit:,} are not fetched.",
                name=name,
                repo=repo_id,
                size=sizes[name],
                limit=most,
            )
    folder = writers_path(out)
    with explained(folder, "written"), part_folder(folder.parent) as part:
        new = part / "new"
        new.mkdir()
        along = [name for name, most in _WELCOME.items() if 0 < sizes.get(name, 0) <= most]
        for name in (*_NEEDED, *along):
            _link(_file(repo_id, name, revision, progress).resolve(), new / name)
        try:
            model = checkpoint.load(new).model
        except checkpoint.CheckpointError as error:
            # Where it was unpacked is nobody's business, and is gone by now.
            values = {
                name: str(value).replace(str(new), repo_id) if type(value) in _PATHS else value
                for name, value in error.text.values.items()
            }
            raise HubFailure(error.text.template, **values) from error
        put_folder(new, folder)
    parameters = sum(value.numel() for value in model.parameters())
    return Fetched(repo_id, revision, model.task, parameters, str(folder))


def _stage(folder: Path, stage: Path) -> None:
    """Lay out what is to be published; a run that trains on cannot change it any more."""
    folder = checkpoint_folder(folder)
    config = without_paths(checkpoint.read_config(folder))
    with explained(folder, "read"):
        text = json.dumps(config, ensure_ascii=False, indent=1) + "\n"
        (stage / CONFIG).write_text(text, encoding="utf-8")
        for name in (TOKENIZER, WEIGHTS):
            if (folder / name).is_file():  # if not, loading will say so
                _link(folder / name, stage / name)
        if (folder / METRICS).is_file():
            events = without_text(read_metrics(folder))
            lines = "".join(json.dumps(event) + "\n" for event in events)
            (stage / METRICS).write_text(lines, encoding="utf-8")
        checkpoint.load(stage)
        if (stage / METRICS).exists():
            numbers = metrics_csv(read_metrics(stage))
            (stage / NUMBERS).write_text(numbers, encoding="utf-8", newline="")


def _write_card(stage: Path, repo_id: str) -> None:
    notes = [_READING.format(repo=repo_id)]
    try:
        notes += [_EXPORTED.format(repo=repo_id), *export_hf(stage, stage / EXPORT).notes]
        (stage / EXPORT / CARD).unlink()  # one card is enough
    except checkpoint.CheckpointError:
        raise
    except UserError:
        notes.append(_NOT_EXPORTED)
    (stage / CARD).write_text(model_card(stage, notes=notes), encoding="utf-8")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # on another disk, or on one without links
        shutil.copyfile(source, target)


def _contents(api: HfApi, repo_id: str) -> tuple[str, dict[str, int], bool]:
    """The latest commit, each file's size in bytes, and whether the repository is private."""
    info = api.model_info(repo_id, files_metadata=True, timeout=errors.SILENCE_SECONDS)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    return str(info.sha), sizes, bool(info.private)


def _file(repo_id: str, name: str, revision: str, progress: Progress | None = None) -> Path:
    told = None if progress is None else fetching(name, progress)
    try:
        return hub.fetch(
            repo_id, name, repo_type="model", revision=revision, damaged=None, progress=told
        )
    except hub.HubError as failure:
        raise HubFailure(
            "{name} of {repo} cannot be fetched: {failure}.",
            name=name,
            repo=repo_id,
            failure=failure,
        ) from failure


def _other(repo_id: str, revision: str, sizes: Mapping[str, int]) -> Text | None:
    """What a repository is instead of one of our checkpoints; None for a checkpoint."""
    config: object = None
    if 0 < sizes.get(CONFIG, 0) <= _NEEDED[CONFIG]:
        path = _file(repo_id, CONFIG, revision)
        with contextlib.suppress(ValueError, RecursionError):
            config = json.loads(path.read_text(encoding="utf-8"))
    values = config if isinstance(config, dict) else {}
    if values.get("format") == checkpoint.FORMAT:
        return None
    if checkpoint.is_own(values):
        return Text("a checkpoint of another version of bert_demo")
    kind = values.get("model_type")
    if kind == "bert":
        return Text("a Hugging Face BERT, which `python -m bert_demo import-hf` reads")
    if isinstance(kind, str):
        return Text("a model of the kind {kind!r}, not a checkpoint of bert_demo", kind=kind[:40])
    return Text("not a checkpoint of bert_demo")
