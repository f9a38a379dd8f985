"""All figures of one unit on documents that it was not chosen on."""

from __future__ import annotations

from typing import Any

import numpy as np

from probes.documents import Rows
from probes.findings import UnitScore
from probes.intervals import area_intervals, bootstrap_correlation, percentile_interval
from probes.metrics import ValueCounts, correlations, numeric_information
from probes.tracks import Track

#: Positions on which test documents are resampled.
INTERVAL_POSITIONS = 1 << 17


def score_unit(
    track: Track,
    unit: str,
    chosen_by: float,
    sign: int,
    p_value: float | None,
    values: np.ndarray,
    test: Rows,
    n_resamples: int,
    seed: int,
) -> UnitScore:
    """Return how well a unit tells a concept on the test documents.

    Parameters
    ----------
    track : Track
    unit : str
    chosen_by : float
        Its score on the selection documents: AUROC minus one half, or Spearman's correlation for
        a number.
    sign : {1, -1}
        The unit's, by what units are ordered by.
    p_value : float or None
    values : ndarray (n_rows,)
        The unit's values at the rows of `test`.
    test : Rows
    n_resamples, seed : int
        Of the documents.
    """
    labels = track.values[test.index]
    if track.is_binary:
        measured = _yes_or_no(values, labels, test, n_resamples, seed, sign)
        measured["selection_auroc"] = 0.5 + sign * chosen_by
    else:
        measured = _number(values, labels, test, n_resamples, seed)
        measured["selection_spearman"] = chosen_by
    return UnitScore(
        concept=track.name,
        unit=unit,
        sign=sign,
        p_value=p_value,
        n_documents=test.n_documents,
        n_positions=len(test),
        **measured,
    )


def _yes_or_no(
    values: np.ndarray, inside: np.ndarray, test: Rows, n_resamples: int, seed: int, sign: int
) -> dict[str, Any]:
    counts = ValueCounts.of(values, inside)
    area = counts.auroc()
    # How documents differ decides the width, and thinning leaves every document its share. Of a
    # rare concept nothing is thinned: the precision rests on each position outside above it.
    rows, stands_for = test.thinned_by_label(inside, INTERVAL_POSITIONS)
    if len(rows) == len(test) or stands_for[0] > stands_for[1]:
        rows, stands_for, starts = np.arange(len(test)), (1.0, 1.0), test.starts
    else:
        starts = test.part(rows).starts
    interval, of_precision = area_intervals(
        values[rows], inside[rows], starts, n_resamples, seed, sign, stands_for
    )
    return {
        "auroc": area if sign > 0 else 1 - area,
        "interval": interval,
        "average_precision": counts.average_precision(sign),
        "average_precision_interval": of_precision,
        "r": counts.point_biserial(),
        "spearman": counts.spearman(),
        "mutual_information": counts.mutual_information(),
        "base_rate": float(inside.mean()),
    }


def _number(
    values: np.ndarray, target: np.ndarray, test: Rows, n_resamples: int, seed: int
) -> dict[str, Any]:
    from scipy.stats import rankdata

    r, spearman = correlations(values, target)
    resampled = bootstrap_correlation(
        rankdata(values.astype(np.float64)), rankdata(target), test.starts, n_resamples, seed
    )
    return {
        "interval": percentile_interval(resampled, test.n_documents),
        "r": r,
        "spearman": spearman,
        "mutual_information": numeric_information(values, target),
    }
