"""Many units by time, for the steps in sight."""

from __future__ import annotations

from dash import Dash
from dash.development.base_component import Component

from dashboard import ids
from dashboard.components import HeatMap

TITLE = "Heat map"
NEEDS = "a site"
AREA = "panel"


def layout() -> Component:
    """Return the map."""
    return HeatMap(id=ids.HEAT_MAP)


def register(app: Dash) -> None:
    """Do nothing: the component reads the linked selection itself."""
