"""Compiled loops over positions: order keys, histograms, rank sums, resampled areas.

Each releases the interpreter's lock, so that threads scan different units at the same time. The
first call on a machine takes seconds.
"""

from __future__ import annotations

import numpy as np

from interp.compiled import compiled


@compiled
def keys_of_float16(bits: np.ndarray, runs: np.ndarray, keys: np.ndarray, n_nan: np.ndarray) -> int:
    """Write uint16 keys that sort like float16 values, unit by unit; return the rows written.

    `bits` is (n_rows, n_units) uint16, `runs` (n_runs, 2) the rows wanted, `keys`
    (n_units, n_wanted) and `n_nan` (n_units,) are written to.
    """
    at = 0
    n_units = bits.shape[1]
    for run in range(runs.shape[0]):
        for row in range(runs[run, 0], runs[run, 1]):
            for unit in range(n_units):
                value = bits[row, unit]
                magnitude = value & 0x7FFF
                if magnitude > 0x7C00:
                    n_nan[unit] += 1
                # Negative numbers sort backwards by their bits: flip all of them, and only
                # the sign of the positive ones. Both zeros get the same key.
                if value & 0x8000 and magnitude:
                    keys[unit, at] = 0xFFFF - value
                else:
                    keys[unit, at] = magnitude | 0x8000
            at += 1
    return at


@compiled
def count_nan(bits: np.ndarray, n_nan: np.ndarray) -> None:
    """Add the NaN among float16 values (n_rows, n_units), given as uint16, to `n_nan`."""
    for row in range(bits.shape[0]):
        for unit in range(bits.shape[1]):
            n_nan[unit] += (bits[row, unit] & 0x7FFF) > 0x7C00


@compiled
def count_keys(keys: np.ndarray, counts: np.ndarray) -> None:
    """Add the number of times each key occurs to `counts` (65536,)."""
    for key in keys:
        counts[key] += 1


@compiled
def add_by_pattern(
    keys: np.ndarray, twice_rank: np.ndarray, patterns: np.ndarray, sums: np.ndarray
) -> None:
    """Add twice the rank of every position to the sum of its pattern of labels."""
    for i in range(len(keys)):
        sums[patterns[i]] += twice_rank[keys[i]]


@compiled
def add_places(
    keys: np.ndarray,
    twice_rank: np.ndarray,
    places: np.ndarray,
    starts: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Add twice the rank at the places of each group, which begin at `starts` (n_groups + 1,)."""
    for group in range(len(sums)):
        for i in range(starts[group], starts[group + 1]):
            sums[group] += twice_rank[keys[places[i]]]


@compiled
def add_products(keys: np.ndarray, rank: np.ndarray, weights: np.ndarray, sums: np.ndarray) -> None:
    """Add rank times weight over positions; `weights` is (n_positions, n_tracks)."""
    for i in range(len(keys)):
        r = rank[keys[i]]
        for j in range(weights.shape[1]):
            sums[j] += r * weights[i, j]


@compiled
def add_sorted_by_pattern(ordered: np.ndarray, sums: np.ndarray) -> None:
    """Do as `add_by_pattern` for sorted uint64 whose high half is the key, low half the pattern."""
    n = len(ordered)
    start = 0
    while start < n:
        key = ordered[start] >> np.uint64(32)
        stop = start + 1
        while stop < n and (ordered[stop] >> np.uint64(32)) == key:
            stop += 1
        twice_rank = start + stop + 1
        for i in range(start, stop):
            sums[ordered[i] & np.uint64(0xFFFFFFFF)] += twice_rank
        start = stop


@compiled
def resampled_areas(
    ties: np.ndarray,
    document: np.ndarray,
    inside: np.ndarray,
    weights: np.ndarray,
    counts: np.ndarray | None,
    areas: np.ndarray,
    precisions: np.ndarray,
) -> None:
    """Write AUROC and average precision for each row of document weights.

    Positions come in the order from most to least like the concept; `ties` numbers groups of
    equal values, `document` and `inside` are theirs, `weights` is (n_resamples, n_documents).
    `counts` says how many positions each of them stands for; None: one.
    """
    n = len(document)
    for b in range(weights.shape[0]):
        total_in, total_out = 0.0, 0.0
        for i in range(n):
            w = weights[b, document[i]]
            if counts is not None:
                w *= counts[i]
            if inside[i]:
                total_in += w
            else:
                total_out += w
        if total_in == 0 or total_out == 0:
            areas[b] = np.nan
            precisions[b] = np.nan
            continue
        seen_in, seen_out, area, precision = 0.0, 0.0, 0.0, 0.0
        i = 0
        while i < n:
            here_in, here_out, tie = 0.0, 0.0, ties[i]
            while i < n and ties[i] == tie:
                w = weights[b, document[i]]
                if counts is not None:
                    w *= counts[i]
                if inside[i]:
                    here_in += w
                else:
                    here_out += w
                i += 1
            area += here_in * (total_out - seen_out - 0.5 * here_out)
            seen_in += here_in
            seen_out += here_out
            if here_in > 0:
                precision += here_in * seen_in / (seen_in + seen_out)
        areas[b] = area / (total_in * total_out)
        precisions[b] = precision / total_in
