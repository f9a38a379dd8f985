"""Loops over arrays that numba compiles on first use.

Import this lazily where a user may never run such a loop: numba takes 0.15 s to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """Return the function compiled on first use, and cached on disk where a place can be found.

    It releases the interpreter's lock, and rounds as the code is written.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder that numba may write its cache to
        return numba.njit(nogil=True)(function)
