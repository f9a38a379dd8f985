"""Findings: the results that lie beside the recording, each as a table or a figure."""

from __future__ import annotations

from collections.abc import Callable

from dash import Dash
from dash.development.base_component import Component
from flask import Response

from dashboard import ids
from dashboard.answers import json_answer
from dashboard.components import Findings
from dashboard.queries import Query, QueryError
from dashboard.results import listed, one_result

TITLE = "Findings"
NEEDS = "results beside the recording"
AREA = "page"


def layout() -> Component:
    """Return the page."""
    return Findings(id=ids.FINDINGS)


def register(app: Dash) -> None:
    """Do nothing: the component reads the linked selection itself."""


def results(query: Query) -> Response:
    """The results there are. Asked anew each time: a command may just have added one."""
    return json_answer({"results": listed(query.shelf.source)})


def result(query: Query) -> Response:
    """One result, by the name of its file."""
    name = query.arguments.get("file", "")
    found = one_result(query.shelf.source, name)
    if found is None:
        raise QueryError(f"There is no result {name[:100]!r} beside this recording any more.", 404)
    return json_answer(found)


ROUTES: dict[str, Callable[[Query], Response]] = {"results": results, "result": result}
