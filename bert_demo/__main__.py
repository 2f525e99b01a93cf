"""`python -m bert_demo`."""

import sys

from bert_demo.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
