"""Arrays in a file that are read where they are indexed, with NumPy's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from interp.errors import OutOfRangeError
from interp.storage.matrix import Matrix

# Rows nearer to each other than this are read in one go.
_GAP = 64


class LazyArray:
    """A one- or two-dimensional array of a recording; indexing reads, nothing else does.

    Takes what NumPy takes: integers, slices with any step, arrays of indices or booleans,
    ``...``; pairs of index arrays broadcast, as in NumPy. `numpy.asarray` reads all of it, and
    scikit-learn accepts it as it is. Reading is safe from several threads at once.

    Parameters
    ----------
    matrix : Matrix
        Where the numbers are.
    name : str
        What to call it in messages.
    ndim : {1, 2}
        Dimensions of the array; a vector is a matrix of one column.
    column : int, optional
        Restrict a two-dimensional matrix to one column, as a vector.
    missing : array of bool, shape (n_rows,), optional
        Rows that have not been written yet. They read as NaN.
    convert : callable, optional
        Applied to what has been read.
    """

    def __init__(
        self,
        matrix: Matrix,
        name: str,
        ndim: int = 2,
        column: int | None = None,
        missing: np.ndarray | None = None,
        convert: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self._matrix, self._name, self._missing, self._convert = matrix, name, missing, convert
        n_columns = matrix.shape[1]
        self._columns = np.arange(n_columns) if column is None else np.array([column])
        self.shape: tuple[int, ...] = matrix.shape if ndim == 2 else (matrix.shape[0],)
        self.dtype: np.dtype = (
            matrix.dtype if convert is None else convert(np.zeros(0, matrix.dtype)).dtype
        )

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes the whole array takes in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        keys = _expand(key, self.ndim)
        if self.ndim == 1:
            keys = (*keys, 0)
        rows, flip_rows = _normalise(keys[0], self.shape[0], "positions")
        columns, flip_columns = _normalise(keys[1], len(self._columns), "units")
        if isinstance(rows, np.ndarray) and isinstance(columns, np.ndarray):
            return self._paired(rows, columns)[()]
        values = self._outer(rows, columns)
        values = values[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
        shape = [
            *(rows.shape if isinstance(rows, np.ndarray) else values.shape[:1]),
            *(columns.shape if isinstance(columns, np.ndarray) else values.shape[1:]),
        ]
        return values.reshape(shape)[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an array in a file cannot be had without copying")
        values = self[:]
        return values if dtype is None else values.astype(dtype, copy=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as a plain array: an open file cannot."""
        return np.asarray, (self[:],)

    def __iter__(self) -> Iterator[Any]:
        for block in self.blocks():
            yield from block

    def blocks(self, n_rows: int = 8192) -> Iterator[np.ndarray]:
        """Yield the array in consecutive pieces of at most `n_rows` rows."""
        for start in range(0, len(self), n_rows):
            yield self[start : start + n_rows]

    def __repr__(self) -> str:
        shape = " × ".join(f"{n:,}" for n in self.shape)
        return f"<{self._name}: {shape}, {self.dtype.name}, in a file; index it to read>"

    def _outer(self, rows: slice | np.ndarray, columns: slice | np.ndarray) -> np.ndarray:
        """Return all given rows of all given columns, shape (n_rows, n_columns)."""
        picked = self._columns[columns].reshape(-1)
        if isinstance(rows, np.ndarray):
            return self._finish(self._gather(rows.reshape(-1), picked), rows.reshape(-1))
        start, stop, step = rows.start, rows.stop, rows.step
        if step == 1:
            values = self._matrix.read(start, stop, picked)
        else:
            values = self._strided(start, stop, step, picked)
        return self._finish(values, slice(start, stop, step))

    def _strided(self, start: int, stop: int, step: int, columns: np.ndarray) -> np.ndarray:
        """Return every `step`-th row, in memory for no more than those."""
        out = np.empty((len(range(start, stop, step)), len(columns)), self._matrix.dtype)
        per_read = max(1, max(self._matrix.tile_rows, 1024) // step)
        for i in range(0, len(out), per_read):
            n = min(per_read, len(out) - i)
            first = start + i * step
            out[i : i + n] = self._matrix.read(first, first + (n - 1) * step + 1, columns)[::step]
        return out

    def _gather(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return rows in any order, with neighbours read together."""
        wanted, back = np.unique(rows, return_inverse=True)
        out = np.empty((len(wanted), len(columns)), self._matrix.dtype)
        limit = max(self._matrix.tile_rows, 1024)
        i = 0
        for end in _runs(wanted, limit):
            first = int(wanted[i])
            block = self._matrix.read(first, int(wanted[end - 1]) + 1, columns)
            out[i:end] = block[wanted[i:end] - first]
            i = end
        return out if np.array_equal(back, np.arange(len(rows))) else out[back]

    def _paired(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return single elements: index arrays broadcast against each other."""
        try:
            row_of, column_of = np.broadcast_arrays(rows, columns)
        except ValueError:
            raise OutOfRangeError(
                f"index arrays of shapes {rows.shape} and {columns.shape} do not broadcast"
            ) from None
        row_set, row_at = np.unique(row_of, return_inverse=True)
        column_set, column_at = np.unique(column_of, return_inverse=True)
        values = self._outer(row_set, column_set)
        return values[row_at.reshape(row_of.shape), column_at.reshape(row_of.shape)]

    def _finish(self, values: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
        """Mark rows that are not written yet, and convert."""
        if self._missing is not None and values.dtype.kind == "f":
            values[self._missing[rows]] = np.nan
        return values if self._convert is None else self._convert(values)


def _expand(key: Any, ndim: int) -> tuple[Any, ...]:
    """Return one index per dimension."""
    keys = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, k in enumerate(keys) if k is Ellipsis]
    if any(k is None for k in keys):
        raise OutOfRangeError("new axes are not supported: read first, as in array[:][:, None]")
    if len(dots) > 1 or len(keys) - len(dots) > ndim:
        raise OutOfRangeError(f"too many indices: the array has {ndim} dimensions")
    fill = [slice(None)] * (ndim - len(keys) + len(dots))
    at = dots[0] if dots else len(keys)
    return tuple(keys[:at] + fill + keys[at + len(dots) :])


def _normalise(key: Any, n: int, axis: str) -> tuple[slice | np.ndarray, bool]:
    """Return an index as a rising slice inside 0..n, or as an array of indices inside it.

    With it comes whether the slice is to be turned round after reading.
    """
    if isinstance(key, slice):
        found = range(n)[key]
        if len(found) == 0:
            return slice(0, 0, 1), False
        if found.step > 0:
            return slice(found.start, found[-1] + 1, found.step), False
        return slice(found[-1], found.start + 1, -found.step), True
    indices = np.asarray(key)
    if indices.dtype == bool:
        if indices.shape != (n,):
            raise OutOfRangeError(f"a boolean index over {n:,} {axis} has shape {indices.shape}")
        return np.flatnonzero(indices), False
    if indices.size == 0 and not isinstance(key, np.ndarray):
        indices = indices.astype(np.int64)
    if indices.dtype.kind not in "iu":
        raise OutOfRangeError(f"{axis} are indexed by integers, slices or booleans, not {key!r}")
    indices = indices.astype(np.int64, copy=False)
    outside = (indices < -n) | (indices >= n)
    if outside.any():
        raise OutOfRangeError(
            f"index {int(indices[outside].flat[0])} is out of range: {n:,} {axis}"
        )
    return np.where(indices < 0, indices + n, indices), False


def _runs(wanted: np.ndarray, limit: int) -> Iterator[int]:
    """Yield the ends of runs of rising rows that are worth reading together."""
    if len(wanted) == 0:
        return
    start = int(wanted[0])
    breaks = np.flatnonzero(np.diff(wanted) > _GAP) + 1
    begin = 0
    for end in [*breaks.tolist(), len(wanted)]:
        while int(wanted[end - 1]) - int(wanted[begin]) >= limit:
            start = int(wanted[begin])
            begin = int(np.searchsorted(wanted, start + limit))
            yield begin
        if begin < end:
            yield end
            begin = end
