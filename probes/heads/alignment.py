"""How far cross-attention walks through the source in order, and agrees with known links.

That the argmax never goes back says nothing: a decoder that was never trained looks at one and
the same place all the time, and does not go back in 99 % of its steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from interp.errors import InterpError
from probes.heads.tallies import RowMeans


def strict_steps(weights: np.ndarray) -> np.ndarray:
    """Return for each step but the first whether its argmax lies after the last one's.

    Parameters
    ----------
    weights : ndarray (n_steps, n_keys)
        Of one head on one document.

    Returns
    -------
    ndarray (n_steps - 1,) bool
    """
    return np.diff(_weights(weights).argmax(axis=1)) > 0


def expected_position(weights: np.ndarray) -> np.ndarray:
    """Return the mean source position of each step's weights, (n_steps,) float64."""
    weights = _weights(weights)
    with np.errstate(invalid="ignore"):
        return weights @ np.arange(weights.shape[1]) / weights.sum(axis=1)


def step_correlation(weights: np.ndarray) -> float:
    """Return Spearman's correlation of the step with the mean source position.

    NaN for fewer than 3 steps, and where all steps look at the same place.
    """
    position = expected_position(weights)
    position = np.round(position, 9)  # what rounding alone sets apart is a tie
    if len(position) < 3 or not np.isfinite(position).all() or np.ptp(position) == 0:
        return float("nan")
    return float(np.corrcoef(np.arange(len(position)), rankdata(position))[0, 1])


def diagonal_distance(weights: np.ndarray) -> np.ndarray:
    """Return how far each step's argmax is from the diagonal, in source positions, (n_steps,).

    The diagonal goes from the first step and key to the last ones; of a single step it is the
    first key.
    """
    weights = _weights(weights)
    n_steps, n_keys = weights.shape
    diagonal = np.arange(n_steps) * (n_keys - 1) / max(n_steps - 1, 1)
    return np.abs(weights.argmax(axis=1) - diagonal)


def alignment_error_rate(
    links: Iterable[tuple[int, int]],
    sure: Iterable[tuple[int, int]],
    possible: Iterable[tuple[int, int]] = (),
) -> float:
    """Return AER = 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|) (Och & Ney 2003).

    Parameters
    ----------
    links : iterable of (int, int)
        A: step and source position.
    sure, possible : iterable of (int, int)
        S and P; what is sure is possible as well. Pool the links of documents by giving each
        another first number, or average with the denominators in mind.
    """
    found, certain = set(links), set(sure)
    allowed = certain | set(possible)
    if not found and not certain:
        return float("nan")
    return 1 - (len(found & certain) + len(found & allowed)) / (len(found) + len(certain))


def argmax_links(weights: np.ndarray, threshold: float = 0.0) -> set[tuple[int, int]]:
    """Return (step, key of the largest weight) where that weight is at least `threshold`."""
    weights = _weights(weights)
    best = weights.argmax(axis=1)
    kept = weights[np.arange(len(best)), best] >= threshold
    return {(int(step), int(best[step])) for step in np.flatnonzero(kept)}


@dataclass(frozen=True)
class AlignmentScore:
    """How a head aligns over several documents; intervals are of resampled documents.

    Attributes
    ----------
    strict_steps : float
        Share of steps whose argmax moves on.
    strict_steps_interval : (float, float)
    strict_documents : float
        Share of documents in which every step's argmax moves on.
    strict_documents_interval : (float, float)
    spearman : float
        Mean over documents; NaN where no document has three steps.
    spearman_interval : (float, float)
    diagonal : float
        Mean |argmax - diagonal| over steps, in source positions.
    diagonal_interval : (float, float)
    n_steps, n_documents : int
        Steps after the first of a document; documents with two steps or more.
    """

    strict_steps: float
    strict_steps_interval: tuple[float, float]
    strict_documents: float
    strict_documents_interval: tuple[float, float]
    spearman: float
    spearman_interval: tuple[float, float]
    diagonal: float
    diagonal_interval: tuple[float, float]
    n_steps: int
    n_documents: int


def score_alignment(
    documents: Iterable[np.ndarray], n_resamples: int = 500, seed: int = 0
) -> AlignmentScore:
    """Return the alignment measures of one head over several documents.

    Parameters
    ----------
    documents : iterable of ndarray (n_steps, n_keys)
        Without steps that should not count, such as the one that ends the output. Documents of
        one step, and steps without any weight, are left out.
    n_resamples, seed : int
        Of documents, for intervals.

    Raises
    ------
    InterpError
        If no document has two steps.
    """
    # What is kept of a document is its steps, not its map.
    kept = []
    for weights in map(_weights, documents):
        total = weights.sum(axis=1)
        seen = np.isfinite(total) & (total > 0)  # a step without weight looks nowhere, not at 0
        if seen.sum() > 1:
            steps = weights[seen]
            kept.append(
                (strict_steps(steps), step_correlation(steps), diagonal_distance(weights)[seen])
            )
    if not kept:
        raise InterpError("Alignment needs a document with two steps at least.")
    means = {name: RowMeans(len(kept), 1) for name in ("steps", "documents", "rank", "diagonal")}
    for index, (strict, rank, diagonal) in enumerate(kept):
        means["steps"].add(index, 0, strict)
        means["documents"].add(index, 0, np.array([strict.all()]))
        means["rank"].add(index, 0, np.array([rank] if np.isfinite(rank) else []))
        means["diagonal"].add(index, 0, diagonal)
    value = {name: float(mean.mean()[0]) for name, mean in means.items()}
    interval = {name: mean.intervals(n_resamples, seed)[0] for name, mean in means.items()}
    return AlignmentScore(
        value["steps"], interval["steps"], value["documents"], interval["documents"],
        value["rank"], interval["rank"], value["diagonal"], interval["diagonal"],
        int(means["steps"].counts.sum()), len(kept),
    )  # fmt: skip


def _weights(weights: np.ndarray) -> np.ndarray:
    found = np.asarray(weights, np.float64)
    if found.ndim != 2 or found.shape[1] == 0:
        raise InterpError(f"A map is (n_steps, n_keys); got {np.shape(weights)}.")
    return found
