"""Attention: every head of a document, one of them in several forms, and the graph of layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from dash import Dash
from dash.development.base_component import Component
from flask import Response

from dashboard import ids
from dashboard.answers import json_answer, raw_answer
from dashboard.attention import halves, pack, patch_names, roots, score_steps, shrink
from dashboard.attention_queries import (
    MAX_TOKENS,
    head_of,
    site_of,
    sites_in_sight,
    source_of,
    window_of,
    window_start,
    windows_of,
)
from dashboard.components import Attention
from dashboard.head_numbers import WindowNumbers
from dashboard.payloads import rounded
from dashboard.queries import Query, QueryError
from dashboard.results import head_scores
from dashboard.sources.attention import AttentionSource, ImageSource, Window

TITLE = "Attention"
NEEDS = "an attention site"
AREA = "page"

MAX_BYTES = 2_000_000
THUMBNAIL = 48
GENERATED = "generated"  # the annotation that `interp record --generate` leaves


def layout() -> Component:
    """Return the page."""
    return Attention(id=ids.ATTENTION)


def register(app: Dash) -> None:
    """Do nothing: the component reads the linked selection itself."""


def attention_sites(query: Query) -> Response:
    """What attention there is, and which measures of heads are stored."""
    source = query.shelf.source
    sites = source.attention_sites if isinstance(source, AttentionSource) else {}
    rows = [
        {
            "name": site.name,
            "module": site.module,
            "nHeads": site.n_heads,
            "stream": site.stream,
            "keyStream": site.key_stream,
            "form": site.form,
            "mass": site.mass,
            "hasVectors": isinstance(source, AttentionSource)
            and {f"{site.module}/query", f"{site.module}/key"} <= source.vector_sites,
        }
        for site in sites.values()
    ]
    stored = list(head_scores(query.shelf.source)) if sites else []
    images = list(source.image_streams) if isinstance(source, ImageSource) else []
    return json_answer({"sites": rows, "stored": stored, "imageStreams": images})


def heads(query: Query) -> Response:
    """Thumbnails of every head for one window of a document, as codes of `roots`."""
    source = source_of(query)
    rows: list[dict[str, Any]] = []
    pictures: list[np.ndarray] = []
    for site, document, seen in sites_in_sight(query, source):
        for head in range(site.n_heads):
            weights = source.attention(site.name, document, head, *seen)
            pictures.append(roots(shrink(weights, THUMBNAIL)))
            rows.append({"site": site.name, "head": head, "shape": pictures[-1].shape})
    return raw_answer(pack({"heads": rows}, pictures))


def heads_in_numbers(query: Query) -> Response:
    """What every head does in one window of a document, and what stored results say of it."""
    source = source_of(query)
    stored = head_scores(query.shelf.source)
    rows = []
    for site, document, (queries, keys) in sites_in_sight(query, source):
        visible = source.key_range(site.name, document, queries)
        numbers = WindowNumbers(visible, queries, keys, site.is_cross)
        for head in range(site.n_heads):
            weights = source.attention(site.name, document, head, queries, keys)
            rows.append(
                {"site": site.name, "head": head}
                | {f"all {m}": values.get(f"{site.name}:{head}") for m, values in stored.items()}
                | numbers.of(weights)
            )
    return json_answer({"heads": rows})


def attention_map(query: Query) -> Response:
    """One head's weights as float16, for a window of at most 1,024 by 1,024 positions.

    For keys of another stream, of which a window may show a part only, also each query's
    strongest key in the whole document: -1 where a row has no weight.
    """
    source = source_of(query)
    site = site_of(query, source)
    head = head_of(query, site)
    document, queries, keys = windows_of(query, site)
    seen = keys
    if site.is_cross:
        bounds = query.shelf.source.streams[site.key_stream].document_start
        seen = (0, int(bounds[document + 1] - bounds[document]))
    weights = source.attention(site.name, document, head, queries, seen)
    header: dict[str, Any] = {"queries": queries, "keys": keys}
    if site.is_cross:
        known = np.nan_to_num(weights)
        header["strongest"] = np.where(known.any(1), known.argmax(1), -1).tolist()
        weights = weights[:, keys[0] : keys[1]]
    header["shape"] = weights.shape
    return raw_answer(pack(header, [halves(weights)]))


def attention_layers(query: Query) -> Response:
    """All heads of the self-attention sites of one stream, for the graph: float16."""
    source = source_of(query)
    found = [s for s in source.attention_sites.values() if not s.is_cross and s.form != "stats"]
    stream = query.arguments.get("stream") or (found[0].stream if found else "")
    found = [site for site in found if site.stream == stream]
    if not found:
        raise QueryError(f"No self-attention was recorded on the stream {stream[:80]!r}.", 404)
    document = query.integer("document", 0)
    start, stop = window_of(query, stream, document)
    n_heads = sum(site.n_heads for site in found)
    most = int((MAX_BYTES / (2 * n_heads)) ** 0.5)
    stop = min(stop, start + max(1, most))
    window = (start, stop)
    maps = [
        halves(source.attention(site.name, document, head, window, window))
        for site in found
        for head in range(site.n_heads)
    ]
    header = {
        "sites": [{"name": site.name, "nHeads": site.n_heads} for site in found],
        "start": start,
        "n": stop - start,
    }
    return raw_answer(pack(header, maps))


def place(query: Query) -> Response:
    """The window in sight: which document, where it begins, its tokens.

    The document is the one that holds `position`, else `document`; `hold` is a position that the
    window shows if it lies in this document. Where it begins: see `window_start`.
    """
    source = source_of(query)
    stream = query.stream()
    bounds = stream.document_start
    position = query.integer("position", -1, high=max(0, stream.n_positions - 1))
    document = query.integer("document", 0, high=max(0, stream.n_documents - 1))
    if position >= 0:
        document = int(np.searchsorted(bounds, position, side="right")) - 1
    first, length = int(bounds[document]), int(bounds[document + 1] - bounds[document])
    n = query.integer("n", MAX_TOKENS, 1, MAX_TOKENS)
    wanted = position if position >= 0 else query.integer("hold", -1)
    offset = wanted - first if first <= wanted < first + length else -1
    start = min(window_start(query, document, offset, n), max(0, length - 1))
    stop = min(length, start + n)
    spans = query.shelf.source.spans(stream.name, document)
    inside: list[int] = []
    if spans is not None:
        inside = np.flatnonzero(spans[start:stop, 0] == spans[start:stop, 1]).tolist()
    return json_answer(
        {
            "document": document,
            "nDocuments": stream.n_documents,
            "name": stream.document_names[document],
            "first": first,
            "length": length,
            "start": start,
            "tokens": _words(source, stream.name, document, (start, stop)),
            "special": inside,
            "written": _written(query, stream.name, first + start, first + stop),
        }
    )


def _written(query: Query, stream: str, start: int, stop: int) -> list[int]:
    """Return which positions of a run the model wrote itself, counted from its start."""
    source = query.shelf.source
    info = source.annotations.get(GENERATED)
    if info is None or info.stream != stream:
        return []
    return [int(i) for i in np.flatnonzero(np.asarray(source.annotation(GENERATED, start, stop)))]


def _words(source: AttentionSource, stream: str, document: int, window: Window) -> list[str]:
    """Return what stands for some positions: tokens, or where the patches of an image lie."""
    if isinstance(source, ImageSource) and stream in source.image_streams:
        return patch_names(source.rectangles(stream, document))[slice(*window)]
    return source.tokens(stream, document, window)


def query_key(query: Query) -> Response:
    """The steps from one query and the keys it sees to its row of weights."""
    source = source_of(query)
    site = site_of(query, source)
    head = head_of(query, site)
    document, queries, keys = windows_of(query, site)
    row = query.integer("query", low=queries[0], high=queries[1] - 1)
    vector = source.head_vectors(site.name, "query", document, head, (row, row + 1))
    known = source.head_vectors(site.name, "key", document, head, keys)
    if vector is None or known is None:
        raise QueryError(
            f"Queries and keys were not recorded. Record {site.module}/query and "
            f"{site.module}/key beside the attention to see the steps.",
            404,
        )
    weights = source.attention(site.name, document, head, (row, row + 1), keys)[0]
    steps = score_steps(vector[0], known, weights)
    return json_answer(
        {"query": rounded(vector[0]), "keys": [rounded(key) for key in known], "first": keys[0]}
        | {name: rounded(np.array(v), 6) if isinstance(v, list) else v for name, v in steps.items()}
    )


def image(query: Query) -> Response:
    """One document's image as RGB bytes, and where its patches lie."""
    source = query.shelf.source
    stream = query.stream()
    if not isinstance(source, ImageSource) or stream.name not in source.image_streams:
        raise QueryError(f"The documents of the stream {stream.name} are no images.", 404)
    document = query.integer("document", 0, high=max(0, stream.n_documents - 1))
    picture = source.image(stream.name, document)
    header = {
        "shape": picture.shape,
        "rectangles": source.rectangles(stream.name, document).tolist(),
    }
    return raw_answer(pack(header, [picture]))


ROUTES: dict[str, Callable[[Query], Response]] = {
    "attention_sites": attention_sites,
    "heads": heads,
    "heads_in_numbers": heads_in_numbers,
    "attention_map": attention_map,
    "attention_layers": attention_layers,
    "place": place,
    "query_key": query_key,
    "image": image,
}
