"""How good predictions are, in the measures that belong to the kind of label."""

from __future__ import annotations

import numpy as np

from probes.curve import r_squared
from probes.documents import draw_documents
from probes.intervals import area_intervals, percentile_interval
from probes.metrics import ValueCounts, correlations

#: The figure that stands for all others, by kind of label.
MAIN = {"binary": "auroc", "categorical": "accuracy", "numeric": "r_squared"}


def score(kind: str, labels: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Return all measures of some predictions.

    Parameters
    ----------
    kind : {"binary", "categorical", "numeric"}
    labels : ndarray (n_samples,)
        bool, codes, or numbers.
    prediction : ndarray (n_samples,) or (n_samples, n_classes)
        Probability of yes; of each class; or the number.

    Returns
    -------
    dict of str to float
        Accuracies are unweighted; `balanced_accuracy` is the mean recall over classes.
    """
    if kind == "numeric":
        centred = labels - labels.mean()
        r, spearman = correlations(prediction, labels)
        error = ((prediction - labels) ** 2).sum()
        return {"r_squared": float(1 - error / (centred @ centred)), "r": r, "spearman": spearman}
    if kind == "categorical":
        guess = prediction.argmax(axis=1)
        picked = prediction[np.arange(len(labels)), labels]
        return {
            "accuracy": float((guess == labels).mean()),
            "balanced_accuracy": _balanced(labels, guess),
            "bits": float(-np.log2(np.maximum(picked, 1e-12)).mean()),
        }
    counts, guess = ValueCounts.of(prediction, labels), prediction >= 0.5
    hits = int((guess & labels).sum())
    return {
        "auroc": counts.auroc(),
        "average_precision": counts.average_precision(),
        "accuracy": float((guess == labels).mean()),
        "balanced_accuracy": _balanced(labels, guess),
        "f1": 2 * hits / max(1, int(guess.sum() + labels.sum())),
    }


def _balanced(labels: np.ndarray, guess: np.ndarray) -> float:
    right = labels == guess
    return float(np.mean([right[labels == c].mean() for c in np.unique(labels)]))


def interval(
    kind: str,
    labels: np.ndarray,
    prediction: np.ndarray,
    document_start: np.ndarray,
    n_resamples: int,
    seed: int,
) -> tuple[float, float]:
    """Return 95 % of the main measure in resamples of whole documents."""
    n_documents = len(document_start) - 1
    if kind == "binary":
        return area_intervals(prediction, labels, document_start, n_resamples, seed)[0]
    if kind == "numeric":
        error = (prediction - labels) ** 2
        _, resampled = r_squared(error, labels, document_start, n_resamples, seed)
        return percentile_interval(resampled, n_documents)
    right = (prediction.argmax(axis=1) == labels).astype(float)
    terms = np.stack([right, np.ones_like(right)], axis=1)
    sums = np.add.reduceat(terms, np.asarray(document_start[:-1]), axis=0)
    n_right, n = (draw_documents(len(sums), n_resamples, seed) @ sums).T
    return percentile_interval(n_right / n, n_documents)
