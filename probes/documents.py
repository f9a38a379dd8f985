"""Positions by document: which are scored, how documents are split, drawn and swapped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Fewer test documents than this are reported as too few.
ENOUGH_DOCUMENTS = 15


@dataclass(frozen=True)
class Rows:
    """Some positions of a stream, grouped by document.

    Attributes
    ----------
    index : ndarray (n_rows,) int64
        The positions, rising.
    runs : ndarray (n_runs, 2) int64
        The same as [start, stop).
    starts : ndarray (n_documents + 1,) int64
        Where each document begins among the rows. Documents without a row are left out.
    documents : ndarray (n_documents,) int64
        Their indices in the stream.
    """

    index: np.ndarray
    runs: np.ndarray
    starts: np.ndarray
    documents: np.ndarray

    @classmethod
    def of(
        cls, document_start: np.ndarray, documents: np.ndarray, valid: np.ndarray | None = None
    ) -> Rows:
        """Return the positions of some documents, where `valid` (n_positions,) allows them."""
        documents = np.sort(np.asarray(documents))
        pieces = []
        for document in documents.tolist():
            start, stop = int(document_start[document]), int(document_start[document + 1])
            inside = np.arange(start, stop)
            pieces.append(inside if valid is None else inside[valid[start:stop]])
        sizes = np.array([len(piece) for piece in pieces], np.int64)
        index = np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
        kept = sizes > 0
        starts = np.concatenate([[0], np.cumsum(sizes[kept])])
        return cls(index, _runs(index), starts, documents[kept])

    @property
    def n_documents(self) -> int:
        """Number of documents with a row."""
        return len(self.documents)

    def __len__(self) -> int:
        return len(self.index)

    def document_of_row(self) -> np.ndarray:
        """Return for each row the number of its document, from 0 to n_documents - 1."""
        return np.repeat(np.arange(self.n_documents), np.diff(self.starts)).astype(np.int32)

    def thinned(self, n_most: int) -> np.ndarray:
        """Return at most `n_most` row numbers, evenly spaced, so every document keeps its share."""
        step = max(1, -(-len(self) // n_most))
        return np.arange(step // 2 if len(self) > step else 0, len(self), step)

    def thinned_by_label(
        self, inside: np.ndarray, n_most: int
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """Return at most `n_most` row numbers in which a rare label is not lost.

        Evenly spaced, unless that left fewer than `n_most` / 32 of one of two labels: then all of
        the rarer one are kept, `n_most` / 2 at most, and evenly spaced ones of the other.

        Parameters
        ----------
        inside : ndarray (n_rows,) bool
        n_most : int

        Returns
        -------
        rows : ndarray (n_kept,) int64
            Rising.
        stands_for : (float, float)
            How many rows outside, and inside, one that was kept stands for.
        """
        even = self.thinned(n_most)
        counts = np.bincount(inside, minlength=2)
        if len(even) == len(self) or np.bincount(inside[even], minlength=2).min() >= n_most // 32:
            return even, (1.0, 1.0)
        rarer = int(counts[1] <= counts[0])
        places = [np.flatnonzero(inside == label) for label in (rarer, 1 - rarer)]
        first = places[0][:: max(1, -(-len(places[0]) // (n_most // 2)))]
        second = places[1][:: max(1, -(-len(places[1]) // (n_most - len(first))))]
        share = {rarer: counts[rarer] / max(len(first), 1)}
        share[1 - rarer] = counts[1 - rarer] / len(second)
        return np.sort(np.concatenate([first, second])), (float(share[0]), float(share[1]))

    def part(self, rows: np.ndarray) -> Rows:
        """Return some of the rows (rising row numbers) as rows of their own."""
        counts = np.bincount(self.document_of_row()[rows], minlength=self.n_documents)
        kept = counts > 0
        starts = np.concatenate([[0], np.cumsum(counts[kept])])
        return Rows(self.index[rows], _runs(self.index[rows]), starts, self.documents[kept])


def _runs(index: np.ndarray) -> np.ndarray:
    if len(index) == 0:
        return np.zeros((0, 2), np.int64)
    breaks = np.flatnonzero(np.diff(index) != 1)
    first = index[np.concatenate([[0], breaks + 1])]
    last = index[np.concatenate([breaks, [len(index) - 1]])]
    return np.stack([first, last + 1], axis=1)


def split_documents(n_documents: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the documents to choose units on and those to score them on, half each, sorted."""
    order = np.random.default_rng(seed).permutation(n_documents)
    return np.sort(order[: n_documents // 2]), np.sort(order[n_documents // 2 :])


def draw_documents(n_documents: int, n_resamples: int, seed: int = 0) -> np.ndarray:
    """Return how often each document is drawn in each resample with replacement.

    Returns
    -------
    ndarray (n_resamples, n_documents) float64
    """
    rng = np.random.default_rng(seed)
    drawn = np.zeros((n_resamples, n_documents))
    for row in drawn:
        row += np.bincount(rng.integers(0, n_documents, n_documents), minlength=n_documents)
    return drawn


def swap_tracks(
    starts: np.ndarray, values: np.ndarray, rows: np.ndarray, n_swaps: int, seed: int = 0
) -> np.ndarray:
    """Return tracks in which every document carries the labels of another one.

    The labels keep their own order and run lengths, and begin where the document begins; a
    shorter document's are repeated. What is left of a score then comes from how slow labels and
    units meet by chance, which shuffling positions would hide.

    Parameters
    ----------
    starts : ndarray (n_documents + 1,)
    values : ndarray (n_rows,)
        Labels of all rows.
    rows : ndarray (n_kept,)
        The rows to return labels for.
    n_swaps, seed : int

    Returns
    -------
    ndarray (n_swaps, n_kept), of the type of `values`
    """
    rng = np.random.default_rng(seed)
    n_documents = len(starts) - 1
    document = np.searchsorted(starts, rows, side="right") - 1
    offset, lengths = rows - starts[document], np.diff(starts)
    swapped = np.empty((n_swaps, len(rows)), values.dtype)
    for track in swapped:
        source = rng.permutation(n_documents)[document]
        track[:] = values[starts[source] + offset % lengths[source]]
    return swapped


def swap_places(
    starts: np.ndarray, inside: np.ndarray, n_swaps: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return where a rare track is on, and where it is on in each track of :func:`swap_tracks`.

    Parameters
    ----------
    starts : ndarray (n_documents + 1,)
    inside : ndarray (n_rows,) bool
    n_swaps, seed : int

    Returns
    -------
    places : ndarray (n_places,) int64
        Row numbers, those of the real track first.
    group_start : ndarray (n_swaps + 2,) int64
        Where the places of each track begin.
    """
    rng = np.random.default_rng(seed)
    n_documents, lengths = len(starts) - 1, np.diff(starts)
    offsets = {
        document: found
        for document in range(n_documents)
        if len(found := np.flatnonzero(inside[starts[document] : starts[document + 1]]))
    }
    groups = [np.flatnonzero(inside)]
    for _ in range(n_swaps):
        target = np.argsort(rng.permutation(n_documents))  # the document that has another's labels
        parts = [np.zeros(0, np.int64)]
        for source, found in offsets.items():
            length = int(lengths[target[source]])
            rounds = np.arange(0, length, int(lengths[source]))[:, None]
            places = (rounds + found).ravel()
            parts.append(places[places < length] + int(starts[target[source]]))
        groups.append(np.concatenate(parts))
    sizes = [len(group) for group in groups]
    return np.concatenate(groups), np.concatenate([[0], np.cumsum(sizes)])
