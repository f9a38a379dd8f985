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

_BINARY: dict[str, Callable[[ValueCounts], float]] = {
    "average_precision": lambda c: max(c.average_precision(1), c.average_precision(-1)),
    "r": lambda c: abs(c.point_biserial()),
    "spearman": lambda c: abs(c.spearman()),
    "mutual_information": lambda c: c.mutual_information(),
}


def reorder(
    recording: Any,
    scan: Scan,
    number: int,
    track: Track,
    rows: Rows,
    by: str | None,
    n_best: int,
) -> list[int]:
    """Return the best units (indices into the scan's) of a track, best first; NaN units never."""
    score = np.abs(scan.scores[:, number])
    if by not in (None, "auroc" if track.is_binary else "spearman"):
        if by is None or not (track.is_binary or by in ("r", "mutual_information")):
            raise InterpError(
                f"{track.name} is a number: order units by spearman, r or mutual_information, "
                f"not {by!r}."
            )
        score = _measure(recording, scan, track, rows, by)
    order = np.argsort(-np.nan_to_num(score, nan=-1), kind="stable")
    return [int(i) for i in order[:n_best] if np.isfinite(scan.scores[i, number])]


def _measure(recording: Any, scan: Scan, track: Track, rows: Rows, by: str) -> np.ndarray:
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
        if track.is_binary:
            found[i] = _BINARY[by](ValueCounts.of(values, labels))
        elif by == "mutual_information":
            found[i] = numeric_information(values, labels)
        else:
            found[i] = abs(correlations(values, labels)[0])
    return found
