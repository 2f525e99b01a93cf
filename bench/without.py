"""The command line without some fast paths of the device, to measure what they bring.

    python -m bench.without triton,graphs finetune --corpus snli ...

The names are those of `bert_demo/model/fast_paths.py`.
"""

from __future__ import annotations

import argparse
import sys

from bert_demo.model.process import prepare_process


def main() -> int:
    """Switch them off and run one command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run a command without some fast paths.")
    parser.add_argument("names", help="separated by commas")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    prepare_process()
    from bert_demo.cli.parser import main as run_command
    from bert_demo.model import fast_paths
    from bert_demo.model.device import pick_device

    names = given.names.split(",")
    if unknown := set(names) - fast_paths.FAST_PATHS.keys():
        parser.error(f"no fast path is called {', '.join(sorted(unknown))}")
    for name in names:
        fast_paths.switch_off(name, pick_device("auto"), "to compare")
    return run_command(given.command)


if __name__ == "__main__":
    sys.exit(main())
