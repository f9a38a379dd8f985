"""What the best of all units reaches by chance: scores against the labels of other documents.

A rare concept would vanish from a thinned recording, and with it the null. Its few positions are
looked up in all rows instead; of other concepts, evenly spaced rows are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probes.auroc import N_KEYS, distinct_values, float16_keys, mid_ranks, take_runs, twice_ranks
from probes.documents import Rows, swap_places, swap_tracks
from probes.kernels import add_places, count_keys

#: Positions on which swapped tracks are scored; the thinner, the wider the null.
NULL_POSITIONS = 1 << 15
#: A yes-or-no track of which thinned rows would hold fewer is looked up in all of them.
FEW_PLACES = 256
#: Two scores of the same labels may differ by so much, since they are products in float32.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Dense:
    """The real track and swapped ones on thinned rows.

    Attributes
    ----------
    weights : ndarray (1 + n_swaps, n_thin) float32
        What turns centred ranks into the score; NaN where a swap has one value only.
    is_number : bool
        Scores are then divided by the length of the ranks.
    """

    weights: np.ndarray
    is_number: bool


@dataclass(frozen=True)
class Places:
    """The rows at which the real track and swapped ones are on (or off, if that is rarer).

    Attributes
    ----------
    rows : ndarray (n_places,) int64
    starts : ndarray (2 + n_swaps,) int64
        Where the places of each begin.
    """

    rows: np.ndarray
    starts: np.ndarray


@dataclass(frozen=True)
class Null:
    """Tracks with the labels of other documents, the real one first, scored beside the real scan.

    Attributes
    ----------
    thin : ndarray (n_thin,)
        Row numbers among the scored rows on which dense tracks stand.
    tracks : list of Dense or Places
    """

    thin: np.ndarray
    tracks: list[Dense | Places]


def make_null(rows: Rows, labels: np.ndarray, n_swaps: int, seed: int) -> Null:
    """Swap tracks between documents.

    Parameters
    ----------
    rows : Rows
        The positions that count.
    labels : ndarray (n_rows, n_tracks)
        bool for yes or no, or floats.
    n_swaps, seed : int
    """
    thin = rows.thinned(NULL_POSITIONS)
    tracks: list[Dense | Places] = []
    for column in labels.T:
        if column.dtype == bool and len(thin) < len(rows):
            rarer = column if 2 * column.sum() <= len(column) else ~column
            if rarer.mean() * len(thin) < FEW_PLACES:
                tracks.append(Places(*swap_places(rows.starts, rarer, n_swaps, seed)))
                continue
        swapped = swap_tracks(rows.starts, column, thin, n_swaps, seed)
        both = np.concatenate([column[thin][None], swapped])
        tracks.append(Dense(_weights(both), column.dtype != bool))
    return Null(thin, tracks)


def _weights(tracks: np.ndarray) -> np.ndarray:
    """Return the weights by which centred ranks give the score of each track."""
    if tracks.dtype != bool:
        return np.ascontiguousarray(rank_weights(tracks.T).T, np.float32)
    n_inside = tracks.sum(axis=1, keepdims=True).astype(np.float64)
    pairs = n_inside * (tracks.shape[1] - n_inside)
    found = np.full(tracks.shape, np.nan, np.float32)
    return np.divide(tracks, pairs, out=found, where=pairs > 0, casting="same_kind")


def rank_weights(tracks: np.ndarray) -> np.ndarray:
    """Return ranks of each track, centred and of unit length: ranks times them is Spearman."""
    from scipy.stats import rankdata

    ranks = rankdata(tracks, axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.sqrt((ranks**2).sum(axis=0))
    return np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)


def null_scores(
    values: np.ndarray, has_nan: np.ndarray, rows: Rows, null: Null
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each track the absolute scores of some units, and the largest in every swap.

    Parameters
    ----------
    values : ndarray (n_positions, n_units)
    has_nan : ndarray (n_units,) bool
        Units that do not count.
    rows : Rows
    null : Null

    Returns
    -------
    list of (ndarray (n_units,), ndarray (n_swaps,))
        NaN for a unit that does not count, and for a swap that has one value only.
    """
    dense = _dense_scores(values[rows.index[null.thin]], null.tracks)
    keys: Sequence[np.ndarray] = ()
    found = []
    for track, scores in zip(null.tracks, dense, strict=True):
        if isinstance(track, Places):
            keys = keys if len(keys) else _keys(values, rows)
            scores = np.stack([_scores_at(unit, track) for unit in keys])
        scores[has_nan] = np.nan
        found.append((scores[:, 0], np.fmax.reduce(scores[:, 1:], axis=0)))
    return found


def _dense_scores(values: np.ndarray, tracks: Sequence[Dense | Places]) -> list[np.ndarray]:
    if not any(isinstance(track, Dense) for track in tracks):
        return [np.zeros(0)] * len(tracks)
    ranks = np.empty(values.shape, np.float32)
    for unit in range(values.shape[1]):
        ranks[:, unit] = mid_ranks(values[:, unit]) - (len(values) + 1) / 2
    lengths = np.sqrt((ranks.astype(np.float64) ** 2).sum(axis=0))[:, None]
    found = []
    for track in tracks:
        if isinstance(track, Places):
            found.append(np.zeros(0))
            continue
        scores = np.abs(track.weights @ ranks).T
        if track.is_number:
            scores = np.divide(scores, lengths, out=np.zeros_like(scores), where=lengths > 0)
        found.append(scores)
    return found


def _keys(values: np.ndarray, rows: Rows) -> Sequence[np.ndarray]:
    """Return for each unit numbers (n_rows,) that sort like its values."""
    if values.dtype == np.float16:
        return list(float16_keys(values, rows.runs, len(rows))[0])
    return [distinct_values(take_runs(column, rows.runs))[1] for column in values.T]


def _scores_at(keys: np.ndarray, places: Places) -> np.ndarray:
    """Return the absolute score of one unit for each group of places."""
    counts = np.zeros(max(N_KEYS, len(keys)), np.int64)
    count_keys(keys, counts)
    sums = np.zeros(len(places.starts) - 1, np.int64)
    add_places(keys, twice_ranks(counts), places.rows, places.starts, sums)
    n_inside = np.diff(places.starts).astype(np.float64)
    pairs = n_inside * (len(keys) - n_inside)
    above = np.full(len(sums), np.nan)
    np.divide(sums - n_inside * (n_inside + 1), 2 * pairs, out=above, where=pairs > 0)
    return np.abs(above - 0.5)


def p_value(score: float, null: np.ndarray) -> float:
    """Return the share of swaps in which the best of all units scored as much, itself included.

    Parameters
    ----------
    score : float
        Of a unit with the real track, from :func:`null_scores`.
    null : ndarray (n_swaps,)
        The best of all units in each swap; NaN is left out.
    """
    known = null[np.isfinite(null)]
    return (1 + int((known >= score - ROUNDING).sum())) / (1 + len(known))
