"""Rank units by how well each alone tells a concept, and score the best on unseen documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from interp.errors import InterpError
from probes.curve import score_curve
from probes.documents import ENOUGH_DOCUMENTS, Rows, split_documents
from probes.exclusion import Without, names_of
from probes.findings import Ranking
from probes.intervals import FEW_TELL, benjamini_hochberg, telling_documents
from probes.labels import NO_LABEL
from probes.null import make_null, p_value
from probes.reorder import METRICS, reorder
from probes.scan import Scan, scan_units
from probes.sites import choose_sites
from probes.tracks import Track, load_tracks
from probes.unit_scores import score_unit


def rank(
    recording: Any,
    concepts: str | Sequence[str] | Mapping[str, Any],
    sites: str | Sequence[str] | None = None,
    *,
    by: str | None = None,
    n_best: int = 10,
    n_resamples: int = 500,
    n_swaps: int = 200,
    curve: Sequence[int] = (),
    skip_missing: bool = False,
    without: Without = (),
    seed: int = 0,
    n_threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[Ranking]:
    """Return for each concept the units that tell it best.

    Units are ordered by one half of the documents; the figures to quote are those of the other.

    Parameters
    ----------
    recording : Recording
    concepts : str, sequence of str, or mapping of str to array (n_positions,)
        Annotations, built-in concepts, or labels of your own by name.
    sites : str or sequence of str, optional
        Names or patterns; default: all sites with a position axis. What a pattern matches is
        ranked once, if it stands there under two names (:func:`probes.sites.choose_sites`).
    by : {"auroc", "average_precision", "r", "spearman", "mutual_information"}, optional
        What to order by. Default: AUROC for yes or no, Spearman's correlation for numbers.
    n_best : int
        How many units to return.
    n_resamples : int
        Of documents, for the intervals.
    n_swaps : int
        Of label tracks between documents, for the null; 0 for none.
    curve : sequence of int
        Numbers of best units to fit a probe on together, such as ``(1, 2, 4, 8)``.
    skip_missing : bool
        Leave positions without a label out.
    without : str, sequence of str, or mapping of str to array (n_positions,)
        Other concepts: where they hold, their delimiters included, nothing is scored, neither to
        choose units nor to test them, in the null and the resamples (:mod:`probes.exclusion`).
    seed : int
        Of the split, the swaps and the resamples.
    n_threads : int
    progress : callable, optional
        Called with the units scored and the units in all, of each pass; what it raises ends the
        work.

    Raises
    ------
    InterpError
        If there are fewer than four documents, a half holds one class only, or a concept or a
        site cannot be used.
    """
    if by is not None and by not in METRICS:
        raise InterpError(f"Units are ordered by {', '.join(METRICS)}, not {by!r}.")
    concepts = [concepts] if isinstance(concepts, str) else concepts
    _ = getattr(recording, "fingerprint", None)  # refuses an incomplete recording
    tracks = load_tracks(recording, concepts, skip_missing=skip_missing, without=without)
    parameters = {
        "by": by, "n_resamples": n_resamples, "n_swaps": n_swaps, "seed": seed,
        "skip_missing": skip_missing, "n_best": n_best, "without": names_of(without),
    }  # fmt: skip
    rankings: dict[str, Ranking] = {}
    for group in _alike(tracks):
        chosen = choose_sites(recording, sites, group[0].stream)
        half, scan = _choose(recording, chosen.names, group, n_swaps, seed, n_threads, progress)
        for number, track in enumerate(group):
            n_ordered = max(n_best, *curve, 1)
            order = reorder(recording, scan, number, track, half[0], by, n_ordered)
            ranking = _on_test(
                recording, track, scan, number, order[:n_best], half, n_resamples, seed
            )
            ranking.curve = score_curve(
                recording, track, [scan.units[i] for i, _ in order], half, curve, n_resamples, seed
            )
            ranking.parameters = parameters | {
                "sites": chosen.names, "delimiters": track.delimiters
            }  # fmt: skip
            ranking.copies = chosen.copies
            rankings[track.name] = ranking
    found = [rankings[track.name] for track in tracks]
    if n_swaps and found:
        for ranking, q in zip(
            found, benjamini_hochberg(np.array([r.p_value for r in found])), strict=True
        ):
            ranking.q_value = float(q)
    return found


def _alike(tracks: Sequence[Track]) -> list[list[Track]]:
    """Group tracks that can be scored in one pass: same kind, same positions."""
    groups: list[list[Track]] = []
    for track in tracks:
        for group in groups:
            first = group[0]
            same_valid = first.valid is track.valid or (
                first.valid is not None
                and track.valid is not None
                and np.array_equal(first.valid, track.valid)
            )
            if same_valid and first.is_binary == track.is_binary and first.stream == track.stream:
                group.append(track)
                break
        else:
            groups.append([track])
    return groups


def split_rows(
    recording: Any, stream: str, valid: np.ndarray | None, seed: int, what: str = "Ranking"
) -> tuple[Rows, Rows]:
    """Return the rows of the selection and of the test documents.

    Raises
    ------
    InterpError
        If there are fewer than four documents.
    """
    starts = np.asarray(recording.streams[stream].document_start)
    n_documents = len(starts) - 1
    if n_documents < 4:
        raise InterpError(
            f"{what} needs at least 4 documents (and {ENOUGH_DOCUMENTS} in the test half for a "
            f"finding), this recording has {n_documents}: one half chooses, the other scores."
        )
    first, second = split_documents(n_documents, seed)
    return Rows.of(starts, first, valid), Rows.of(starts, second, valid)


def check_halves(track: Track, halves: tuple[Rows, Rows]) -> None:
    """Refuse a split in which a half has one value of the label only."""
    for rows, which in zip(halves, ("selection", "test"), strict=True):
        values = track.values[rows.index]
        if len(values) == 0 or (values == values[0]).all():
            state = "empty"
            if len(values):
                state = "all outside" if not values[0] else "all inside"
                state = state if track.is_binary else "all the same"
            raise InterpError(
                f"The {which} documents are {state} for {track.name}; record more documents, or "
                "try another split (seed, --seed)."
            )


def _choose(
    recording: Any,
    sites: Sequence[str],
    group: Sequence[Track],
    n_swaps: int,
    seed: int,
    n_threads: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[tuple[Rows, Rows], Scan]:
    """Score all units on the selection half, and the swapped tracks beside them."""
    halves = split_rows(recording, group[0].stream, group[0].valid, seed)
    for track in group:
        check_halves(track, halves)
    rows = halves[0]
    labels = np.stack([track.values[rows.index] for track in group], axis=1)
    null = make_null(rows, labels, n_swaps, seed) if n_swaps else None
    return halves, scan_units(recording, sites, rows, labels, null, n_threads, progress)


def _on_test(
    recording: Any,
    track: Track,
    scan: Scan,
    number: int,
    order: Sequence[tuple[int, int]],
    halves: tuple[Rows, Rows],
    n_resamples: int,
    seed: int,
) -> Ranking:
    selection, test = halves
    null = scan.null_max[number] if len(scan.null_max) else None
    known = None if null is None else null[np.isfinite(null)]
    scores = []
    for i, sign in order:
        score = float(scan.scores[i, number])
        p = None if null is None else p_value(float(scan.null_scores[i, number]), null)
        site, unit = scan.units[i]
        values = np.asarray(recording.unit(site, unit))[test.index]
        name = f"{site}:{unit}"
        scores.append(score_unit(track, name, score, sign, p, values, test, n_resamples, seed))
    offset = 0.5 if track.is_binary else 0.0
    return Ranking(
        track.name,
        scores,
        n_units=len(scan.units),
        n_selection_documents=selection.n_documents,
        n_documents=test.n_documents,
        null_95=float(np.quantile(known, 0.95)) + offset
        if known is not None and len(known)
        else None,
        p_value=None if null is None else scores[0].p_value if scores else 1.0,
        left_out=dict(track.left_out),
        warnings=_warnings(scan, test, track),
    )


def _warnings(scan: Scan, test: Rows, track: Track) -> list[str]:
    warnings = []
    if test.n_documents < ENOUGH_DOCUMENTS:
        warnings.append(
            f"only {test.n_documents} test documents; with fewer than {ENOUGH_DOCUMENTS} the "
            "interval says little"
        )
    elif track.is_binary:
        n_telling = telling_documents(track.values[test.index], test.starts)
        if n_telling < ENOUGH_DOCUMENTS:
            warnings.append(FEW_TELL.format(n_telling, test.n_documents))
    n_nan = int(np.isnan(scan.scores[:, 0]).sum())
    if n_nan:
        warnings.append(f"{n_nan} of {len(scan.units)} units hold NaN and were left out")
    if n := track.left_out.get(NO_LABEL):
        warnings.append(f"{n / len(track.values):.1%} of positions have no label and were left out")
    return warnings
