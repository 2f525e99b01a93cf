"""Start the page. A Space runs this file as it is; on a laptop, `make app` does."""

from __future__ import annotations

import argparse

from bert_demo.ui import build_app, launch_options


def main() -> None:
    """Read the flags, build the page and serve it until it is stopped."""
    parser = argparse.ArgumentParser(description="Serve the bert_demo page.")
    parser.add_argument("--host", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 7860, or the next)")
    arguments = parser.parse_args()
    # Left empty, both are gradio's to choose: 127.0.0.1:7860 here, and what a Space sets there.
    build_app().launch(server_name=arguments.host, server_port=arguments.port, **launch_options())


if __name__ == "__main__":
    main()
