"""Attention maps on their way into a recording, one segment of one site at a time.

A full map may come in blocks of rows, so that nobody has to hold all of it; the checksum of a
segment is therefore made of those of its heads, each of which grows row by row.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import numpy as np

from interp.errors import StorageError
from interp.storage import schema
from interp.storage.attention_layout import MapPlaces
from interp.storage.attention_site import FULL, TOP_P
from interp.storage.digests import checksum
from interp.storage.finite import all_finite
from interp.storage.matrix import Matrix, RawMatrix

_ONE = np.zeros(1, np.int64)


class MapWriter:
    """Writes what segments add to the attention sites of a recording.

    Parameters
    ----------
    maps : mapping of str to MapPlaces
    columns : mapping of str to RawMatrix
        Everything that segments fill, by name.
    guard : callable
        ``guard(action, *arguments)`` does something to the file.
    note : callable
        ``note(column, segment, checksum)`` is told of what has been written in full.
    allow_nonfinite : bool
        Whether NaN of the model itself may be stored.
    """

    def __init__(
        self,
        maps: Mapping[str, MapPlaces],
        columns: Mapping[str, RawMatrix],
        guard: Callable[..., None],
        note: Callable[[str, int, int], None],
        allow_nonfinite: bool,
    ) -> None:
        self._maps, self._columns = maps, columns
        self._guard, self._note = guard, note
        self._allow_nonfinite = allow_nonfinite
        self._begun: dict[tuple[str, int], tuple[int, list[int]]] = {}

    def write_rows(
        self, site: str, segment: int, rows: tuple[int, int], weights: np.ndarray, at: int = 0
    ) -> None:
        """Write full maps, all at once or in blocks of rows from the first on.

        Parameters
        ----------
        site : str
        segment : int
        rows : (int, int)
            First and one-past-last row of the segment.
        weights : array, shape (n_heads, n_weights)
            Of the storage type: those of each row inside its key range, row after row.
        at : int
            The row of the segment at which `weights` begin.
        """
        places = self._maps[site]
        n_heads = places.site.n_heads or 0
        column = places.column(schema.WEIGHTS)
        matrix = self._columns[column]
        start, stop = rows
        self._check(places, weights, matrix.dtype)
        end = _end_of_block(places, start + at, stop, weights.shape[1])
        if len(weights) != n_heads or end is None:
            raise ValueError(f"rows {at} on of {site} have no {weights.shape} weights")
        expected, sums = self._begun.pop((site, segment), (0, [0] * n_heads)) if at else (0, None)
        if expected != at:
            raise ValueError(f"rows {expected} on of {site} come next, not {at}")
        sums = sums or [0] * n_heads
        offsets, n = places.ranges.runs(start + at, end, n_heads) if end > start + at else (_ONE, 0)
        if n and np.all(np.diff(offsets) == n):
            self._guard(matrix.write_rows, int(offsets[0]), weights.reshape(-1, 1))
        elif n:
            for head, offset in enumerate(offsets.tolist()):
                self._guard(matrix.write_rows, offset, weights[head][:, None])
        pairs = zip(weights, sums, strict=True)
        sums = [zlib.crc32(run.view("u1").data, so_far) for run, so_far in pairs]
        if end < stop:
            self._begun[site, segment] = end - start, sums
        else:
            self._note(column, segment, of_heads(sums))

    def write_edges(
        self, site: str, segment: int, rows: tuple[int, int], edges: Mapping[str, np.ndarray]
    ) -> None:
        """Write the largest weights of the rows of a segment.

        Parameters
        ----------
        site : str
        segment : int
        rows : (int, int)
            First and one-past-last row of the segment.
        edges : mapping of str to array
            ``kept`` and ``kept_mass``, shape (n_rows, n_heads); ``key_index`` and ``weights``,
            shape (n_kept,): head after head, row after row, keys rising.
        """
        places = self._maps[site]
        assert places.segment_start is not None
        self.write_matrices(
            site, segment, rows, {k: edges[k] for k in (schema.KEPT, schema.KEPT_MASS)}
        )
        n = int(edges[schema.KEPT].sum())
        for part in (schema.KEY_INDEX, schema.WEIGHTS):
            column = places.column(part)
            values = np.ascontiguousarray(edges[part], self._columns[column].dtype)
            if values.shape != (n,):
                raise ValueError(f"{part} of {site} has shape {(n,)}, not {values.shape}")
            start = int(places.segment_start[segment])
            self._guard(self._columns[column].write_rows, start, values[:, None])
            self._note(column, segment, checksum(values))

    def write_matrices(
        self, site: str, segment: int, rows: tuple[int, int], values: Mapping[str, np.ndarray]
    ) -> None:
        """Write statistics of the rows of a segment, each of shape (n_rows, n_heads)."""
        places = self._maps[site]
        for name, array in values.items():
            column = places.column(name)
            matrix = self._columns[column]
            if array.shape != (rows[1] - rows[0], matrix.shape[1]):
                raise ValueError(f"{name} of {site} has shape {array.shape}")
            stored = np.ascontiguousarray(array, matrix.dtype)
            self._guard(matrix.write_rows, rows[0], stored)
            self._note(column, segment, checksum(stored))

    def _check(self, places: MapPlaces, weights: np.ndarray, dtype: np.dtype) -> None:
        """Refuse weights of another type, and values that are no numbers."""
        if weights.dtype != dtype or not weights.flags.c_contiguous:
            raise ValueError(f"{places.site.name} is stored as {dtype.name}, got {weights.dtype}")
        if dtype.kind == "f" and not self._allow_nonfinite and not all_finite(weights):
            raise StorageError(
                f"{places.site.name} has weights that are NaN or infinite: the model itself "
                "produced them. Check weights, input and masks; if they are meant to be there, "
                "record with nonfinite='store'."
            )


def _end_of_block(places: MapPlaces, start: int, stop: int, n: int) -> int | None:
    """Return the row before which `n` weights of a head end that begin at row `start`."""
    ranges = places.ranges.rows(start, stop)
    ends = np.cumsum(ranges[:, 1] - ranges[:, 0])
    if n == (int(ends[-1]) if len(ends) else 0):
        return stop
    found = int(np.searchsorted(ends, n))
    return start + found + 1 if found < len(ends) and ends[found] == n and n else None


def of_heads(sums: list[int]) -> int:
    """Return the checksum of a segment of full maps from the CRC-32 of each head's weights."""
    return checksum(np.array(sums, "<u4"))


