"""What a visitor on a slow line sees, and when.

    python -m bench.arrival

A cold browser opens a public page that has been up for a minute or two, over a line as slow as the
"slow 3G" of Chromium's developer tools: 50 kB a second, 400 ms to and fro. Written down are the
times until there is a first picture, until Start can be pressed, until the recorded run plays as a
plain picture, and until Plotly draws it.
Needs Playwright and a Chromium. Everything stays on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench import machine, results
from bench.served import app

_BYTES_A_SECOND = 50_000
_LATENCY_MS = 400
_WARM_SECONDS = 90  # models are loaded behind the page, and scripts packed as small as can be
_SIGNS = {
    "a first picture of the recorded run": "document.querySelector('.bd-outline polyline')",
    "Start can be pressed": "[...document.querySelectorAll('.bd-first-card button')].some("
    "b => b.offsetWidth && !b.disabled)",
    "the recorded run plays as a picture": "document.querySelector("
    "'#live-pretrain .bd-plot polyline')",
    "it says the values under the pointer": "(() => {"
    " const plot = document.querySelector('#live-pretrain .bd-sketch');"
    " const box = plot && plot.getBoundingClientRect();"
    " plot?.dispatchEvent(new PointerEvent('pointermove', { clientX: box.left + box.width / 3 }));"
    " return plot?.querySelector('g text'); })()",
    "the chart of Plotly": "document.querySelector('#live-pretrain .scatterlayer path')",
}


def arrival(browser: Any, url: str) -> dict[str, float]:
    """Seconds until each of the signs, and bytes sent."""
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": _LATENCY_MS,
            "downloadThroughput": _BYTES_A_SECOND,
            "uploadThroughput": _BYTES_A_SECOND,
        },
    )
    sent: list[int] = []
    line.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    begin, found = time.perf_counter(), {}
    page.goto(url, wait_until="commit")
    for sign, script in _SIGNS.items():
        page.wait_for_function(f"() => Boolean({script})", timeout=120_000, polling=50)
        found[sign] = time.perf_counter() - begin
    found["kB"] = sum(sent) / 1000
    page.context.close()
    return found


def main() -> None:
    """Measure and write the section."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description="Open the page over a slow line.")
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("No Chromium was found.")
    load = machine.load()
    with (
        tempfile.TemporaryDirectory() as home,
        machine.own_cache(),
        app(Path(home), "--public") as up,
        sync_playwright() as playwright,
    ):
        time.sleep(_WARM_SECONDS)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        rounds = [arrival(browser, up.url) for _ in range(flags.rounds)]
        browser.close()
    lines = [
        f"Measured by `python -m bench.arrival`: {_BYTES_A_SECOND // 1000} kB a second, "
        f"{_LATENCY_MS} ms,",
        f"a cold browser on a phone's screen, median of {flags.rounds}; app and browser share the",
        "processor.",
        "",
        *machine.describe(load, "gradio", "plotly"),
        "",
        "| until | seconds |",
        "|---|---|",
        *(f"| {sign} | {median(one[sign] for one in rounds):.1f} |" for sign in _SIGNS),
        "",
        f"{median(one['kB'] for one in rounds):,.0f} kB came over the line until then.",
    ]
    results.write_section("Over a slow line", lines)


if __name__ == "__main__":
    main()
