"""What requests about attention ask for: site, head, document, and a window on each stream."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dashboard.attention import fullest_start
from dashboard.queries import Query, QueryError
from dashboard.sources.attention import AttentionInfo, AttentionSource, Window
from interp.errors import unknown_name

MAX_TOKENS = 1_024
"""Positions of a window; dashboard/components/attention_places.js says the same."""


def source_of(query: Query) -> AttentionSource:
    """Return the source of a request, which holds attention."""
    source = query.shelf.source
    if not isinstance(source, AttentionSource) or not source.attention_sites:
        raise QueryError("This recording holds no attention: record sites such as '**/attention'.")
    return source


def site_of(query: Query, source: AttentionSource) -> AttentionInfo:
    """Return the attention site asked for."""
    name = query.arguments.get("site", "")
    if name not in source.attention_sites:
        raise QueryError(unknown_name("attention site", name[:200], source.attention_sites), 404)
    return source.attention_sites[name]


def head_of(query: Query, site: AttentionInfo) -> int:
    """Return the head asked for, which the site has."""
    head = query.integer("head")
    if head >= site.n_heads:
        raise QueryError(
            f"Head {head} of {site.name} does not exist: it has {site.n_heads} heads "
            f"(0 to {site.n_heads - 1}).",
            404,
        )
    return head


def window_of(
    query: Query, stream: str, document: int, *, is_clipped: bool = False, is_apart: bool = False
) -> Window:
    """Return a window of a document on one stream, cut to its end: `n` positions from a start.

    Streams differ in length, so each may have a window of its own: ``start:NAME`` and ``n:NAME``
    say which for the stream NAME. Otherwise ``start`` and ``n`` do, and a stream that `is_apart`
    begins at 0. A start beyond the document is refused; `is_clipped` shows the end instead.
    """
    bounds = query.shelf.source.streams[stream].document_start
    if document >= len(bounds) - 1:
        raise QueryError(
            f"There are {len(bounds) - 1:,} documents, so no document {document}.", 404
        )
    length = int(bounds[document + 1] - bounds[document])
    own = f"start:{stream}"
    name = own if is_apart or own in query.arguments else "start"
    size = f"n:{stream}" if f"n:{stream}" in query.arguments else "n"
    n = query.integer(size, MAX_TOKENS, 1, MAX_TOKENS)
    if is_clipped and name != own and query.integer(name, 0) >= length:
        return max(0, length - n), length
    start = query.integer(name, 0, high=max(0, length - 1))
    return start, min(length, start + n)


def windows_of(
    query: Query, site: AttentionInfo, *, is_clipped: bool = False
) -> tuple[int, Window, Window]:
    """Return document, query window and key window; one and the same for self-attention."""
    document = query.integer("document", 0)
    queries = window_of(query, site.stream, document, is_clipped=is_clipped)
    if not site.is_cross:
        return document, queries, queries
    # Where the queries begin says nothing about the keys of another stream.
    return document, queries, window_of(query, site.key_stream, document, is_apart=True)


def window_start(query: Query, document: int, offset: int, n: int) -> int:
    """Return where the window of a document's keys or queries begins.

    That is `start`, where it is given. Without it the window of `n` positions shows `offset`
    (negative: nothing in particular) and moves by half its length, so that it seldom jumps. A
    window of keys of another stream is asked for with `site` and `head`: it begins where that head
    looks from the queries ``start:STREAM``, ``n:STREAM``, unless `offset` lies outside of that.
    """
    if "start" in query.arguments:
        return query.integer("start")
    half = max(1, n // 2)
    near = 0 if offset < n else (offset - half) // half * half
    if "site" not in query.arguments:
        return near
    source = source_of(query)
    site = site_of(query, source)
    if site.form == "stats":
        return near
    queries = window_of(query, site.stream, document, is_clipped=True)
    bounds = query.shelf.source.streams[site.key_stream].document_start
    length = int(bounds[document + 1] - bounds[document])
    weights = source.attention(site.name, document, head_of(query, site), queries, (0, length))
    looked_at = fullest_start(np.nan_to_num(weights).sum(0), n)
    return looked_at if offset < 0 or looked_at <= offset < looked_at + n else near


def sites_in_sight(
    query: Query, source: AttentionSource
) -> Iterator[tuple[AttentionInfo, int, tuple[Window, Window]]]:
    """Yield each site with maps, the document, and the windows of its queries and keys.

    One window is asked for, and streams differ in length: a shorter one shows its end.
    """
    for site in source.attention_sites.values():
        if site.form != "stats":
            document, queries, keys = windows_of(query, site, is_clipped=True)
            yield site, document, (queries, keys)
