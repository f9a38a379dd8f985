"""The unit list: statistics of every unit of the chosen site, and the chosen unit's histogram."""

from __future__ import annotations

import dash_ag_grid as dag
from dash import ClientsideFunction, Dash, Input, html
from dash.development.base_component import Component

from dashboard import ids
from dashboard.components import UnitCard

TITLE = "Units"
NEEDS = "a site"
AREA = "side"

GRID_OPTIONS = {
    "rowHeight": 28,
    "headerHeight": 32,
    "animateRows": False,
    "suppressColumnVirtualisation": True,
    "tooltipShowDelay": 400,
    "rowSelection": {"mode": "multiRow", "checkboxes": True, "enableClickSelection": False},
    "selectionColumnDef": {"width": 40, "pinned": "left"},
    "theme": "themeQuartz",
    "localeText": {
        "noRowsToShow": "Statistics are on their way …",
        "noMatchingRows": "No unit matches the filter.",
    },
    "suppressCellFocus": False,
}


def layout() -> Component:
    """Return the pane. The browser fills the grid, so that nothing waits for Python."""
    grid = dag.AgGrid(
        id=ids.UNIT_LIST,
        columnDefs=[],
        rowData=[],
        getRowId="interpRowId(params)",
        rowClassRules={"is-chosen": "interpIsChosen(params)"},
        dashGridOptions=GRID_OPTIONS,
        className="unit-list",
        style={"height": "100%"},
    )
    return html.Section(
        [
            UnitCard(id=ids.UNIT_CARD, listId=ids.UNIT_LIST),
            html.Div(grid, className="unit-list-box"),
        ],
        className="pane pane-side",
        **{"aria-label": TITLE},
    )


def register(app: Dash) -> None:
    """Link the grid with the selection, in the browser."""
    app.clientside_callback(
        ClientsideFunction("interp", "pickUnits"), Input(ids.UNIT_LIST, "selectedRows")
    )