def checksum_in_file(
    places: MapPlaces,
    part: str,
    columns: Mapping[str, Matrix],
    segment: int,
    rows: tuple[int, int],
) -> int:
    """Return the checksum of what the file holds of one part of a site in one segment."""
    runs = in_file(places, part, columns, segment, rows)
    sums = [checksum(run) for run in runs]
    return of_heads(sums) if is_full(places, part) else sums[0]


def in_file(
    places: MapPlaces,
    part: str,
    columns: Mapping[str, Matrix],
    segment: int,
    rows: tuple[int, int],
) -> list[np.ndarray]:
    """Return what the file holds of one part of a site in one segment.

    One run of weights (n_weights, 1) per head for full maps, all there is (n, n_columns) for any
    other part.
    """
    matrix = columns[places.column(part)]
    n_heads = places.site.n_heads or 0
    start, stop = rows
    if is_full(places, part):
        offsets, n = places.ranges.runs(start, stop, n_heads) if stop > start else (_ONE, 0)
        if not n:
            return [np.zeros((0, 1), matrix.dtype)] * n_heads
        return [matrix.read(offset, offset + n, _ONE) for offset in offsets.tolist()]
    if places.site.form == TOP_P and part in (schema.KEY_INDEX, schema.WEIGHTS):
        assert places.segment_start is not None
        kept = columns[places.column(schema.KEPT)].read(start, stop, np.arange(n_heads))
        first = int(places.segment_start[segment])
        room = matrix.shape[0] - first
        return [matrix.read(first, first + min(room, int(kept.sum())), _ONE)]
    return [matrix.read(start, stop, np.arange(n_heads))]


def is_full(places: MapPlaces, part: str) -> bool:
    """Whether a part of a site is its full maps."""
    return places.site.form == FULL and part == schema.WEIGHTS
