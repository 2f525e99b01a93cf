"""The page: the only part of the project that imports gradio and plotly."""

from __future__ import annotations

from bert_demo.ui.page import build_app, launch_options

__all__ = ["build_app", "launch_options"]
