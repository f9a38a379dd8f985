"""The rows of one head's map on one document, each with the keys it has a weight for."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from interp.errors import InterpError


class MapRows:
    """The queries of a map, and the keys that each can see: where its weights stand.

    Parameters
    ----------
    key_range : ndarray (n_queries, 2) int64
        First and one past the last key that each query can see.
    n_keys : int
    same_stream : bool
        Whether queries and keys are positions of one stream, so that a distance means something.
    first_query : int
        The position of the first row's query, for a block of a document's rows.

    Attributes
    ----------
    row_start : ndarray (n_queries + 1,) int64
        Where each row begins among the weights, which stand row after row.
    """

    def __init__(
        self, key_range: np.ndarray, n_keys: int, same_stream: bool = True, first_query: int = 0
    ) -> None:
        self.key_range = np.asarray(key_range, np.int64)
        self.n_keys, self.same_stream, self.first_query = n_keys, same_stream, first_query
        self.row_start = np.concatenate([[0], np.cumsum(self.n_visible)])

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
        """The row of each weight, (n_weights,)."""
        return np.repeat(np.arange(self.n_queries), np.diff(self.row_start))

    @cached_property
    def keys(self) -> np.ndarray:
        """The key of each weight, (n_weights,)."""
        shift = self.key_range[:, 0] - self.row_start[:-1]
        return np.arange(self.row_start[-1]) + np.repeat(shift, np.diff(self.row_start))

    @cached_property
    def n_visible(self) -> np.ndarray:
        """How many keys each query can see, (n_queries,)."""
        return self.key_range[:, 1] - self.key_range[:, 0]

    @cached_property
    def offset(self) -> np.ndarray:
        """How far the key of each weight is after its query, (n_weights,)."""
        return self.keys - self.row - self.first_query

    @cached_property
    def distance(self) -> np.ndarray:
        """Distance of query and key of each weight, (n_weights,)."""
        return np.abs(self.offset)

    def find(self, rows: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Return where the weights of some visible (row, key) stand, (n_pairs,)."""
        return self.row_start[rows] + keys - self.key_range[rows, 0]

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """Return the sum of values (n_weights,) in each row, (n_queries,) float64."""
        return self._reduced(np.add, np.asarray(weights, np.float64))

    def maxima(self, weights: np.ndarray) -> np.ndarray:
        """Return the largest value of each row, (n_queries,) float64; 0 for a row without one."""
        return self._reduced(np.maximum, weights)

    def _reduced(self, function: np.ufunc, weights: np.ndarray) -> np.ndarray:
        # A row's weights stand together: several times as fast as adding them up by row number.
        found = np.zeros(self.n_queries)
        filled = np.diff(self.row_start) > 0
        if filled.any():
            found[filled] = function.reduceat(weights, self.row_start[:-1][filled])
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
