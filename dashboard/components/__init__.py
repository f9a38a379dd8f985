"""Our own Dash components: a Python class each, and one plain script each that needs no build.

Their state is the linked selection in the browser (``selection.js``), so they need few properties.
"""

from __future__ import annotations

from typing import Any

from dash.development.base_component import Component


class NativeComponent(Component):
    """A component whose script stands beside this file and registers itself by the class's name."""

    _namespace = "dashboard"
    _children_props: list[str] = []
    _base_nodes = ["children"]
    _prop_names = ["id", "className"]
    _valid_wildcard_attributes: list[str] = []
    available_wildcard_properties: list[str] = []

    def __init_subclass__(cls) -> None:
        cls._type = cls.__name__
        cls.available_properties = cls._prop_names

    def __init__(self, id: str, className: str | None = None, **properties: Any) -> None:
        if className is not None:
            properties["className"] = className
        super().__init__(id=id, **properties)


class Toolbar(NativeComponent):
    """Which recording, site and unit; theme and help."""


class ColouredText(NativeComponent):
    """A stream's text coloured by one unit."""


class TextBar(NativeComponent):
    """Above the text: document, search, second track, colour scale."""


class Readout(NativeComponent):
    """Everything known about the position under the pointer."""


class PanelBar(NativeComponent):
    """Which panel stands below the text, and how many steps it shows."""


class States(NativeComponent):
    """Cell, hidden and gates of one unit on one time axis."""


class HeatMap(NativeComponent):
    """Many units by time."""


class UnitCard(NativeComponent):
    """The chosen unit in numbers, with its histogram; `listId` names the grid of all units."""

    _prop_names = ["id", "className", "listId"]


class Attention(NativeComponent):
    """All heads of a document, and one head in several forms."""


class Search(NativeComponent):
    """From a concept or selected text to units."""


class Contexts(NativeComponent):
    """Places where the chosen unit is high, low, in the middle, and anywhere."""


class Findings(NativeComponent):
    """Results that lie beside the recording."""


class Overview(NativeComponent):
    """What is in the recording and where it comes from."""


class Messages(NativeComponent):
    """Errors, help and keys."""
