"""The browser's files, in the order in which they must load: pure ones, the frame's, the views'."""

from __future__ import annotations

SCRIPTS = [
    "halves.js",
    "colour_scale.js",
    "url_state.js",
    "selection.js",
    "registry.js",
    "requests.js",
    "values.js",
    "track_scale.js",
    "text_layout.js",
    "text_paint.js",
    "text_view.js",
    "text_search.js",
    "coloured_text.js",
    "session.js",
    "time_axis.js",
    "strip_paint.js",
    "toolbar.js",
    "legend.js",
    "track_bar.js",
    "text_bar.js",
    "readout.js",
    "panel_bar.js",
    "states.js",
    "heat_map.js",
    "unit_card.js",
    "unit_list.js",
    "overview.js",
    "messages.js",
    "glue.js",
]

STYLES = ["theme.css", "frame.css", "coloured_text.css", "views.css"]
