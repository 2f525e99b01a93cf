"""The public link for a class: large, with a code for phones, or a loud word on why there is none.

Gradio makes the link while it launches and only prints when that fails, so whoever launches asks
for it, reports here, and prints what `announce` says; the page shows the same.
"""

from __future__ import annotations

import html
import io
from dataclasses import dataclass
from urllib.parse import urlsplit

import gradio as gr
import segno

from bert_demo.ui.parts.language import later, say

ADVICE = (
    later(
        "Look whether this machine is online, and try again: the service that gives such links is "
        "free and not always there."
    ),
    later(
        "A firewall may be in the way, or the program that Gradio fetches for the link the first "
        "time; another network, such as a phone's hotspot, often has neither trouble."
    ),
    later(
        "Without any link: start with --host 0.0.0.0 and let the class, in the same Wi-Fi, open "
        "http://ADDRESS:PORT with this machine's own address and the port of this page."
    ),
)
"""What to try when there is no public link, one sentence each; the terminal has it in English."""


@dataclass
class ShareLink:
    """The link of one page; the launcher writes it, the page reads it."""

    wanted: bool = False
    url: str | None = None

    def opened(self, url: str | None) -> None:
        """Take down what came of it: the address, or None if there is none."""
        self.wanted = True
        self.url = url or None


def announce(link: ShareLink, encoding: str | None = "utf-8") -> str:
    """What a terminal of this encoding says of the link; empty where none was asked for."""
    if not link.wanted:
        return ""
    if link.url is None:
        frame = "!" * 72
        advice = "\n".join(f"  - {line}" for line in ADVICE)
        return f"\n{frame}\nNO PUBLIC LINK. The class cannot open this page yet.\n{advice}\n{frame}"
    text = f"\nFor the class, for up to a week:\n\n    {link.url}\n"
    drawn = io.StringIO()
    segno.make(link.url, error="m").terminal(drawn, border=2, compact=True)
    try:
        drawn.getvalue().encode(encoding or "ascii")
    except UnicodeEncodeError:  # an old Windows console, which would end the app
        return text
    return f"{text}\n{drawn.getvalue()}"


def banner(link: ShareLink, host: str = "") -> str:
    """The link as HTML for the page that `host` (a host and port) serves; empty where useless.

    Who came by the link has no use for it, so only the page at another address shows it.
    """
    if not link.wanted:
        return ""
    if link.url is None:
        items = "".join(f"<li>{html.escape(say(line))}</li>" for line in ADVICE)
        title = html.escape(say("There is no public link."))
        return (
            '<section class="bd-share bd-share-bad" role="alert"><p class="bd-share-title">'
            f"{title}</p><ul>{items}</ul></section>"
        )
    if host.partition(":")[0] == urlsplit(link.url).hostname:
        return ""
    url = html.escape(link.url)
    shown = html.escape(link.url.removeprefix("https://").rstrip("/"))
    # The quiet zone is part of the code: scanners need it, on a dark page above all.
    code = segno.make(link.url, error="m").svg_inline(
        scale=6, border=4, light="#fff", omitsize=True, svgclass=None, lineclass=None
    )
    summary, label = say("Join this page"), say("QR code of {url}", url=link.url)
    return (
        f'<details class="bd-share" open=""><summary>{html.escape(summary)}</summary>'
        f'<div class="bd-share-body"><div class="bd-share-code" role="img" '
        f'aria-label="{html.escape(label)}">{code}</div>'
        f'<a class="bd-share-link" href="{url}">{shown}</a></div></details>'
    )


def create_share_banner(page: gr.Blocks, link: ShareLink) -> gr.HTML:
    """The banner, to be called inside the page; filled when a browser opens it."""
    part = gr.HTML(visible=False, elem_classes="bd-share-part")

    def show(request: gr.Request) -> gr.HTML:
        text = banner(link, request.headers.get("host", ""))
        return gr.HTML(text, visible=bool(text))

    page.load(show, None, part, queue=False, show_progress="hidden", api_visibility="private")
    return part
