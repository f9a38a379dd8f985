"""The browser's files, in the order in which they must load."""

from __future__ import annotations

SCRIPTS = [
    "halves.js",
    "colour_scale.js",
    "url_state.js",
    "selection.js",
    "requests.js",
    "values.js",
    "text_layout.js",
    "text_paint.js",
    "text_view.js",
    "coloured_text.js",
    "session.js",
    "toolbar.js",
    "glue.js",
]

STYLES = ["theme.css", "frame.css", "coloured_text.css"]
