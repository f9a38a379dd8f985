"""In which order positions are computed: a pure function of the documents' lengths.

Documents are sorted by length only inside a group of bounded size, so that a batch holds rows of
similar length and the file still has the corpus's order. A batch is fed in windows. The state of a
row goes from one window to the next; a model that carries no state is fed whole documents, or
windows that overlap. One window of one batch is a *step*; the rows that one document contributes
to one step are a *segment* of the recording. Since nothing but lengths and a few numbers enter, a
resumed run forms the same batches, hence computes the same values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from interp.models.adapter import TEXT

#: Documents in a group, in batches.
GROUP_BATCHES = 16
#: Positions of a row in one forward, where nothing else says it.
DEFAULT_WINDOW = 256
#: What a file says of windows that overlap.
STORED_FROM = "the first window that holds the position, which gives it most left context"


@dataclass(frozen=True)
class Part:
    """What of one stream a step feeds and records.

    Attributes
    ----------
    start : int
        First position, within each row's document, that is recorded.
    lengths : ndarray (n_rows,) int64
        Positions of each row that are recorded; 0 where the state holds what became of them.
    context : int
        Positions before `start` that are fed again, as left context, and not recorded.
    first_key : int
        The position that stands first on the axis of keys of attention maps: 0 where a state
        reaches back to the start of the document, else the first position that is fed.
    key_stops : ndarray (n_rows,) int64
        One past the last position of each row that can be a key.
    """

    start: int
    lengths: np.ndarray
    context: int
    first_key: int
    key_stops: np.ndarray

    @property
    def fed_lengths(self) -> np.ndarray:
        """Positions of each row that are fed, (n_rows,) int64."""
        return self.lengths + self.context

    @property
    def n_fed(self) -> int:
        """Length of the padded batch."""
        return int(self.fed_lengths.max())


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
    segment : int
        Index of the first row's segment; the others follow.
    parts : mapping of str to Part
        By stream. The first is the leading one, along which windows go.
    """

    batch: int
    documents: np.ndarray
    segment: int
    parts: Mapping[str, Part]

    @property
    def lead(self) -> Part:
        """The leading stream's part."""
        return next(iter(self.parts.values()))

    @property
    def start(self) -> int:
        """First recorded position of the leading stream; 0 means a fresh state."""
        return self.lead.start

    @property
    def lengths(self) -> np.ndarray:
        """Recorded positions of the leading stream, (n_rows,) int64, at least 1 each."""
        return self.lead.lengths

    @property
    def n_positions(self) -> int:
        """Positions of all streams that the step records."""
        return sum(int(part.lengths.sum()) for part in self.parts.values())

    @property
    def n_steps(self) -> int:
        """Length of the padded batch in the leading stream."""
        return self.lead.n_fed


