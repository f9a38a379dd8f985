"""In which order positions are computed: a pure function of the documents' lengths.

Documents are sorted by length only inside a group of bounded size, so that a batch holds rows of
similar length and the file still has the corpus's order. A batch is fed in windows; the state of
a row goes from one window to the next. One window of one batch is a *step*; the rows that one
document contributes to one step are a *segment* of the recording. Since nothing but lengths and
four numbers enter, a resumed run forms the same batches, hence computes the same values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

#: Documents in a group, in batches.
GROUP_BATCHES = 16


@dataclass(frozen=True)
class Step:
    """One forward: the same window of several documents.

    Attributes
    ----------
    batch : int
        Index of the batch; its steps share a state.
    documents : ndarray (n_rows,) int64
        Index of each row's document, longest first. The rows of the next step of the batch are
        the first ones of these.
    start : int
        Position within the documents at which the window begins; 0 means a fresh state.
    lengths : ndarray (n_rows,) int64
        Positions of each row, at least 1.
    segment : int
        Index of the first row's segment; the others follow.
    """

    batch: int
    documents: np.ndarray
    start: int
    lengths: np.ndarray
    segment: int

    @property
    def n_positions(self) -> int:
        """Positions that the step records."""
        return int(self.lengths.sum())

    @property
    def n_steps(self) -> int:
        """Length of the padded batch."""
        return int(self.lengths[0])


@dataclass(frozen=True)
class Schedule:
    """Batches and windows for documents of known lengths.

    Attributes
    ----------
    lengths : ndarray (n_documents,) int64
        Positions of each document, in the corpus's order.
    batch_size : int
        Documents in a batch, at most.
    window : int or None
        Positions of each row in one forward; None feeds documents whole.
    group_size : int
        Consecutive documents that may be sorted by length.
    budget : int or None
        Most positions, padding included, in a batch of whole documents; bounds memory where
        there are no windows. One document may exceed it.
    """

    lengths: np.ndarray
    batch_size: int
    window: int | None
    group_size: int
    budget: int | None = None

    def batches(self) -> Iterator[np.ndarray]:
        """Yield the documents of each batch, longest first."""
        for begin in range(0, len(self.lengths), self.group_size):
            group = np.arange(begin, min(begin + self.group_size, len(self.lengths)))
            # A document without positions has nothing to compute.
            group = group[self.lengths[group] > 0]
            # Stable, so that documents of one length keep the corpus's order.
            group = group[np.argsort(-self.lengths[group], kind="stable")]
            while len(group):
                size = self._batch_length(group)
                yield group[:size]
                group = group[size:]

    def steps(self) -> Iterator[Step]:
        """Yield all forwards in order."""
        segment = 0
        for index, documents in enumerate(self.batches()):
            longest = int(self.lengths[documents[0]])
            window = longest if self.window is None else self.window
            for start in range(0, longest, window):
                left = self.lengths[documents] - start
                n_rows = int(np.count_nonzero(left > 0))
                lengths = np.minimum(left[:n_rows], window)
                yield Step(index, documents[:n_rows], start, lengths, segment)
                segment += n_rows

    def document_start(self) -> np.ndarray:
        """Return the first row of each document, and the total: (n_documents + 1,) int64."""
        return np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)

    def segments(self) -> np.ndarray:
        """Return the rows [start, stop) of every segment in writing order: (n_segments, 2)."""
        first_row = self.document_start()
        parts = []
        for step in self.steps():
            begin = first_row[step.documents] + step.start
            parts.append(np.stack([begin, begin + step.lengths], axis=1))
        return np.concatenate(parts) if parts else np.zeros((0, 2), np.int64)

    def to_dict(self) -> dict[str, int | None]:
        """Return what a resumed run must find unchanged, beside the lengths."""
        return {
            "batch_size": self.batch_size,
            "window": self.window,
            "group_size": self.group_size,
            "budget": self.budget,
        }

    def _batch_length(self, group: np.ndarray) -> int:
        if self.budget is None:
            return min(self.batch_size, len(group))
        longest = int(self.lengths[group[0]])
        return min(self.batch_size, len(group), max(1, self.budget // longest))


def plan_schedule(
    lengths: np.ndarray, batch_size: int, window: int, *, whole: bool = False
) -> Schedule:
    """Return the schedule for documents of these lengths.

    Parameters
    ----------
    lengths : array (n_documents,)
        Positions of each document.
    batch_size, window : int
        Rows and positions of one forward, at most. For whole documents their product is the
        budget of positions per forward.
    whole : bool
        Feed documents whole: the model cannot carry its state.
    """
    lengths = np.asarray(lengths, np.int64)
    group_size = batch_size * GROUP_BATCHES
    if whole:
        return Schedule(lengths, batch_size, None, group_size, batch_size * window)
    return Schedule(lengths, batch_size, window, group_size)
