"""The page's looks: a calm theme, and the names of the colours that figures take.

The colours themselves stand in page.css alone, once for light and once for dark; the scripts look
the names up there when they draw, so that a figure follows the page into dark mode.
"""

from __future__ import annotations

import gradio as gr

SERIES = tuple(f"var(--series-{i})" for i in range(1, 9))
"""In the order in which series take them."""
INK, SOFT = "var(--body-text-color)", "var(--body-text-color-subdued)"
LINES = "var(--border-color-primary)"

_ACCENT = gr.themes.Color(
    name="accent",
    c50="#eef5fb",
    c100="#d8e8f5",
    c200="#b3d1ea",
    c300="#83b3da",
    c400="#4a90c5",
    c500="#1f75b0",
    c600="#0f639d",
    c700="#0d5081",
    c800="#0c4068",
    c900="#0b3453",
    c950="#082237",
)
_PAPER = gr.themes.Color(
    name="paper",
    c50="#fafaf8",
    c100="#f3f3f0",
    c200="#e6e6e1",
    c300="#d3d3cd",
    c400="#a3a39d",
    c500="#75756f",
    c600="#575752",
    c700="#41413d",
    c800="#2a2a28",
    c900="#1d1d1b",
    c950="#141413",
)


class CalmTheme(gr.themes.Base):
    """Paper and one blue; the reader's own fonts, so that none is fetched."""

    def __init__(self) -> None:
        super().__init__(
            primary_hue=_ACCENT,
            secondary_hue=_ACCENT,
            neutral_hue=_PAPER,
            radius_size=gr.themes.sizes.radius_md,
            font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
            font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
        )
        self.set(
            body_background_fill="*neutral_50",
            body_background_fill_dark="*neutral_950",
            body_text_color="*neutral_900",
            body_text_color_dark="*neutral_100",
            body_text_color_subdued="*neutral_600",
            body_text_color_subdued_dark="*neutral_400",
            background_fill_primary="white",
            background_fill_primary_dark="*neutral_900",
            background_fill_secondary="*neutral_50",
            background_fill_secondary_dark="*neutral_950",
            block_background_fill="white",
            block_background_fill_dark="*neutral_900",
            block_border_width="1px",
            block_border_color="*neutral_200",
            block_border_color_dark="*neutral_800",
            block_shadow="none",
            block_label_background_fill="transparent",
            block_label_background_fill_dark="transparent",
            block_label_border_width="0px",
            block_label_text_color="*neutral_600",
            block_label_text_color_dark="*neutral_400",
            block_title_text_weight="600",
            block_title_text_color="*neutral_800",
            block_title_text_color_dark="*neutral_200",
            block_info_text_color="*neutral_600",
            block_info_text_color_dark="*neutral_400",
            panel_border_width="0px",
            panel_background_fill="transparent",
            panel_background_fill_dark="transparent",
            input_background_fill="white",
            input_background_fill_dark="*neutral_950",
            input_border_color="*neutral_300",
            input_border_color_dark="*neutral_700",
            input_border_color_focus="*primary_500",
            input_border_color_focus_dark="*primary_400",
            input_border_width="1px",
            input_border_width_dark="1px",
            input_shadow="none",
            input_shadow_focus="0 0 0 2px *primary_200",
            input_shadow_focus_dark="0 0 0 2px *primary_800",
            button_primary_background_fill="*primary_600",
            button_primary_background_fill_hover="*primary_700",
            button_primary_background_fill_dark="*primary_500",
            button_primary_background_fill_hover_dark="*primary_400",
            button_primary_text_color="white",
            button_secondary_background_fill="white",
            button_secondary_background_fill_hover="*neutral_100",
            button_secondary_background_fill_dark="*neutral_800",
            button_secondary_background_fill_hover_dark="*neutral_700",
            button_secondary_border_color="*neutral_300",
            button_secondary_border_color_dark="*neutral_700",
            button_border_width="1px",
            button_large_text_weight="600",
            link_text_color="*primary_700",
            link_text_color_dark="*primary_300",
        )
