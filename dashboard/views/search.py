"""Search: from a concept or from selected text to the units that tell it, and to similar places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import Dash
from dash.development.base_component import Component
from flask import Response

from dashboard import ids
from dashboard.answers import json_answer
from dashboard.components import Search
from dashboard.jobs import Job
from dashboard.queries import Query, QueryError
from interp.errors import unknown_name

TITLE = "Search"
NEEDS = "a recording in a file, with text or an annotation"
AREA = "panel"

SCOPES = ("states", "site", "all")
_STATES = ("hidden", "cell", "output")


def layout() -> Component:
    """Return the panel."""
    return Search(id=ids.SEARCH)


def register(app: Dash) -> None:
    """Do nothing: the component reads the linked selection itself."""


def _path(query: Query) -> str:
    path = query.shelf.source.summary().get("path")
    if not path:
        raise QueryError("Searching needs a recording in a file; this one is in memory.", 404)
    return str(path)


def _sites(query: Query, stream: str) -> list[str]:
    """Return the sites that the scope asks for, on one stream."""
    sites = [s for s in query.shelf.source.sites.values() if s.stream == stream]
    scope = query.choice("scope", SCOPES)
    if scope == "site":
        return [query.site().name]
    states = [site.name for site in sites if site.signal in _STATES]
    return states if scope == "states" and states else [site.name for site in sites]


def concepts(query: Query) -> Response:
    """Names that can be searched for: annotations, then built-in concepts of the documents."""
    from interp.annotations.concepts import CONCEPTS

    known = {info.name: info.kind for info in query.shelf.source.annotations.values()}
    return json_answer({"annotations": known, "builtIn": [n for n in CONCEPTS if n not in known]})


def _question(query: Query) -> tuple[str, str, Callable[[Job], Any]]:
    """Return the key, the title and the work of what is asked."""
    # Not at the top: the statistics behind a search take half of the page's start.
    from dashboard.search import search_concept, search_text

    path, source = _path(query), query.shelf.source
    concept = query.arguments.get("concept")
    if concept:
        from interp.annotations.concepts import is_concept

        info = source.annotations.get(concept.partition("=")[0])
        if info is None and not is_concept(concept):
            raise QueryError(unknown_name("concept", concept[:80], source.annotations), 404)
        stream = info.stream if info is not None else next(iter(source.streams))
        sites = _sites(query, stream)
        key = f"{query.shelf.key}|{source.fingerprint}|concept|{concept}|{'|'.join(sites)}"
        return key, concept, lambda job: search_concept(path, concept, sites, job)
    stream_info = query.stream()
    start, stop = query.span(stream_info, stream_info.n_positions)
    if start == stop:
        raise QueryError("Select some text first: drag over it.")
    sites = _sites(query, stream_info.name)
    key = f"{query.shelf.key}|{source.fingerprint}|text|{start}-{stop}|{'|'.join(sites)}"
    ranges = [(start, stop)]
    return key, "selected text", lambda job: search_text(path, stream_info.name, ranges, sites, job)


def search(query: Query) -> Response:
    """Start a search, or say how far it is."""
    key, title, work = _question(query)
    return json_answer(query.shelf.jobs.ask(key, title, work).to_dict())


def search_cancel(query: Query) -> Response:
    """Cancel a search."""
    key, *_ = _question(query)
    query.shelf.jobs.cancel(key)
    job = query.shelf.jobs.find(key)
    return json_answer({"state": "none"} if job is None else job.to_dict())


ROUTES: dict[str, Callable[[Query], Response]] = {
    "concepts": concepts,
    "search": search,
    "search_cancel": search_cancel,
}
