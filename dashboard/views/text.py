"""The text, coloured by the chosen unit."""

from __future__ import annotations

from dash import Dash, html

from dashboard import ids
from dashboard.components import ColouredText

TITLE = "Text"
NEEDS = "a stream with text, or positions to count"
AREA = "text"


def layout() -> html.Section:
    """Return the pane."""
    return html.Section(
        [ColouredText(id=ids.TEXT)], className="pane pane-text", **{"aria-label": TITLE}
    )


def register(app: Dash) -> None:
    """Nothing passes through Dash here: the component reads the linked selection."""
