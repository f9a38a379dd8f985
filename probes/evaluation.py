"""One evaluation for every probe: what it reaches, and what reaches as much without the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from probes.comparisons import check_same, control_task, without_model
from probes.documents import ENOUGH_DOCUMENTS
from probes.exclusion import Without, names_of
from probes.intervals import FEW_TELL, telling_documents
from probes.mdl import online_code
from probes.probe_task import ProbeTask, make_task, predict, probe_maker, refit
from probes.ranking import split_rows
from probes.reports import ProbeReport
from probes.scoring import MAIN, interval, score
from probes.sites import sites_of
from probes.tracks import load_labels


def evaluate(
    recording: Any,
    concept: str,
    sites: str | Sequence[str] | None = None,
    *,
    values: Any = None,
    probe: Any = None,
    k: int = 8,
    strength: float | None = None,
    random_init: Any = None,
    embedding: str | None = None,
    control: bool = True,
    description: bool = True,
    n_fit: int = 20_000,
    n_test: int = 50_000,
    n_resamples: int = 500,
    skip_missing: bool = False,
    without: Without = (),
    seed: int = 0,
) -> ProbeReport:
    """Fit a probe on one half of the documents, and score it and its baselines on the other.

    Parameters
    ----------
    recording : Recording
    concept : str
        An annotation, a built-in concept, or a name for `values`.
    sites : str or sequence of str, optional
        Names or patterns; the units of all of them side by side. Default: all.
    values : array (n_positions,), optional
        Labels of your own.
    probe : {"logistic", "ridge", "k_sparse"} or estimator, optional
        An estimator is cloned for each fit. Default: ridge for numbers, logistic for classes.
    k : int
        Units of a k-sparse probe.
    strength : float, optional
        ``C`` of a logistic probe. Default: the best of :data:`probes.probe_task.STRENGTHS` on a
        part of the selection documents.
    random_init : Recording, optional
        Of the same text through a model of the same shape with fresh weights
        (``interp record --random-init``).
    embedding : str, optional
        Site that knows the current token only, as another baseline.
    control : bool
        Whether to fit the control task.
    description : bool
        Whether to compute the online code (classes only).
    n_fit, n_test : int
        At most so many samples, evenly spaced.
    n_resamples, seed : int
    skip_missing : bool
        Leave positions without a label out.
    without : str, sequence of str, or mapping of str to array (n_positions,)
        Other concepts: the probe is neither fitted nor scored where they hold
        (:mod:`probes.exclusion`).

    Raises
    ------
    InterpError
        If labels, sites or the second recording do not fit.
    """
    _ = getattr(recording, "fingerprint", None)  # refuses an incomplete recording
    labels = load_labels(recording, concept, values, None, skip_missing, without)
    chosen = sites_of(recording, sites, labels.stream)
    rows = split_rows(recording, labels.stream, labels.valid, seed, "A probe")
    word = _word_numbers(recording, concept) if values is None else None
    task = make_task(labels, rows, n_fit, n_test, word)
    x_fit, x_test = task.fit.read(recording, chosen), task.test.read(recording, chosen)

    def maker(x: np.ndarray) -> Callable[[], Any]:
        return probe_maker(task, x, probe, k, strength)

    make = maker(x_fit)
    fitted = make().fit(x_fit, task.y_fit)
    prediction = predict(task, fitted, x_test)
    starts = task.test.rows.starts
    baselines = without_model(recording, labels, rows, task)
    for name, other, where in (
        ("embedding", recording, [embedding] if embedding else []),
        ("random_init", random_init, chosen if random_init is not None else []),
    ):
        if where:
            check_same(recording, other, where, labels.stream)
            baselines[name] = refit(task, make, maker, other, where)
    metric = MAIN[task.kind]
    scores = score(task.kind, task.y_test, prediction)
    has_code = description and task.kind != "numeric"
    return ProbeReport(
        concept=labels.name,
        kind=task.kind,
        sites=chosen,
        probe=repr(make()),
        metric=metric,
        scores=scores,
        interval=interval(task.kind, task.y_test, prediction, starts, n_resamples, seed),
        baselines=baselines,
        control=control_task(recording, labels, task, make, x_fit, x_test, scores, seed)
        if control
        else None,
        description=asdict(
            online_code(x_fit, task.y_fit, task.fit.rows.starts, make, task.n_classes, seed)
        )
        if has_code
        else None,
        n_units=x_fit.shape[1],
        n_fit=len(x_fit),
        n_test=len(x_test),
        n_fit_documents=task.fit.rows.n_documents,
        n_documents=task.test.rows.n_documents,
        classes=labels.categories if task.kind == "categorical" else None,
        base_rate=float(task.y_test.mean()) if task.kind == "binary" else None,
        top_units=_top_units(recording, chosen, fitted),
        left_out=dict(labels.left_out),
        warnings=_warnings(task),
        parameters={
            "sites": chosen,
            "probe": repr(make()),
            "n_fit": n_fit,
            "n_test": n_test,
            "n_resamples": n_resamples,
            "seed": seed,
            "skip_missing": skip_missing,
            "without": names_of(without),
            "delimiters": labels.delimiters,
            "random_init": getattr(random_init, "fingerprint", None),
            "embedding": embedding,
        },  # fmt: skip
    )


def _word_numbers(recording: Any, concept: str) -> np.ndarray | None:
    """Return the words whose activations are to be averaged, if the annotation says so."""
    known = getattr(recording, "annotations", {})
    if concept not in known or "word" not in known[concept].parameters:
        return None
    return np.asarray(known[known[concept].parameters["word"]][:])


def _top_units(recording: Any, sites: Sequence[str], fitted: Any, n: int = 10) -> list[Any]:
    names = [f"{site}:{unit}" for site in sites for unit in range(recording.sites[site].n_units)]
    units = getattr(fitted, "units_", np.arange(len(names)))
    coefficients = getattr(getattr(fitted, "probe_", fitted), "coef_", None)
    if coefficients is None or np.shape(coefficients)[-1] != len(units):
        return []
    weights = np.atleast_2d(coefficients)
    strength = np.abs(weights).max(axis=0)
    return [
        {"unit": names[units[i]], "weight": float(weights[np.abs(weights[:, i]).argmax(), i])}
        for i in np.argsort(-strength, kind="stable")[:n]
    ]


def _warnings(task: ProbeTask) -> list[str]:
    n = task.test.rows.n_documents
    if n >= ENOUGH_DOCUMENTS:
        if task.kind == "binary":
            few = telling_documents(task.y_test, task.test.rows.starts)
            return [FEW_TELL.format(few, n)] if few < ENOUGH_DOCUMENTS else []
        return []
    return [f"only {n} test documents; with fewer than {ENOUGH_DOCUMENTS} the interval says little"]
