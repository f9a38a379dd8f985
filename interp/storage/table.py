"""A selection with its labels, read in pieces: what tables and exports are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from interp.arguments import shown
from interp.errors import SelectionError
from interp.selection import Selection, as_selection

if TYPE_CHECKING:
    from interp.storage.recording import Recording
    from interp.storage.streams import Stream

_BLOCK_BYTES = 16 * 2**20


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows of a table.

    Attributes
    ----------
    position : array of int64, shape (n,)
        Position in the stream; in a table of documents, the document's first position.
    document : array of int64, shape (n,)
    inside : array of int64, shape (n,)
        Position within the document.
    tokens : list of str, or None
        None as well in blocks without values.
    values : array, shape (n, n_units)
    annotations : dict of str to array, shape (n,)
    """

    position: np.ndarray
    document: np.ndarray
    inside: np.ndarray
    tokens: list[str] | None
    values: np.ndarray
    annotations: dict[str, np.ndarray]


class Table:
    """The rows and columns of a selection, checked against the recording.

    Parameters
    ----------
    recording : Recording
    selection : str or Selection
    annotations : sequence of str
        Annotations of the same stream to put beside the values.

    Attributes
    ----------
    selection : Selection
    stream : Stream
    units : array of int64, shape (n_units,)
    n_rows : int
    """

    def __init__(
        self,
        recording: Recording,
        selection: str | Selection,
        annotations: Sequence[str] = (),
    ) -> None:
        self.selection = selection = as_selection(selection)
        self._recording = recording
        self.units = selection.unit_indices(recording)
        self.stream: Stream = recording.stream_of(selection.site)
        self._runs = selection.rows(recording)
        self._array = recording[selection.site]
        self.dtype = self._array.dtype.newbyteorder("=")
        self.per_document = recording.sites[selection.site].per == "call"
        if isinstance(annotations, str):
            annotations = [annotations]
        if not isinstance(annotations, Iterable):
            raise SelectionError(f"Annotations are a list of names; got {shown(annotations)}.")
        self._annotations = {name: recording.annotations[name] for name in annotations}
        for name, annotation in self._annotations.items():
            if annotation.stream != self.stream.name or self.per_document:
                raise SelectionError(
                    f"Annotation {name!r} is about positions of stream {annotation.stream!r}, "
                    f"the rows of {selection.site} are not."
                )
        self.n_rows = sum(stop - start for start, stop in self._runs)

    @property
    def unit_names(self) -> list[str]:
        """Column names of the units, such as ``lstm/l0/cell:87``."""
        return [f"{self.selection.site}:{unit}" for unit in self.units.tolist()]

    @property
    def annotation_names(self) -> list[str]:
        """Names of the annotations beside the values."""
        return list(self._annotations)

    @property
    def document_names(self) -> list[str]:
        """Names of all documents of the stream, by index."""
        return self.stream.documents.names

    def blocks(self, values: bool = True) -> Iterator[Block]:
        """Yield the rows in order, in pieces of bounded size; on request without values."""
        row_bytes = max(1, len(self.units)) * self.dtype.itemsize + 64
        per_block = max(1, _BLOCK_BYTES // row_bytes)
        for start, stop in self._runs:
            for first in range(start, stop, per_block):
                yield self._block(first, min(stop, first + per_block), values)

    def _block(self, start: int, stop: int, with_values: bool) -> Block:
        stream, rows = self.stream, np.arange(start, stop)
        units = self.units if with_values else self.units[:0]
        values = self._array[start:stop, units]
        if self.per_document:
            first = stream.document_start[rows]
            return Block(first, rows, np.zeros_like(rows), None, values, {})
        document = stream.document_of(rows)
        tokens = None
        if with_values and stream.tokens is not None:
            tokens = stream.tokens[start:stop]
        annotations = {name: array[start:stop] for name, array in self._annotations.items()}
        inside = rows - stream.document_start[document]
        return Block(rows, document, inside, tokens, values, annotations)
