"""The positions of a recording block by block, whole documents or pieces of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from interp.errors import InterpError

#: Rows that are read at a time: memory stays the same for a recording of any length.
BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Piece:
    """Consecutive positions of one document.

    Attributes
    ----------
    document : int
    start, stop : int
        Rows of the stream.
    first : int
        The first row of the document that counts.
    """

    document: int
    start: int
    stop: int
    first: int


def pieces(document_start: np.ndarray, skip: int, n_rows: int = BLOCK_ROWS) -> Iterator[Piece]:
    """Yield the positions after the first `skip` of each document, at most `n_rows` at a time.

    Parameters
    ----------
    document_start : ndarray (n_documents + 1,)
    skip, n_rows : int
    """
    for document, (begin, end) in enumerate(
        zip(document_start[:-1], document_start[1:], strict=True)
    ):
        first = int(begin) + skip
        for start in range(first, int(end), n_rows):
            yield Piece(document, start, min(start + n_rows, int(end)), first)


def blocks(document_start: np.ndarray, skip: int) -> Iterator[tuple[int, int, np.ndarray | None]]:
    """Yield [start, stop) of rows over document borders, and which of them count.

    Many short documents are read together, which reading document by document would not do. The
    mask (n_rows,) is None where all rows count.
    """
    n_positions = int(document_start[-1])
    for start in range(0, n_positions, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, n_positions)
        if skip == 0:
            yield start, stop, None
            continue
        rows = np.arange(start, stop)
        document = np.searchsorted(document_start, rows, side="right") - 1
        counts = rows - document_start[document] >= skip
        if counts.any():
            yield start, stop, None if counts.all() else counts


def count_rows(document_start: np.ndarray, skip: int) -> tuple[int, int]:
    """Return how many positions and documents count when the first `skip` of each are left out.

    Raises
    ------
    InterpError
        If `skip` is negative or leaves nothing.
    """
    if skip < 0:
        raise InterpError(f"skip is the number of first positions to leave out, not {skip}.")
    left = np.clip(np.diff(document_start) - skip, 0, None)
    if left.sum() == 0:
        longest = int(np.diff(document_start).max(initial=0))
        raise InterpError(
            f"Leaving out the first {skip:,} positions of each document leaves nothing: the "
            f"longest document has {longest:,}. Skip fewer."
        )
    return int(left.sum()), int((left > 0).sum())
