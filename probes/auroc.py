"""Exact area under the ROC curve of many units and concepts at once.

A float16 has 65,536 values, so a histogram gives the rank of every value, ties included, without
sorting; a unit's ranks serve every concept (Mann & Whitney 1947: the area is the chance that a
position inside exceeds one outside, ties counting one half). Wider types are sorted.
"""

from __future__ import annotations

import numpy as np

from probes.kernels import (
    add_by_pattern,
    add_sorted_by_pattern,
    count_keys,
    keys_of_float16,
)
from probes.patterns import Patterns

N_KEYS = 1 << 16


def order_keys(values: np.ndarray) -> np.ndarray:
    """Return uint16 keys that sort like float16 `values`; -0.0 and 0.0 share a key.

    Parameters
    ----------
    values : ndarray, any shape, float16, without NaN
    """
    bits = np.ascontiguousarray(values, np.float16).reshape(-1, 1).view(np.uint16)
    keys = np.empty((1, len(bits)), np.uint16)
    keys_of_float16(bits, np.array([[0, len(bits)]]), keys, np.zeros(1, np.int64))
    return keys.reshape(np.shape(values))


def twice_ranks(counts: np.ndarray) -> np.ndarray:
    """Return twice the mid-rank (1-based) of each key, from how often each occurs."""
    return 2 * np.cumsum(counts, dtype=np.int64) - counts + 1


def distinct_values(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct values, rising, and for each value its place among them.

    What `numpy.unique` does, many times faster for float16.
    """
    if values.dtype != np.float16 or np.isnan(values).any():
        return np.unique(values, return_inverse=True)
    keys = order_keys(values)
    used = np.flatnonzero(np.bincount(keys, minlength=N_KEYS))
    bits = np.where(used >= 0x8000, used - 0x8000, 0xFFFF - used).astype(np.uint16)
    place = np.zeros(N_KEYS, np.int32)
    place[used] = np.arange(len(used))
    return bits.view(np.float16), place[keys]


def mid_ranks(column: np.ndarray) -> np.ndarray:
    """Return the 1-based rank of each value, ties sharing their mean."""
    if column.dtype != np.float16:
        from scipy.stats import rankdata

        return rankdata(column)
    keys = order_keys(column)
    return (twice_ranks(np.bincount(keys, minlength=N_KEYS)) / 2)[keys]


def compute_auroc(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the AUROC of each unit for one or several yes-or-no labels.

    Parameters
    ----------
    values : ndarray (n_positions, n_units) or (n_positions,)
        Activations of any floating-point type. A unit with NaN has no area.
    labels : ndarray (n_positions,) or (n_positions, n_tracks)
        bool, or 0 and 1.

    Returns
    -------
    ndarray (n_units,) or (n_units, n_tracks) float64
        In [0, 1]; 0.5 where the unit says nothing, below 0.5 where it is lower inside; NaN for a
        unit with NaN.

    Raises
    ------
    ValueError
        If a label is the same everywhere, is not yes or no, or lengths differ.
    """
    values = np.asarray(values)
    values = values[:, None] if values.ndim == 1 else values
    tracks = yes_or_no(labels)
    patterns = Patterns.of(tracks[:, None] if tracks.ndim == 1 else tracks)
    if len(tracks) != len(values):
        raise ValueError(f"{len(tracks):,} labels for {len(values):,} positions.")
    if ((patterns.n_inside == 0) | (patterns.n_inside == len(tracks))).any():
        raise ValueError("AUROC needs positions inside and outside the concept.")
    sums, n_nan = rank_sums(values, np.array([[0, len(values)]]), patterns)
    areas = patterns.auroc(sums)
    areas[n_nan > 0] = np.nan
    return areas[:, 0] if tracks.ndim == 1 else areas


def yes_or_no(labels: np.ndarray) -> np.ndarray:
    """Return labels as bool; NaN would silently be a yes.

    Raises
    ------
    ValueError
        If there is anything but yes and no, or 0 and 1.
    """
    given = np.asarray(labels)
    if given.dtype != bool and not np.isin(given, (0, 1)).all():
        other = given[~np.isin(given, (0, 1))]
        raise ValueError(
            f"Labels are yes or no, or 0 and 1; {len(other):,} are not, such as {other[0]!r}: "
            "leave such positions out."
        )
    return given.astype(bool, copy=False)


def rank_sums(
    values: np.ndarray, runs: np.ndarray, patterns: Patterns
) -> tuple[np.ndarray, np.ndarray]:
    """Return twice the rank sums per unit and pattern, and the NaN per unit.

    Parameters
    ----------
    values : ndarray (n_positions, n_units)
    runs : ndarray (n_runs, 2)
        Which positions count, as [start, stop).
    patterns : Patterns
        Of those positions.

    Returns
    -------
    sums : ndarray (n_units, n_patterns) int64
    n_nan : ndarray (n_units,) int64
    """
    n_units = values.shape[1]
    sums = np.zeros((n_units, len(patterns.members)), np.int64)
    if values.dtype == np.float16:
        keys, n_nan = float16_keys(values, runs, len(patterns.ids))
        for unit in range(n_units):
            counts = np.zeros(N_KEYS, np.int64)
            count_keys(keys[unit], counts)
            add_by_pattern(keys[unit], twice_ranks(counts), patterns.ids, sums[unit])
        return sums, n_nan
    n_nan = np.zeros(n_units, np.int64)
    low = patterns.ids.astype(np.uint64)
    for unit in range(n_units):
        column = take_runs(values[:, unit], runs)
        n_nan[unit] = np.isnan(column).sum()
        add_sorted_by_pattern(np.sort(wide_keys(column) << np.uint64(32) | low), sums[unit])
    return sums, n_nan


def float16_keys(values: np.ndarray, runs: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys (n_units, n) of the positions in `runs`, and the NaN per unit."""
    keys = np.empty((values.shape[1], n), np.uint16)
    n_nan = np.zeros(values.shape[1], np.int64)
    keys_of_float16(values.view(np.uint16), runs, keys, n_nan)
    return keys, n_nan


def wide_keys(column: np.ndarray) -> np.ndarray:
    """Return uint64 below 2**32 that sort like a float32 or float64 column."""
    if column.dtype != np.float32:
        # 64 bits leave no room beside a pattern: their order among each other is enough.
        return np.unique(column, return_inverse=True)[1].astype(np.uint64)
    bits = (column + np.float32(0)).view(np.uint32)
    flipped = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return flipped.astype(np.uint64)


def take_runs(array: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Return the rows of an array that lie in runs [start, stop), in order."""
    if len(runs) == 1 and runs[0, 0] == 0 and runs[0, 1] == len(array):
        return np.ascontiguousarray(array)
    parts = [array[start:stop] for start, stop in runs.tolist()]
    return np.concatenate(parts) if parts else array[:0].copy()
