"""Every component id of the page."""

from __future__ import annotations

TOOLBAR = "toolbar"
TEXT = "text"
