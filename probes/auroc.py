"""Exact area under the ROC curve of many units at once.

A float16 has 65,536 values, so the counts of each value among positives and negatives give the
exact area, ties included, without sorting (Mann & Whitney 1947: the area is the chance that a
positive exceeds a negative, ties counting one half).
"""

from __future__ import annotations

import numpy as np

_N_KEYS = 1 << 16


def order_keys(values: np.ndarray) -> np.ndarray:
    """Return uint16 keys that sort like the float16 `values`; -0.0 and 0.0 share a key.

    Parameters
    ----------
    values : ndarray, any shape, float16, finite
    """
    bits = (values + np.float16(0)).view(np.uint16)
    # Negative numbers sort backwards by their bits: flip all of them, and only the sign of
    # the positive ones.
    return np.where(bits & 0x8000, ~bits, bits | 0x8000)


def compute_auroc(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the AUROC of each unit for a binary label.

    Parameters
    ----------
    values : ndarray (n_positions, n_units) float16
        Finite activations.
    labels : ndarray (n_positions,) bool

    Returns
    -------
    ndarray (n_units,) float64
        In [0, 1]; 0.5 where the unit says nothing, below 0.5 where it is lower inside.

    Raises
    ------
    ValueError
        If the labels are all the same.
    """
    labels = np.asarray(labels, bool)
    n_inside = int(labels.sum())
    n_outside = len(labels) - n_inside
    if not n_inside or not n_outside:
        raise ValueError("AUROC needs positions inside and outside the concept.")
    keys = order_keys(np.asarray(values, np.float16))
    areas = np.empty(keys.shape[1])
    for unit in range(keys.shape[1]):
        column = keys[:, unit]
        inside = np.bincount(column[labels], minlength=_N_KEYS)
        outside = np.bincount(column[~labels], minlength=_N_KEYS)
        below = np.cumsum(outside) - outside
        areas[unit] = (inside * (below + 0.5 * outside)).sum() / (n_inside * n_outside)
    return areas


def bootstrap_auroc(
    values: np.ndarray,
    labels: np.ndarray,
    document_start: np.ndarray,
    n_resamples: int = 500,
    seed: int = 0,
) -> np.ndarray:
    """Return the AUROC of one unit in resamples of whole documents.

    Documents, not positions, are drawn with replacement: neighbouring positions are not
    independent, and an interval from positions is several times too narrow.

    Parameters
    ----------
    values : ndarray (n_positions,)
    labels : ndarray (n_positions,) bool
    document_start : ndarray (n_documents + 1,)
    n_resamples, seed : int

    Returns
    -------
    ndarray (n_resamples,) float64
        NaN where a resample had one class only.
    """
    n_documents = len(document_start) - 1
    document = np.repeat(np.arange(n_documents), np.diff(document_start))
    _, key = np.unique(values, return_inverse=True)
    n_keys = int(key.max()) + 1
    # Counts per document and value are sparse; one row per (document, value) that occurs.
    cell, where = np.unique(document * n_keys + key, return_inverse=True)
    inside = np.bincount(where, weights=labels, minlength=len(cell))
    outside = np.bincount(where, weights=~np.asarray(labels, bool), minlength=len(cell))
    cell_document, cell_key = np.divmod(cell, n_keys)
    order = np.argsort(cell_key, kind="stable")
    cell_document, cell_key = cell_document[order], cell_key[order]
    inside, outside = inside[order], outside[order]
    rng = np.random.default_rng(seed)
    areas = np.full(n_resamples, np.nan)
    for i in range(n_resamples):
        drawn = np.bincount(rng.integers(0, n_documents, n_documents), minlength=n_documents)
        weight = drawn[cell_document]
        up = np.bincount(cell_key, weights=inside * weight, minlength=n_keys)
        down = np.bincount(cell_key, weights=outside * weight, minlength=n_keys)
        total = up.sum() * down.sum()
        if total:
            areas[i] = (up * (np.cumsum(down) - 0.5 * down)).sum() / total
    return areas
