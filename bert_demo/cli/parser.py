"""The command line: `python -m bert_demo <command> ...`.

This file knows the commands' names and flags; `commands.py` does the work and is imported
when a command runs, so that help costs no torch. Exit codes: 0, 1 for a run that failed, 2 for
input that cannot be used (with one sentence), 130 for Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import NoReturn

from bert_demo.cli.flags import (
    add_column,
    add_corpus,
    add_device,
    add_model,
    add_out,
    add_overwrite,
    add_questions,
    add_settings,
    add_training,
    whole_number,
)
from bert_demo.common.corpus_names import PRETRAINING_CORPORA
from bert_demo.common.errors import Text, UserError
from bert_demo.config import LABELS, VERSION
from bert_demo.interop.known import KNOWN_MODELS

_NUMBERS = ", ".join(f"{number} is {name}" for number, name in enumerate(LABELS))
NUMBERS = f"{_NUMBERS}, as SNLI has them on the Hub (in the book's own data 1 is contradiction)"
"""How numbers are read as labels."""

TRAPS = "traps"
"""What `evaluate --data` calls the pairs of `bert_demo.data.traps`."""

_LONGEST = 500


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence instead of the usage and a line."""
        # With all commands to choose from it is long, with what somebody pasted it is longer.
        whole = message if len(message) < _LONGEST else f"{message[:_LONGEST]}..."
        sentence = Text(whole[:1].upper() + whole[1:])
        raise UserError("{sentence} (see {prog} --help).", sentence=sentence, prog=self.prog)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    code = _run(argv)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # Now and then the threads that connect the processes abort one that takes itself apart,
        # and torchrun then ends the others, which may still be saving.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(argv: Sequence[str] | None) -> int:
    from bert_demo.cli import output

    try:
        arguments = build_parser().parse_args(argv)
        from bert_demo.cli import commands

        with _ended_like_ctrl_c():
            code: int = getattr(commands, arguments.function)(arguments)
        sys.stdout.flush()
        return code
    except SystemExit as finished:  # --help and --version
        return int(finished.code or 0)
    except KeyboardInterrupt:
        output.note("Stopped by Ctrl-C.")
        return 130
    except BrokenPipeError:
        # Python flushes stdout once more on its way out, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UserError as error:
        output.note(str(error))
        return 2
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        output.note(f"The system refused: {error.strerror or error}{where}.")
        return 1
    except Exception as error:
        traceback.print_exc()
        output.note(f"This is a fault of bert_demo's own ({type(error).__name__}); see above.")
        return 1


