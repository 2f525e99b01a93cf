"""The public link for a class: in large type with a code, or a loud word on why there is none."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
import segno

from bert_demo.ui.serving.share import ADVICE, ShareLink, announce, banner

URL = "https://0123456789abcdef12.gradio.live"


@pytest.fixture
def link() -> ShareLink:
    made = ShareLink()
    made.opened(URL)
    return made


def test_nothing_is_said_where_no_link_was_wanted() -> None:
    assert announce(ShareLink()) == ""
    assert banner(ShareLink(), "127.0.0.1:7860") == ""


def test_the_terminal_shows_the_link_and_a_code(link: ShareLink) -> None:
    text = announce(link)
    assert URL in text
    assert "█" in text


def test_a_terminal_without_blocks_still_shows_the_link(link: ShareLink) -> None:
    for encoding in ("cp1252", "ascii", None):
        text = announce(link, encoding)
        assert URL in text
        assert text.isascii()


def test_the_page_shows_the_code_of_the_link(link: ShareLink) -> None:
    text = banner(link, "127.0.0.1:7860")
    root = ElementTree.fromstring(text)
    anchor = root.find(".//a")
    assert anchor is not None
    assert anchor.get("href") == URL
    assert anchor.text == URL.removeprefix("https://")
    light, dark = (path.get("d") or "" for path in root.iter("path"))
    size = len(segno.make(URL, error="m").matrix)
    assert light.startswith(f"M0 0h{size + 8}"), "no quiet zone of four modules around it"
    assert dark.startswith("M4 4.5h7"), "no finder pattern in the corner"


def test_those_who_came_by_the_link_are_not_shown_it(link: ShareLink) -> None:
    assert banner(link, "0123456789abcdef12.gradio.live") == ""
    assert banner(link, "localhost:7860") != ""


def test_a_link_cannot_carry_markup() -> None:
    link = ShareLink()
    link.opened('https://x.example/"><script>alert(1)</script>')
    assert "<script>" not in banner(link, "localhost")


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_missing_link_is_said_loudly_with_what_to_try(nothing: str | None) -> None:
    link = ShareLink()
    link.opened(nothing)
    text = announce(link)
    assert "NO PUBLIC LINK" in text
    assert all(line in text for line in ADVICE)
    shown = ElementTree.fromstring(banner(link, "127.0.0.1:7860"))
    assert shown.get("role") == "alert"
    assert [item.text for item in shown.iter("li")] == list(ADVICE)
