"""`python -m bert_demo`, and the command `bert-demo`."""

import sys

from bert_demo.model.process import prepare_process


def main() -> int:
    """Run one command in a process of its own; returns the exit code."""
    prepare_process()
    from bert_demo.cli.parser import main as run_command

    return run_command()


if __name__ == "__main__":
    sys.exit(main())
