"""Values that a storage type cannot hold, and values that are no numbers: found fast, told well.

A float16 ends at 65504, and large residual streams go beyond it. Storing an infinity in place of
such a value would be a silent change, so it is refused. NaN and infinities of the model itself
are refused as well, unless the plan asks for them: a model with broken weights should end in one
message rather than in a file of nothing.
"""

from __future__ import annotations

import numpy as np

from interp.sites import SiteDescription
from interp.storage.plan import RecordingPlan
from interp.storage.stream_plan import StreamPlan

# All bits but the sign; what has at least the bits of infinity is infinite or NaN.
_BITS = {2: ("<u2", 0x7FFF, 0x7C00), 4: ("<u4", 0x7FFFFFFF, 0x7F800000)}


def narrow(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the values in the storage type; those out of its range become infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(dtype, order="C", copy=False)


def all_finite(values: np.ndarray) -> bool:
    """Whether a C-contiguous array of floats has neither NaN nor infinity."""
    if values.size == 0:
        return True
    if values.dtype.itemsize in _BITS:
        kind, magnitude, infinity = _BITS[values.dtype.itemsize]
        # An integer maximum over the bits is twenty times as fast as isfinite of float16.
        return bool((values.view(kind) & magnitude).max() < infinity)
    return bool(np.isfinite(values).all())


def first_nonfinite(
    values: np.ndarray, stored: np.ndarray, allowed: bool
) -> tuple[int, int] | None:
    """Return (row, unit) of the first value that must not be stored, or None.

    Parameters
    ----------
    values : array, shape (n_rows, n_units)
        What the model produced.
    stored : array, shape (n_rows, n_units)
        The same in the storage type.
    allowed : bool
        Whether NaN and infinities of the model itself may be stored.
    """
    if all_finite(stored):
        return None
    bad = ~np.isfinite(stored)
    if allowed:
        bad &= np.isfinite(values)
    found = np.argwhere(bad)
    return (int(found[0][0]), int(found[0][1])) if len(found) else None


def explain_nonfinite(
    plan: RecordingPlan,
    site: SiteDescription,
    values: np.ndarray,
    start: int,
    bad: tuple[int, int],
) -> str:
    """Return the message about one value that must not be stored.

    Parameters
    ----------
    plan : RecordingPlan
    site : SiteDescription
    values : array, shape (n_rows, n_units)
    start : int
        The row of the site at which `values` begin.
    bad : (int, int)
        Row inside `values`, and unit.
    """
    row, unit = bad
    value = float(values[row, unit])
    place = _place(plan.stream[site.stream], site, start + row)
    where = f"{site.name}:{unit} at {place}"
    if not np.isfinite(value):
        return (
            f"{where} is {value}: the model itself produced it. Check the weights and the input; "
            "if such values are meant to be there, record with nonfinite='store'."
        )
    largest = float(np.finfo(site.dtype).max)
    wider = "float32" if abs(value) <= float(np.finfo(np.float32).max) else "float64"
    return (
        f"{where} is {value:.8g}, more than {site.dtype} can hold (up to {largest:.8g}). "
        f"Record anew with dtype={wider!r}, or leave this site out."
    )


def _place(stream: StreamPlan, site: SiteDescription, row: int) -> str:
    """Return where a row is, in words."""
    if site.per == "call":
        return f"document {row} ({stream.document_names[row]!r})"
    document = int(np.searchsorted(stream.document_start, row, side="right")) - 1
    inside = row - int(stream.document_start[document])
    return (
        f"position {row} (document {document}, {stream.document_names[document]!r}, "
        f"position {inside} in it)"
    )
