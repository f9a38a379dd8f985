"""Where a unit is high, low, in the middle, and anywhere: text with what stands around it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dashboard.sources.protocol import SiteInfo, Source

N_EACH = 6
AROUND = 36
APART = 40
CANDIDATES = 4_000
GROUPS = ("highest", "lowest", "middle", "anywhere")


def around(stream: Any, start: int, stop: int, n: int = AROUND) -> dict[str, str]:
    """Return the text of some positions of a recording's stream, and of what stands around them.

    Only within the document: what stands before and behind a document was never read with it.
    """
    document = int(stream.document_of(start))
    first, last = (int(p) for p in stream.document_start[document : document + 2])
    if stream.tokens is None:
        return {"before": "", "inside": f"{start}–{stop - 1}", "after": ""}
    bounds = (max(first, start - n), start, stop, min(last, stop + n))
    before, inside, after = (
        "".join(stream.tokens[a:b]) for a, b in zip(bounds[:-1], bounds[1:], strict=True)
    )
    return {"before": before, "inside": inside, "after": after}


def unit_contexts(
    source: Source, site: SiteInfo, unit: int, seed: int = 0
) -> dict[str, list[dict[str, Any]]]:
    """Return places where a unit is highest, lowest, in the middle, and places drawn at random.

    Places of a group are at least 40 positions apart and tell different text: a piece that occurs
    again, word for word, is counted instead of shown.

    Returns
    -------
    dict
        Group to rows with position, value, document (name), before, inside, after, times.
    """
    stream = source.streams[site.stream]
    values = source.unit(site.name, unit, 0, stream.n_positions).astype(np.float32)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return {group: [] for group in GROUPS}
    found = values[known]
    orders = {
        "highest": _first(-found),
        "lowest": _first(found),
        "middle": _first(np.abs(found - np.median(found))),
        "anywhere": np.random.default_rng(seed).permutation(len(found))[:CANDIDATES],
    }
    text = _Text(source, site.stream)
    return {group: _different(text, known[order], values) for group, order in orders.items()}


def _first(keys: np.ndarray) -> np.ndarray:
    """Return the indices of the smallest keys, in order; equal ones in the order of the text."""
    n = min(CANDIDATES, len(keys))
    best = np.argpartition(keys, n - 1)[:n]
    return best[np.lexsort((best, keys[best]))]


def _different(text: _Text, positions: Iterable[int], values: np.ndarray) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    seen: dict[str, dict[str, Any]] = {}
    for position in (int(p) for p in positions):
        if any(abs(position - row["position"]) < APART for row in rows):
            continue
        row = text.piece(position) | {"value": float(values[position]), "times": 1}
        name = row["before"][-12:] + row["inside"] + row["after"][:6]
        if name in seen:
            seen[name]["times"] += 1
            continue
        if len(rows) == N_EACH:
            break
        seen[name] = row
        rows.append(row)
    return rows


class _Text:
    """Pieces of a source's text by position; the last document is kept."""

    def __init__(self, source: Source, stream: str) -> None:
        self._source = source
        self._stream = source.streams[stream]
        self._document = -1
        self._text = ""
        self._spans: np.ndarray | None = None

    def piece(self, position: int) -> dict[str, Any]:
        """Return position, document, and the text before, at and after a position."""
        starts = self._stream.document_start
        document = int(np.searchsorted(starts, position, side="right")) - 1
        if document != self._document:
            self._document = document
            self._text = self._source.text(self._stream.name, document)
            self._spans = self._source.spans(self._stream.name, document)
        at, last = position - int(starts[document]), int(starts[document + 1] - starts[document])
        low, high = max(0, at - AROUND), min(last, at + 1 + AROUND)
        return {
            "position": position,
            "document": self._stream.document_names[document],
            **self._parts(low, at, high),
        }

    def _parts(self, low: int, at: int, high: int) -> dict[str, str]:
        """Return the text before, at and after a position, with the white space between tokens."""
        if self._spans is None or not len(self._spans):
            bounds = (low, at, at + 1, high)
        else:
            (first, _), (start, stop) = self._spans[low], self._spans[at]
            bounds = (int(first), int(start), int(stop), int(self._spans[high - 1, 1]))
        pieces = (self._text[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True))
        return dict(zip(("before", "inside", "after"), pieces, strict=True))
