"""How well one unit tells a concept: the standard measures, exact with ties.

All follow from how often each distinct value occurs inside and outside, so they are sums over
distinct values. They equal those of scikit-learn and SciPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probes.auroc import distinct_values, yes_or_no

#: Quantile bins of the mutual information.
N_BINS = 16


@dataclass(frozen=True)
class ValueCounts:
    """How often each value of a unit occurs inside and outside a concept.

    Attributes
    ----------
    values : ndarray (n_values,) float64
        Distinct, rising.
    inside, outside : ndarray (n_values,) int64
    """

    values: np.ndarray
    inside: np.ndarray
    outside: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, labels: np.ndarray) -> ValueCounts:
        """Count one unit's values (n_positions,) by a label (n_positions,) bool."""
        distinct, key = distinct_values(np.asarray(values))
        labels = yes_or_no(labels)
        inside = np.bincount(key[labels], minlength=len(distinct))
        outside = np.bincount(key[~labels], minlength=len(distinct))
        return cls(distinct.astype(np.float64), inside, outside)

    def auroc(self) -> float:
        """Return the chance that a position inside exceeds one outside, ties one half."""
        below = np.cumsum(self.outside) - 0.5 * self.outside
        return float(self.inside @ below / (self.inside.sum() * self.outside.sum()))

    def average_precision(self, sign: int = 1) -> float:
        """Return the precision averaged over recall steps, from the highest value down.

        Parameters
        ----------
        sign : {1, -1}
            -1: from the lowest value up, for a unit that is lower inside.
        """
        order = slice(None, None, -1) if sign > 0 else slice(None)
        inside, outside = self.inside[order], self.outside[order]
        hits = np.cumsum(inside)
        with np.errstate(invalid="ignore"):
            precision = hits / (hits + np.cumsum(outside))
        return float(inside @ precision / hits[-1])

    def point_biserial(self) -> float:
        """Return Pearson's correlation with the label as 0 and 1; NaN for a constant unit."""
        return self._correlation(self.values)

    def spearman(self) -> float:
        """Return Spearman's rank correlation with the label; NaN for a constant unit."""
        counts = self.inside + self.outside
        return self._correlation(np.cumsum(counts) - (counts - 1) / 2)

    def _correlation(self, values: np.ndarray) -> float:
        counts = self.inside + self.outside
        n, n_inside = counts.sum(), self.inside.sum()
        centred = values - counts @ values / n
        variance = counts @ centred**2
        label_variance = n_inside * (n - n_inside) / n
        # The mean of equal values may differ from them by rounding.
        if len(values) < 2 or variance <= 0 or label_variance <= 0:
            return float("nan")
        return float(self.inside @ centred / np.sqrt(variance * label_variance))

    def mutual_information(self, n_bins: int = N_BINS) -> float:
        """Return the mutual information in nats with values in quantile bins."""
        counts = self.inside + self.outside
        bins = _bins(self.values, counts, n_bins)
        table = np.stack([np.bincount(bins, weights=w) for w in (self.inside, self.outside)])
        return _information(table)


def quantile_bins(values: np.ndarray, n_bins: int = N_BINS) -> np.ndarray:
    """Return the bin of each value; bins hold about equal shares, and ties stay together.

    Parameters
    ----------
    values : ndarray (n_positions,)
    n_bins : int

    Returns
    -------
    ndarray (n_positions,) int64
    """
    distinct, key, counts = np.unique(
        np.asarray(values, np.float64), return_inverse=True, return_counts=True
    )
    return _bins(distinct, counts, n_bins)[key]


def _bins(distinct: np.ndarray, counts: np.ndarray, n_bins: int) -> np.ndarray:
    # A value goes where the middle of its ties lies among all positions.
    middle = np.cumsum(counts) - counts / 2
    return np.minimum((middle * n_bins / counts.sum()).astype(np.int64), n_bins - 1)


def _information(table: np.ndarray) -> float:
    joint = table / table.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float(max(0.0, (joint[seen] * np.log(joint[seen] / independent[seen])).sum()))


def correlations(values: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Return Pearson's and Spearman's correlation of a unit with a number; NaN if constant.

    Parameters
    ----------
    values, target : ndarray (n_positions,)
    """
    from scipy.stats import rankdata

    def pearson(a: np.ndarray, b: np.ndarray) -> float:
        if not (np.ptp(a) and np.ptp(b)):  # the mean of equal values may differ from them
            return float("nan")
        a, b = a - a.mean(), b - b.mean()
        scale = np.sqrt((a @ a) * (b @ b))
        return float(a @ b / scale) if scale > 0 else float("nan")

    a, b = np.asarray(values, np.float64), np.asarray(target, np.float64)
    return pearson(a, b), pearson(rankdata(a), rankdata(b))


def numeric_information(values: np.ndarray, target: np.ndarray, n_bins: int = N_BINS) -> float:
    """Return the mutual information in nats of a unit and a number, both in quantile bins."""
    a, b = quantile_bins(values, n_bins), quantile_bins(target, n_bins)
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    return _information(table)
