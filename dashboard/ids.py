"""Every component id of the page."""

from __future__ import annotations

TOOLBAR = "toolbar"
MESSAGES = "messages"
TEXT = "text"
TEXT_BAR = "text-bar"
READOUT = "readout"
PANEL_BAR = "panel-bar"
STATES = "states"
HEAT_MAP = "heat-map"
UNIT_CARD = "unit-card"
UNIT_LIST = "unit-list"
OVERVIEW = "overview"
ATTENTION = "attention"
SEARCH = "search"
CONTEXTS = "contexts"
FINDINGS = "findings"
