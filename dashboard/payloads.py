"""What goes over the wire, as pure functions of arrays and infos."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from dashboard import tracks
from dashboard.documents import Page
from dashboard.library import Library, Shelf
from dashboard.parts import PartText
from dashboard.sources.protocol import PredictionRows, StreamInfo
from dashboard.statistics import UnitStatistics


def to_json(value: Any) -> bytes:
    """Return JSON in UTF-8; NaN and infinities become null, lone surrogates stay themselves."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        # Lone surrogates have no UTF-8; escaped, they reach the browser unchanged.
        return json.dumps(_plain(value), separators=(",", ":")).encode("ascii")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def rounded(values: np.ndarray, digits: int = 4) -> list[float | None]:
    """Return floats short enough to send by the thousand; non-finite ones become None."""
    return [
        round(float(value), digits) if math.isfinite(value) else None
        for value in np.asarray(values, np.float64)
    ]


def halves(values: np.ndarray) -> bytes:
    """Return little-endian float16; what does not fit becomes infinite and is shown as beyond."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype("<f2").tobytes()


def is_exact_in_halves(dtype: str) -> bool:
    """Whether values of a recorded dtype survive `halves` unchanged."""
    return dtype in ("float16", "int8", "uint8", "bool")


def catalogue(library: Library) -> list[dict[str, Any]]:
    """Return one row per recording, without opening any."""
    rows = []
    for shelf in library:
        rows.append({"key": shelf.key, "name": shelf.source.name, **shelf.source.summary()})
    return rows


def about(shelf: Shelf) -> dict[str, Any]:
    """Return what the page must know before it can show anything of a recording."""
    source = shelf.source
    scales = {name: tracks.scale(shelf, info) for name, info in source.annotations.items()}
    return {
        "key": shelf.key,
        "name": source.name,
        "fingerprint": source.fingerprint,
        "sites": [
            {
                "name": site.name,
                "group": site.group,
                "signal": site.signal,
                "module": site.module,
                "nUnits": site.n_units,
                "dtype": site.dtype,
                "stream": site.stream,
                "oneSided": site.is_one_sided,
                "exact": is_exact_in_halves(site.dtype),
            }
            for site in source.sites.values()
        ],
        "streams": [
            {
                "name": stream.name,
                "nPositions": stream.n_positions,
                "nDocuments": stream.n_documents,
                "hasText": stream.has_text,
                "perCharacter": stream.is_per_character,
                "hasLoss": source.loss(stream.name, 0, 0) is not None,
                "parts": [
                    [part.start, part.stop, part.first_document, part.last_document]
                    for part in shelf.parts(stream.name)
                ],
            }
            for stream in source.streams.values()
        ],
        "annotations": [
            {
                "name": info.name,
                "stream": info.stream,
                "kind": info.kind,
                "limit": scales[info.name].limit,
                "isSigned": scales[info.name].is_signed,
            }
            for info in source.annotations.values()
        ],
        "nAttention": len(getattr(source, "attention_sites", ())),
        **source.summary(),
    }


def part(shelf: Shelf, stream: str, index: int, text: PartText) -> dict[str, Any]:
    """Return a part's text and documents."""
    names = shelf.source.streams[stream].document_names
    found = shelf.parts(stream)[index]
    return {
        "start": found.start,
        "stop": found.stop,
        "text": text.text,
        "hasSpans": text.spans is not None,
        "documents": [
            {
                "index": document,
                "name": names[document],
                "position": position,
                "character": character,
            }
            for document, position, character in text.documents
        ],
    }


def documents(stream: StreamInfo, loss: np.ndarray | None, page: Page) -> dict[str, Any]:
    """Return the rows of a page of documents."""
    lengths = np.diff(stream.document_start)
    losses = [None] * len(page.indices) if loss is None else rounded(loss[page.indices])
    return {
        "start": page.start,
        "nMatching": page.n_matching,
        "worst": page.worst,
        "rows": [
            {
                "index": int(index),
                "name": stream.document_names[index],
                "nPositions": int(lengths[index]),
                "loss": value,
            }
            for index, value in zip(page.indices, losses, strict=True)
        ],
    }


def predictions(rows: PredictionRows | None, start: int) -> dict[str, Any] | None:
    """Return the predictions at positions from `start` on."""
    if rows is None:
        return None
    return {
        "start": start,
        "target": rows.target,
        "tokens": rows.tokens,
        "probability": [rounded(row) for row in rows.probability],
        "loss": rounded(rows.loss),
    }


def unit_rows(statistics: UnitStatistics) -> dict[str, Any]:
    """Return the columns of the unit list."""
    return {
        "mean": rounded(statistics.mean),
        "spread": rounded(statistics.spread),
        "saturated": rounded(statistics.saturated),
        "limit": rounded(statistics.limit, 6),
        "correlation": {name: rounded(row) for name, row in statistics.correlation.items()},
        "nPositions": statistics.n_positions,
        "nDocuments": statistics.n_documents,
    }
