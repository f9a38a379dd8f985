"""The read-only routes that the page's scripts fetch from.

Values are raw little-endian float16; everything else is JSON. A request that cannot be answered
gets ``{"error": message}`` with status 400 or 404, and an unknown path below ``/api`` gets 404
instead of the page.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterable, Mapping

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from dashboard import payloads, statistics, tracks
from dashboard.answers import json_answer, raw_answer
from dashboard.documents import MAX_ROWS, document_page
from dashboard.documents import SORTS as SORTS_OF_DOCUMENTS
from dashboard.heat import MAX_COLUMNS, SORTS, heat_map
from dashboard.library import Library, Shelf
from dashboard.parts import part_text
from dashboard.queries import Query, QueryError
from interp.errors import InterpError

MAX_VALUES = 1_000_000
MAX_SITES = 16
MAX_PREDICTIONS = 1_024
MAX_HEAT_POSITIONS = 5_000
MAX_HEAT_VALUES = 2**25
log = logging.getLogger(__name__)


def text(query: Query) -> Response:
    """Text and documents of one part."""
    stream = query.stream()
    parts = query.shelf.parts(stream.name)
    index = query.integer("part", 0, high=max(0, len(parts) - 1))
    if not parts:
        return json_answer({"start": 0, "stop": 0, "text": "", "hasSpans": False, "documents": []})
    found = part_text(query.shelf.source, stream.name, parts[index])
    return json_answer(payloads.part(query.shelf, stream.name, index, found))


def spans(query: Query) -> Response:
    """(n, 2) int32 character offsets of a part's positions."""
    stream = query.stream()
    parts = query.shelf.parts(stream.name)
    index = query.integer("part", 0, high=max(0, len(parts) - 1))
    found = part_text(query.shelf.source, stream.name, parts[index]) if parts else None
    if found is None or found.spans is None:
        raise QueryError("Each character is a position here; there are no spans.", 404)
    return raw_answer(found.spans.astype("<i4").tobytes())