@contextlib.contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """The system's request to end takes away what was begun, as Ctrl-C does.

    Training has a way of its own, which keeps what was learnt.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if main else None
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def build_parser() -> argparse.ArgumentParser:
    """All commands and their flags; those of training are made from the settings."""
    parser = _Parser(
        prog="python -m bert_demo",
        description="Pretrain a BERT, look inside it, fine-tune it and ask it, from a shell.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bert_demo {VERSION}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        one.set_defaults(function=name.replace("-", "_"))
        one.add_argument("--json", action="store_true", help="One JSON object a line, for programs")
        return one

    one = command("pretrain", "Train a new model on text: masked words and next sentences.")
    add_training(one, "pretraining")
    add_questions(one)
    one = command("finetune", "Train a checkpoint to judge a premise and a hypothesis.")
    add_training(one, "nli")

    one = command("against", "Try one setting against its other value, in pairs of runs.")
    one.add_argument(
        "--set",
        dest="switch",
        required=True,
        action="append",
        metavar="SETTING=VALUE",
        help="The one setting that the other runs have differently: norm=before, mask-share=0.4, "
        "or any of pretrain that changes neither the text nor the question",
    )
    one.add_argument(
        "--pairs", type=whole_number, default=3, metavar="N", help="Pairs of runs (default: 3)"
    )
    one.add_argument(
        "--most-seconds", type=float, metavar="X", help="Begin no pair that ends after that"
    )
    one.add_argument("--out", metavar="DIR", help="Keep the checkpoints in this folder")
    one.epilog = "All other flags are those of both ways; without a budget a run has 300 steps."
    add_settings(one)

    one = command("find-rate", "Find a learning rate for a run, by a sweep of some seconds.")
    one.add_argument(
        "--seconds", type=float, default=10, metavar="X", help="How long to try (default: 10)"
    )
    one.epilog = "All other flags are those of the run; nothing of what is learnt is kept."
    add_settings(one)

    one = command("evaluate", "Score a checkpoint on a whole split: labelled pairs, or text.")
    add_model(one)
    on = one.add_mutually_exclusive_group(required=True)
    on.add_argument(
        "--data",
        metavar="NAME:SPLIT|FILE",
        help="snli:test, crane-world:validation ..., traps (3,240 pairs by kind), or a TSV, CSV or "
        "JSON file with the columns premise, hypothesis, label (or SNLI's own sentence1, "
        "sentence2, gold_label), or a folder with one such table",
    )
    on.add_argument(
        "--text",
        metavar="NAME:SPLIT|FILE",
        help="For a pretrained checkpoint: wikitext-2:validation, crane-world:validation ..., or a "
        "file of one's own, of which the held-out part is read",
    )
    add_column(one)
    one.add_argument(
        "--details",
        action="store_true",
        help="With --data: also where it fails: accuracy by length, shared words, negation, number "
        "words and the table's own column kind, a calibration curve, and its surest mistakes (with "
        "--json every pair behind each cell)",
    )
    one.epilog = f"Numbers are read as labels so: {NUMBERS}."
    add_device(one)

    one = command("encode", "Represent a text, or a pair of texts, as vectors.")
    add_model(one)
    one.add_argument("--text", required=True, help="The text")
    one.add_argument("--pair", help="A second text")

    one = command("compare", "Measure how alike the vectors of one word in several texts are.")
    add_model(one)
    one.add_argument("--word", required=True, help="The word that each text has")
    one.add_argument(
        "--text", required=True, action="append", help='Give two or more; "a <sep> b" is a pair'
    )
    one.add_argument(
        "--sense", action="append", help="Of the word in each --text, to see if they are kept apart"
    )

    one = command("classify", "Judge whether a hypothesis follows from a premise.")
    add_model(one)
    one.add_argument("--premise", required=True, help="What is known to be true")
    one.add_argument("--hypothesis", required=True, help="What may follow from it")

    one = command("fill-mask", "Guess the words behind <mask>.")
    add_model(one)
    one.add_argument("--text", required=True, help='A text with a blank: "a <mask> is flying"')
    one.add_argument(
        "--top", default=5, type=whole_number, help="Guesses for each blank (default: 5)"
    )

    one = command("import-d2l", "Make a checkpoint from one of Dive into Deep Learning.")
    one.add_argument("source", metavar="ZIP", help="Zip, its folder, bert.small or bert.base")
    add_out(one)
    add_overwrite(one)
    one.add_argument(
        "--num-attention-heads",
        type=whole_number,
        metavar="N",
        help="Where the zip's name does not tell",
    )

    one = command("import-hf", "Make a checkpoint from a BERT of Hugging Face's.")
    one.add_argument("source", metavar="REPO_OR_FOLDER", help="Any BERT of the Hub, or a folder")
    one.add_argument(
        "--labels",
        metavar="A,B,C",
        help="What the three labels of a judge are, in their order, where its config.json has "
        "other names: contradiction,entailment,neutral",
    )
    one.epilog = f"Known to work: {'; '.join(model.title for model in KNOWN_MODELS)}."
    add_out(one)
    add_overwrite(one)

    one = command("export-hf", "Write a checkpoint in the form that transformers loads.")
    one.add_argument("folder", metavar="DIR", help="Folder of the checkpoint")
    one.add_argument("--out", required=True, metavar="DIR", help="Folder for Hugging Face's form")
    one.add_argument("--overwrite", action="store_true", help="Replace the export in --out")

    one = command("publish", "Put a checkpoint on the Hugging Face Hub, with your own login.")
    one.add_argument("folder", metavar="DIR", help="Folder of a checkpoint, or of a run")
    one.add_argument("repo", metavar="REPO", help="owner/name, or a name for one of your own")
    one.add_argument(
        "--public", action="store_true", help="Let everybody see it; left out, you alone do"
    )

    one = command("fetch", "Bring a checkpoint that was published from this project.")
    one.add_argument("repo", metavar="REPO", help="owner/name on the Hugging Face Hub")
    add_out(one)
    add_overwrite(one)

    one = command("bundle", "Make a small copy of a checkpoint, to come along with the project.")
    add_model(one)
    add_out(one)
    add_overwrite(one)
    one.add_argument(
        "--storage",
        choices=("fp16", "int8"),
        default="fp16",
        help="The weights in 16 bits, or the matrices in 8 with a scale for each row",
    )
    one.add_argument("--note", action="append", default=[], help="A paragraph for its card")

    one = command("prepare", "Fetch and cache all text, or take in and describe one's own.")
    add_corpus(one, PRETRAINING_CORPORA, text=True)
    command("doctor", "Say what this computer offers: device, memory, text, checkpoints.")
    return parser
