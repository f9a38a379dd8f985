"""Measures of every head, from maps that are read document by document, one head at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from interp.errors import InterpError, unknown_name
from probes.heads.findings import HeadScore, HeadTable
from probes.heads.recorded import RecordedMaps
from probes.heads.site_tally import ALL_METRICS, SiteTally
from probes.heads.sources import MapSource


def check_metrics(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the measures asked for in the order of tables; None: all.

    Raises
    ------
    InterpError
        If there is none of that name.
    """
    for name in names or ():
        if name not in ALL_METRICS:
            raise InterpError(unknown_name("metric of heads", name, ALL_METRICS))
    return tuple(name for name in ALL_METRICS if not names or name in names)


def score_heads(
    source: MapSource | Any,
    metrics: Sequence[str] | None = None,
    n_resamples: int = 500,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> HeadTable:
    """Measure every head of every site over all documents.

    Parameters
    ----------
    source : Recording or MapSource
        A recording; some of its sites, or separators of your own
        (:class:`probes.heads.recorded.RecordedMaps`); or maps in memory
        (:class:`probes.heads.sources.ArrayMaps`).
    metrics : sequence of str, optional
        Of :data:`probes.heads.site_tally.ALL_METRICS`; default: all.
    n_resamples, seed : int
        Of documents, for intervals.
    progress : callable, optional
        Called with the maps read and the maps in all, counting those of a site on one document
        as one; what it raises ends the work.

    Returns
    -------
    HeadTable
        Means are over rows, pooled over documents; a measure that no row can show has no value
        and says why.
    """
    names = check_metrics(metrics)
    if hasattr(source, "attention_sites"):
        source = RecordedMaps(source)
    scores: list[HeadScore] = []
    warnings: list[str] = []
    sites = list(source.sites())
    total, done = sum(site.n_documents for site in sites), 0
    for site in sites:
        tally = SiteTally(site, names)
        for index in range(site.n_documents):
            for block in site.blocks(index):
                tally.add(index, block)
            done += 1
            if progress is not None:
                progress(done, total)
        scores += tally.scores(n_resamples, seed)
        warnings += tally.warnings()
    parameters = {"metrics": list(names), "n_resamples": n_resamples, "seed": seed}
    return HeadTable(scores, list(dict.fromkeys(warnings)), parameters)