def values(query: Query) -> Response:
    """One unit at one or several sites: per site its limit as float32, then the values."""
    names = query.arguments.get("site", "").split(" ")
    if len(names) > MAX_SITES:
        raise QueryError(f"At most {MAX_SITES} sites at once, not {len(names)}.")
    sites = [query.site(name) for name in names]
    start, stop = query.span(query.shelf.source.streams[sites[0].stream], MAX_VALUES // len(sites))
    pieces = []
    for site in sites:
        if site.stream != sites[0].stream:
            raise QueryError(f"{site.name} and {sites[0].name} belong to different streams.")
        unit = query.unit(site)
        pieces.append(struct.pack("<f", query.shelf.limit(site.name, unit)))
        pieces.append(payloads.halves(query.shelf.source.unit(site.name, unit, start, stop)))
    return raw_answer(b"".join(pieces))


def track(query: Query) -> Response:
    """The loss or an annotation as float16, codes of categories as uint16."""
    stream = query.stream()
    start, stop = query.span(stream, MAX_VALUES)
    source = query.shelf.source
    if query.arguments.get("name") == "loss":
        loss = source.loss(stream.name, start, stop)
        if loss is not None:
            return raw_answer(payloads.halves(loss))
    info = query.annotation(stream)
    found = source.annotation(info.name, start, stop)
    if info.kind == "categorical":
        return raw_answer(tracks.category_codes(found))
    return raw_answer(payloads.halves(found))


def categories(query: Query) -> Response:
    """Names of a categorical annotation's values, the frequent ones first."""
    info = query.annotation(query.stream())
    if info.kind != "categorical":
        raise QueryError(f"The annotation {info.name} is {info.kind}; it has no categories.", 404)
    return json_answer(tracks.categories(query.shelf, info))


def predictions(query: Query) -> Response:
    """Top predictions and losses of a few positions."""
    stream = query.stream()
    start, stop = query.span(stream, MAX_PREDICTIONS)
    rows = query.shelf.source.predictions(stream.name, start, stop)
    return json_answer(payloads.predictions(rows, start))


def exact(query: Query) -> Response:
    """One value as recorded, all its digits."""
    site = query.site()
    unit = query.unit(site)
    n_positions = query.shelf.source.streams[site.stream].n_positions
    position = query.integer("position", high=n_positions - 1)
    found = query.shelf.source.unit(site.name, unit, position, position + 1)
    return json_answer({"value": float(found[0])})


def heat(query: Query) -> Response:
    """Units by time for a window."""
    site = query.site()
    start, stop = query.span(query.shelf.source.streams[site.stream], MAX_HEAT_POSITIONS)
    # A very wide site is shown for fewer steps rather than refused.
    stop = min(stop, start + max(1, MAX_HEAT_VALUES // site.n_units))
    found = heat_map(
        query.shelf.source.window(site.name, start, stop),
        sort=query.choice("sort", SORTS),
        unit=query.unit(site),
        chosen=query.units(site),
        max_columns=query.integer("columns", MAX_COLUMNS, 1, MAX_COLUMNS),
    )
    return raw_answer(found.to_bytes())


def units(query: Query) -> Response:
    """Statistics of every unit of a site."""
    return json_answer(payloads.unit_rows(query.shelf.statistics(query.site())))


def histogram(query: Query) -> Response:
    """Histogram of one unit over the sampled positions."""
    site = query.site()
    unit = query.unit(site)
    sample = statistics.unit_sample(query.shelf.source, site, unit)
    counts, edges = statistics.histogram(sample)
    return json_answer(
        {"counts": counts, "low": edges[0], "high": edges[-1], "nPositions": len(sample)}
    )


def documents(query: Query) -> Response:
    """A page of a stream's documents: names, lengths and mean losses."""
    stream = query.stream()
    loss = query.shelf.document_loss(stream.name)
    page = document_page(
        stream,
        loss,
        find=query.arguments.get("find", "")[:200],
        sort=query.choice("sort", SORTS_OF_DOCUMENTS),
        start=query.integer("start", 0),
        n_rows=query.integer("rows", 100, 1, MAX_ROWS),
    )
    return json_answer(payloads.documents(stream, loss, page))


def about(query: Query) -> Response:
    """Sites, streams, annotations."""
    return json_answer(payloads.about(query.shelf))


def provenance(query: Query) -> Response:
    """Where the recording comes from."""
    return json_answer(query.shelf.source.provenance())


Handler = Callable[[Query], Response]

ROUTES: dict[str, Handler] = {
    function.__name__: function
    for function in (
        about, categories, documents, exact, heat, histogram, predictions, provenance, spans, text,
        track, units, values,
    )
}  # fmt: skip


def all_routes(more: Iterable[Mapping[str, Handler]]) -> dict[str, Handler]:
    """Return the routes above and those that views bring along.

    Raises
    ------
    ValueError
        When two of them have one name.
    """
    routes = dict(ROUTES)
    for mapping in more:
        for name, handler in mapping.items():
            if name in routes:
                raise ValueError(f"two routes are named {name!r}")
            routes[name] = handler
    return routes


def blueprint(library: Library, more: Iterable[Mapping[str, Handler]] = ()) -> Blueprint:
    """Return the routes over a library; `more` are those of views."""
    api = Blueprint("api", __name__, url_prefix="/api")
    routes = all_routes(more)

    @api.get("/recordings")
    def recordings() -> Response:
        return json_answer(payloads.catalogue(library))

    @api.get("/<key>/<what>")
    def answer(key: str, what: str) -> Response:
        shelf: Shelf | None = library.get(key)
        if shelf is None or what not in routes:
            return json_answer({"error": f"There is nothing at /api/{key}/{what}."}, 404)
        arguments: MultiDict[str, str] = request.args
        try:
            response = routes[what](Query(shelf, arguments))
        except QueryError as error:
            return json_answer({"error": str(error)}, error.status)
        except InterpError as error:
            return json_answer({"error": str(error)}, 422)
        except Exception as error:  # The page shows it; the log has the traceback.
            log.exception("%s of %s failed", what, key)
            message = f"Answering {what!r} failed with {type(error).__name__}: {error}"
            return json_answer({"error": message}, 500)
        # The fingerprint in the query makes a changed recording another address.
        kept = "private, max-age=3600" if "v" in arguments else "no-store"
        response.headers["Cache-Control"] = kept
        return response

    @api.route("/", defaults={"rest": ""}, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
    @api.route("/<path:rest>", methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
    def unknown(rest: str) -> Response:
        return json_answer({"error": f"There is nothing at /api/{rest[:200]}."}, 404)

    return api
