"""Where things begin that lie one after the other: n + 1 rising numbers, checked when read."""

from __future__ import annotations

import h5py
import numpy as np


def read_starts(
    group: h5py.Group, name: str, n: int | None = None, total: int | None = None
) -> np.ndarray:
    """Return where each of some things begins, and where the last one ends.

    Parameters
    ----------
    group : h5py.Group
    name : str
        Of the data set.
    n : int, optional
        How many things there are.
    total : int, optional
        Where the last one ends.

    Returns
    -------
    array of int64, shape (n + 1,)

    Raises
    ------
    ValueError
        If they do not rise from 0 to `total`. Within a recording that is a damage, see
        :func:`interp.storage.hdf5.reading`.
    """
    start: np.ndarray = group[name][:]
    wrong_n = start.ndim != 1 or len(start) < 1 or (n is not None and len(start) != n + 1)
    if wrong_n or start[0] != 0 or np.any(start[1:] < start[:-1]):
        raise ValueError(f"{group.name}/{name} does not rise from 0")
    if total is not None and start[-1] != total:
        raise ValueError(f"{group.name}/{name} ends at {start[-1]:,}, not at {total:,}")
    return start
