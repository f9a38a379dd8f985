"""Sums per document, from which means, intervals and fixed-offset baselines are made."""

from __future__ import annotations

import numpy as np

from probes.documents import draw_documents
from probes.intervals import percentile_interval

#: Documents are put into at most this many groups where a figure per offset is kept for each.
N_GROUPS = 64
#: Fixed offsets are looked for up to this far from the query.
REACH = 1024


class RowMeans:
    """Means over rows for several heads, resampled by document.

    Parameters
    ----------
    n_documents, n_heads : int

    Attributes
    ----------
    sums : ndarray (n_documents, n_heads) float64
    counts : ndarray (n_documents, n_heads) float64
        Rows behind each sum.
    """

    def __init__(self, n_documents: int, n_heads: int) -> None:
        self.sums = np.zeros((n_documents, n_heads))
        self.counts = np.zeros((n_documents, n_heads))

    def add(self, document: int, head: int, values: np.ndarray) -> None:
        """Add the values (n_rows,) of some rows."""
        self.sums[document, head] += values.sum()
        self.counts[document, head] += len(values)

    def mean(self) -> np.ndarray:
        """Return the mean over all rows, (n_heads,); NaN where there is none."""
        return _ratio(self.sums.sum(0), self.counts.sum(0))

    def intervals(self, n_resamples: int, seed: int) -> list[tuple[float, float]]:
        """Return a 95 % interval per head, from resamples of the documents with a row."""
        used = self.counts.any(axis=1)
        n = int(used.sum())
        if n < 2:
            return [(float("nan"), float("nan"))] * self.sums.shape[1]
        drawn = draw_documents(n, n_resamples, seed)
        resampled = _ratio(drawn @ self.sums[used], drawn @ self.counts[used])
        return [percentile_interval(column, n) for column in resampled.T]


class Offsets:
    """How much stands at each fixed offset, by group of documents.

    Parameters
    ----------
    n_documents, n_heads : int
    reach : int
        The furthest offset that is looked at.
    """

    def __init__(self, n_documents: int, n_heads: int = 1, reach: int = REACH) -> None:
        self.reach = reach
        self.n_groups = min(n_documents, N_GROUPS)
        self.sums = np.zeros((self.n_groups, n_heads, 2 * reach + 1))
        self.counts = np.zeros((self.n_groups, 2 * reach + 1))
        self.rows = np.zeros(self.n_groups)
        self.equal = np.zeros((self.n_groups, 2 * reach + 1))

    def add_visible(self, document: int, first: np.ndarray, stop: np.ndarray) -> None:
        """Count the rows that can see each offset, and what equal weights would have there.

        Parameters
        ----------
        document : int
        first, stop : ndarray (n_rows,)
            Offsets of the keys that each row sees.
        """
        size = 2 * self.reach + 1
        ends = [np.clip(end + self.reach, 0, size) for end in (first, stop)]
        found = []
        for weights in (np.ones(len(first)), 1 / np.maximum(stop - first, 1)):
            begun, ended = (np.bincount(end, weights, minlength=size + 1) for end in ends)
            found.append(np.cumsum(begun - ended)[:size])
        self.add_rows(document, len(first), np.rint(found[0]))
        self.equal[document % self.n_groups] += found[1]

    def equal_weights(self, offsets: np.ndarray) -> np.ndarray:
        """Return what equal weights have at the offsets of :meth:`best`, (n_heads,)."""
        used = self.rows > 0
        at = np.take_along_axis(self.equal[used], offsets + self.reach, axis=1)
        seen = np.take_along_axis(self.counts[used], offsets + self.reach, axis=1)
        return _ratio(at.sum(0), seen.sum(0))

    def add_rows(self, document: int, n_rows: int, per_offset: np.ndarray | None = None) -> None:
        """Count rows, in all or those that can see each offset (2 reach + 1,)."""
        self.rows[document % self.n_groups] += n_rows
        self.counts[document % self.n_groups] += n_rows if per_offset is None else per_offset

    def add(
        self, document: int, head: int, offsets: np.ndarray, weights: np.ndarray | None = None
    ) -> None:
        """Add weights (default 1) at offsets (n,) of keys from their queries."""
        near = np.abs(offsets) <= self.reach
        self.sums[document % self.n_groups, head] += np.bincount(
            offsets[near] + self.reach,
            None if weights is None else weights[near],
            minlength=2 * self.reach + 1,
        )

    def best(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Score each group at the offset that is best on all others.

        Returns
        -------
        offsets : ndarray (n_groups, n_heads) int64
            The offset chosen for each group; nothing where it is the only one.
        sums, counts : ndarray (n_groups, n_heads)
            What stands there in the group itself, and the rows that could see it.
        """
        used = self.rows > 0
        sums, counts = self.sums[used], self.counts[used]
        if len(sums) < 2:
            return (np.zeros((0, self.sums.shape[1]), np.int64), *np.zeros((2, 0, 1)))
        others = sums.sum(0)[None] - sums
        chosen = others.argmax(axis=2)
        at = np.take_along_axis(sums, chosen[:, :, None], axis=2)[:, :, 0]
        seen = np.take_along_axis(counts, chosen, axis=1)
        return chosen - self.reach, at, seen

    def baseline(self) -> tuple[float, int] | None:
        """Return the share of rows hit at the best offset, and that offset, of the only head."""
        offsets, at, seen = self.best()
        if not len(offsets) or not seen.sum():
            return None
        return float(at.sum() / seen.sum()), most_frequent(offsets[:, 0])


def most_frequent(values: np.ndarray) -> int:
    """Return the value that occurs most often."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return above / below
