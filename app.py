"""Start the page. A Space runs this file as it is; on a laptop, `make app` does."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Read the flags, then serve the page until it is stopped, which ends the process."""
    from bert_demo import UserError
    from bert_demo.ui.serving.files import own_folder
    from bert_demo.ui.serving.hosting import claim_gpus
    from bert_demo.ui.serving.proxies import keep_usable_proxies
    from bert_demo.ui.serving.settings import from_args

    for sentence in keep_usable_proxies():  # Gradio's import fails where one cannot be used
        print(sentence, file=sys.stderr)
    claim_gpus()
    try:
        settings = from_args(None, os.environ)
        with own_folder():
            from bert_demo.ui.serving.launch import launch

            launch(settings)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    # All is saved and closed. A thread that computes somebody's answer still would abort Python
    # while it takes itself down.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
