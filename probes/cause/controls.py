"""Units to compare with: drawn at random, and those that vary as much."""

from __future__ import annotations

import numpy as np


def random_groups(
    usable: np.ndarray, units: np.ndarray, n_groups: int, seed: int = 0
) -> list[tuple[int, ...]]:
    """Return groups of other units of the same site, as many in each as are clamped together.

    Parameters
    ----------
    usable : ndarray (n_usable,) int
        Units that may be drawn.
    units : ndarray (n_units,) int
        The units in question; never drawn.
    n_groups, seed : int

    Returns
    -------
    list of tuple of int
        At most `n_groups`, all different; fewer at a small site.
    """
    others = np.setdiff1d(usable, units)
    size = len(units)
    rng = np.random.default_rng(seed)
    if size == 1:
        return [(int(unit),) for unit in rng.permutation(others)[:n_groups]]
    if len(others) < size:
        return []
    drawn = {
        tuple(sorted(rng.choice(others, size, replace=False).tolist())) for _ in range(n_groups)
    }
    return sorted(drawn)


def matched_groups(
    usable: np.ndarray, variance: np.ndarray, units: np.ndarray, n_groups: int
) -> list[tuple[int, ...]]:
    """Return groups of other units whose variances are nearest to those in question.

    The k-th group holds, for each unit, the k-th nearest by the logarithm of the variance among
    the units that no earlier place has taken.

    Parameters
    ----------
    usable : ndarray (n_usable,) int
    variance : ndarray (n_units_of_site,)
    units : ndarray (n_units,) int
    n_groups : int
    """
    left = np.setdiff1d(usable, units).tolist()
    with np.errstate(divide="ignore"):
        scale = np.log(np.maximum(variance, 1e-30))
    groups: list[tuple[int, ...]] = []
    while len(groups) < n_groups and len(left) >= len(units):
        group = []
        for unit in units:
            nearest = min(left, key=lambda other: abs(scale[other] - scale[unit]))
            left.remove(nearest)
            group.append(int(nearest))
        groups.append(tuple(group))
    return groups
