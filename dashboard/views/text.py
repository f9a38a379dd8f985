"""The text, coloured by the chosen unit."""

from __future__ import annotations

from dash import Dash, html
from dash.development.base_component import Component

from dashboard import ids
from dashboard.components import ColouredText, Readout, TextBar

TITLE = "Text"
NEEDS = "a stream whose positions have text"
AREA = "text"


def layout() -> Component:
    """Return the pane: what to show, the text, and the position under the pointer."""
    return html.Section(
        [TextBar(id=ids.TEXT_BAR), ColouredText(id=ids.TEXT), Readout(id=ids.READOUT)],
        className="pane pane-text",
        **{"aria-label": TITLE},
    )


def register(app: Dash) -> None:
    """Do nothing: the component reads the linked selection itself."""
