"""Flags that several commands have; those of runs are made from the settings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bert_demo.common.corpus_names import NLI_CORPORA, PRETRAINING_CORPORA
from bert_demo.common.fields import settings_of
from bert_demo.common.groups import GUESSING_SETTINGS, NEW_MODEL_SETTINGS, TEACHING_SETTINGS
from bert_demo.config import RunConfig, TrainingConfig

_EVERY = tuple(dict.fromkeys((*PRETRAINING_CORPORA, *NLI_CORPORA)))


def add_training(parser: argparse.ArgumentParser, task: str) -> None:
    """A run that is kept in --out, and its settings."""
    add_out(parser)
    parser.add_argument("--resume", action="store_true", help="Go on with the run in --out")
    add_overwrite(parser)
    add_settings(parser, task)


def add_questions(parser: argparse.ArgumentParser) -> None:
    """What its film asks."""
    group = parser.add_argument_group(
        "what it is asked while it learns",
        "The answers are in the run's film, and the last ones are printed (with --json all). They "
        "are not kept for --resume; give them again.",
    )
    group.add_argument(
        "--ask",
        action="append",
        metavar="TEXT",
        help='A sentence with a blank: "the crane stood on one <mask>"; up to 8 of them',
    )
    group.add_argument("--ask-word", metavar="WORD", help="The word of the film's map")
    group.add_argument(
        "--ask-context",
        action="append",
        metavar="TEXT",
        help="A text with that word, 3 to 24 of them",
    )
    group.add_argument(
        "--ask-sense", action="append", metavar="SENSE", help="Of the word in each --ask-context"
    )


def add_settings(parser: argparse.ArgumentParser, task: str | None = None) -> None:
    """A flag for each setting of a task's runs, or of all tasks'.

    Its value stays text, which the configuration checks itself.
    """
    corpora = {"pretraining": PRETRAINING_CORPORA, "nli": NLI_CORPORA, None: _EVERY}[task]
    own = {"pretraining": (*NEW_MODEL_SETTINGS, *GUESSING_SETTINGS), "nli": TEACHING_SETTINGS}
    others = {"pretraining": own["nli"], "nli": own["pretraining"], None: ()}[task]
    skipped = others if task is None else ("task", *others)
    for title, config in (("what is trained", RunConfig), ("how it is trained", TrainingConfig)):
        group = parser.add_argument_group(title)
        for item in settings_of(config):
            if item.name == "corpus":
                add_corpus(group, corpora, text=task == "pretraining")
            elif item.name not in skipped:
                choices = item.choices
                default = "" if item.default is None else f" (default: {item.default})"
                metavar = {int: "N", float: "X", str: "DIR"}[item.type]
                group.add_argument(
                    *item.flags,
                    dest=item.name,
                    metavar=_one_of(choices) if choices else metavar,
                    help=(item.hint + default).replace("%", "%%"),
                )


def add_corpus(
    group: argparse._ArgumentGroup | argparse.ArgumentParser, named: Sequence[str], *, text: bool
) -> None:
    """What to learn from: text, or pairs."""
    what = "text" if text else "pairs"
    group.add_argument(
        "--corpus",
        action="append",
        metavar=f"{','.join(named)}|FILE|DIR|hub:OWNER/NAME",
        help=f"The {what} to learn from (default: crane-world); one's own may be given in several "
        "files, or as a data set of the Hub, hub:OWNER/NAME@REVISION/FOLDER",
    )
    add_column(group)


def add_column(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """Which columns of a table are meant."""
    group.add_argument(
        "--column",
        action="append",
        metavar="NAME",
        help="Of a table, the column with the text (default: text); of one with pairs "
        "premise=NAME, hypothesis=NAME and label=NAME, where its columns have other names",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """The checkpoint that is asked."""
    parser.add_argument("--model", required=True, metavar="DIR", help="Folder of a checkpoint")


def add_out(parser: argparse.ArgumentParser) -> None:
    """Where a checkpoint is written."""
    parser.add_argument("--out", required=True, metavar="DIR", help="Folder for the checkpoint")


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Whether one that is there may go."""
    parser.add_argument("--overwrite", action="store_true", help="Replace the checkpoint in --out")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where to compute."""
    device = next(item for item in settings_of(TrainingConfig) if item.name == "device")
    parser.add_argument(
        *device.flags,
        default=device.default,
        metavar=_one_of(device.choices or ()),
        help="Where to compute",
    )


def _one_of(choices: Sequence[str]) -> str:
    return "{" + ",".join(choices) + "}"


def whole_number(text: str) -> int:
    """A type of flags."""
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from error