@dataclass(frozen=True)
class Schedule:
    """Batches and windows for documents of known lengths.

    Attributes
    ----------
    lengths : ndarray (n_documents,) int64
        Positions of each document in the leading stream, in the corpus's order.
    batch_size : int
        Documents in a batch, at most.
    window : int or None
        Positions of each row in one forward; None feeds documents whole.
    group_size : int
        Consecutive documents that may be sorted by length.
    budget : int or None
        Most positions, padding included, in a batch of a model that carries no state; bounds
        memory. One document may exceed it.
    stride : int or None
        From the start of one window to the start of the next, at most `window`, for a model that
        carries no state. None: the windows follow each other, and the state goes along.
    stream : str
        The leading stream.
    beside : mapping of str to ndarray (n_documents,) int64
        Lengths in other streams, which are fed whole with the first window.
    prompts : ndarray (n_documents,) int64, optional
        Positions fed at first; from there on it is one position at a time, as a text is
        generated. Documents of a batch have the same.
    """

    lengths: np.ndarray
    batch_size: int
    window: int | None
    group_size: int
    budget: int | None = None
    stride: int | None = None
    stream: str = TEXT
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)
    prompts: np.ndarray | None = None

    def batches(self) -> Iterator[np.ndarray]:
        """Yield the documents of each batch, longest first."""
        for begin in range(0, len(self.lengths), self.group_size):
            group = np.arange(begin, min(begin + self.group_size, len(self.lengths)))
            # A document without positions has nothing to compute.
            group = group[self.lengths[group] > 0]
            # Stable, so that documents of one length keep the corpus's order.
            keys = [-self.lengths[group]]
            if self.prompts is not None:
                keys.append(self.prompts[group])
            group = group[np.lexsort(keys)]
            while len(group):
                size = self._batch_length(group)
                yield group[:size]
                group = group[size:]

    def steps(self) -> Iterator[Step]:
        """Yield all forwards in order."""
        segment = 0
        for index, documents in enumerate(self.batches()):
            for start, stop, context in self._cuts(documents):
                left = self.lengths[documents] - start
                n_rows = int(np.count_nonzero(left > 0))
                rows = documents[:n_rows]
                lengths = np.minimum(left[:n_rows], stop - start)
                first_key = 0 if self.stride is None else start - context
                parts = {self.stream: Part(start, lengths, context, first_key, start + lengths)}
                for name, others in self.beside.items():
                    new = others[rows] if start == 0 else np.zeros_like(others[rows])
                    parts[name] = Part(0, new, 0, 0, others[rows])
                yield Step(index, rows, segment, parts)
                segment += n_rows

    def document_start(self, stream: str | None = None) -> np.ndarray:
        """Return the first row of each document, and the total: (n_documents + 1,) int64."""
        lengths = self.lengths if stream in (None, self.stream) else self.beside[str(stream)]
        return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    def segments(self, stream: str | None = None) -> np.ndarray:
        """Return a stream's rows [start, stop) of every segment in writing order: (n_segments, 2).

        The leading stream's if none is named.
        """
        stream = stream or self.stream
        first_row = self.document_start(stream)
        parts = []
        for step in self.steps():
            part = step.parts[stream]
            begin = first_row[step.documents] + part.start
            if stream != self.stream and step.start > 0:
                begin = first_row[step.documents + 1]  # all of it is there already
            parts.append(np.stack([begin, begin + part.lengths], axis=1))
        return np.concatenate(parts) if parts else np.zeros((0, 2), np.int64)

    def key_ranges(self, stream: str | None = None) -> np.ndarray:
        """Return which positions [first, stop) of its document each position can attend to.

        (n_positions, 2) int64, for a model that attends to all it is fed; a causal one stops at
        the position itself.
        """
        stream = stream or self.stream
        first_row = self.document_start(stream)
        ranges = np.zeros((int(first_row[-1]), 2), np.int64)
        for step in self.steps():
            part = step.parts[stream]
            rows = zip(step.documents.tolist(), part.lengths, part.key_stops, strict=True)
            for document, length, stop in rows:
                begin = int(first_row[document]) + part.start
                ranges[begin : begin + length] = part.first_key, stop
        return ranges

    def to_dict(self) -> dict[str, Any]:
        """Return what a resumed run must find unchanged, beside the lengths."""
        said: dict[str, Any] = {
            "batch_size": self.batch_size,
            "window": self.window,
            "group_size": self.group_size,
            "budget": self.budget,
        }
        if self.stride is not None:
            said |= {"stride": self.stride, "stored_from": STORED_FROM}
        return said

    def _cuts(self, documents: np.ndarray) -> Iterator[tuple[int, int, int]]:
        """Yield start, stop and context of each window of a batch."""
        longest = int(self.lengths[documents[0]])
        first = longest if self.window is None else self.window
        context, stride = 0, first
        if self.prompts is not None:
            first, stride = int(self.prompts[documents[0]]), 1
        elif self.stride is not None:
            context, stride = first - self.stride, self.stride
        yield 0, first, 0
        for start in range(first, longest, stride):
            yield start, start + stride, context

    def _batch_length(self, group: np.ndarray) -> int:
        fits = np.full(len(group), True)
        if self.budget is not None:
            longest = int(self.lengths[group[0]])
            width = longest if self.window is None else min(longest, self.window)
            widths = np.full(len(group), width)
            for others in self.beside.values():
                widths += np.maximum.accumulate(others[group])
            fits = np.arange(1, len(group) + 1) * widths <= self.budget
        if self.prompts is not None:
            fits &= self.prompts[group] == self.prompts[group[0]]
        return max(1, min(self.batch_size, int(np.count_nonzero(fits))))


def plan_schedule(
    lengths: np.ndarray,
    batch_size: int,
    window: int,
    *,
    whole: bool = False,
    stride: int | None = None,
    **more: Any,
) -> Schedule:
    """Return the schedule for documents of these lengths.

    Parameters
    ----------
    lengths : array (n_documents,)
        Positions of each document.
    batch_size, window : int
        Rows and positions of one forward, at most. Where the model carries no state their product
        is the budget of positions per forward.
    whole : bool
        Feed documents whole: the model cannot carry its state.
    stride : int, optional
        Feed windows that begin `stride` positions apart: the model cannot carry its state.
    **more
        Further attributes of the schedule, such as `beside`, or another `budget`.
    """
    lengths = np.asarray(lengths, np.int64)
    if whole or stride is not None:
        more = {"budget": batch_size * window} | more
    window_or_none = None if whole else window
    group_size = batch_size * GROUP_BATCHES
    return Schedule(lengths, batch_size, window_or_none, group_size, stride=stride, **more)
