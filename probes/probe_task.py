"""One question put to a probe: what it is fitted to, what it is scored on, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.documents import Rows
from probes.estimators import KSparseProbe, LogisticProbe, RidgeProbe
from probes.labels import Labels
from probes.samples import Samples
from probes.scoring import MAIN, score

PROBES = ("logistic", "ridge", "k_sparse")
#: Strengths tried on held-out selection documents.
STRENGTHS = (0.0001, 0.001, 0.03, 1.0)
_VALIDATE_EVERY = 4


@dataclass(frozen=True, eq=False)
class ProbeTask:
    """One question.

    Attributes
    ----------
    kind : {"binary", "categorical", "numeric"}
    fit, test : Samples
        Of the selection and of the test documents.
    y_fit, y_test : ndarray (n_samples,)
    n_classes : int
        0 for a number.
    """

    kind: str
    fit: Samples
    test: Samples
    y_fit: np.ndarray
    y_test: np.ndarray
    n_classes: int


def make_task(
    labels: Labels, rows: tuple[Rows, Rows], n_fit: int, n_test: int, word: np.ndarray | None
) -> ProbeTask:
    """Return the samples of a question, at most `n_fit` and `n_test`.

    Parameters
    ----------
    labels : Labels
    rows : (Rows, Rows)
        Of the selection and of the test documents.
    n_fit, n_test : int
    word : ndarray (n_positions,), optional
        Number of the word at each position: samples are then words.

    Raises
    ------
    InterpError
        If one half has one label only.
    """
    fit, test = Samples.of(rows[0], n_fit, word), Samples.of(rows[1], n_test, word)
    y_fit, y_test = (labels.values[sample.rows.index] for sample in (fit, test))
    for y, half, which, option in (
        (y_fit, rows[0], "selection", "n_fit, --fit"), (y_test, rows[1], "test", "n_test"),
    ):  # fmt: skip
        if len(np.unique(y)) < 2:
            if len(np.unique(labels.values[half.index])) > 1:
                raise InterpError(
                    f"{labels.name} is the same at all {len(y):,} samples taken of the "
                    f"{len(half):,} positions of the {which} documents, but not at all of these: "
                    f"it is rare. Take more samples ({option}), or look at single units "
                    "(interp rank), which are scored at every position."
                )
            raise InterpError(
                f"{labels.name} is the same at all {len(y):,} samples of the {which} documents; "
                "record more documents, or try another split (seed, --seed)."
            )
    n_classes = {"binary": 2, "numeric": 0}.get(labels.kind, len(labels.categories or ()))
    return ProbeTask(labels.kind, fit, test, y_fit, y_test, n_classes)


def probe_maker(
    task: ProbeTask, x_fit: np.ndarray, probe: Any, k: int, strength: float | None
) -> Callable[[], Any]:
    """Return what makes a new probe, of the strength that suits `x_fit`."""
    from sklearn.base import clone

    if probe is not None and not isinstance(probe, str):
        return lambda: clone(probe)
    name = probe or ("ridge" if task.kind == "numeric" else "logistic")
    if name not in PROBES:
        raise InterpError(f"A probe is {', '.join(PROBES)} or an estimator, not {name!r}.")
    if (name == "ridge") != (task.kind == "numeric"):
        raise InterpError(
            f"A {name} probe is for {'numbers' if name == 'ridge' else 'classes'}, "
            f"but the labels are {task.kind}."
        )
    if name == "ridge":
        return RidgeProbe
    if name == "k_sparse":
        return lambda: KSparseProbe(k=k, C=strength or 1.0)
    best = strength or _choose_strength(task, x_fit)
    return lambda: LogisticProbe(C=best)


def _choose_strength(task: ProbeTask, x_fit: np.ndarray) -> float:
    """Return the strength with the best likelihood on every fourth selection document."""
    document = task.fit.rows.document_of_row()
    held = document % _VALIDATE_EVERY == _VALIDATE_EVERY - 1
    if len(np.unique(task.y_fit[~held])) < 2 or not held.any():
        return 1.0
    losses = []
    for strength in STRENGTHS:
        fitted = LogisticProbe(C=strength).fit(x_fit[~held], task.y_fit[~held])
        p = fitted.predict_proba(x_fit[held])
        column = np.searchsorted(fitted.classes_, task.y_fit[held])
        column = np.minimum(column, p.shape[1] - 1)
        seen = fitted.classes_[column] == task.y_fit[held]
        picked = np.where(seen, p[np.arange(len(p)), column], 1e-6)
        losses.append(-np.log(np.maximum(picked, 1e-12)).mean())
    return STRENGTHS[int(np.argmin(losses))]


def predict(task: ProbeTask, fitted: Any, X: np.ndarray) -> np.ndarray:
    """Return a fitted probe's probabilities (of yes; of each class), or its numbers.

    Parameters
    ----------
    task : ProbeTask
    fitted : estimator
    X : ndarray (n_samples, n_units)

    Returns
    -------
    ndarray (n_samples,) or (n_samples, n_classes) float64
    """
    if task.kind == "numeric":
        return np.asarray(fitted.predict(X), np.float64)
    if not hasattr(fitted, "predict_proba"):
        raise InterpError(
            f"{type(fitted).__name__} has no predict_proba, which a probe of classes needs."
        )
    p = np.zeros((len(X), task.n_classes))
    p[:, np.asarray(fitted.classes_).astype(np.int64)] = fitted.predict_proba(X)
    return p[:, 1] if task.kind == "binary" else p


def refit(
    task: ProbeTask,
    make: Callable[[], Any],
    maker: Callable[[np.ndarray], Callable[[], Any]],
    other: Any,
    sites: list[str],
) -> dict[str, float]:
    """Return the scores of the same kind of probe, fitted to and scored on other activations.

    Parameters
    ----------
    task : ProbeTask
    make : callable
        Makes the probe itself.
    maker : callable
        From what a probe is fitted to, to what makes it: a strength that suits one model's
        activations may leave another's behind. Of both the better one is returned, since a
        baseline is what has to be beaten.
    other : Recording
    sites : list of str
    """
    x_fit = task.fit.read(other, sites)
    x_test = task.test.read(other, sites)
    makers = {repr(made()): made for made in (make, maker(x_fit))}
    found = [
        score(task.kind, task.y_test, predict(task, made().fit(x_fit, task.y_fit), x_test))
        for made in makers.values()
    ]
    return max(found, key=lambda scores: scores[MAIN[task.kind]])
