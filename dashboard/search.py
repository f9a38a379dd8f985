"""From a concept, or brushed text, to the units that tell it: a quick look, then the finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import interp
from dashboard.contexts import around
from dashboard.jobs import Job
from interp.errors import InterpError
from probes.auroc import compute_auroc
from probes.findings import Ranking, plain
from probes.ranking import rank
from probes.search import search_units, similar_places
from probes.sites import copies_text, sites_of
from probes.tracks import Track, load_tracks

N_BEST = 40
N_SCORED = 20
N_RESAMPLES = 200
N_PLACES = 12
N_DRAFT = 16_384


def search_concept(path: str, concept: str, sites: Sequence[str], job: Job) -> dict[str, Any]:
    """Return the units that tell a concept best; shows a draft on the way.

    Parameters
    ----------
    path : str
        Of the recording. A handle of its own: views read from theirs meanwhile.
    concept : str
        An annotation or a built-in concept.
    sites : sequence of str
    job : Job
        Is told the progress, and a first answer from a sample of positions.
    """
    with interp.open(path) as recording:
        track = load_tracks(recording, [concept])[0]
        job.show(draft(recording, track, sites_of(recording, sites, track.stream)))
        (found, *_) = rank(
            recording, [concept], sites,
            n_best=N_SCORED, n_resamples=N_RESAMPLES, n_swaps=100, progress=job.tell,
        )  # fmt: skip
    return finding(found)


def draft(recording: Any, track: Track, sites: Sequence[str]) -> dict[str, Any]:
    """Return a first answer: AUROC, or Spearman's correlation, in a sample of positions.

    No interval, no unseen documents, no null: it is to be replaced, and says so.
    """
    ranges = _spread(len(track.values))
    rows = np.concatenate([np.arange(start, stop) for start, stop in ranges])
    if track.valid is not None:
        rows = rows[track.valid[rows]]
    labels = track.values[rows]
    units: list[dict[str, Any]] = []
    for site in sites:
        values = np.concatenate([recording[site][start:stop] for start, stop in ranges])
        values = values[np.searchsorted(np.concatenate([np.arange(*r) for r in ranges]), rows)]
        for unit, score in enumerate(_scores(values, labels, track.is_binary)):
            if np.isfinite(score):
                units.append(
                    {"unit": f"{site}:{unit}", "sign": 1 if score >= 0 else -1, "score": abs(score)}
                )
    units.sort(key=lambda row: -row["score"])
    offset = 0.5 if track.is_binary else 0.0
    start = np.asarray(recording.streams[track.stream].document_start)
    documents = np.unique(np.searchsorted(start, rows, side="right"))
    return {
        "measure": "AUROC" if track.is_binary else "Spearman",
        "units": [row | {"score": round(row["score"] + offset, 4)} for row in units[:N_BEST]],
        "nUnits": len(units),
        "nDocuments": len(documents),
        "nPositions": len(rows),
        "isDraft": True,
        "warnings": [],
    }


def _spread(n_positions: int) -> list[tuple[int, int]]:
    """Return about N_DRAFT positions in stretches over the whole stream."""
    if n_positions <= N_DRAFT:
        return [(0, n_positions)]
    starts = np.linspace(0, n_positions - 256, N_DRAFT // 256).astype(np.int64)
    starts = starts[np.concatenate([[True], np.diff(starts) >= 256])]
    return [(int(start), int(start) + 256) for start in starts]


def _scores(values: np.ndarray, labels: np.ndarray, is_binary: bool) -> np.ndarray:
    """Return (n_units,) AUROC - 0.5, or Spearman's correlation."""
    if is_binary:
        if labels.all() or not labels.any():
            return np.full(values.shape[1], np.nan)
        return compute_auroc(values, labels) - 0.5
    from scipy.stats import rankdata

    ranks = rankdata(values.astype(np.float32), axis=0)
    target = rankdata(labels)
    ranks -= ranks.mean(0)
    target -= target.mean()
    below = np.sqrt((ranks**2).sum(0) * (target**2).sum())
    return np.divide(target @ ranks, below, out=np.full(len(below), np.nan), where=below > 0)


def finding(found: Ranking) -> dict[str, Any]:
    """Return a ranking as the page shows it."""
    is_binary = found.best.auroc is not None
    rows = []
    for score in found.scores:
        value = score.auroc if is_binary else score.spearman
        rows.append(
            {
                "unit": score.unit,
                "sign": score.sign,
                "score": value,
                "interval": score.interval,
                "precision": score.average_precision,
                "p": score.p_value,
            }
        )
    return plain(
        {
            "measure": "AUROC" if is_binary else "Spearman",
            "units": rows,
            "nUnits": found.n_units,
            "nDocuments": found.n_documents,
            "nSelection": found.n_selection_documents,
            "baseRate": found.best.base_rate,
            "null95": found.null_95,
            "isDraft": False,
            "warnings": found.warnings,
        }
    )


def search_text(
    path: str, stream: str, ranges: Sequence[tuple[int, int]], sites: Sequence[str], job: Job
) -> dict[str, Any]:
    """Return the units that are on in brushed text and off elsewhere, and where else they are so.

    Parameters
    ----------
    path, sites, job
        As for :func:`search_concept`.
    stream : str
    ranges : sequence of (int, int)
        Positions [start, stop) of the stream.
    """
    with interp.open(path) as recording:
        units = search_units(recording, ranges, sites, n_best=N_BEST, stream=stream)
        if not units:
            raise InterpError("No unit of these sites has finite values in the selected text.")
        answer: dict[str, Any] = {
            "measure": "on there, off elsewhere",
            "units": [plain({"unit": u.unit, "sign": u.sign, "score": u.score}) for u in units],
            "nDocuments": None,
            "isDraft": False,
            "warnings": copies_text(units.copies),
        }
        job.show(answer)
        places = similar_places(recording, ranges, units[:5], n_best=N_PLACES, stream=stream)
        found = recording.streams[stream]
        names = found.documents.names
        answer["places"] = [
            {
                "position": place.start,
                "stop": place.stop,
                "document": names[place.document],
                "score": round(place.score, 3),
                **around(found, place.start, place.stop),
            }
            for place in places
        ]
        answer["nDocuments"] = len({place.document for place in places})
    return answer
