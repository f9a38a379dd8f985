"""Rows of text in aligned columns that are never cut, whatever the terminal's width."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(headings: Sequence[str], rows: Sequence[Sequence[str]], n_left: int = 1) -> str:
    """Return a heading and rows with columns as wide as their longest cell.

    Parameters
    ----------
    headings : sequence of str
    rows : sequence of sequence of str
        As many cells each as there are headings.
    n_left : int
        How many of the first columns are text; the others are numbers, to the right.
    """
    table = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(headings))]

    def line(row: list[str]) -> str:
        cells = [
            cell.ljust(width) if i < n_left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(line(row) for row in table)
