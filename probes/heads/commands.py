"""What `interp heads` asks: from a recording or a model to measures of its heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import interp
from probes.findings import plain
from probes.heads.findings import HeadTable
from probes.heads.reading import align_heads
from probes.heads.recorded import RecordedMaps
from probes.heads.scores import score_heads
from probes.results import write_result


def heads_of_recording(
    path: Path,
    metrics: Sequence[str] | None = None,
    sites: Sequence[str] | None = None,
    separators: Sequence[str] | None = None,
    n_resamples: int = 500,
    seed: int = 0,
    save: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> HeadTable:
    """Measure the heads of a recording, and keep the table beside it.

    Parameters
    ----------
    path : Path
        A recording with attention; complete, if the table is to be kept.
    metrics : sequence of str, optional
        Of :data:`probes.heads.site_tally.ALL_METRICS`; default: all.
    sites : sequence of str, optional
        Attention sites, names or patterns; default: all.
    separators : sequence of str, optional
        Tokens that separate.
    n_resamples, seed : int
        Of documents, for intervals.
    save : bool
        Write ``run.results/heads.scores.….json``.
    progress : callable, optional
        See :func:`probes.heads.scores.score_heads`.
    """
    with interp.open(path) as recording:
        if save:
            _ = recording.fingerprint  # refuse an incomplete recording before the work
        maps = RecordedMaps(recording, sites, separators)
        table = score_heads(maps, metrics, n_resamples, seed, progress)
        asked = {"sites": maps.names, "separators": separators and list(separators)}
        table.parameters = table.parameters | asked
        if save:
            write_result(recording, "heads", "scores", table.parameters, table.to_dict())
    return table


def alignment_of_recording(
    path: Path,
    sites: Sequence[str] | None = None,
    n_resamples: int = 500,
    seed: int = 0,
    save: bool = True,
) -> dict[str, dict[str, Any]]:
    """Measure how the cross-attention of a recording aligns, and keep it beside the recording.

    Parameters
    ----------
    path : Path
    sites : sequence of str, optional
        Attention sites, names or patterns; default: all from one stream to another.
    n_resamples, seed : int
        Of documents, for intervals.
    save : bool
        Write ``run.results/heads.alignment.….json``.

    Returns
    -------
    dict of str to dict
        By head, the fields of :class:`probes.heads.alignment.AlignmentScore`.
    """
    with interp.open(path) as recording:
        if save:
            _ = recording.fingerprint
        scores = align_heads(recording, sites, n_resamples=n_resamples, seed=seed)
        found = {head: plain(asdict(score)) for head, score in scores.items()}
        if save:
            asked = {"sites": sites and list(sites), "n_resamples": n_resamples, "seed": seed}
            write_result(recording, "heads", "alignment", asked, {"heads": found})
    return found
