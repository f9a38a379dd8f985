"""The heat map's payload: units by time, reduced to what a screen can show."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.statistics import correlation, robust_limit

MAX_COLUMNS = 1_024
MAX_ROWS = 1_024
SORTS = ("index", "variance", "correlation")
NOT_A_NUMBER = -128


@dataclass(frozen=True)
class Heat:
    """Rows of units, columns of time.

    `levels` is (n_rows, n_columns) int8, value = level / 127 * limit, -128 for NaN; `units` are
    the rows' units and `keys` what they were sorted by; `steps` is the number of positions that
    one column averages.
    """

    levels: np.ndarray
    units: np.ndarray
    keys: np.ndarray
    limit: float
    steps: int

    def to_bytes(self) -> bytes:
        """Return header (rows, columns, steps, limit), units int32, keys float32, levels."""
        header = struct.pack("<iiif", *self.levels.shape, self.steps, self.limit)
        units = self.units.astype("<i4").tobytes()
        return header + units + self.keys.astype("<f4").tobytes() + self.levels.tobytes()


def columns_of(values: np.ndarray, max_columns: int) -> tuple[np.ndarray, int]:
    """Return the means of at most `max_columns` equal runs of rows, and the run's length."""
    steps = -(-len(values) // max_columns)
    if steps <= 1:
        return values, 1
    edges = np.arange(0, len(values), steps)
    sums = np.add.reduceat(values, edges, axis=0)
    counts = np.diff(np.append(edges, len(values)))
    return sums / counts[:, None].astype(np.float32), steps


def heat_map(
    values: np.ndarray,
    *,
    sort: str = "index",
    unit: int = 0,
    chosen: Sequence[int] | None = None,
    max_columns: int = MAX_COLUMNS,
    max_rows: int = MAX_ROWS,
    limit: float | None = None,
) -> Heat:
    """Return the heat map of a window.

    Parameters
    ----------
    values : array (n_positions, n_units)
    sort : str
        ``"index"``, ``"variance"`` (largest first) or ``"correlation"`` with `unit` (most positive
        first, NaN last).
    unit : int
        The unit that correlations are with.
    chosen : sequence of int, optional
        Only these units; None: all.
    max_columns, max_rows : int
        Longer windows are averaged, further units left out.
    limit : float, optional
        Value of the scale's ends; None: robust, from the window.
    """
    values = values.astype(np.float32)
    units = np.arange(values.shape[1]) if chosen is None else np.asarray(chosen, np.int64)
    reference = values[:, unit]
    values = values[:, units]
    if sort == "variance":
        keys = np.nan_to_num(np.var(values, axis=0), nan=-1.0)
        order = np.argsort(-keys, kind="stable")
    elif sort == "correlation":
        keys = correlation(np.ascontiguousarray(values.T), reference)
        order = np.argsort(-np.nan_to_num(keys, nan=-2.0), kind="stable")
    else:
        keys = units.astype(np.float32)
        order = np.arange(len(units))
    if sort == "correlation" and len(order) > max_rows:
        # Both ends matter: the units that agree and those that oppose.
        half = max_rows // 2
        order = np.concatenate([order[:half], order[-(max_rows - half) :]])
    order = order[:max_rows]
    columns, steps = columns_of(values[:, order], max_columns)
    if limit is None:
        limit = float(robust_limit(columns.reshape(1, -1))[0])
    with np.errstate(invalid="ignore"):
        levels = np.clip(np.nan_to_num(np.rint(columns / limit * 127)), -127, 127)
    levels = np.where(np.isnan(columns), NOT_A_NUMBER, levels).astype(np.int8)
    return Heat(np.ascontiguousarray(levels.T), units[order], keys[order], limit, steps)
