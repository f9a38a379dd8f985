"""Matrices inside a recording file: blocks of rows written, blocks of rows and columns read.

`RawMatrix` addresses uncompressed data directly. `FilteredMatrix` reads what HDF5 alone can read,
such as a recording that somebody repacked with compression.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import FileIO
from typing import Protocol

import h5py
import numpy as np

from interp.storage.hdf5 import reading
from interp.storage.rawio import fileno, read_array, write_array

Index = slice | np.ndarray


class Matrix(Protocol):
    """Two-dimensional numbers that can be read by blocks."""

    shape: tuple[int, int]
    dtype: np.dtype
    tile_rows: int

    def read(self, start: int, stop: int, columns: np.ndarray) -> np.ndarray:
        """Return rows start to stop - 1 of the given columns, as a new array."""
        ...


class RawMatrix:
    """A matrix cut into equal tiles that lie uncompressed at known places of a file.

    Parameters
    ----------
    file : io.FileIO
        The open file; reading ends with its closing.
    dtype : numpy.dtype
    shape : (int, int)
        Rows and columns.
    tile : (int, int)
        Rows and columns of a tile; tiles at the edges are stored at full size.
    offsets : array of int64, shape (n_tile_rows, n_tile_columns)
        Where each tile begins.
    """

    def __init__(
        self,
        file: FileIO,
        dtype: np.dtype,
        shape: tuple[int, int],
        tile: tuple[int, int],
        offsets: np.ndarray,
    ) -> None:
        self._file, self.dtype, self.shape, self.offsets = file, dtype, shape, offsets
        self.tile_rows, self.tile_columns = tile

    def read(self, start: int, stop: int, columns: np.ndarray) -> np.ndarray:
        """Return rows start to stop - 1 of the given columns, as a new array."""
        out = np.empty((max(0, stop - start), len(columns)), self.dtype)
        groups = self._column_groups(columns)
        for strip, first, last, into in self._row_parts(start, stop):
            for tile_column, source, target in groups:
                out[into, target] = self._tile(strip, tile_column, first, last)[:, source]
        return out

    def write_rows(self, start: int, values: np.ndarray) -> None:
        """Write whole rows, given as an array of this matrix's type and width."""
        width, n_columns = self.tile_columns, self.shape[1]
        for strip, first, _, part in self._row_parts(start, start + len(values)):
            rows = values[part]
            for tile_column in range(self.offsets.shape[1]):
                left = tile_column * width
                block = rows[:, left : left + width]
                if left + width > n_columns:
                    block = np.pad(block, ((0, 0), (0, left + width - n_columns)))
                offset = self._offset(strip, tile_column, first)
                write_array(fileno(self._file), np.ascontiguousarray(block), offset)

    def _row_parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int, slice]]:
        """Yield (strip of tiles, first and last row inside it, where they go) for some rows."""
        row = start
        while row < stop:
            strip, first = divmod(row, self.tile_rows)
            last = min(self.tile_rows, first + stop - row)
            yield strip, first, last, slice(row - start, row - start + last - first)
            row += last - first

    def _column_groups(self, columns: np.ndarray) -> list[tuple[int, Index, Index]]:
        """Return, per column of tiles that is needed, which columns to take and where they go."""
        tile_columns, inside = np.divmod(columns, self.tile_columns)
        groups: list[tuple[int, Index, Index]] = []
        for tile_column in np.unique(tile_columns):
            target = np.flatnonzero(tile_columns == tile_column)
            source = inside[target]
            groups.append((int(tile_column), _as_slice(source), _as_slice(target)))
        return groups

    def _tile(self, strip: int, tile_column: int, first: int, last: int) -> np.ndarray:
        """Return rows first to last - 1 of one tile, read-only."""
        count = (last - first) * self.tile_columns
        offset = self._offset(strip, tile_column, first)
        data = read_array(fileno(self._file), self.dtype, count, offset)
        return data.reshape(last - first, self.tile_columns)

    def _offset(self, strip: int, tile_column: int, row: int) -> int:
        start = int(self.offsets[strip, tile_column])
        return start + row * self.tile_columns * self.dtype.itemsize


class FilteredMatrix:
    """A matrix that is read through HDF5."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._flat = dataset.ndim == 1
        self.shape = (dataset.shape[0], 1) if self._flat else dataset.shape
        self.dtype = dataset.dtype
        self.tile_rows = dataset.chunks[0] if dataset.chunks else len(dataset)

    def read(self, start: int, stop: int, columns: np.ndarray) -> np.ndarray:
        """Return rows start to stop - 1 of the given columns, as a new array."""
        if stop <= start or len(columns) == 0:
            return np.empty((max(0, stop - start), len(columns)), self.dtype)
        with reading(self._dataset.name):
            if self._flat:
                return self._dataset[start:stop][:, None][:, columns]
            low, high = int(columns.min()), int(columns.max()) + 1
            return self._dataset[start:stop, low:high][:, columns - low]


def open_matrix(file: FileIO, dataset: h5py.Dataset) -> RawMatrix | FilteredMatrix:
    """Return the quickest way to read a one- or two-dimensional data set of an open file."""
    raw = raw_matrix(file, dataset)
    return FilteredMatrix(dataset) if raw is None else raw


def raw_matrix(file: FileIO, dataset: h5py.Dataset) -> RawMatrix | None:
    """Return direct access to a data set, or None where its bytes are filtered or missing."""
    properties = dataset.id.get_create_plist()
    if properties.get_nfilters() or properties.get_layout() == h5py.h5d.COMPACT:
        return None
    shape = (dataset.shape[0], dataset.shape[1] if dataset.ndim == 2 else 1)
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        return offset and RawMatrix(file, dataset.dtype, shape, shape, np.array([[offset]]))
    tile = (dataset.chunks[0], dataset.chunks[1] if dataset.ndim == 2 else 1)
    offsets = np.zeros((-(-shape[0] // tile[0]), -(-shape[1] // tile[1])), np.int64)

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        column = chunk.chunk_offset[1] if len(chunk.chunk_offset) > 1 else 0
        offsets[chunk.chunk_offset[0] // tile[0], column // tile[1]] = chunk.byte_offset

    dataset.id.chunk_iter(note)
    return RawMatrix(file, dataset.dtype, shape, tile, offsets) if offsets.all() else None


def _as_slice(indices: np.ndarray) -> Index:
    """Return consecutive indices as a slice, which NumPy copies faster."""
    first = int(indices[0])
    if np.array_equal(indices, np.arange(first, first + len(indices))):
        return slice(first, first + len(indices))
    return indices
