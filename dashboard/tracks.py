"""Tracks: the loss or an annotation, as it is drawn under the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.library import Shelf
from dashboard.sources.protocol import AnnotationInfo, Source
from dashboard.statistics import robust_limit, sample_ranges

NO_CATEGORY = 0xFFFF
MAX_NAMES = 5_000
MAX_RANKED = 500


@dataclass(frozen=True)
class TrackScale:
    """Values of magnitude `limit` get the full colour; `is_signed` when some lie below zero."""

    limit: float
    is_signed: bool


def category_codes(values: np.ndarray) -> bytes:
    """Return little-endian uint16 codes; values below 0 mean no category and become 65,535.

    Parameters
    ----------
    values : array (n,) of integers
        Codes beyond 65,534, which no legend could name, share that one.
    """
    clipped = np.minimum(np.asarray(values, np.int64), NO_CATEGORY - 1)
    return np.where(clipped < 0, NO_CATEGORY, clipped).astype("<u2").tobytes()


def sampled(source: Source, info: AnnotationInfo) -> np.ndarray:
    """Return the values of an annotation at the positions that statistics are taken from."""
    ranges = sample_ranges(source.streams[info.stream].n_positions, 1)
    parts = [source.annotation(info.name, *pair) for pair in ranges]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def scale(shelf: Shelf, info: AnnotationInfo) -> TrackScale:
    """Return an annotation's scale: 0 to 1, or the robust one of numbers."""
    if info.kind != "numeric":
        return TrackScale(1.0, False)

    def compute() -> TrackScale:
        values = sampled(shelf.source, info).astype(np.float32)
        finite = values[np.isfinite(values)]
        return TrackScale(float(robust_limit(values[None])[0]), bool((finite < 0).any()))

    return shelf.once(("track scale", info.name), compute)


def categories(shelf: Shelf, info: AnnotationInfo) -> dict[str, Any]:
    """Return names of a categorical annotation's values, and which are frequent.

    Returns
    -------
    dict
        ``names`` by code, the first 5,000; ``order``, codes from the most frequent on (500 at most)
        and their ``share`` of the sampled positions; ``nUsed``, how many occur there.
    """

    def compute() -> dict[str, Any]:
        values = sampled(shelf.source, info).astype(np.int64)
        counts = np.bincount(values[values >= 0], minlength=1)
        order = np.argsort(-counts, kind="stable")
        n_used = int((counts > 0).sum())
        order = order[: min(n_used, MAX_RANKED)]
        return {
            "names": info.categories[:MAX_NAMES],
            "order": order,
            "share": np.round(counts[order] / max(1, len(values)), 4),
            "nUsed": n_used,
        }

    return shelf.once(("categories", info.name), compute)
