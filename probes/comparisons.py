"""What a probe is compared with: what the text alone reaches, and what a probe can memorise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.baselines import LookupBaseline, context_codes, token_codes
from probes.documents import Rows
from probes.labels import Labels
from probes.probe_task import ProbeTask, predict
from probes.scoring import score

_TOKENS_OF_CONTEXT = 3


def without_model(
    recording: Any, labels: Labels, rows: tuple[Rows, Rows], task: ProbeTask
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


def control_task(
    recording: Any,
    labels: Labels,
    task: ProbeTask,
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
    found = score(task.kind, y_test, predict(task, fitted, x_test))
    name = "r_squared" if task.kind == "numeric" else "accuracy"
    return found | {"selectivity": scores[name] - found[name], "tokens_per_type": n_tokens}


def check_same(recording: Any, other: Any, sites: Sequence[str], stream: str) -> None:
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
    _ = getattr(other, "fingerprint", None)  # refuses an incomplete recording
    for site in sites:
        if site not in other.sites:
            raise InterpError(f"{where} has no site {site}; record the same sites.")
        if other is not recording and other.sites[site].n_units != recording.sites[site].n_units:
            raise InterpError(
                f"{site} has {other.sites[site].n_units} units in {where}, but "
                f"{recording.sites[site].n_units} here: that is another model."
            )
