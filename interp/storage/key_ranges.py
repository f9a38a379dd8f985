"""Rows of unequal length: which keys each query may see, and how rows lie side by side.

Each row of an attention map holds the weights of one range of keys and nothing else, so that the
empty half of a causal map and padding take no room. The rows of one head of one document lie one
after the other; the heads of a document follow each other, then comes the next document.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from interp.errors import RecordingError
from interp.storage.matrix import Matrix

_BOTH = np.arange(2)


class KeyRanges:
    """The key ranges of all rows of a stream, read where they are needed.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` gives the ranges of rows start to stop - 1, shape (n, 2).
    document_start : array of int, shape (n_documents + 1,)
        First row of each document.
    weight_start : array of int64, shape (n_documents + 1,)
        How many weights one head has before each document.
    """

    def __init__(
        self,
        read: Callable[[int, int], np.ndarray],
        document_start: np.ndarray,
        weight_start: np.ndarray,
    ) -> None:
        self._read = read
        self.document_start = document_start
        self.weight_start = weight_start

    @classmethod
    def of(cls, ranges: np.ndarray, document_start: np.ndarray) -> KeyRanges:
        """Return the key ranges that an array (n_rows, 2) holds."""
        lengths = ranges[:, 1].astype(np.int64) - ranges[:, 0]
        before = np.concatenate([[0], np.cumsum(lengths)])[document_start].astype("<i8")
        return cls(lambda start, stop: ranges[start:stop].astype(np.int64), document_start, before)

    @classmethod
    def stored(
        cls, matrix: Matrix, document_start: np.ndarray, weight_start: np.ndarray, n_keys: int
    ) -> KeyRanges:
        """Return the key ranges that a file holds, of documents with at most `n_keys` keys."""

        def read(start: int, stop: int) -> np.ndarray:
            found = matrix.read(start, stop, _BOTH).astype(np.int64)
            if np.any((found[:, 0] > found[:, 1]) | (found[:, 1] > n_keys)):
                raise RecordingError(f"Key ranges of rows {start:,} to {stop:,} are damaged.")
            return found

        return cls(read, document_start, weight_start)

    @property
    def n_weights(self) -> int:
        """Weights of one head of all documents."""
        return int(self.weight_start[-1])

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Return the ranges of rows start to stop - 1, (n, 2) int64."""
        return self._read(start, stop)

    def n_of(self, start: int, stop: int) -> int:
        """Return the number of weights of one head in rows start to stop - 1."""
        return int(np.diff(self._read(start, stop), axis=1).sum()) if stop > start else 0

    def runs(self, start: int, stop: int, n_heads: int) -> tuple[np.ndarray, int]:
        """Return where rows of one document lie: the first weight of each head, and how many.

        Returns
        -------
        offsets : array of int64, shape (n_heads,)
        n : int
            Weights of each head in these rows.
        """
        document = self.document_of(start)
        first = int(self.document_start[document])
        begin, end = self.weight_start[document : document + 2].tolist()
        offset = n_heads * begin + self.n_of(first, start)
        if start == first and stop == self.document_start[document + 1]:
            n = end - begin
        else:
            n = self.n_of(start, stop)
        return offset + np.arange(n_heads, dtype=np.int64) * (end - begin), n

    def document_of(self, row: int) -> int:
        """Return the document that holds a row; empty documents hold none."""
        return int(np.searchsorted(self.document_start, row, side="right")) - 1


def pack_rows(weights: np.ndarray, ranges: np.ndarray, first_key: int = 0) -> np.ndarray:
    """Return the weights inside the key ranges, row after row.

    Parameters
    ----------
    weights : array, shape (n_heads, queries, keys)
    ranges : array of int, shape (queries, 2)
        First and one-past-last key of each query.
    first_key : int
        The key that stands at index 0 of `weights`.

    Returns
    -------
    array, shape (n_heads, n_weights)
        Of the type of `weights`.
    """
    bounds = (np.asarray(ranges, np.int64) - first_key).tolist()
    if all(bound == bounds[0] for bound in bounds[1:]):
        low, high = bounds[0] if bounds else (0, 0)
        return np.ascontiguousarray(weights[:, : len(bounds), low:high]).reshape(len(weights), -1)
    out = np.empty((len(weights), sum(high - low for low, high in bounds)), weights.dtype)
    at = 0
    for row, (low, high) in enumerate(bounds):
        out[:, at : at + high - low] = weights[:, row, low:high]
        at += high - low
    return out


def inside(ranges: np.ndarray, first_key: int, n_keys: int) -> np.ndarray:
    """Return which keys each row may see, (n_rows, n_keys) bool; key `first_key` comes first."""
    keys = np.arange(first_key, first_key + n_keys)
    return (ranges[:, :1] <= keys) & (keys < ranges[:, 1:])


def unpack_rows(packed: np.ndarray, ranges: np.ndarray, first_key: int, n_keys: int) -> np.ndarray:
    """Return rows of weights with zeros where nothing is stored.

    Parameters
    ----------
    packed : array, shape (..., n_weights)
        All weights of the rows, row after row.
    ranges : array of int, shape (n_rows, 2)
    first_key, n_keys : int
        The keys to return; others are left out.

    Returns
    -------
    array of float32, shape (..., n_rows, n_keys)
    """
    lead, last_key = packed.shape[:-1], first_key + n_keys
    values = packed.astype(np.float32)
    if len(ranges) and (ranges == ranges[0]).all():
        low, high = ranges[0].tolist()
        if low <= first_key and last_key <= high:
            whole = values.reshape(*lead, len(ranges), high - low)
            return whole[..., first_key - low : last_key - low]
    out = np.zeros((*lead, len(ranges), n_keys), np.float32)
    at = 0
    # A loop over rows: four times as fast as one assignment through a mask.
    for row, (first, stop) in enumerate(ranges.tolist()):
        begin, end = max(first, first_key), min(stop, last_key)
        if begin < end:
            part = values[..., at + begin - first : at + end - first]
            out[..., row, begin - first_key : end - first_key] = part
        at += stop - first
    return out
