"""How much the best 1, 2, 4, ... units tell together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from probes.documents import Rows, draw_documents
from probes.findings import CurvePoint
from probes.intervals import area_intervals, percentile_interval
from probes.metrics import ValueCounts
from probes.tracks import Track

_FIT_ROWS, _TEST_ROWS = 20_000, 50_000


def score_curve(
    recording: Any,
    track: Track,
    units: Sequence[tuple[str, int]],
    halves: tuple[Rows, Rows],
    sizes: Sequence[int],
    n_resamples: int = 500,
    seed: int = 0,
) -> list[CurvePoint]:
    """Return the score of a linear probe on the best units together, for several numbers of them.

    The units are in the order of the selection half, the probe is fitted there, and scored on
    the test half.

    Parameters
    ----------
    recording : Recording
    track : Track
    units : sequence of (str, int)
        Best first.
    halves : (Rows, Rows)
    sizes : sequence of int
        How many; numbers above `len(units)` are left out.
    n_resamples, seed : int
    """
    sizes = [size for size in sorted(set(sizes)) if 1 <= size <= len(units)]
    if not sizes:
        return []
    fit, test = (
        rows.part(_some(rows, track, n))
        for rows, n in zip(halves, (_FIT_ROWS, _TEST_ROWS), strict=True)
    )
    chosen = units[: max(sizes)]
    columns = [np.asarray(recording.unit(site, unit)) for site, unit in chosen]
    x_fit, x_test = (
        np.stack([column[rows.index] for column in columns], axis=1).astype(np.float32)
        for rows in (fit, test)
    )
    y_fit, y_test = track.values[fit.index], track.values[test.index]
    return [
        _point(k, x_fit[:, :k], y_fit, x_test[:, :k], y_test, test, n_resamples, seed)
        for k in sizes
    ]


def _some(rows: Rows, track: Track, n_most: int) -> np.ndarray:
    """Return row numbers to fit or score on; more of a rare concept changes no AUROC."""
    if not track.is_binary:
        return rows.thinned(n_most)
    return rows.thinned_by_label(track.values[rows.index], n_most)[0]


def _point(
    k: int,
    x_fit: np.ndarray,
    y_fit: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    test: Rows,
    n_resamples: int,
    seed: int,
) -> CurvePoint:
    from probes.estimators import LogisticProbe, RidgeProbe

    if y_fit.dtype == bool:
        margin = LogisticProbe().fit(x_fit, y_fit).decision_function(x_test)
        interval, _ = area_intervals(margin, y_test, test.starts, n_resamples, seed)
        return CurvePoint(k, ValueCounts.of(margin, y_test).auroc(), interval)
    error = (RidgeProbe().fit(x_fit, y_fit).predict(x_test) - y_test) ** 2
    score, resampled = r_squared(error, y_test, test.starts, n_resamples, seed)
    return CurvePoint(k, score, percentile_interval(resampled, len(test.starts) - 1))


def r_squared(
    squared_error: np.ndarray,
    target: np.ndarray,
    document_start: np.ndarray,
    n_resamples: int = 500,
    seed: int = 0,
) -> tuple[float, np.ndarray]:
    """Return R² and its value in resamples of whole documents."""
    target = target - target.mean()  # squares of numbers far from 0 would lose the variance
    terms = np.stack([np.ones_like(squared_error), target, target**2, squared_error], axis=1)
    sums = np.add.reduceat(terms, np.asarray(document_start[:-1]), axis=0)

    def score(total: np.ndarray) -> np.ndarray:
        n, y, yy, error = total.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 - error / (yy - y * y / n)

    drawn = draw_documents(len(sums), n_resamples, seed) @ sums
    return float(score(sums.sum(axis=0, keepdims=True))[0]), score(drawn)
