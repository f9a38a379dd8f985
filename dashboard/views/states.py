"""Cell, hidden and gates of the chosen unit, on the time axis of the text in sight."""

from __future__ import annotations

from dash import Dash
from dash.development.base_component import Component

from dashboard import ids
from dashboard.components import States

TITLE = "States"
NEEDS = "sites of one layer that share their units"
AREA = "panel"


def layout() -> Component:
    """Return the strips."""
    return States(id=ids.STATES)


def register(app: Dash) -> None:
    """Do nothing: the component reads the linked selection itself."""
