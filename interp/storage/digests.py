"""Hashes and checksums: of what is fixed beforehand, of segments, and of a whole recording.

The plan and the verification compute them from different things, a plan's lists and a file's
arrays, and have to agree; so each is defined here, once.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from interp.errors import StorageError
from interp.sites import SiteDescription
from interp.storage import schema
from interp.storage.attention_site import AttentionPlan, AttentionSite

# Parts that say how values came about, not what they are.
_CIRCUMSTANCES = ("schedule", "model", "provenance")
_BLOCK_ROWS = 1 << 16


def checksum(rows: np.ndarray) -> int:
    """Return the CRC-32 of rows as stored: row after row, little-endian."""
    return zlib.crc32(np.ascontiguousarray(rows).reshape(-1).view("u1").data)


def fingerprint(digests: Mapping[str, str], checksums: np.ndarray) -> str:
    """Return the hash that stands for the contents of a recording, 64 hexadecimal digits.

    It covers streams, sites, predictions, annotations and every value; not the provenance, so
    that the same run made again on another day is the same recording.
    """
    hashed = hashlib.sha256()
    for name in sorted(digests):
        if name not in _CIRCUMSTANCES:
            hashed.update(f"{name} {digests[name]}\n".encode())
    hashed.update(np.ascontiguousarray(checksums, "<u4").tobytes())
    return hashed.hexdigest()


def of_stream(
    name: str,
    document_start: np.ndarray,
    strings: Iterable[tuple[np.ndarray, np.ndarray] | None],
    numbers: Iterable[np.ndarray | None],
) -> str:
    """Return the hash of a stream.

    Parameters
    ----------
    name : str
    document_start : array of int
    strings : iterable of (bytes, starts) or None
        Document names, texts and vocabulary, packed; None for one that is not there.
    numbers : iterable of array or None
        Token ids and spans.
    """
    hashed = hashlib.sha256(name.encode())
    _add(hashed, np.asarray(document_start, "<i8"))
    for packed in strings:
        hashed.update(b"-" if packed is None else b"+")
        for array in packed or ():
            _add(hashed, array)
    for values in numbers:
        if values is None:
            hashed.update(b"-")
        else:
            _add(hashed, np.asarray(values), "<i8")
    return hashed.hexdigest()


def _add(hashed: Any, values: np.ndarray, dtype: str | None = None) -> None:
    """Add the bytes of an array to a hash, in blocks: a corpus is not copied for it."""
    for start in range(0, len(values), _BLOCK_ROWS):
        block = values[start : start + _BLOCK_ROWS]
        hashed.update(np.ascontiguousarray(block, dtype))


def of_sites(sites: Iterable[SiteDescription]) -> str:
    """Return the hash of the descriptions of all sites, in their order."""
    names = ("name", "n_units", "dtype", *schema.SITE_ATTRIBUTES, *schema.OPTIONAL_SITE_ATTRIBUTES)
    return of_json([[getattr(site, name) for name in names] for site in sites])


def of_attention(plans: Iterable[AttentionPlan]) -> str:
    """Return the hash of the descriptions and key ranges of all attention sites."""
    names = [field.name for field in fields(AttentionSite)]
    return of_json(
        [
            [
                *(getattr(plan.site, name) for name in names),
                plan.statistics,
                *(
                    hashlib.sha256(np.ascontiguousarray(table, "<u4").tobytes()).hexdigest()
                    for table in (plan.key_ranges, plan.key_order)
                    if table is not None
                ),
            ]
            for plan in plans
        ]
    )


def of_annotation(
    name: str, stream: str, kind: str, categories: list[str] | None, values: np.ndarray
) -> str:
    """Return the hash of an annotation as it is stored."""
    text = json.dumps([name, stream, kind, categories, values.dtype.str])
    return hashlib.sha256(text.encode() + values.tobytes()).hexdigest()


def of_segments(segments: Mapping[str, np.ndarray]) -> str:
    """Return the hash of the segments of all streams."""
    return of_json({name: rows.tolist() for name, rows in segments.items()})


def of_json(value: Any, what: str = "Provenance and schedule") -> str:
    """Return the hash of a value by its JSON form; `what` it is stands in the refusal."""
    try:
        text = json.dumps(value, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise StorageError(f"{what} must be JSON: {error}.") from None
    return hashlib.sha256(text.encode()).hexdigest()
