"""What units do in a recording: means and spreads, from the documents they were chosen on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.documents import Rows
from probes.tracks import Track

#: Rows of a site that are read at a time.
_BLOCK = 8192


@dataclass(frozen=True, eq=False)
class Activity:
    """Moments of all units of one site.

    Attributes
    ----------
    site : str
    mean, variance : ndarray (n_units,) float64
        NaN for a unit that holds NaN.
    mean_inside, mean_outside : ndarray (n_units,) float64
        By the state after reading; NaN where there is no such position.
    """

    site: str
    mean: np.ndarray
    variance: np.ndarray
    mean_inside: np.ndarray
    mean_outside: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """Units (n_usable,) without NaN that vary."""
        return np.flatnonzero(np.isfinite(self.mean) & (self.variance > 0))


def measure_activity(recording: Any, site: str, rows: Rows, track: Track) -> Activity:
    """Return the moments of all units of a site over some positions.

    Parameters
    ----------
    recording : Recording
    site : str
    rows : Rows
        The positions.
    track : Track
        Divides them into inside and outside.
    """
    array = recording[site]
    n_units = array.shape[1]
    sums = np.zeros((2, n_units))
    squares, counts = np.zeros(n_units), np.zeros(2)
    for first, last in rows.runs.tolist():
        for start in range(first, last, _BLOCK):
            stop = min(start + _BLOCK, last)
            values = np.asarray(array[start:stop], np.float32).astype(np.float64)
            inside = track.values[start:stop]
            total, within = values.sum(0), values[inside].sum(0)
            sums += np.stack([total - within, within])
            squares += (values * values).sum(0)
            counts += [(~inside).sum(), inside.sum()]
    n = counts.sum()
    mean = sums.sum(0) / n
    with np.errstate(invalid="ignore"):
        outside, within = sums / counts[:, None]
    return Activity(site, mean, np.maximum(squares / n - mean**2, 0), within, outside)


def values_to_hold(
    activity: Activity, units: np.ndarray, mode: str, value: float | None
) -> np.ndarray:
    """Return what each unit is clamped to, (n_units,) float64.

    Parameters
    ----------
    activity : Activity
    units : ndarray (n_units,) int
    mode : {"mean", "zero", "value", "inside", "outside"}
    value : float or None
        For "value".

    Raises
    ------
    InterpError
        If a unit's mean is unknown, since it holds NaN or the concept is never there.
    """
    if mode == "zero":
        return np.zeros(len(units))
    if mode == "value":
        return np.full(len(units), float(value or 0.0))
    source = {
        "mean": activity.mean,
        "inside": activity.mean_inside,
        "outside": activity.mean_outside,
    }[mode]
    held = source[units]
    if not np.isfinite(held).all():
        unit = int(units[~np.isfinite(held)][0])
        if np.isfinite(activity.mean[unit]):
            raise InterpError(
                f"No position of the documents that means are taken over is {mode} the concept, so "
                "there is nothing to hold units at; record more text, or try --seed."
            )
        raise InterpError(
            f"{activity.site}:{unit} holds NaN or infinities, so it has no mean to be held at; "
            "choose another unit, or --mode zero."
        )
    return held


def draw_pool(recording: Any, site: str, rows: Rows, n: int, seed: int) -> np.ndarray:
    """Return the values of all units at `n` positions drawn at random, (n, n_units) float32.

    Parameters
    ----------
    recording : Recording
    site : str
    rows : Rows
        What is drawn from.
    n, seed : int
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(rows.index, min(n, len(rows)), replace=False))
    return np.asarray(recording[site][chosen], np.float32)
