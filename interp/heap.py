"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
import functools
import sys

LARGEST_KEPT = (1 << 25) - (1 << 16)
"""Bytes of the largest block that the GNU C library keeps for the next request when it is freed.
Larger ones go back to the system each time, and getting their pages anew costs as much as half the
product that fills them."""


@functools.cache
def keep_freed_blocks() -> None:
    """Let the C library keep blocks up to that size from now on.

    It starts with far smaller ones, and raises its limit to the size of a block that is freed (by
    default: not where the user has set a limit). Until a process happens to free a large one,
    every forward's results would be given back and fetched page by page again: a tenth of the time
    of a stream of 2,000 steps of 64 units. The block itself is never written to and takes no
    memory.
    """
    import torch

    torch.empty(LARGEST_KEPT, dtype=torch.uint8, device="cpu")


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
