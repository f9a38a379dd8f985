"""The order of units by another measure than the one of the scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.documents import Rows
from probes.metrics import ValueCounts, correlations, numeric_information
from probes.scan import Scan
from probes.tracks import Track

#: What units can be ordered by.
METRICS = ("auroc", "average_precision", "r", "spearman", "mutual_information")

#: A measure of a unit, negative where it is reached with the unit upside down.
_BINARY: dict[str, Callable[[ValueCounts], float]] = {
    "average_precision": lambda c: max(c.average_precision(1), -c.average_precision(-1), key=abs),
    "r": lambda c: c.point_biserial(),
    "spearman": lambda c: c.spearman(),
}


def reorder(
    recording: Any,
    scan: Scan,
    number: int,
    track: Track,
    rows: Rows,
    by: str | None,
    n_best: int,
) -> list[tuple[int, int]]:
    """Return the best units of a track, best first, and the sign of each; NaN units never.

    Returns
    -------
    list of (int, int)
        Index into the scan's units; 1, or -1 for a unit that is lower inside by that measure.
    """
    score = scan.scores[:, number]
    if by not in (None, "auroc" if track.is_binary else "spearman"):
        if by is None or not (track.is_binary or by in ("r", "mutual_information")):
            raise InterpError(
                f"{track.name} is a number: order units by spearman, r or mutual_information, "
                f"not {by!r}."
            )
        score = _measure(recording, scan, number, track, rows, by)
    signs = np.where(np.nan_to_num(score) >= 0, 1, -1)
    order = np.argsort(-np.nan_to_num(np.abs(score), nan=-1), kind="stable")
    return [(int(i), int(signs[i])) for i in order[:n_best] if np.isfinite(scan.scores[i, number])]


def _measure(
    recording: Any, scan: Scan, number: int, track: Track, rows: Rows, by: str
) -> np.ndarray:
    labels = track.values[rows.index]
    found = np.full(len(scan.units), np.nan)
    block: tuple[str, int, np.ndarray] | None = None
    for i, (site, unit) in enumerate(scan.units):
        if block is None or block[0] != site or not block[1] <= unit < block[1] + 16:
            start = unit - unit % 16
            block = site, start, np.asarray(recording[site][:, start : start + 16])[rows.index]
        values = block[2][:, unit - block[1]]
        if np.isnan(scan.scores[i]).any():
            continue
        counts = ValueCounts.of(values, labels) if track.is_binary else None
        if by == "mutual_information":  # has no side of its own
            nats = counts.mutual_information() if counts else numeric_information(values, labels)
            found[i] = nats if scan.scores[i, number] >= 0 else -nats
        else:
            found[i] = _BINARY[by](counts) if counts else correlations(values, labels)[0]
    return found
