"""One evaluation for every probe: what it reaches, and what reaches as much without the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.baselines import LookupBaseline, context_codes, token_codes
from probes.documents import ENOUGH_DOCUMENTS, Rows
from probes.estimators import KSparseProbe, LogisticProbe, RidgeProbe
from probes.exclusion import Without, names_of
from probes.labels import Labels
from probes.mdl import online_code
from probes.ranking import split_rows
from probes.reports import ProbeReport
from probes.samples import Samples
from probes.scoring import MAIN, interval, score
from probes.sites import sites_of
from probes.tracks import load_labels

PROBES = ("logistic", "ridge", "k_sparse")
#: Strengths tried on held-out selection documents.
STRENGTHS = (0.0001, 0.001, 0.03, 1.0)
_VALIDATE_EVERY = 4
_TOKENS_OF_CONTEXT = 3


@dataclass(frozen=True, eq=False)
class _Task:
    """One question: samples, labels and how to make its probe."""

    kind: str
    fit: Samples
    test: Samples
    y_fit: np.ndarray
    y_test: np.ndarray
    n_classes: int


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
        ``C`` of a logistic probe. Default: the best of `STRENGTHS` on a part of the selection
        documents.
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
    task = _task(labels, rows, n_fit, n_test, word)
    x_fit, x_test = task.fit.read(recording, chosen), task.test.read(recording, chosen)
    make = _maker(task, x_fit, probe, k, strength, seed)
    fitted = make().fit(x_fit, task.y_fit)
    prediction = _predict(task, fitted, x_test)
    starts = task.test.rows.starts
    baselines = _without_model(recording, labels, rows, task)
    for name, other, where in (
        ("embedding", recording, [embedding] if embedding else []),
        ("random_init", random_init, chosen if random_init is not None else []),
    ):
        if where:
            _check_same(recording, other, where, labels.stream)
            baselines[name] = _refit(task, make, other, where)
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
        control=_control(recording, labels, task, make, x_fit, x_test, scores, seed)
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


def _task(
    labels: Labels, rows: tuple[Rows, Rows], n_fit: int, n_test: int, word: np.ndarray | None
) -> _Task:
    fit, test = Samples.of(rows[0], n_fit, word), Samples.of(rows[1], n_test, word)
    y_fit, y_test = (labels.values[sample.rows.index] for sample in (fit, test))
    for y, which in ((y_fit, "selection"), (y_test, "test")):
        if len(np.unique(y)) < 2:
            raise InterpError(
                f"{labels.name} is the same at all {len(y):,} samples of the {which} documents; "
                "record more documents, or try another split (seed, --seed)."
            )
    n_classes = {"binary": 2, "numeric": 0}.get(labels.kind, len(labels.categories or ()))
    return _Task(labels.kind, fit, test, y_fit, y_test, n_classes)


def _maker(
    task: _Task, x_fit: np.ndarray, probe: Any, k: int, strength: float | None, seed: int
) -> Callable[[], Any]:
    """Return what makes a new probe; its strength is chosen once, for the baselines too."""
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


def _choose_strength(task: _Task, x_fit: np.ndarray) -> float:
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


def _predict(task: _Task, fitted: Any, X: np.ndarray) -> np.ndarray:
    if task.kind == "numeric":
        return np.asarray(fitted.predict(X), np.float64)
    if not hasattr(fitted, "predict_proba"):
        raise InterpError(
            f"{type(fitted).__name__} has no predict_proba, which a probe of classes needs."
        )
    p = np.zeros((len(X), task.n_classes))
    p[:, np.asarray(fitted.classes_).astype(np.int64)] = fitted.predict_proba(X)
    return p[:, 1] if task.kind == "binary" else p


def _refit(task: _Task, make: Callable[[], Any], other: Any, sites: list[str]) -> dict[str, float]:
    fitted = make().fit(task.fit.read(other, sites), task.y_fit)
    return score(task.kind, task.y_test, _predict(task, fitted, task.test.read(other, sites)))


def _without_model(
    recording: Any, labels: Labels, rows: tuple[Rows, Rows], task: _Task
) -> dict[str, dict[str, float]]:
    """Score the mean label, and the mean label after the current and after the last tokens."""
    stream = recording.streams[labels.stream]
    starts = np.asarray(stream.document_start)
    codes = token_codes(stream)
    contexts = [context_codes(codes, starts, n) for n in range(1, _TOKENS_OF_CONTEXT + 1)]
    fit, test = rows[0], task.test.rows
    values = labels.values[fit.index]
    columns = values[:, None].astype(np.float64)
    if task.kind == "categorical":
        columns = np.eye(task.n_classes)[values]
    found = {}
    for name, used in (
        ("majority", []),
        ("current_token", contexts[:1]),
        (f"last_{_TOKENS_OF_CONTEXT}_tokens", contexts),
    ):
        p = LookupBaseline(used).predict(fit, columns, test)
        found[name] = score(task.kind, task.y_test, p if task.kind == "categorical" else p[:, 0])
    return found


def _control(
    recording: Any,
    labels: Labels,
    task: _Task,
    make: Callable[[], Any],
    x_fit: np.ndarray,
    x_test: np.ndarray,
    scores: dict[str, float],
    seed: int,
) -> dict[str, float]:
    """Fit labels that were drawn once per type: a probe that learns them memorises.

    Types are tokens; for characters, which are few, they are the last three.
    """
    stream = recording.streams[labels.stream]
    codes = token_codes(stream)
    is_small = len(np.unique(codes)) < 1000
    n_tokens = _TOKENS_OF_CONTEXT if is_small else 1
    types = context_codes(codes, np.asarray(stream.document_start), n_tokens)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(task.y_fit, int(types.max()) + 1)
    y_fit, y_test = (drawn[types[sample.rows.index]] for sample in (task.fit, task.test))
    if len(np.unique(y_fit)) < 2 or len(np.unique(y_test)) < 2:
        return {"selectivity": float("nan")}
    fitted = make().fit(x_fit, y_fit)
    found = score(task.kind, y_test, _predict(task, fitted, x_test))
    name = "r_squared" if task.kind == "numeric" else "accuracy"
    return found | {"selectivity": scores[name] - found[name], "tokens_per_type": n_tokens}


def _check_same(recording: Any, other: Any, sites: Sequence[str], stream: str) -> None:
    """Refuse a baseline that was recorded from other text or another shape of model."""
    where = getattr(other, "path", "The second recording")
    a, b = recording.streams[stream], other.streams.get(stream)
    same = b is not None and np.array_equal(a.document_start, b.document_start)
    if same and a.token_ids is not None and b.token_ids is not None:
        same = np.array_equal(a.token_ids[:], b.token_ids[:])
    if not same:
        raise InterpError(
            f"{where} was not recorded from the same text, so it is no baseline: record the same "
            "corpus with --random-init."
        )
    _ = getattr(other, "fingerprint", None)
    for site in sites:
        if site not in other.sites:
            raise InterpError(f"{where} has no site {site}; record the same sites.")
        if other is not recording and other.sites[site].n_units != recording.sites[site].n_units:
            raise InterpError(
                f"{site} has {other.sites[site].n_units} units in {where}, but "
                f"{recording.sites[site].n_units} here: that is another model."
            )


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


def _warnings(task: _Task) -> list[str]:
    n = task.test.rows.n_documents
    if n >= ENOUGH_DOCUMENTS:
        return []
    return [f"only {n} test documents; with fewer than {ENOUGH_DOCUMENTS} the interval says little"]
