"""Attention maps out of a recording: dense windows, edges, statistics."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import h5py
import numpy as np

from interp.arguments import shown
from interp.errors import SelectionError, SiteError, StorageError, unknown_name
from interp.selection import no_such_unit
from interp.storage import schema
from interp.storage.arrays import LazyArray
from interp.storage.attention_layout import MapPlaces
from interp.storage.attention_site import FULL, STATS
from interp.storage.hdf5 import reading
from interp.storage.key_ranges import inside, unpack_rows
from interp.storage.matrix import Matrix, open_matrix
from interp.wording import kind_of

if TYPE_CHECKING:
    from interp.storage.recording import Recording

Span = tuple[int, int]
_ONE = np.zeros(1, np.int64)


class AttentionReader:
    """Reads the attention sites of an open recording; see the methods of `Recording`.

    Parameters
    ----------
    recording : Recording
    file : h5py.File
    maps : mapping of str to MapPlaces
    """

    def __init__(self, recording: Recording, file: h5py.File, maps: Mapping[str, MapPlaces]):
        self._recording, self._file, self._maps = recording, file, maps
        self._matrices: dict[str, Matrix] = {}
        self._statistics: dict[str, Mapping[str, LazyArray]] = {}

    def dense(
        self,
        site: str,
        document: int | str,
        head: int | None = None,
        rows: Span | None = None,
        keys: Span | None = None,
    ) -> np.ndarray:
        """Return weights (queries, keys) of one head, or (n_heads, queries, keys) of all."""
        places = self._places(site)
        queries, n_keys = self._document(places, document)
        heads = self._heads(places, head)
        self._refuse_statistics(places)
        begin, end = _span(rows, queries[1] - queries[0], "rows", site)
        first, last = _span(keys, n_keys, "keys", site)
        start, stop = queries[0] + begin, queries[0] + end
        out = np.zeros((len(heads), end - begin, last - first), np.float32)
        if out.size:
            with reading(f"{site} of {self._recording.path}"):
                if places.site.form == FULL and places.order is not None:
                    every = np.zeros((*out.shape[:2], n_keys), np.float32)
                    self._full(places, start, stop, heads, (0, n_keys), every)
                    place_of = np.argsort(self._order(places, document))
                    out[:] = every[..., place_of[first:last]]
                elif places.site.form == FULL:
                    self._full(places, start, stop, heads, (first, last), out)
                else:
                    for i, at, kept, key, weights in self._kept(places, start, stop, heads):
                        _scatter(out[i], at, kept, key - first, weights)
            missing = self._recording._missing.get(places.site.stream)
            if missing is not None:
                out[:, missing[start:stop]] = np.nan
        return out if head is None else out[0]

    def edges(
        self, site: str, document: int | str, head: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what is stored of one head of a document, row after row."""
        places = self._places(site)
        (start, stop), n_keys = self._document(places, document)
        if head is None:
            raise SelectionError(f"Name one head of {site}: edges are read head by head.")
        (one,) = self._heads(places, head).tolist()
        self._refuse_statistics(places)
        with reading(f"{site} of {self._recording.path}"):
            return self._edges(places, document, one, (start, stop), n_keys)

    def _edges(
        self, places: MapPlaces, document: int | str, head: int, rows: Span, n_keys: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what is stored of one head of a document, which is these rows."""
        start, stop = rows
        ranges = places.ranges.rows(start, stop)
        if places.site.form == FULL:
            seen = inside(ranges, 0, n_keys)
            order = self.key_order(places.site.name, document)
            if order is not None:
                seen[:, order] = seen.copy()
            keys = np.nonzero(seen)[1]
            counts = ranges[:, 1] - ranges[:, 0]
            weights = self.dense(places.site.name, document, head)[seen]
        else:
            parts = list(self._kept(places, start, stop, np.array([head])))
            counts = np.concatenate([part[2] for part in parts]) if parts else np.zeros(0, int)
            keys = np.concatenate([part[3] for part in parts] or [np.zeros(0, np.int64)])
            weights = np.concatenate([part[4] for part in parts] or [np.zeros(0, np.float32)])
        row_start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return row_start, keys.astype(np.int64), weights

    def statistics(self, site: str) -> Mapping[str, LazyArray]:
        """Return the statistics of each row and head by name."""
        places = self._places(site)
        if site not in self._statistics:
            names = [p for p in places.parts if p not in (schema.WEIGHTS, schema.KEY_INDEX)]
            missing = self._recording._missing.get(places.site.stream)
            found = {
                name: LazyArray(self._matrix(places, name), f"{name} of {site}", missing=missing)
                for name in names
            }
            self._statistics[site] = MappingProxyType(found)
        return self._statistics[site]

    def key_range(self, site: str, document: int | str) -> np.ndarray:
        """Return which keys each query of a document may see, (queries, 2) int64."""
        places = self._places(site)
        (start, stop), _ = self._document(places, document)
        with reading(f"{site} of {self._recording.path}"):
            return places.ranges.rows(start, stop)

    def key_order(self, site: str, document: int | str) -> np.ndarray | None:
        """Return the order of a document's keys whose places ranges count; None: as they stand."""
        places = self._places(site)
        self._document(places, document)  # refuses one that there is not
        return None if places.order is None else self._order(places, document)

    def _order(self, places: MapPlaces, document: int | str) -> np.ndarray:
        assert places.order is not None
        key_stream = self._recording.streams[places.site.key_stream or places.site.stream]
        found = key_stream.documents[document]
        with reading(f"{places.site.name} of {self._recording.path}"):
            return places.order[found.start : found.stop].astype(np.int64)

    def columns(self) -> Iterator[tuple[str, MapPlaces, str, Matrix]]:
        """Yield name, site, part and numbers of everything that segments fill, in order."""
        for places in self._maps.values():
            for part in places.parts:
                yield places.column(part), places, part, self._matrix(places, part)

    def _full(
        self,
        places: MapPlaces,
        start: int,
        stop: int,
        heads: np.ndarray,
        keys: Span,
        out: np.ndarray,
    ) -> None:
        """Read rows of one document of a full map, dense."""
        ranges = places.ranges.rows(start, stop)
        offsets, n = places.ranges.runs(start, stop, places.site.n_heads or 0)
        matrix = self._matrix(places, schema.WEIGHTS)
        chosen = offsets[heads]
        if len(heads) == len(offsets) and np.all(np.diff(chosen) == n):
            packed = matrix.read(int(chosen[0]), int(chosen[0]) + n * len(heads), _ONE)
            packed = packed.reshape(len(heads), n)
            out[:] = unpack_rows(packed, ranges, keys[0], keys[1] - keys[0])
        else:
            for i, offset in enumerate(chosen.tolist()):
                run = matrix.read(offset, offset + n, _ONE)[:, 0]
                out[i] = unpack_rows(run, ranges, keys[0], keys[1] - keys[0])
        if matrix.dtype == np.uint8:
            out /= 255

    def _kept(
        self, places: MapPlaces, start: int, stop: int, heads: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Yield what top-p kept in some rows of a document, segment by segment, head by head.

        Yields
        ------
        head : int
            Its place in `heads`.
        rows : array of int64, shape (n_rows,)
            Rows, counted from `start`.
        kept : array of int64, shape (n_rows,)
            How many keys each has.
        keys : array of int64, shape (n_kept,)
        weights : array of float32, shape (n_kept,)
        """
        assert places.segment_start is not None
        kept_matrix = self._matrix(places, schema.KEPT)
        all_heads = np.arange(kept_matrix.shape[1])
        for segment, first, last in self._segments(places, start, stop):
            counts = kept_matrix.read(first, last, all_heads).astype(np.int64)
            begin = int(places.segment_start[segment])
            before = np.concatenate([[0], np.cumsum(counts.sum(0))])
            low, high = max(start, first), min(stop, last)
            mine = slice(low - first, high - first)
            for i, head in enumerate(heads.tolist()):
                offset = begin + int(before[head] + counts[: mine.start, head].sum())
                kept = counts[mine, head]
                n = int(kept.sum())
                keys = self._matrix(places, schema.KEY_INDEX).read(offset, offset + n, _ONE)[:, 0]
                raw = self._matrix(places, schema.WEIGHTS).read(offset, offset + n, _ONE)[:, 0]
                weights = raw.astype(np.float32)
                if raw.dtype == np.uint8:
                    weights /= 255
                yield i, np.arange(low, high) - start, kept, keys.astype(np.int64), weights

    def _segments(self, places: MapPlaces, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Return index, first and last row of the written segments that hold some rows."""
        rows = self._recording._segment_rows(places.site.stream)
        done = rows[: self._recording.done_segments]
        found = np.flatnonzero((done[:, 0] < stop) & (done[:, 1] > start))
        ordered = found[np.argsort(done[found, 0])]
        return [(int(i), int(done[i, 0]), int(done[i, 1])) for i in ordered]

    def _matrix(self, places: MapPlaces, part: str) -> Matrix:
        column = places.column(part)
        if column not in self._matrices:
            with reading(f"{column} of {self._recording.path}"):
                matrix = open_matrix(self._recording._stream, self._file[column])
            self._matrices[column] = matrix
        return self._matrices[column]

    def _places(self, site: str) -> MapPlaces:
        if isinstance(site, str) and site in self._maps:
            return self._maps[site]
        if site in self._recording:
            raise SiteError(
                f"{site} is a matrix of positions and units, not a map: read recording[{site!r}]."
            )
        raise SiteError(unknown_name("attention site", site, self._maps))

    def _document(self, places: MapPlaces, document: int | str) -> tuple[Span, int]:
        """Return the rows of a document and its number of keys."""
        found = self._recording.streams[places.site.stream].documents[document]
        key_stream = places.site.key_stream or places.site.stream
        start = self._recording.streams[key_stream].document_start
        n_keys = int(start[found.index + 1] - start[found.index])
        return (found.start, found.stop), n_keys

    @staticmethod
    def _heads(places: MapPlaces, head: int | None) -> np.ndarray:
        n_heads = places.site.n_heads or 0
        if head is None:
            return np.arange(n_heads)
        try:
            index = operator.index(head)
        except TypeError:
            raise SelectionError(
                f"A head of {places.site.name} is a whole number; got {kind_of(head)}."
            ) from None
        if not 0 <= index < n_heads:
            raise no_such_unit(index, n_heads, places.site.name, "head")
        return np.array([index])

    @staticmethod
    def _refuse_statistics(places: MapPlaces) -> None:
        if places.site.form == STATS:
            raise StorageError(
                f"The maps of {places.site.name} were not kept, only statistics of each row: "
                f"{', '.join(places.parts)}. Read recording.attention_statistics"
                f"({places.site.name!r}), or record again with attention='full' or 'top-p:0.95'."
            )


def _scatter(
    out: np.ndarray, rows: np.ndarray, kept: np.ndarray, keys: np.ndarray, weights: np.ndarray
) -> None:
    """Put the kept weights of rows into a dense map; keys outside it are left out."""
    at = np.repeat(rows, kept)
    seen = (keys >= 0) & (keys < out.shape[1])
    out[at[seen], keys[seen]] = weights[seen]


def _span(asked: Span | None, n: int, what: str, site: str) -> Span:
    """Return (start, stop) of a part of a document, or refuse it."""
    if asked is None:
        return 0, n
    try:
        start, stop = (operator.index(number) for number in asked)
    except (TypeError, ValueError):
        raise SelectionError(
            f"{what} of {site} are chosen by two whole numbers (start, stop); got {shown(asked)}."
        ) from None
    if not 0 <= start <= stop <= n:
        raise SelectionError(
            f"{what} {start} to {stop} of {site} lie outside the document, which has {n:,}; give "
            "(start, stop) with 0 <= start <= stop."
        )
    return start, stop
