"""What is measured of one head's map, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from scipy.special import xlogy

from probes.heads.rows import MapRows
from probes.heads.targets import PATTERNS, NotApplicable, Targets

#: Measures of the shape of a row, which need no tokens.
SHAPES = ("entropy", "relative_entropy", "confidence", "distance")
#: All measures, in the order of tables.
METRICS = (*SHAPES, *PATTERNS)


def row_shape(name: str, rows: MapRows, weights: np.ndarray) -> np.ndarray:
    """Return one measure of the shape of each row, (n_queries,) float64.

    Parameters
    ----------
    name : {"entropy", "relative_entropy", "confidence", "distance"}
        In nats; divided by ln of the visible keys; the largest weight; the mean of
        |query - key|.
    rows : MapRows
    weights : ndarray (n_weights,)
        In [0, 1].
    """
    if name == "confidence":
        return rows.maxima(weights)
    if name == "distance":
        return rows.sums(weights * rows.distance)
    entropy = -rows.sums(xlogy(weights, weights))
    return entropy if name == "entropy" else _relative(entropy, rows)


def _relative(entropy: np.ndarray, rows: MapRows) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return entropy / np.log(rows.n_visible)


def uniform_shape(name: str, rows: MapRows) -> np.ndarray:
    """Return what :func:`row_shape` is for equal weights on all visible keys, (n_queries,)."""
    visible = np.maximum(rows.n_visible, 1)
    if name == "entropy":
        return np.log(visible)
    if name == "relative_entropy":
        return np.ones(rows.n_queries)
    if name == "confidence":
        return 1 / visible
    query = rows.query
    first, last = rows.key_range[:, 0], rows.key_range[:, 1] - 1
    before = _triangle(query - first) - _triangle(query - last - 1)
    after = _triangle(last - query) - _triangle(first - query - 1)
    return (before + after) / visible


def _triangle(n: np.ndarray) -> np.ndarray:
    """Return 0 + 1 + ... + n, and 0 for a negative n."""
    n = np.maximum(n, 0)
    return n * (n + 1) / 2


def eligible_rows(
    name: str, rows: MapRows, targets: Mapping[str, Targets | NotApplicable]
) -> np.ndarray | NotApplicable:
    """Return the rows that a measure is taken over, (n_queries,) bool, or why there are none."""
    if name in targets:
        found = targets[name]
        return found if isinstance(found, NotApplicable) else found.eligible
    if name == "distance" and not rows.same_stream:
        return NotApplicable("queries and keys are positions of different streams")
    seen = rows.n_visible > 1
    return seen if seen.any() else NotApplicable("no query sees more than one key")


def chance_rows(
    name: str, rows: MapRows, targets: Mapping[str, Targets | NotApplicable]
) -> np.ndarray:
    """Return what a measure is for equal weights on all visible keys, (n_queries,)."""
    found = targets.get(name)
    if isinstance(found, Targets):
        return found.per_row / np.maximum(rows.n_visible, 1)
    return uniform_shape(name, rows)


def mass_on(targets: Targets, rows: MapRows, weights: np.ndarray) -> np.ndarray:
    """Return the weight of each row on the keys that a pattern points at, (n_queries,)."""
    found = weights[rows.find(targets.rows, targets.keys)]
    return np.bincount(targets.rows, found, minlength=rows.n_queries)


def measure_rows(
    names: Iterable[str],
    rows: MapRows,
    weights: np.ndarray,
    targets: Mapping[str, Targets | NotApplicable],
) -> dict[str, np.ndarray]:
    """Return each measure of every row of one head on one document, (n_queries,) float64.

    Parameters
    ----------
    names : iterable of str
        Of :data:`METRICS`; those that cannot be measured are left out.
    rows : MapRows
    weights : ndarray (n_weights,)
        Each row's sum to 1, or to less where small weights were not kept: then everything but
        the confidence is a lower bound.
    targets : mapping of str to Targets
        Of the patterns, from :func:`probes.heads.targets.find_targets`.
    """
    found: dict[str, np.ndarray] = {}
    weights = np.asarray(weights, np.float64)
    for name in names:
        target = targets.get(name)
        if isinstance(target, Targets):
            found[name] = mass_on(target, rows, weights)
        elif name == "relative_entropy" and "entropy" in found:
            found[name] = _relative(found["entropy"], rows)
        elif target is None and (name != "distance" or rows.same_stream):
            found[name] = row_shape(name, rows, weights)
    return found
