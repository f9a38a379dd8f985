"""What the C library holds of memory that is no longer used."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Return freed memory to the system, where the C library can be told to (GNU's on Linux).

    Preparing a run takes memory in proportion to the corpus, for a moment: texts are packed, ids
    are widened. What stays behind are holes in the heap, which the run's own larger blocks do not
    fit into, so that its peak would depend on the corpus.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        pass  # another C library, without this function
