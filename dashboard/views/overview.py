"""What is in the recording, its documents, and where it comes from."""

from __future__ import annotations

from dash import Dash
from dash.development.base_component import Component

from dashboard import ids
from dashboard.components import Overview

TITLE = "Overview"
NEEDS = "a recording"
AREA = "page"


def layout() -> Component:
    """Return the page."""
    return Overview(id=ids.OVERVIEW)


def register(app: Dash) -> None:
    """Do nothing: the component reads the linked selection itself."""
