"""What the C library does with memory that is freed, which decides what large results cost."""

from __future__ import annotations

import functools

import torch

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
    torch.empty(LARGEST_KEPT, dtype=torch.uint8)
