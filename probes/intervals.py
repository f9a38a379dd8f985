"""Intervals from resampled documents, and corrections for having looked at many things.

Documents, not positions, are drawn: neighbouring positions are not independent, and an interval
from positions is several times too narrow.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, t

from probes.auroc import distinct_values
from probes.documents import draw_documents
from probes.kernels import resampled_areas


def bootstrap_auroc(
    values: np.ndarray,
    labels: np.ndarray,
    document_start: np.ndarray,
    n_resamples: int = 500,
    seed: int = 0,
    sign: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return AUROC and average precision of one unit in resamples of whole documents.

    Parameters
    ----------
    values : ndarray (n_positions,)
    labels : ndarray (n_positions,) bool
    document_start : ndarray (n_documents + 1,)
    n_resamples, seed : int
    sign : {1, -1}
        -1: score the unit upside down.

    Returns
    -------
    areas, precisions : ndarray (n_resamples,) float64
        NaN where a resample had one class only.
    """
    keys = distinct_values(np.asarray(values))[1]
    if len(keys) and keys.max() < 1 << 16:
        keys = keys.astype(np.uint16)  # NumPy sorts those in linear time
    order = np.argsort(keys.max() - keys if sign > 0 else keys, kind="stable")
    n_documents = len(document_start) - 1
    document = np.repeat(np.arange(n_documents), np.diff(document_start)).astype(np.int32)
    areas, precisions = np.empty(n_resamples), np.empty(n_resamples)
    resampled_areas(
        keys[order],
        document[order],
        np.asarray(labels, bool)[order],
        draw_documents(n_documents, n_resamples, seed),
        areas,
        precisions,
    )
    return areas, precisions


def bootstrap_correlation(
    values: np.ndarray,
    target: np.ndarray,
    document_start: np.ndarray,
    n_resamples: int = 500,
    seed: int = 0,
) -> np.ndarray:
    """Return Pearson's correlation in resamples of whole documents.

    Give ranks to have Spearman's, with ranks taken once over all documents.
    """
    a = np.asarray(values, np.float64) - np.mean(values)
    b = np.asarray(target, np.float64) - np.mean(target)
    terms = np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], axis=1)
    sums = np.add.reduceat(terms, np.asarray(document_start[:-1]), axis=0)
    n, x, y, xx, yy, xy = (draw_documents(len(sums), n_resamples, seed) @ sums).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))


def percentile_interval(
    resampled: np.ndarray, n_documents: int, level: float = 0.95
) -> tuple[float, float]:
    """Return an interval from values of a figure in resamples of documents.

    The plain percentiles are too narrow with few documents: with 6 of them a 95 % interval held
    the truth in 78 of 100 trials. The expanded ones (Hesterberg 2015, The American Statistician
    69:371-386) reach as far out as a t-interval with ``n_documents - 1`` degrees of freedom would.

    Parameters
    ----------
    resampled : ndarray (n_resamples,)
        NaN where a resample had no value.
    n_documents : int
        How many documents were drawn from.
    level : float

    Returns
    -------
    (float, float)
        NaN if nothing could be computed, or from one document.
    """
    known = resampled[np.isfinite(resampled)]
    if len(known) == 0 or n_documents < 2:
        return float("nan"), float("nan")
    reach = t.ppf((1 + level) / 2, n_documents - 1) * np.sqrt(n_documents / (n_documents - 1))
    low, high = np.quantile(known, [norm.cdf(-reach), norm.cdf(reach)])
    return float(low), float(high)


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Return q values: the false discovery rate at which each hypothesis would be rejected.

    Parameters
    ----------
    p_values : ndarray (n_hypotheses,)
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(p)
    q[order] = np.minimum(1, np.minimum.accumulate(scaled[::-1])[::-1])
    return q
