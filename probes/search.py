"""From brushed stretches of text to units, and from units to similar places.

Soft and signed: no threshold decides what "on" means. A unit's value is replaced by its place
among all values of that unit (0 lowest, 1 highest), so units of any range compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from interp.errors import InterpError
from interp.sites import SiteDescription
from probes.auroc import N_KEYS, order_keys
from probes.findings import plain
from probes.sites import choose_sites

#: Positions that stand for "elsewhere" in a first, quick answer.
BACKGROUND = 1 << 15
_RUN = 1024
_UNITS_AT_ONCE = 128


@dataclass(frozen=True)
class FoundUnit:
    """A unit that is on in the brushed ranges and off elsewhere, or the other way round.

    Attributes
    ----------
    unit, site : str
    unit_index : int
    sign : int
        1 if it is high there, -1 if it is low.
    score : float
        In [0.5, 1]: the chance that a position of a range is further on the unit's side than
        another one, averaged over the ranges (AUROC, each range counting the same). Half of it
        compares with positions anywhere, half with as many right before and after the range:
        otherwise units that only know where in a document they are would come first.
    worst : float
        The same for the range where it holds least.
    inside, outside : float
        Median value there and elsewhere.
    """

    unit: str
    site: str
    unit_index: int
    sign: int
    score: float
    worst: float
    inside: float
    outside: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return plain(asdict(self))


class FoundUnits(list[FoundUnit]):
    """Units, best first, and what was not searched.

    Attributes
    ----------
    copies : dict of str to str
        Sites that were left out since they hold the values of another one
        (:func:`probes.sites.choose_sites`).
    """

    def __init__(self, units: Sequence[FoundUnit], copies: dict[str, str]) -> None:
        super().__init__(units)
        self.copies = copies


@dataclass(frozen=True)
class Place:
    """A stretch of text where the same units behave the same way.

    Attributes
    ----------
    document : int
    start, stop : int
        Positions of the stream.
    score : float
        Mean agreement of the units, from 0 (as anywhere) to 1 (as far on their sides as ever).
    """

    document: int
    start: int
    stop: int
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return plain(asdict(self))


def search_units(
    recording: Any,
    ranges: Sequence[tuple[int, int]],
    sites: str | Sequence[str] | None = None,
    *,
    n_best: int = 20,
    background: int | None = BACKGROUND,
    stream: str | None = None,
    n_threads: int = 2,
) -> FoundUnits:
    """Return the units that are on in some ranges and off elsewhere, best first.

    Also which sites were left out as copies of others: ``copies`` of what is returned.

    Parameters
    ----------
    recording : Recording
    ranges : sequence of (int, int)
        Positions [start, stop) of the stream.
    sites : str or sequence of str, optional
        Names or patterns; default: all. See :func:`probes.sites.choose_sites`.
    n_best : int
    background : int or None
        About how many positions stand for the rest, in stretches spread over the recording; None:
        all of them, which is exact and slower.
    stream : str, optional
        The first unless named.
    n_threads : int

    Raises
    ------
    InterpError
        If a range is empty or outside, or nothing is left elsewhere.
    """
    where = stream or next(iter(recording.streams))
    n_positions = int(recording.streams[where].document_start[-1])
    inside = _check_ranges(ranges, n_positions)
    elsewhere = _elsewhere(inside, n_positions, background)
    around = _surroundings(inside, np.asarray(recording.streams[where].document_start))
    chosen = choose_sites(recording, sites, where)
    blocks = [
        (site, start, min(start + _UNITS_AT_ONCE, recording.sites[site].n_units))
        for site in chosen.names
        for start in range(0, recording.sites[site].n_units, _UNITS_AT_ONCE)
    ]

    def work(block: tuple[str, int, int]) -> list[FoundUnit]:
        site, start, stop = block
        array = recording[site]
        # One unit after the other and float32: NumPy sorts that several times faster.
        out = np.concatenate([_by_unit(array[a:b, start:stop]) for a, b in elsewhere], axis=1)
        out.sort(axis=1)
        parts = [_by_unit(array[a:b, start:stop]) for a, b in inside]
        near = [
            np.concatenate([_by_unit(array[a:b, start:stop]) for a, b in runs], axis=1)
            for runs in around
        ]
        return [
            _found(
                recording.sites[site],
                start + i,
                out[i],
                [part[i] for part in parts],
                [values[i] for values in near],
            )
            for i in range(stop - start)
        ]

    with ThreadPoolExecutor(max(1, n_threads)) as pool:
        found = [unit for units in pool.map(work, blocks) for unit in units]
    found = [unit for unit in found if np.isfinite(unit.score)]
    found.sort(key=lambda unit: (-unit.score, -unit.worst))
    return FoundUnits(found[:n_best], chosen.copies)


def _check_ranges(ranges: Sequence[tuple[int, int]], n_positions: int) -> list[tuple[int, int]]:
    """Return the ranges in order, those that touch as one."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted((int(a), int(b)) for a, b in ranges):
        if not 0 <= start < stop <= n_positions:
            raise InterpError(
                f"The range {start} to {stop} is empty or outside the {n_positions:,} positions."
            )
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    if not merged:
        raise InterpError("Nothing is selected: give at least one range of positions.")
    return merged


