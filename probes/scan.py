"""One pass over many units: area or rank correlation for every track, and their null.

A block of units is read at a time, by as many threads as asked for; memory stays bounded by the
block, whatever the recording's size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from probes.auroc import N_KEYS, float16_keys, rank_sums, take_runs, twice_ranks
from probes.documents import Rows
from probes.kernels import add_products, count_keys, count_nan
from probes.null import Null, null_scores, rank_weights
from probes.patterns import Patterns

#: Site, first and one-past-last unit.
Block = tuple[str, int, int]
#: Scores (n_units, n_tracks), and for each track those of the null and the largest in every swap.
Found = tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]
#: Units are stored in tiles of 16; reading fewer at once reads tiles again.
_TILE = 16
_BLOCK_BYTES = 256 << 20
_THREADS = 2


@dataclass
class Scan:
    """What a pass found.

    Attributes
    ----------
    units : list of (str, int)
        Site and index of each unit.
    scores : ndarray (n_units, n_tracks)
        AUROC minus one half for yes-or-no tracks, Spearman's correlation for numbers; NaN for a
        unit with NaN.
    null_scores : ndarray (n_units, n_tracks)
        Absolute scores as the null has them, to be compared with `null_max`; empty without a null.
    null_max : ndarray (n_tracks, n_swaps)
        Largest absolute score of any unit in each swap; NaN for a swap with one value only.
    """

    units: list[tuple[str, int]]
    scores: np.ndarray
    null_scores: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    null_max: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))


def scan_units(
    recording: Any,
    sites: Sequence[str],
    rows: Rows,
    tracks: np.ndarray,
    null: Null | None = None,
    n_threads: int = _THREADS,
    progress: Callable[[int, int], None] | None = None,
) -> Scan:
    """Score every unit of some sites against every track.

    Parameters
    ----------
    recording : Recording
    sites : sequence of str
    rows : Rows
        The positions that count.
    tracks : ndarray (n_rows, n_tracks)
        bool for yes or no, or floats; all of one kind.
    null : Null, optional
    n_threads : int
    progress : callable, optional
        Called with the units done and the units in all; what it raises ends the scan.
    """
    binary = tracks.dtype == bool
    patterns = Patterns.of(tracks) if binary else None
    weights = None if binary else rank_weights(tracks)

    def work(block: Block) -> Found:
        site, start, stop = block
        values = np.asarray(recording[site][:, start:stop])
        if patterns is not None:
            scores = patterns.auroc(rank_sums(values, rows.runs, patterns)[0]) - 0.5
        else:
            assert weights is not None
            scores = _rank_correlations(values, rows.runs, weights)
        # Also NaN at positions that do not count here: the unit will be scored there later.
        has_nan = _has_nan(values)
        scores[has_nan] = np.nan
        return scores, [] if null is None else null_scores(values, has_nan, rows, null)

    blocks = [(s, a, b) for s in sites for a, b in _unit_blocks(recording[s])]
    found = list(_in_threads(work, blocks, n_threads, progress))
    units = [(site, unit) for site, start, stop in blocks for unit in range(start, stop)]
    scan = Scan(units, np.concatenate([scores for scores, _ in found]))
    if null is not None:
        blocks_of = list(zip(*(of_tracks for _, of_tracks in found), strict=True))
        real = [np.concatenate([scores for scores, _ in blocks]) for blocks in blocks_of]
        scan.null_scores = np.stack(real, axis=1)
        scan.null_max = np.stack([np.fmax.reduce([best for _, best in b]) for b in blocks_of])
    return scan


def _in_threads(
    work: Callable[[Block], Found],
    blocks: Sequence[Block],
    n_threads: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Found]:
    """Yield the result of each block in order; whoever stops early waits for no more blocks."""
    total, done = sum(stop - start for _, start, stop in blocks), 0
    pool = ThreadPoolExecutor(max(1, n_threads))
    try:
        for block, found in zip(blocks, pool.map(work, blocks), strict=True):
            yield found
            done += block[2] - block[1]
            if progress is not None:
                progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)


def _unit_blocks(array: Any) -> Iterator[tuple[int, int]]:
    """Yield [start, stop) of units whose values, with what is made of them, fit in memory."""
    n_positions, n_units = array.shape
    per_unit = n_positions * (4 if array.dtype == np.float16 else 24)
    width = int(np.clip(_BLOCK_BYTES // max(per_unit, 1), 1, _TILE))
    for tile in range(0, n_units, _TILE):
        end = min(tile + _TILE, n_units)
        for start in range(tile, end, width):
            yield start, min(start + width, end)


def _rank_correlations(values: np.ndarray, runs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    n, n_tracks = weights.shape
    n_units = values.shape[1]
    scores = np.zeros((n_units, n_tracks))
    if values.dtype == np.float16:
        keys, _ = float16_keys(values, runs, n)
        for unit in range(n_units):
            counts = np.zeros(N_KEYS, np.int64)
            count_keys(keys[unit], counts)
            rank = twice_ranks(counts) / 2 - (n + 1) / 2
            add_products(keys[unit], rank, weights, scores[unit])
            length = np.sqrt(counts @ rank**2)
            scores[unit] /= length if length > 0 else 1
        return scores
    wanted = take_runs(values, runs)
    for unit in range(n_units):
        rank = rankdata(wanted[:, unit]) - (n + 1) / 2
        length = np.sqrt(rank @ rank)
        if length > 0:
            scores[unit] = rank @ weights / length
    return scores


def _has_nan(values: np.ndarray) -> np.ndarray:
    """Return which units (columns) hold a NaN anywhere."""
    if values.dtype != np.float16:
        return np.isnan(values).any(axis=0)
    n_nan = np.zeros(values.shape[1], np.int64)
    count_nan(values.view(np.uint16), n_nan)
    return n_nan > 0
