"""Rank units by how well each alone tells a concept, and score the best on unseen documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.auroc import bootstrap_auroc, compute_auroc

_UNITS_AT_ONCE = 64


@dataclass(frozen=True)
class UnitScore:
    """How well one unit tells a concept.

    Attributes
    ----------
    unit : str
        Such as ``lstm/l0/cell:87``.
    sign : int
        1 if the unit is higher inside the concept, -1 if it is lower.
    selection_auroc, auroc : float
        In [0.5, 1] and [0, 1]: on the documents it was chosen on, and on the test documents with
        the sign kept.
    interval : (float, float)
        95 % of resamples of the test documents; NaN for units that were not asked for.
    n_documents : int
        Test documents behind the score.
    base_rate : float
        Share of test positions inside the concept.
    """

    unit: str
    sign: int
    selection_auroc: float
    auroc: float
    interval: tuple[float, float]
    n_documents: int
    base_rate: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-able dictionary."""
        return asdict(self) | {"interval": list(self.interval)}


def split_documents(n_documents: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the documents to choose units on and those to score them on, half each, sorted."""
    order = np.random.default_rng(seed).permutation(n_documents)
    return np.sort(order[: n_documents // 2]), np.sort(order[n_documents // 2 :])


def rank_units(
    recording: Any,
    sites: Sequence[str],
    labels: np.ndarray,
    n_best: int = 10,
    seed: int = 0,
    stream: str = "text",
) -> list[UnitScore]:
    """Return the units that tell a concept best, best first.

    Units are ordered by their AUROC on one half of the documents; the figures to quote are those
    of the other half.

    Parameters
    ----------
    recording : Recording
    sites : sequence of str
    labels : ndarray (n_positions,) bool
    n_best : int
        How many units to return, each with an interval.
    seed : int
        Of the split and the resamples.

    Raises
    ------
    InterpError
        If there are fewer than four documents, or one half holds one class only.
    """
    starts = np.asarray(recording.streams[stream].document_start)
    n_documents = len(starts) - 1
    if n_documents < 4:
        raise InterpError(
            f"Ranking needs at least 4 documents (and 15 for a finding), this recording has "
            f"{n_documents}: units are chosen on one half and scored on the other."
        )
    halves = split_documents(n_documents, seed)
    masks = [_positions(starts, half) for half in halves]
    for mask, which in zip(masks, ("selection", "test"), strict=True):
        if labels[mask].all() or not labels[mask].any():
            raise InterpError(
                f"The {which} documents are all {'in' if labels[mask].any() else 'out'}side the "
                "concept; record more documents, or another split (--seed)."
            )
    scored = [
        (abs(area - 0.5), site, unit, area)
        for site in sites
        for unit, area in enumerate(_site_auroc(recording[site], masks[0], labels))
    ]
    scored.sort(key=lambda row: -row[0])
    test_starts = np.concatenate([[0], np.cumsum(np.diff(starts)[halves[1]])])
    return [
        _on_test(recording, site, unit, area, masks[1], labels, test_starts, seed)
        for _, site, unit, area in scored[:n_best]
    ]


def _site_auroc(values: Any, mask: np.ndarray, labels: np.ndarray) -> np.ndarray:
    pieces = []
    for start in range(0, values.shape[1], _UNITS_AT_ONCE):
        block = np.asarray(values[:, start : start + _UNITS_AT_ONCE], np.float16)
        pieces.append(compute_auroc(block[mask], labels[mask]))
    return np.concatenate(pieces)


def _on_test(
    recording: Any,
    site: str,
    unit: int,
    selection: float,
    mask: np.ndarray,
    labels: np.ndarray,
    test_starts: np.ndarray,
    seed: int,
) -> UnitScore:
    sign = 1 if selection >= 0.5 else -1
    values = np.asarray(recording.unit(site, unit), np.float16)[mask]
    inside = labels[mask]
    area = float(compute_auroc(values[:, None], inside)[0])
    resampled = bootstrap_auroc(values, inside, test_starts, seed=seed)
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    if sign < 0:
        area, low, high = 1 - area, 1 - high, 1 - low
    return UnitScore(
        unit=f"{site}:{unit}",
        sign=sign,
        selection_auroc=max(selection, 1 - selection),
        auroc=area,
        interval=(float(low), float(high)),
        n_documents=len(test_starts) - 1,
        base_rate=float(inside.mean()),
    )


def _positions(starts: np.ndarray, documents: np.ndarray) -> np.ndarray:
    mask = np.zeros(int(starts[-1]), bool)
    for document in documents:
        mask[starts[document] : starts[document + 1]] = True
    return mask