def _elsewhere(
    inside: Sequence[tuple[int, int]], n_positions: int, background: int | None
) -> list[tuple[int, int]]:
    """Return runs of positions outside the ranges, all or spread over the stream."""
    runs = [(0, n_positions)]
    if background is not None and background < n_positions:
        n_runs = max(1, background // _RUN)
        starts = np.linspace(0, n_positions - _RUN, n_runs).astype(np.int64)
        runs = [(int(a), int(a) + _RUN) for a in starts] if n_positions > _RUN else runs
    found = _without(runs, inside)
    if not found:
        raise InterpError("Everything is selected, so there is nothing to compare with.")
    return found


def _without(
    runs: Sequence[tuple[int, int]], inside: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return the runs without what lies inside the ranges."""
    found: list[tuple[int, int]] = []
    for start, stop in runs:
        at = start
        for a, b in inside:
            if b > at and a < stop:
                if a > at:
                    found.append((at, a))
                at = max(at, b)
        if at < stop:
            found.append((at, stop))
    return found


def _surroundings(
    inside: Sequence[tuple[int, int]], document_start: np.ndarray
) -> list[list[tuple[int, int]]]:
    """Return for each range the runs right before and after it, in its documents."""
    found = []
    for start, stop in inside:
        length = stop - start
        first = int(document_start[np.searchsorted(document_start, start, side="right") - 1])
        last = int(document_start[np.searchsorted(document_start, stop, side="left")])
        near = [(max(first, start - length), start), (stop, min(last, stop + length))]
        found.append(_without(near, inside) or [(start, start)])
    return found


def _by_unit(values: np.ndarray) -> np.ndarray:
    wide = values.dtype if values.dtype == np.float64 else np.float32
    return np.ascontiguousarray(values.T, wide)


def _found(
    site: SiteDescription,
    unit: int,
    ordered: np.ndarray,
    parts: Sequence[np.ndarray],
    near: Sequence[np.ndarray],
) -> FoundUnit:
    places = np.array([_quantile(ordered, part).mean() for part in parts])
    local = [
        _quantile(np.sort(values), part).mean() if len(values) else place
        for values, part, place in zip(near, parts, places, strict=True)
    ]
    places = (places + local) / 2
    sign = 1 if places.mean() >= 0.5 else -1
    signed = places if sign > 0 else 1 - places
    # NaN sorts to the end and leaves no place to compare with.
    bad = np.isnan(ordered[-1]) or any(np.isnan(part).any() for part in (*parts, *near))
    middle = ordered[[(len(ordered) - 1) // 2, len(ordered) // 2]]
    return FoundUnit(
        unit=f"{site.name}:{unit}",
        site=site.name,
        unit_index=unit,
        sign=sign,
        score=float("nan") if bad else float(signed.mean()),
        worst=float(signed.min()),
        inside=float(np.median(np.concatenate(parts))),
        outside=float(middle.mean(dtype=np.float64)),
    )


def _quantile(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the share of `ordered` below each value, ties counting one half."""
    low = np.searchsorted(ordered, values, side="left")
    high = np.searchsorted(ordered, values, side="right")
    return (low + high) / (2 * len(ordered))


def similar_places(
    recording: Any,
    ranges: Sequence[tuple[int, int]],
    units: Sequence[FoundUnit],
    *,
    n_best: int = 20,
    stream: str | None = None,
) -> list[Place]:
    """Return other stretches where the same units are on their sides, best first.

    Parameters
    ----------
    recording : Recording
    ranges : sequence of (int, int)
        What was brushed; places that overlap it are left out.
    units : sequence of FoundUnit
        From :func:`search_units`; the first few are enough.
    n_best : int
    stream : str, optional

    Notes
    -----
    A unit's agreement at a position is how far its value lies to its side among all values of
    that unit, from -1 to 1. Stretches in which the mean over units stays above half of what it
    is in the ranges are places; one shorter than the shortest range counts for less.
    """
    if not units:
        raise InterpError("Similar places are found by units: give at least one.")
    where = recording.streams[stream or next(iter(recording.streams))]
    inside = _check_ranges(ranges, where.n_positions)
    agreement = np.zeros(where.n_positions, np.float32)
    for found in units:
        values = recording.unit(found.site, found.unit_index)
        agreement += found.sign / len(units) * (2 * _share_below(values) - 1)
    brushed = np.concatenate([agreement[a:b] for a, b in inside])
    on = agreement > max(0.0, 0.5 * float(brushed.mean()))
    shortest = min(b - a for a, b in inside)
    starts, stops = _runs(on, np.asarray(where.document_start))
    free = np.ones(len(starts), bool)
    for a, b in inside:
        free &= (stops <= a) | (starts >= b)
    starts, stops = starts[free], stops[free]
    sums = np.concatenate([[0], np.cumsum(agreement, dtype=np.float64)])
    lengths = stops - starts
    scores = (sums[stops] - sums[starts]) / lengths * np.minimum(1, lengths / shortest)
    best = np.argsort(-scores, kind="stable")[:n_best]
    return [
        Place(int(where.document_of(starts[i])), int(starts[i]), int(stops[i]), float(scores[i]))
        for i in best
    ]


def _share_below(values: np.ndarray) -> np.ndarray:
    """Return for each value the share of all values below it, ties counting one half, float32."""
    if values.dtype == np.float16:
        keys = order_keys(values)
        counts = np.bincount(keys, minlength=N_KEYS)
        return ((np.cumsum(counts) - counts / 2) / len(values)).astype(np.float32)[keys]
    # Of many values, every 16th of 65,536 in order: to the nearest 1/4096.
    ordered = np.sort(values[:: max(1, len(values) >> 16)])
    step = max(1, len(ordered) >> 12)
    grid = ordered[step // 2 :: step]
    low = np.searchsorted(grid, values, side="left")
    high = np.searchsorted(grid, values, side="right")
    return ((low + high) / (2 * len(grid))).astype(np.float32)


def _runs(on: np.ndarray, document_start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where stretches that are on start and stop; a document's start begins a new one."""
    begins = np.zeros(len(on) + 1, bool)
    begins[document_start] = True
    before = np.concatenate([[False], on])
    after = np.concatenate([on, [False]])
    starts = np.flatnonzero(after & (~before | begins))
    stops = np.flatnonzero(before & (~after | begins))
    return starts, stops
