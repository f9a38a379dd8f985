"""How far a long command is, on a terminal and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable


def progress_of(what: str) -> Callable[[int, int], None] | None:
    """Return what shows the share that is done on one line, or None where nobody looks.

    Parameters
    ----------
    what : str
        What is counted, such as ``"positions"``.
    """
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        print(f"\rinterp: {done / total:4.0%} of {total:,} {what}", end=end, file=sys.stderr)

    return show
