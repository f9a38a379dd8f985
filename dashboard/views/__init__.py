"""The views of the page.

A view is a module with `TITLE`, `NEEDS` (what a recording must have for the view to say anything),
`AREA` (where the frame puts it), `layout()` and `register(app)`; `ROUTES`, if it has any, maps the
last part of ``/api/<recording>/<name>`` to a function of a `dashboard.queries.Query`. To add one,
write the module and list it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from dashboard.views import (
    attention,
    contexts,
    findings,
    heat_map,
    overview,
    search,
    states,
    text,
    units,
)

VIEWS: list[ModuleType] = [
    text,
    states,
    heat_map,
    search,
    contexts,
    units,
    attention,
    findings,
    overview,
]


def in_area(area: str) -> list[ModuleType]:
    """Return the views that the frame puts into an area, in order."""
    return [view for view in VIEWS if view.AREA == area]


def routes() -> list[Mapping[str, Any]]:
    """Return the routes that views bring along."""
    return [view.ROUTES for view in VIEWS if hasattr(view, "ROUTES")]
