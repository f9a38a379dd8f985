"""The rows of one head's map on one document, each with the keys it has a weight for."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from interp.errors import InterpError


class MapRows:
    """Where the weights of a map stand: which keys each query sees, and which weights are kept.

    Parameters
    ----------
    key_range : ndarray (n_queries, 2) int64
        First and one past the last key that each query can see.
    n_keys : int
    same_stream : bool
        Whether queries and keys are positions of one stream, so that a distance means something.
    first_query : int
        The position of the first row's query, for a block of a document's rows.
    row_start : ndarray (n_queries + 1,) int64, optional
        Where each row begins among the kept weights; default: every key in range has one.
    keys : ndarray (n_kept,) int64, optional
        The key of each weight, rising within a row.
    """

    def __init__(
        self,
        key_range: np.ndarray,
        n_keys: int,
        same_stream: bool = True,
        first_query: int = 0,
        row_start: np.ndarray | None = None,
        keys: np.ndarray | None = None,
    ) -> None:
        self.key_range = np.asarray(key_range, np.int64)
        self.n_keys, self.same_stream, self.first_query = n_keys, same_stream, first_query
        counts = self.key_range[:, 1] - self.key_range[:, 0]
        full = np.concatenate([[0], np.cumsum(counts)])
        self.row_start = full if row_start is None else np.asarray(row_start, np.int64)
        self._keys = keys
        self.is_full = keys is None or np.array_equal(self.row_start, full)

    def kept(self, row_start: np.ndarray, keys: np.ndarray) -> MapRows:
        """Return the same rows with some weights kept only."""
        return MapRows(
            self.key_range, self.n_keys, self.same_stream, self.first_query, row_start, keys
        )

    @property
    def n_queries(self) -> int:
        """Number of query rows."""
        return len(self.key_range)

    @property
    def query(self) -> np.ndarray:
        """The position of each row's query, (n_queries,)."""
        return self.first_query + np.arange(self.n_queries)

    @cached_property
    def row(self) -> np.ndarray:
        """The row of each weight, (n_kept,)."""
        return np.repeat(np.arange(self.n_queries), np.diff(self.row_start))

    @cached_property
    def keys(self) -> np.ndarray:
        """The key of each weight, (n_kept,)."""
        if self._keys is not None:
            return np.asarray(self._keys, np.int64)
        shift = self.key_range[:, 0] - self.row_start[:-1]
        return np.arange(self.row_start[-1]) + np.repeat(shift, np.diff(self.row_start))

    @cached_property
    def n_visible(self) -> np.ndarray:
        """How many keys each query can see, (n_queries,)."""
        return self.key_range[:, 1] - self.key_range[:, 0]

    @cached_property
    def offset(self) -> np.ndarray:
        """How far the key of each weight is after its query, (n_kept,)."""
        return self.keys - self.row - self.first_query

    @cached_property
    def distance(self) -> np.ndarray:
        """Distance of query and key of each weight, (n_kept,)."""
        return np.abs(self.offset)

    @cached_property
    def _order(self) -> np.ndarray:
        return self.row * np.int64(self.n_keys) + self.keys

    def find(self, rows: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Return where the weights of some (row, key) stand, (n_pairs,), -1 where none is kept."""
        if len(rows) == 0 or self.row_start[-1] == 0:
            return np.full(len(rows), -1)
        if self.is_full:
            found = self.row_start[rows] + keys - self.key_range[rows, 0]
            inside = (keys >= self.key_range[rows, 0]) & (keys < self.key_range[rows, 1])
            return np.where(inside, found, -1)
        wanted = rows * np.int64(self.n_keys) + keys
        found = np.minimum(np.searchsorted(self._order, wanted), len(self._order) - 1)
        return np.where(self._order[found] == wanted, found, -1)

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """Return the sum of values (n_kept,) in each row, (n_queries,) float64."""
        return np.bincount(self.row, weights, minlength=self.n_queries)

    def maxima(self, weights: np.ndarray) -> np.ndarray:
        """Return the largest value of each row, (n_queries,) float64; 0 for a row without one."""
        found = np.zeros(self.n_queries)
        filled = np.diff(self.row_start) > 0
        if filled.any():
            found[filled] = np.maximum.reduceat(weights, self.row_start[:-1][filled])
        return found


def as_key_range(key_range: str | np.ndarray, n_queries: int, n_keys: int) -> np.ndarray:
    """Return the keys that each query can see, (n_queries, 2) int64.

    Parameters
    ----------
    key_range : {"causal", "full"} or ndarray (n_queries, 2)
        ``"causal"``: keys up to the query itself, as many of each; ``"full"``: all keys.
    n_queries, n_keys : int

    Raises
    ------
    InterpError
        If it fits neither the map nor these words.
    """
    if isinstance(key_range, str):
        if key_range not in ("causal", "full"):
            raise InterpError(f"A key range is 'causal', 'full' or an array; got {key_range!r}.")
        if key_range == "causal" and n_queries != n_keys:
            raise InterpError(f"A causal map is square; this one is {n_queries} × {n_keys}.")
        stop = np.arange(1, n_queries + 1) if key_range == "causal" else np.full(n_queries, n_keys)
        return np.stack([np.zeros(n_queries, np.int64), stop], axis=1)
    found = np.asarray(key_range, np.int64)
    if found.shape != (n_queries, 2):
        raise InterpError(
            f"The key range of {n_queries} queries has shape ({n_queries}, 2), not {found.shape}."
        )
    if (found[:, 0] < 0).any() or (found[:, 1] > n_keys).any() or (np.diff(found) < 0).any():
        raise InterpError(f"A key range reaches outside the map's {n_keys} keys.")
    return found
